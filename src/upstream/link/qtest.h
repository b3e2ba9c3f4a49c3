/* A client of QEMU's qtest protocol, which reads and writes physical memory, devices and ports
 * beside a normal guest, halted or running, without stopping it. Source: the comment at the head of
 * QEMU's softmmu/qtest.c (system/qtest.c), and what QEMU 7.2 was measured to do.
 *
 * qtest reports no errors: an address where nothing answers is OK, and a read of it gives zeros.
 * Who calls has asked the memory map. It goes through the first processor's ordinary address space:
 * real device accesses, ROM is not written, translated code is invalidated.
 *
 * A line that QEMU cannot parse aborts QEMU (an empty one too, on 7.2), so one function writes all
 * lines: qtest_line. Many tasks may call at once; their requests take turns, those of one call stay
 * in order. What is read is not trusted: anything unexpected closes the connection. */
#ifndef SB_UPSTREAM_LINK_QTEST_H
#define SB_UPSTREAM_LINK_QTEST_H

#include "upstream/types.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct endpoint;
struct busy_poll;
struct failure;
struct qtest;

/* The most bytes of one read or write, by measurement: QEMU searches all that it has of a line
 * after each KiB of it, so longer lines are slower again. */
#define QTEST_PIECE_MOST ((size_t)16 * 1024)
/* The most bytes of one fill; QEMU does nothing else meanwhile. */
#define QTEST_FILL_MOST ((size_t)1024 * 1024)

enum qtest_verb {
    QTEST_WRITE, /* length bytes at address */
    QTEST_READ,
    QTEST_FILL,  /* length bytes of the value of one byte */
    QTEST_STORE, /* one access of width 1, 2, 4 or 8 bytes: value, as the target's number */
    QTEST_LOAD,
    QTEST_OUT, /* one access to a port, width 1, 2 or 4 */
    QTEST_IN,
    QTEST_ORDER, /* which byte order the target's numbers have: value is 1 for big-endian */
};

struct qtest_request {
    enum qtest_verb verb;
    unsigned width;
    uint64_t address;
    size_t length;
    uint8_t *bytes; /* a write only reads them */
    uint64_t value; /* in: STORE, OUT, FILL; out: LOAD, IN, ORDER */
    bool done;      /* out: it was answered */
};

/* Append the line of a request. False, with nothing appended: there is no such request (a width or
 * length out of bounds, a value that does not fit the width, a range that leaves its space), or
 * there is no memory. */
bool qtest_line(struct buffer *out, const struct qtest_request *request);
/* Take an answer, a line without its end. False: it is none of this request. */
bool qtest_answer(struct qtest_request *request, const char *line, size_t length);

struct qtest_listener {
    void *context;
    /* The connection has ended, and not by qtest_close. Must not suspend. */
    void (*closed)(void *context, const char *reason);
};

/* timeout: seconds without an answer, with a request outstanding, after which the connection is
 * given up. NULL: out of memory. */
struct qtest *qtest_new(struct ev_loop *loop, double timeout,
                        const struct qtest_listener *listener);
/* Closes. No task may be in one of its functions. NULL is all right. */
void qtest_free(struct qtest *qtest);

/* Connect, in a task; TARGET_OK when QEMU has answered. QEMU serves one client at a time: another
 * one waits, and is given up after the time-out. */
enum target_error qtest_connect(struct qtest *qtest, const struct endpoint *endpoint,
                                struct failure *failure);
/* Stay awake while an answer is waited for that comes soon. NULL, as at first: do not. */
void qtest_set_busy_poll(struct qtest *qtest, struct busy_poll *poll);
bool qtest_connected(const struct qtest *qtest);
/* Close quietly: calls under way, a connect too, return TARGET_GONE, the listener hears nothing. A
 * connect begins with this, so of two the later goes on. */
void qtest_close(struct qtest *qtest);
bool qtest_big_endian(const struct qtest *qtest);

/* Carry out requests in order, in a task. TARGET_OK when all were answered; TARGET_GONE: done says
 * which were; TARGET_INVALID: one of them cannot be (those before it were carried out). */
enum target_error qtest_run(struct qtest *qtest, struct qtest_request *requests, size_t count);

#endif
