/* Monitor commands (qRcmd): our own, for what the protocol has no packets for, and the target's. */
#include "base/bytes.h"
#include "base/hex.h"
#include "stub/handlers.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#define COMMAND_MOST ((size_t)4096)
#define WORDS_MOST   40
/* Bytes of one physical read that are shown. */
#define DUMP_MOST 4096u

/* A command of ours that is being carried out. */
struct command {
    struct client *client;
    char *word[WORDS_MOST];
    size_t count;
    struct buffer out;
    bool failed;
};

static void print(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void print(struct command *command, const char *format, ...)
{
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    buffer_append(&command->out, text, strlen(text));
}

/* A call's outcome, when it is no success. */
static bool failed(struct command *command, HRESULT hr)
{
    if (SUCCEEDED(hr))
        return false;
    print(command, "%s\n", session_message(command->client->session));
    command->failed = true;
    return true;
}

static bool misused(struct command *command, const char *usage)
{
    print(command, "usage: monitor %s\n", usage);
    command->failed = true;
    return false;
}

/* --- ports --- */

static bool port_words(struct command *command, uint64_t *port, uint64_t *size)
{
    return request_number(command->word[1], port) && request_number(command->word[2], size) &&
           (*size == 1 || *size == 2 || *size == 4);
}

static void do_read_io(struct command *command)
{
    uint64_t port, size;
    uint8_t bytes[4] = {0};
    uint32_t done, value = 0;

    if (command->count != 3 || !port_words(command, &port, &size)) {
        misused(command, "read-io PORT SIZE");
        return;
    }
    if (failed(command, session_read_io(command->client->session, SB_INTERFACE_ISA, 0, 1, port,
                                        bytes, (uint32_t)size, &done)))
        return;
    value = (uint32_t)bytes_load(bytes, size, false);
    print(command, "0x%0*" PRIx32 "\n", (int)size * 2, value);
}

static void do_write_io(struct command *command)
{
    uint64_t port, size, value;
    uint8_t bytes[4];
    uint32_t done;

    if (command->count != 4 || !port_words(command, &port, &size) ||
        !request_number(command->word[3], &value) || value >> (8 * size) != 0) {
        misused(command, "write-io PORT SIZE VALUE (a value that fits the size)");
        return;
    }
    bytes_store(bytes, value, size, false);
    failed(command, session_write_io(command->client->session, SB_INTERFACE_ISA, 0, 1, port, bytes,
                                     (uint32_t)size, &done));
}

/* --- physical memory --- */

static const char *const types[] = {"default", "cached", "uncached", "write-combined"};

/* Takes an optional TYPE off the words. */
static uint32_t take_type(struct command *command)
{
    for (uint32_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (command->count > 1 && strcmp(command->word[1], types[i]) == 0) {
            memmove(&command->word[1], &command->word[2],
                    (command->count - 2) * sizeof *command->word);
            command->count--;
            return i;
        }
    }
    return DEBUG_PHYSICAL_DEFAULT;
}

static void do_read_physical(struct command *command)
{
    uint32_t type = take_type(command), done;
    uint64_t address, size;

    if (command->count != 3 || !request_number(command->word[1], &address) ||
        !request_number(command->word[2], &size) || size == 0 || size > DUMP_MOST) {
        misused(command, "read-physical [TYPE] ADDRESS SIZE (at most 4096 bytes)");
        return;
    }
    uint8_t bytes[DUMP_MOST];
    HRESULT hr = session_read_physical(command->client->session, "ReadPhysical2", address, type,
                                       bytes, (uint32_t)size, &done);
    for (uint32_t i = 0; i < done; i++) {
        if (i % 16 == 0)
            print(command, "%s%016" PRIx64 ":", i ? "\n" : "", address + i);
        print(command, " %02x", bytes[i]);
    }
    if (done > 0)
        print(command, "\n");
    if (!failed(command, hr) && done < size) {
        print(command, "only %" PRIu32 " of %" PRIu64 " bytes can be read\n", done, size);
        command->failed = true;
    }
}

static void do_write_physical(struct command *command)
{
    uint32_t type = take_type(command), done;
    uint64_t address;
    struct buffer data = {0};
    bool good = command->count >= 3 && request_number(command->word[1], &address);

    for (size_t i = 2; i < command->count && good; i++) {
        size_t length = strlen(command->word[i]);
        uint8_t *room = buffer_reserve(&data, length / 2);
        good = room && hex_decode(room, command->word[i], length);
        if (good)
            buffer_commit(&data, length / 2);
    }
    if (!good || data.length == 0) {
        misused(command, "write-physical [TYPE] ADDRESS HEXDIGITS...");
    } else {
        HRESULT hr =
            session_write_physical(command->client->session, "WritePhysical2", address, type,
                                   buffer_bytes(&data), (uint32_t)data.length, &done);
        if (!failed(command, hr) || done > 0)
            print(command, "%" PRIu32 " of %zu bytes written\n", done, data.length);
        command->failed = command->failed || done < data.length;
    }
    buffer_free(&data);
}

static void do_translate(struct command *command)
{
    uint64_t address, page;
    struct target_translation found;

    if (command->count != 2 || !request_number(command->word[1], &address)) {
        misused(command, "translate ADDRESS");
        return;
    }
    page = address & TARGET_PAGE_MASK;
    if (!client_select_processor(command->client)) {
        command->failed = true;
        print(command, "%s\n", session_message(command->client->session));
        return;
    }
    if (failed(command, session_translate(command->client->session, &page, 1, &found)))
        return;
    if (found.error) {
        print(command, "0x%" PRIx64 ": %s\n", address,
              found.error == TARGET_FAULT ? "not mapped" : target_error_text(found.error));
        return;
    }
    print(command, "0x%" PRIx64 " -> 0x%" PRIx64 " %s %s\n", address,
          found.physical + (address & ~TARGET_PAGE_MASK), region_kind_text(found.region.kind),
          found.region.name);
}

/* --- the view --- */

static void cache_status(struct command *command)
{
    struct session_cache_status status;

    if (failed(command, session_get_cache_status(command->client->session, &status)))
        return;
    print(command,
          "policy %s, %" PRIu64 " of %" PRIu64 " bytes, %" PRIu64 " lines, %" PRIu64
          " valid bytes, %" PRIu64 " dirty\n",
          cache_policy_text(status.policy), status.used, status.size, status.lines,
          status.valid_bytes, status.dirty_bytes);
    print(command,
          "%" PRIu64 " hits, %" PRIu64 " misses, %" PRIu64 " flushes, %" PRIu64
          " bytes flushed, %" PRIu64 " lost, %" PRIu64 " evictions\n",
          status.hits, status.misses, status.flushes, status.flushed_bytes, status.lost_bytes,
          status.evictions);
}

static void do_cache(struct command *command)
{
    static const char usage[] = "cache [status | policy POLICY | flush | discard | invalidate]";
    struct session *session = command->client->session;
    const char *what = command->count > 1 ? command->word[1] : "status";
    enum cache_policy policy;
    uint64_t bytes;

    if (strcmp(what, "policy") == 0 && command->count == 3 &&
        cache_policy_parse(&policy, command->word[2])) {
        failed(command, session_set_cache_policy(session, policy));
    } else if (command->count > 2) {
        misused(command, usage);
    } else if (strcmp(what, "status") == 0) {
        cache_status(command);
    } else if (strcmp(what, "flush") == 0) {
        if (!failed(command, session_flush(session, &bytes)))
            print(command, "%" PRIu64 " bytes flushed\n", bytes);
    } else if (strcmp(what, "discard") == 0) {
        if (!failed(command, session_discard(session, &bytes)))
            print(command, "%" PRIu64 " bytes dropped\n", bytes);
    } else if (strcmp(what, "invalidate") == 0) {
        failed(command, session_invalidate(session));
    } else {
        misused(command, usage);
    }
}

static void do_connections(struct command *command)
{
    struct front *front = command->client->front;
    struct client *client;

    DL_FOREACH(front->clients, client)
    {
        print(command, "%s%s: %s, %s, %s, %zu breakpoints\n", client->name,
              client == command->client ? " (this one)" : "",
              client_kind_text(client->features.kind), client->peer,
              !client->attached ? "not attached"
              : client->waiting ? "waits for a stop"
                                : "at its prompt",
              breakpoints_held(&front->breakpoints, client->number));
    }
    for (struct session *session = space_next_session(front->space, NULL); session;
         session = space_next_session(front->space, session)) {
        if (strncmp(session_name(session), "stub", 4) != 0)
            print(command, "%s: dbgeng-style calls\n", session_name(session));
    }
}

static void do_help(struct command *command);

static const struct {
    const char *word;
    void (*run)(struct command *command);
    const char *help;
} commands[] = {
    {"read-io", do_read_io, "read-io PORT SIZE -- one access to an I/O port"},
    {"write-io", do_write_io, "write-io PORT SIZE VALUE -- one access to an I/O port"},
    {"read-physical", do_read_physical,
     "read-physical [default|cached|uncached|write-combined] ADDRESS SIZE"},
    {"write-physical", do_write_physical,
     "write-physical [default|cached|uncached|write-combined] ADDRESS HEXDIGITS..."},
    {"translate", do_translate, "translate ADDRESS -- what lies behind a virtual address"},
    {"cache", do_cache,
     "cache [status | policy write-back|write-through|off | flush | discard | invalidate]"},
    {"connections", do_connections, "connections -- who is attached"},
    {"help", do_help, "help [COMMAND] -- this text, and the target's own"},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static size_t find(const char *word)
{
    size_t i = 0;
    while (i < COMMANDS && strcmp(commands[i].word, word) != 0)
        i++;
    return i;
}

/* One line for the target's own monitor. */
static void hand_over(struct command *command, const char *line)
{
    HRESULT hr = session_monitor(command->client->session, line, &command->out);

    if (FAILED(hr) && front_state(command->client->front) == TARGET_STATE_RUNNING)
        print(command, "the target runs, and its monitor can only be reached while it is halted\n");
    else if (FAILED(hr))
        print(command, "%s\n", session_message(command->client->session));
    command->failed = FAILED(hr);
}

static void do_help(struct command *command)
{
    size_t one = command->count == 2 ? find(command->word[1]) : COMMANDS;

    if (one < COMMANDS) {
        print(command, "%s\n", commands[one].help);
        return;
    }
    if (command->count == 1) {
        print(command, "spacebridge:\n");
        for (size_t i = 0; i < COMMANDS; i++)
            print(command, "%s\n", commands[i].help);
        if (front_is_qemu(command->client->front))
            print(command, "everything else goes to QEMU's monitor:\n");
    }
    if (front_is_qemu(command->client->front)) {
        char line[COMMAND_MOST];
        snprintf(line, sizeof line, "help %s", command->count > 1 ? command->word[1] : "");
        hand_over(command, line);
    }
}

static bool decode(const struct request *request, char *line)
{
    const char *hex = request->text + strlen("qRcmd,");
    size_t length = request->length - strlen("qRcmd,");

    if (length / 2 >= COMMAND_MOST || !hex_decode((uint8_t *)line, hex, length))
        return false;
    line[length / 2] = '\0';
    if (strlen(line) != length / 2)
        return false;
    for (size_t end = length / 2; end > 0 && strchr(" \t\r\n", line[end - 1]);)
        line[--end] = '\0';
    /* One line is one command. */
    return !strpbrk(line, "\r\n");
}

void monitor_do_command(struct client *client, const struct request *request)
{
    struct command command = {.client = client};
    char line[COMMAND_MOST], words[COMMAND_MOST], *rest = NULL;

    if (!decode(request, line)) {
        reply_error(client, ERROR_GENERAL, "a monitor command is one line, in hexadecimal digits");
        return;
    }
    memcpy(words, line, strlen(line) + 1);
    for (char *word = strtok_r(words, " \t", &rest); word && command.count < WORDS_MOST;
         word = strtok_r(NULL, " \t", &rest))
        command.word[command.count++] = word;
    front_wait_settled(client->front);
    size_t ours = command.count > 0 ? find(command.word[0]) : COMMANDS;
    if (ours < COMMANDS && command.count < WORDS_MOST)
        commands[ours].run(&command);
    else if (command.count > 0)
        hand_over(&command, line);
    if (command.out.length > 0 && buffer_append_byte(&command.out, 0))
        client_console(client, (const char *)buffer_bytes(&command.out));
    buffer_free(&command.out);
    if (!command.failed)
        reply_ok(client);
    else if (front_state(client->front) == TARGET_STATE_RUNNING)
        reply_error(client, ERROR_BUSY, "the target runs");
    else
        reply_error(client, ERROR_GENERAL, "the monitor command failed");
}
