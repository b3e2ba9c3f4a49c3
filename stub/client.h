/* One GDB client as the protocol sees it: what it said it can do, what it has selected, what it
 * waits for, and how it is answered. Knows no socket. */
#ifndef SB_STUB_CLIENT_H
#define SB_STUB_CLIENT_H

#include "base/buffer.h"
#include "space/session.h"
#include "stub/features.h"
#include "stub/front.h"
#include "stub/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The way out: one packet's payload, not escaped yet. Must not suspend. */
typedef void client_send_fn(void *context, const void *payload, size_t length);
/* Suspend until what was sent is mostly written, or nobody listens any more. */
typedef void client_drain_fn(void *context);
/* Something happened that the client may have to be told. Must not suspend. */
typedef void client_wake_fn(void *context);

struct client_link {
    void *context;
    client_send_fn *send;
    client_drain_fn *drain;
    client_wake_fn *wake;
};

struct client {
    struct front *front;
    struct member member; /* of the front */
    struct client_link link;
    struct session *session;
    char name[32];  /* "stub#3" */
    char peer[128]; /* who, as far as the socket tells */

    bool detached; /* it said D: nothing but another attach is meant for the target */
    bool ending;   /* close the connection when what was said is written */
    bool gone;     /* nobody listens any more: give up what takes long */
    bool no_ack;   /* it asked for it */

    struct client_features announced; /* by its qSupported, which agrees on things once */
    struct client_features features;  /* as it turned out since */
    /* The form of the bytes of an x reply: as agreed, or as the first x shows. */
    enum { X_FORM_OPEN, X_FORM_BARE, X_FORM_MARKED } x_form;
    bool thread_suffix, list_threads, error_strings; /* lldb's wishes */
    int64_t general, resumed;                        /* Hg, Hc: 0 any, -1 all */
    bool physical;                                   /* Qqemu.PhyMemMode:1 */
    bool step_bits_set;
    unsigned step_bits;

    /* A resume is outstanding: the next stop after stops_seen is told, and until then nothing else
     * is taken. */
    bool waiting;
    uint64_t stops_seen;
    int64_t told;        /* the thread that it was told has stopped; 0: none yet */
    uint64_t told_stops; /* at which stop that was */

    struct buffer reply;   /* of the request under way */
    bool answered;         /* otherwise than by reply */
    struct buffer threads; /* qXfer:threads as it was when its reading began */
    int64_t *thread_ids;   /* qsThreadInfo: what is left to say */
    size_t thread_count, thread_next;
};

/* Connect: a session, a number, a place among the front's clients. False when out of memory. */
bool client_open(struct client *client, struct front *front, const char *name,
                 const struct client_link *link);
/* Detach if need be, close the session, free what it has. In a task. */
void client_close(struct client *client);

/* Have the target held for it, and no more; see front_attach and front_detach. In a task. */
void client_attach(struct client *client);
void client_detach(struct client *client, bool resume);

/* A request was longer than PacketSize. */
void client_too_long(struct client *client);
/* The byte 0x03, when everything that came before it has been carried out or is waiting for a stop.
 * Never suspends. */
void client_interrupt(struct client *client);
/* Is there a stop to tell? */
bool client_stop_due(const struct client *client);
/* Was the target lost since it has attached? */
bool client_lost_target(const struct client *client);

/* --- for the handlers --- */

/* Carries out a request that begins with its word and leaves a reply; a reply left empty says that
 * the request is not known. In a task. */
typedef void handler_fn(struct client *client, const struct request *request);

/* Before a request, and after it: its reply is sent, unless it is answered already. */
void reply_begin(struct client *client);
void reply_finish(struct client *client);

/* Append to the reply. Out of memory makes it an error in the end. */
void reply_text(struct client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void reply_bytes(struct client *client, const void *bytes, size_t length);
void reply_hex(struct client *client, const void *bytes, size_t length);
void reply_ok(struct client *client);
/* The reply is an error, in the form that this client takes: "E16", "E16;…" or "E.text". code: two
 * hex digits as QEMU and gdbserver use them. */
void reply_error(struct client *client, unsigned code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As reply_error, for what a target operation returned. */
void reply_space_error(struct client *client, enum space_error error, const char *message);
/* Text for the person at the client (O packets). Suspends only when it is long (over 2000
 * characters). Only while the client waits for a stop, or before the end of qRcmd. */
void client_console(struct client *client, const char *text);

/* Codes. */
enum {
    ERROR_GENERAL = 0x01,
    ERROR_FAULT = 0x14,   /* as QEMU: decimal 14, EFAULT */
    ERROR_BUSY = 0x16,    /* decimal 16, EBUSY: the target runs */
    ERROR_INVALID = 0x22, /* decimal 22, EINVAL */
    ERROR_REFUSED = 0x13, /* decimal 13, EACCES */
    ERROR_GONE = 0x05,    /* EIO */
};

/* The thread that the last stop is about, as this client has to see it: where it is about none, the
 * one that it was told or, before, that it has selected, or the first. */
int64_t client_stop_thread(struct client *client);
/* Is it about none? A QEMU that was interrupted names the processor that it had resumed last. */
bool client_stop_is_nobodys(const struct client *client);
/* The thread of a register or memory request: the suffix's, else Hg's, else the one that stopped.
 */
int64_t client_thread(struct client *client, const struct thread_id *suffix);
/* Have the session look at memory as the selected thread does. False: the reply says why. */
bool client_select_processor(struct client *client);
/* Is this a client like gdb, that shall attach to a target that goes on running? gdb wants a stop
 * and registers before it gives its user a prompt: it is told of a stop by no signal, and of
 * registers that are not available, which it knows. lldb, which asks for suffixes, does not. */
bool client_sees_running(const struct client *client);
/* True when the target is halted; else the reply says that it runs, or is gone. */
bool client_needs_halt(struct client *client, const char *what);

#endif
