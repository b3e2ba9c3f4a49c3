/* The table of calls, and what the documentation says of them. */
#include "wire/calls.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[200000];

/* A file of the source tree, into text. */
static void slurp(const char *name)
{
    const char *top = getenv("srcdir");
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", top ? top : ".", name);
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s cannot be read", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    ck_assert_uint_lt(length, sizeof text - 1);
    text[length] = '\0';
    fclose(file);
}

static const char *type_text(enum param_type type)
{
    static const char *const texts[] = {
        [PARAM_ULONG64] = "u64", [PARAM_ULONG] = "u32",      [PARAM_INTERFACE] = "i32",
        [PARAM_SIZE] = "u32",    [PARAM_COUNT] = "u32",      [PARAM_BIN] = "bin",
        [PARAM_TEXT] = "str",    [PARAM_POINTERS] = "[u64]", [PARAM_MAP] = "map",
    };
    return texts[type];
}

/* "Offset u64, Buffer bin" */
static void values_text(char *to, size_t size, const struct param *values)
{
    to[0] = '\0';
    for (uint32_t i = 0; values[i].name; i++) {
        size_t length = strlen(to);
        snprintf(to + length, size - length, "%s%s %s", i > 0 ? ", " : "", values[i].name,
                 type_text(values[i].type));
    }
}

/* What stands between two bars, without blanks around it and remarks in brackets. */
static void cell_take(const char **at, char *cell, size_t size)
{
    size_t length = 0;
    bool remark = false;

    ck_assert_int_eq(**at, '|');
    for ((*at)++; **at != '|' && **at != '\n'; (*at)++) {
        remark = remark ? **at != ')' : **at == '(';
        if (!remark && **at != ')' && (length > 0 || **at != ' ') && length + 1 < size)
            cell[length++] = **at;
    }
    while (length > 0 && cell[length - 1] == ' ')
        length--;
    cell[length] = '\0';
}

/* One row of the table of methods: the calls that it names, from that one on. The next one. */
static unsigned row_check(const char *row, unsigned call)
{
    char names[256], params[256], results[256], expected[256];
    const char *at = row;

    cell_take(&at, names, sizeof names);
    cell_take(&at, params, sizeof params);
    cell_take(&at, results, sizeof results);
    for (char *name = strtok(names, "`, "); name; name = strtok(NULL, "`, ")) {
        ck_assert_msg(call < WIRE_CALLS, "%s is no call", name);
        const struct wire_call_info *info = wire_call_info(call++);
        ck_assert_str_eq(name, info->name);
        values_text(expected, sizeof expected, info->params);
        ck_assert_msg(strcmp(params, expected) == 0, "%s takes \"%s\", not \"%s\"", name, expected,
                      params);
        values_text(expected, sizeof expected, info->results);
        ck_assert_msg(strcmp(results, expected) == 0, "the result of %s is \"%s\", not \"%s\"",
                      name, expected, results);
    }
    return call;
}

START_TEST(protocol_page_agrees)
{
    unsigned call = 0;

    slurp("docs/protocol.md");
    const char *row = strstr(text, "| method | params | result");
    ck_assert_ptr_nonnull(row);
    row = strchr(strchr(row, '\n') + 1, '\n') + 1; /* behind the line under the heads */
    for (; *row == '|'; row = strchr(row, '\n') + 1)
        call = row_check(row, call);
    ck_assert_msg(call == WIRE_CALLS, "the page lacks %s", wire_call_info(call)->name);
}
END_TEST

/* The library has no call for events: it keeps the other notifications only. */
static bool of_library(unsigned call)
{
    return call != WIRE_CALL_SetEventCallbacks;
}

/* Each function of the library is declared in that text, between these two. */
static void functions_are_there(const char *before, const char *after)
{
    char expected[128];

    for (unsigned call = 0; call < WIRE_CALLS; call++) {
        snprintf(expected, sizeof expected, "%sspacebridge_%s%s", before,
                 wire_call_info(call)->function, after);
        ck_assert_msg(!of_library(call) || strstr(text, expected), "\"%s\" is missing", expected);
    }
}

START_TEST(library_has_every_call)
{
    slurp("include/spacebridge/spacebridge.h");
    functions_are_there(" ", "(");
}
END_TEST

START_TEST(library_manual_agrees)
{
    slurp("docs/man/libspacebridge.3");
    functions_are_there(".Fn ", " ");
}
END_TEST

START_TEST(command_manual_agrees)
{
    char expected[64];

    slurp("docs/man/spacebridge.1");
    for (unsigned call = 0; call < WIRE_CALLS; call++) {
        const char *command = wire_call_info(call)->command;
        snprintf(expected, sizeof expected, "\n.It Cm %s", command ? command : "");
        ck_assert_msg(strstr(text, expected), "%s is missing", command);
    }
}
END_TEST

START_TEST(rows_can_be_spoken)
{
    for (unsigned call = 0; call < WIRE_CALLS; call++) {
        const struct wire_call_info *info = wire_call_info(call);
        uint32_t count = wire_params_count(info->params);
        ck_assert_uint_le(count, PARAMS_MOST);
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_int_ne(info->params[i].type, PARAM_MAP);
            /* The library sends a buffer from where it is, behind all else. */
            ck_assert(info->params[i].type != PARAM_BIN || i + 1 == count);
        }
        for (unsigned other = 0; other < call; other++)
            ck_assert_str_ne(info->name, wire_call_info(other)->name);
    }
}
END_TEST

/* NULL: there is none. */
static const struct wire_call_info *row_of(const char *name)
{
    for (unsigned call = 0; call < WIRE_CALLS; call++)
        if (strcmp(wire_call_info(call)->name, name) == 0)
            return wire_call_info(call);
    return NULL;
}

/* Nothing refuses a call by its role today, so nothing else would notice a wrong one: each call is
 * named here once more. */
START_TEST(roles_are_what_calls_touch)
{
    static const char *const names[][20] = {
        [WIRE_ROLE_OWN] = {"Hello", "GetCurrentProcessor", "SetCurrentProcessor", "DiscardCache",
                           "InvalidateCache", "GetCacheStatus", "SetCachePolicy",
                           "SetEventCallbacks"},
        [WIRE_ROLE_LOOK] = {"ReadVirtual", "ReadVirtualUncached", "ReadPointersVirtual",
                            "ReadPhysical", "ReadPhysical2", "VirtualToPhysical",
                            "GetExecutionStatus", "WaitForEvent", "GetNumberProcessors",
                            "GetTransportStatus"},
        [WIRE_ROLE_CHANGE] = {"WriteVirtual", "WriteVirtualUncached", "WritePointersVirtual",
                              "WritePhysical", "WritePhysical2", "ReadIo", "WriteIo", "FillVirtual",
                              "FillPhysical", "FlushCache"},
        [WIRE_ROLE_RUN] = {"SetExecutionStatus", "SetInterrupt"},
    };
    unsigned count = 0;

    for (unsigned role = 0; role < sizeof names / sizeof *names; role++) {
        for (const char *const *name = names[role]; *name; name++, count++) {
            const struct wire_call_info *info = row_of(*name);
            ck_assert_msg(info && info->role == role, "%s", *name);
        }
    }
    ck_assert_uint_eq(count, WIRE_CALLS);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("wire_calls");
    tcase_add_test(tcase, protocol_page_agrees);
    tcase_add_test(tcase, library_has_every_call);
    tcase_add_test(tcase, library_manual_agrees);
    tcase_add_test(tcase, command_manual_agrees);
    tcase_add_test(tcase, rows_can_be_spoken);
    tcase_add_test(tcase, roles_are_what_calls_touch);

    Suite *suite = suite_create("wire_calls");
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
