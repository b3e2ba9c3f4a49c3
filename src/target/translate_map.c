/* The target's memory map, read again when it may have changed. */
#include "target/translate_internal.h"

#include "base/buffer.h"
#include "base/log.h"
#include "target/qmp.h"

#include <string.h>

/* "memory" is what a processor's physical accesses without special attributes see. */
#define ADDRESS_SPACE "memory"
/* Characters of a map from which on it is asked for by QMP: there are thousands of ranges then. */
#define LONG_TEXT ((size_t)64 * 1024)
/* From here on the stub is asked again: a line that is too long for QMP costs the connection. */
#define TOO_LONG_TEXT (QMP_LINE_MAX / 8)

/* A question whose answer is about as long as the last map was. */
static enum target_error ask_map(struct translate *translate, target_client client,
                                 const char *command, struct buffer *text, char *message,
                                 size_t size)
{
    return translate->map_text >= LONG_TEXT && translate->map_text < TOO_LONG_TEXT
               ? monitor_run_long(translate->monitor, client, command, text, message, size)
               : monitor_run(translate->monitor, client, -1, command, text, message, size);
}

static enum target_error load_map(struct translate *translate, target_client client)
{
    struct buffer tree = {0}, pci = {0};
    char message[256];
    enum target_error error =
        ask_map(translate, client, "info mtree -f", &tree, message, sizeof message);
    if (error == TARGET_OK)
        error = ask_map(translate, client, "info pci", &pci, message, sizeof message);
    if (error != TARGET_OK)
        goto done;
    translate->map_text = tree.length;
    const char *buses = monitor_printed(&pci);
    if (strncmp(buses, "unknown command", strlen("unknown command")) == 0)
        buses = "";
    const char *ranges = monitor_printed(&tree);
    translate->secure = strstr(ranges, "AS \"cpu-secure-memory") != NULL;
    if (!memory_map_parse(&translate->map, ranges, ADDRESS_SPACE, buses, message, sizeof message))
        error = TARGET_FAILED;
done:
    if (error != TARGET_OK && error != TARGET_RUNNING && error != TARGET_GONE)
        log_warning(ROOM, "cannot read the target's memory map: %s", message);
    buffer_free(&tree);
    buffer_free(&pci);
    return error;
}

enum target_error translate_fresh_map(struct translate *translate, target_client client)
{
    if (!translate->monitor->stub->qemu)
        return TARGET_UNSUPPORTED;
    if (translate->map_valid)
        return TARGET_OK;
    task_mutex_lock(&translate->map_loading);
    enum target_error error = TARGET_OK;
    while (error == TARGET_OK && !translate->map_valid) {
        uint64_t changes = translate->map_changes;
        error = load_map(translate, client);
        /* A running guest can move its map at any time: good for this call only. */
        if (error == TARGET_OK && translate_running(translate))
            break;
        translate->map_valid = error == TARGET_OK && translate->map_changes == changes;
    }
    task_mutex_unlock(&translate->map_loading);
    return error;
}

enum target_error translate_classify(struct translate *translate, target_client client,
                                     uint64_t physical, struct target_region *out)
{
    enum target_error error = translate_fresh_map(translate, client);
    if (error == TARGET_OK)
        memory_map_find(&translate->map, physical, out);
    return error;
}

enum target_error translate_has_bus(struct translate *translate, target_client client, unsigned bus,
                                    bool *present)
{
    enum target_error error = translate_fresh_map(translate, client);
    if (error == TARGET_OK)
        *present = memory_map_has_bus(&translate->map, bus);
    return error;
}

uint64_t translate_changes(const struct translate *translate)
{
    return translate->map_changes;
}
