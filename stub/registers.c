/* Registers: g, G, p, P. They pass through to the target, with what its stub is known to get wrong
 * put right here. */
#include "base/bytes.h"
#include "base/hex.h"
#include "stub/handlers.h"

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

static bool ask(struct client *client, int64_t thread, const void *payload, size_t length,
                struct buffer *reply)
{
    enum target_error error =
        front_ask(client->front, client_id(client), thread, payload, length, reply);
    if (error == TARGET_OK)
        return true;
    reply_target_error(client, error, NULL);
    return false;
}

/* An upstream's reply as it came. */
static void pass_on(struct client *client, const struct buffer *reply)
{
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
    struct front *front = client->front;
    struct buffer text = {0};
    bool found = false;

    if (front->target->ops->monitor(front->target, client_id(client),
                                    front_processor(front, thread), "info registers",
                                    &text) == TARGET_OK &&
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
    const struct layout *layout = front_layout(client->front, client_id(client));
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
            bytes_store(bytes, pc, each->size, front_info(client->front)->big_endian);
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
    if (ask(client, thread, "g", 1, &reply))
        pass_on(client, &reply);
    buffer_free(&reply);
}

void registers_do_read(struct client *client, const struct request *request)
{
    struct request plain;
    struct buffer reply = {0};
    uint64_t number;
    int64_t thread;
    char payload[32];

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
    enum target_error error = front_sync(client->front, client_id(client), thread);
    if (error != TARGET_OK) {
        reply_target_error(client, error, NULL);
        return;
    }
    int length = snprintf(payload, sizeof payload, "p%" PRIx64, number);
    if (ask(client, thread, payload, (size_t)length, &reply))
        pass_on(client, &reply);
    buffer_free(&reply);
}

/* Everybody's dirty bytes go to the target before a register changes: what they were meant for may
 * be reached by another way afterwards. */
static bool write_one(struct client *client, int64_t thread, uint64_t number, const char *value,
                      size_t length, struct buffer *reply)
{
    struct buffer payload = {0};
    bool good =
        buffer_printf(&payload, "P%" PRIx64 "=", number) && buffer_append(&payload, value, length);

    if (good)
        good = ask(client, thread, buffer_bytes(&payload), payload.length, reply);
    else
        reply_error(client, ERROR_GENERAL, "out of memory");
    buffer_free(&payload);
    return good;
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
        const struct layout *layout = front_layout(front, client_id(client));
        const struct layout_register *each = layout ? layout_find(layout, number) : NULL;
        if (each && value.length != 2 * each->size) {
            reply_error(client, ERROR_INVALID, "register %s has %zu bytes, not %zu", each->name,
                        each->size, value.length / 2);
            return;
        }
    }
    space_flush_all(front->space);
    enum target_error error = front_sync(front, client_id(client), thread);
    if (error != TARGET_OK)
        reply_target_error(client, error, NULL);
    else if (write_one(client, thread, number, value.text, value.length, &reply))
        pass_on(client, &reply);
    buffer_free(&reply);
}

/* G to QEMU as P of what differs: on x86-64 outside of long mode its G misreads its own g. */
static void write_changes(struct client *client, int64_t thread, const char *values, size_t length)
{
    const struct layout *layout = front_layout(client->front, client_id(client));
    struct buffer now = {0}, reply = {0};
    size_t count = layout ? layout_cover(layout, length / 2) : 0;

    if (!ask(client, thread, "g", 1, &now))
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
        buffer_clear(&reply);
        if (!write_one(client, thread, each->number, value, 2 * each->size, &reply))
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
    space_flush_all(front->space);
    if (front_is_qemu(front) && front_layout(front, client_id(client))) {
        write_changes(client, thread, plain.text + 1, length);
        return;
    }
    if (ask(client, thread, plain.text, plain.length, &reply))
        pass_on(client, &reply);
    buffer_free(&reply);
}
