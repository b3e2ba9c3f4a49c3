/* Hides how QMP words a fact, and that it may word it otherwise than we know. */
#include "upstream/link/qmp_facts.h"

#include "upstream/link/qmp.h"

#include <stdio.h>
#include <string.h>

/* A new reference, or NULL. */
static json_t *ask(struct qmp *qmp, const char *command)
{
    json_t *answer = NULL;
    if (!qmp || !qmp_connected(qmp) || qmp_execute(qmp, command, NULL, &answer, NULL) != TARGET_OK)
        return NULL;
    return answer;
}

static bool take_text(json_t *value, char *text, size_t size)
{
    const char *string = json_string_value(value);
    if (!string || strlen(string) >= size)
        return false;
    memcpy(text, string, strlen(string) + 1);
    return true;
}

static bool is_part(json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 &&
           json_integer_value(value) < 1000;
}

bool qmp_facts_version(struct qmp *qmp, char *version, size_t size)
{
    json_t *answer = ask(qmp, "query-version"), *qemu = json_object_get(answer, "qemu");
    json_t *major = json_object_get(qemu, "major"), *minor = json_object_get(qemu, "minor"),
           *micro = json_object_get(qemu, "micro");
    bool told = is_part(major) && is_part(minor) && is_part(micro);
    if (told)
        snprintf(version, size, "%d.%d.%d", (int)json_integer_value(major),
                 (int)json_integer_value(minor), (int)json_integer_value(micro));
    json_decref(answer);
    return told;
}

bool qmp_facts_status(struct qmp *qmp, char *status, size_t size)
{
    json_t *answer = ask(qmp, "query-status");
    bool told = take_text(json_object_get(answer, "status"), status, size);
    json_decref(answer);
    return told;
}

bool qmp_facts_kvm(struct qmp *qmp, bool *enabled)
{
    json_t *answer = ask(qmp, "query-kvm"), *value = json_object_get(answer, "enabled");
    bool told = json_is_boolean(value);
    if (told)
        *enabled = json_is_true(value);
    json_decref(answer);
    return told;
}

bool qmp_facts_chardev(struct qmp *qmp, const char *label, char *name, size_t size)
{
    json_t *answer = ask(qmp, "query-chardev"), *device;
    bool told = json_is_array(answer);
    size_t i;
    if (told)
        name[0] = '\0';
    json_array_foreach(answer, i, device)
    {
        const char *string = json_string_value(json_object_get(device, "label"));
        if (string && strcmp(string, label) == 0)
            told = take_text(json_object_get(device, "filename"), name, size);
    }
    json_decref(answer);
    return told;
}
