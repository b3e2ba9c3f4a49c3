/* A client's end of a stream socket on the loop: dialled without stopping the loop, read into one
 * buffer, written from another, watched for silence, and ended once, with a reason. What the bytes
 * mean is its owner's.
 *
 * Whatever has come is taken before the clock is looked at, however late a turn of the loop is: the
 * reader has a higher priority than the timer. */
#ifndef SB_BASE_STREAM_H
#define SB_BASE_STREAM_H

#include "base/buffer.h"
#include "base/dial.h"
#include "base/failure.h"
#include "base/paced_reader.h"

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>

struct busy_poll;
struct endpoint;

/* Most bytes read in one turn of the loop: a flood must leave others their turn. */
#define STREAM_READ_MOST ((size_t)64 * 1024)

/* What the owner is told, always with its context, none of it may suspend. */
struct stream_events {
    /* count more bytes stand in the stream's in */
    void (*came)(void *context, size_t count);
    /* the peer has closed: the owner says so with stream_fail */
    void (*ended)(void *context);
    /* an answer is owed (stream_owe) and nothing was heard for the time-out */
    void (*silent)(void *context);
    /* stream_fail was called, the reason is set; the owner calls stream_close, now or later */
    void (*failed)(void *context);
    /* after each read and whenever the socket takes bytes again; NULL: bytes that wait are sent */
    void (*turn)(void *context);
    /* what stands before the system's words when reading or writing fails */
    const char *read_failed, *write_failed;
};

/* The owner reads fd, failing, reason, in and out, and appends to out; the rest is the stream's. */
struct stream {
    struct ev_loop *loop;
    const struct stream_events *events;
    void *context;
    double timeout;            /* seconds */
    int fd;                    /* -1: closed */
    bool failing;              /* it has failed and is not closed yet */
    char reason[FAILURE_SIZE]; /* of the last failure; "": none yet */
    struct buffer in, out;
    size_t scanned; /* bytes of in that are known to hold no end of line */
    struct dial dial;
    struct paced_reader reader;
    struct busy_poll *busy_poll;
    ev_io writer;
    ev_timer silence; /* active while an answer is owed */
    double heard;     /* by clock_now() */
};

/* timeout: seconds, for a dial and for silence, > 0. pace_us: microseconds between two looks while
 * much is under way (stream_pace); 0: it never is. events must outlive the stream. */
void stream_init(struct stream *stream, struct ev_loop *loop, double timeout, unsigned pace_us,
                 const struct stream_events *events, void *context);
/* Closes. */
void stream_free(struct stream *stream);

/* As dial_endpoint, with the stream's time-out: a descriptor for stream_adopt, or -1. One task at a
 * time. */
int stream_dial(struct stream *stream, const struct endpoint *endpoint, struct failure *failure);
/* Have a dial that waits fail at once; harmless when none does. */
void stream_call_off(struct stream *stream);
/* Begin to read; the descriptor does not block and is the stream's from now on. It must be closed
 * before. The reason of the last failure stays. */
void stream_adopt(struct stream *stream, int fd);
/* Forget that reason. */
void stream_forget_reason(struct stream *stream);

/* End it, because of that: failed is called, once until it is closed. Harmless when it is closed or
 * failing already. */
void stream_fail(struct stream *stream, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Stop and close, and drop what was not read or sent; nobody is told. */
void stream_close(struct stream *stream);

/* Read once, whatever the pace: came or ended is called, or it fails. turn is not called. */
void stream_receive(struct stream *stream);
/* Send what stands in out; the rest goes when the socket takes it. It may fail. */
void stream_flush(struct stream *stream);
/* Send it from the loop: nothing fails inside this call. */
void stream_flush_later(struct stream *stream);

/* The next line of in, without its end; valid until in changes. NULL: it is not complete, *length
 * bytes of it are there. */
const char *stream_line(struct stream *stream, size_t *length);
/* That line, of that length, is done with. */
void stream_line_done(struct stream *stream, size_t length);

/* Start or stop the clock that runs while an answer is owed to us; one that runs goes on. */
void stream_owe(struct stream *stream, bool owed);
/* A sign of life: the clock starts anew. */
void stream_heard(struct stream *stream);

/* Stay awake while an answer is waited for that comes soon. NULL, as at first: do not. */
void stream_set_busy_poll(struct stream *stream, struct busy_poll *poll);
/* any: answers are under way; much: so many that the peer has something to do for a while, and
 * nobody need wake for each. */
void stream_pace(struct stream *stream, bool any, bool much);

#endif
