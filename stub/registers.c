/* Registers: g, G, p, P. They pass through to the target, with what its stub is known to get wrong
 * put right here. */
#include "stub/registers.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "space/machine.h"
#include "space/registers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The request without lldb's suffix, and the thread that it is about. */
static bool take_thread(struct client *client, const struct request *request, struct request *plain,
                        int64_t *thread)
{
    struct thread_id suffix;

    *plain = *request;
    if (!request_thread_suffix(plain, &suffix)) {
        reply_error(client, ERROR_INVALID, "no such thread");
        return false;
    }
    *thread = client_thread(client, &suffix);
    return true;
}

/* An upstream's reply as it came. */
static void pass_on(struct client *client, enum space_error error, const struct buffer *reply)
{
    if (error != SPACE_OK) {
        reply_space_error(client, error, NULL);
        return;
    }
    buffer_clear(&client->reply);
    reply_bytes(client, buffer_bytes(reply), reply->length);
}

static bool is_ok(const struct buffer *reply)
{
    return reply->length == 2 && memcmp(buffer_bytes(reply), "OK", 2) == 0;
}

/* Where a processor that runs was a moment ago, as QEMU's monitor prints it. */
static bool sample_pc(struct client *client, int64_t thread, uint64_t *pc)
{
    static const char *const names[] = {"RIP=", "EIP=", " PC=", "NIP "};
    struct buffer text = {0};
    bool found = false;

    if (session_ask_monitor(client->session,
                            upstream_stub_processor(&client->front->upstream, thread),
                            "info registers", &text) == SPACE_OK &&
        buffer_append_byte(&text, 0)) {
        const char *printed = (const char *)buffer_bytes(&text);
        for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++) {
            const char *at = strstr(printed, names[i]);
            if (at) {
                at += strlen(names[i]);
                found = hex_number(pc, &at, printed + strlen(printed));
            }
        }
    }
    buffer_free(&text);
    return found;
}

/* Registers of a processor that runs: x for each digit says "not available". gdb cannot do without
 * a program counter: that is a sample. number: of one register, or -1 for all of a g reply. */
static void reply_running(struct client *client, int64_t thread, int64_t number)
{
    const struct layout *layout = upstream_stub_layout(&client->front->upstream, client->session);
    uint8_t bytes[8];
    uint64_t pc;

    if (!layout || layout->pc < 0 || layout->registers[layout->pc].size > sizeof bytes ||
        !sample_pc(client, thread, &pc))
        return;
    for (size_t i = 0; i < layout->count; i++) {
        const struct layout_register *each = &layout->registers[i];
        if (number >= 0 && number != each->number)
            continue;
        if ((int)i == layout->pc) {
            bytes_store(bytes, pc, each->size, front_info(client->front).big_endian);
            reply_hex(client, bytes, each->size);
            continue;
        }
        for (size_t byte = 0; byte < each->size; byte++)
            reply_text(client, "xx");
    }
}

void registers_do_read_all(struct client *client, const struct request *request)
{
    struct request plain;
    struct buffer reply = {0};
    int64_t thread;

    if (client_sees_running(client)) {
        reply_running(client, client_thread(client, NULL), -1);
        if (client->reply.length > 0)
            return;
    }
    if (!client_needs_halt(client, "reading registers") ||
        !take_thread(client, request, &plain, &thread))
        return;
    if (!request_is(&plain, "g"))
        return;
    pass_on(client, session_read_registers(client->session, thread, &reply), &reply);
    buffer_free(&reply);
}

void registers_do_read(struct client *client, const struct request *request)
{
    struct request plain;
    struct buffer reply = {0};
    uint64_t number;
    int64_t thread;

    if (client_sees_running(client) && request_register(request, &number) && number <= INT32_MAX) {
        reply_running(client, client_thread(client, NULL), (int64_t)number);
        if (client->reply.length > 0)
            return;
    }
    if (!client_needs_halt(client, "reading a register") ||
        !take_thread(client, request, &plain, &thread))
        return;
    if (!request_register(&plain, &number)) {
        reply_error(client, ERROR_INVALID, "p is followed by a register's number");
        return;
    }
    pass_on(client, session_read_register(client->session, thread, number, &reply), &reply);
    buffer_free(&reply);
}

void registers_do_write(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    struct request plain, value;
    struct buffer reply = {0};
    uint64_t number;
    int64_t thread;

    if (!client_needs_halt(client, "writing a register") ||
        !take_thread(client, request, &plain, &thread))
        return;
    if (!request_register_write(&plain, &number, &value)) {
        reply_error(client, ERROR_INVALID, "P is a register's number, =, and its bytes");
        return;
    }
    if (front_is_qemu(front)) {
        /* QEMU takes what is missing of a short value from its last packet. */
        const struct layout *layout = upstream_stub_layout(&front->upstream, client->session);
        const struct layout_register *each = layout ? layout_find(layout, number) : NULL;
        if (each && value.length != 2 * each->size) {
            reply_error(client, ERROR_INVALID, "register %s has %zu bytes, not %zu", each->name,
                        each->size, value.length / 2);
            return;
        }
    }
    enum space_error error =
        session_write_register(client->session, thread, number, value.text, value.length, &reply);
    pass_on(client, error, &reply);
    buffer_free(&reply);
}

/* Has the target been lost or resumed since then? With a loss the layout goes, and the next may be
 * another. */
static bool moved_on(struct client *client, uint64_t runs)
{
    if (upstream_stub_runs(&client->front->upstream) == runs)
        return false;
    reply_space_error(
        client, front_state(client->front) == SPACE_STATE_RUNNING ? SPACE_RUNNING : SPACE_GONE,
        NULL);
    return true;
}

/* G to QEMU as P of what differs: on x86-64 outside of long mode its G misreads its own g. */
static void write_changes(struct client *client, const struct layout *layout, int64_t thread,
                          const char *values, size_t length)
{
    struct buffer now = {0}, reply = {0};
    size_t count = layout_cover(layout, length / 2);
    uint64_t runs = upstream_stub_runs(&client->front->upstream);

    enum space_error error = session_begin_registers(client->session, thread, &now);
    if (error != SPACE_OK) {
        reply_space_error(client, error, NULL);
        goto done;
    }
    if (moved_on(client, runs))
        goto done;
    if (count == 0 || now.length != length) {
        reply_error(client, ERROR_INVALID, "the registers are 0x%zx bytes, not 0x%zx",
                    now.length / 2, length / 2);
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        const struct layout_register *each = &layout->registers[i];
        const char *value = values + 2 * each->offset;
        if (strncasecmp(value, (const char *)buffer_bytes(&now) + 2 * each->offset,
                        2 * each->size) == 0)
            continue;
        error = session_change_register(client->session, thread, each->number, value,
                                        2 * each->size, &reply);
        if (error != SPACE_OK) {
            reply_space_error(client, error, NULL);
            goto done;
        }
        if (moved_on(client, runs))
            goto done;
        if (!is_ok(&reply)) {
            reply_error(client, ERROR_FAULT, "register %s cannot be written", each->name);
            goto done;
        }
    }
    reply_ok(client);
done:
    buffer_free(&now);
    buffer_free(&reply);
}

void registers_do_write_all(struct client *client, const struct request *request)
{
    struct front *front = client->front;
    struct request plain;
    struct buffer reply = {0};
    int64_t thread;

    if (!client_needs_halt(client, "writing registers") ||
        !take_thread(client, request, &plain, &thread))
        return;
    size_t length = plain.length - 1;
    /* QEMU does not answer a G without data at all. */
    if (length == 0 || length % 2 != 0 || length > FEATURES_PACKET_SIZE) {
        reply_error(client, ERROR_INVALID, "G is followed by the registers' bytes");
        return;
    }
    for (size_t i = 1; i <= length; i++) {
        if (hex_digit((unsigned char)plain.text[i]) < 0) {
            reply_error(client, ERROR_INVALID, "G is followed by hexadecimal digits");
            return;
        }
    }
    const struct layout *layout =
        front_is_qemu(front) ? upstream_stub_layout(&front->upstream, client->session) : NULL;
    if (layout) {
        write_changes(client, layout, thread, plain.text + 1, length);
        return;
    }
    pass_on(client,
            session_write_registers(client->session, thread, plain.text, plain.length, &reply),
            &reply);
    buffer_free(&reply);
}
