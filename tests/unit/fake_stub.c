#include "fake_stub.h"

#include "base/task.h"

#include <check.h>
#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE 10.

void fake_stub_init(struct fake_stub *stub, int fd)
{
    *stub = (struct fake_stub){.fd = fd};
    packet_reader_init(&stub->reader, sizeof stub->packet - 1);
}

void fake_stub_free(struct fake_stub *stub)
{
    if (stub->fd >= 0)
        close(stub->fd);
    stub->fd = -1;
    buffer_free(&stub->in);
    packet_reader_free(&stub->reader);
}

void fake_stub_bytes(struct fake_stub *stub, const char *bytes, size_t length)
{
    struct buffer out = {0};
    ck_assert(buffer_append(&out, bytes, length));
    while (out.length > 0) {
        ssize_t count = buffer_write_fd(&out, stub->fd);
        if (count < 0 && (errno == EPIPE || errno == ECONNRESET))
            break; /* the other side has closed: the test sees why */
        if (count < 0 && errno == EAGAIN)
            ck_assert_int_ne(task_wait_fd(stub->fd, EV_WRITE, PATIENCE), 0);
        else
            ck_assert_int_ge(count, 0);
    }
    buffer_free(&out);
}

void fake_stub_packet(struct fake_stub *stub, const char *payload)
{
    struct buffer out = {0};
    ck_assert(packet_frame(&out, payload, strlen(payload), false));
    fake_stub_bytes(stub, (const char *)buffer_bytes(&out), out.length);
    buffer_free(&out);
}

void fake_stub_reply(struct fake_stub *stub, const char *payload)
{
    fake_stub_bytes(stub, "+", 1);
    fake_stub_packet(stub, payload);
}

/* More bytes; false at the end of the connection, or when the time is over. */
static bool listen_more(struct fake_stub *stub, double seconds)
{
    for (;;) {
        ssize_t count = buffer_read_fd(&stub->in, stub->fd, 65536);
        if (count > 0)
            return true;
        stub->ended = count == 0 || errno == ECONNRESET;
        if (stub->ended)
            return false;
        ck_assert_int_eq(errno, EAGAIN);
        if (task_wait_fd(stub->fd, EV_READ, seconds) == 0) {
            ck_assert_msg(seconds < PATIENCE, "the stub waits in vain");
            return false;
        }
    }
}

/* The next thing heard; PACKET_NONE at the end of the connection, or when the time is over. */
static enum packet_event next_within(struct fake_stub *stub, double seconds)
{
    for (;;) {
        const uint8_t *bytes = buffer_bytes(&stub->in);
        size_t left = stub->in.length;
        enum packet_event event = packet_next(&stub->reader, &bytes, &left);
        if (event == PACKET_DATA) {
            stub->length = stub->reader.length;
            memcpy(stub->packet, stub->reader.payload, stub->length);
            stub->packet[stub->length] = 0;
        }
        buffer_consume(&stub->in, stub->in.length - left);
        if (event != PACKET_NONE)
            return event;
        if (!listen_more(stub, seconds))
            return PACKET_NONE;
    }
}

static enum packet_event next(struct fake_stub *stub)
{
    return next_within(stub, PATIENCE);
}

bool fake_stub_hear(struct fake_stub *stub)
{
    return fake_stub_hear_within(stub, PATIENCE);
}

bool fake_stub_hear_within(struct fake_stub *stub, double seconds)
{
    for (;;) {
        enum packet_event event = next_within(stub, seconds);
        if (event == PACKET_ACK)
            stub->acks++;
        else if (event == PACKET_NONE)
            return false;
        else if (event == PACKET_DATA || !stub->patient) {
            ck_assert_int_eq(event, PACKET_DATA);
            return true;
        }
    }
}

void fake_stub_expect(struct fake_stub *stub, const char *payload)
{
    ck_assert_msg(fake_stub_hear(stub), "closed instead of '%s'", payload);
    ck_assert_str_eq(stub->packet, payload);
}

void fake_stub_answer(struct fake_stub *stub, const char *payload, const char *reply)
{
    fake_stub_expect(stub, payload);
    fake_stub_reply(stub, reply);
}

void fake_stub_expect_byte(struct fake_stub *stub, char byte)
{
    enum packet_event event = next(stub);
    ck_assert_int_eq(event, byte == '+' ? PACKET_ACK : byte == '-' ? PACKET_NAK : PACKET_INTERRUPT);
}

void fake_stub_expect_silence(struct fake_stub *stub)
{
    /* Whatever was to be sent is sent by the time that the loop has gone round. */
    task_sleep(0);
    task_sleep(0);
    struct pollfd poller = {.fd = stub->fd, .events = POLLIN};
    ck_assert_int_eq(poll(&poller, 1, 0), 0);
    ck_assert_uint_eq(stub->in.length, 0);
}

void fake_stub_expect_end(struct fake_stub *stub)
{
    while (next(stub) != PACKET_NONE)
        ;
}
