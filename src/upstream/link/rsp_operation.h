/* A request to the target's stub, and who hears of what comes unasked: the words in which all of
 * the stub's client speaks. */
#ifndef SB_UPSTREAM_LINK_RSP_OPERATION_H
#define SB_UPSTREAM_LINK_RSP_OPERATION_H

#include "upstream/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct rsp_switch;

/* The longest reply taken, and the most that one monitor command may print. */
#define RSP_REPLY_MAX  ((size_t)1024 * 1024)
#define RSP_OUTPUT_MAX ((size_t)64 * 1024 * 1024)

/* What a request counts in flight, in eighths of a full one. A stub has less to do for a short one
 * (request and reply together no longer than RSP_SHORT_MOST bytes), and for a read it encodes
 * faster than it decodes. */
#define RSP_WEIGHT_FULL  8u
#define RSP_WEIGHT_READ  4u
#define RSP_WEIGHT_SHORT 1u
#define RSP_SHORT_MOST   64u

enum rsp_kind {
    RSP_REQUEST, /* one request, one reply */
    RSP_COMMAND, /* qRcmd: O packets up to OK or an error */
    RSP_STATUS,  /* `?`: a stop reply is its reply */
    RSP_RESUME,  /* c, s, vCont: taken, or refused by an error; the stop comes by the listener */
};

enum rsp_space { RSP_SPACE_ANY, RSP_SPACE_VIRTUAL, RSP_SPACE_PHYSICAL };

/* A request. The caller owns it, and everything it points to, until done is called. */
struct rsp_operation {
    const void *payload; /* without framing */
    size_t length;       /* escapes included at most rsp_client_limit() */
    bool escape;         /* the payload is binary or untrusted: put } before special bytes */
    bool shorten;        /* runs of a character may go shortened; the stub takes that */
    unsigned weight;     /* RSP_WEIGHT_...; 0: as RSP_WEIGHT_FULL */
    enum rsp_kind kind;
    target_client client;
    uint64_t thread;          /* Hg; 0: any */
    uint64_t continue_thread; /* Hc; 0: any */
    uint64_t step_thread; /* RSP_RESUME: the one thread that it steps, and that is to be watched:
                           * a step that the stub answers without having made it is made again,
                           * at most three times, unless an interrupt was asked for; 0: none */
    unsigned monitor_cpu; /* the monitor's processor + 1; 0: any */
    enum rsp_space space;
    struct buffer *output; /* RSP_COMMAND: what was printed is appended here; may be NULL */
    /* Called once from the loop, never inside rsp_client_submit or rsp_client_kick. May submit. */
    void (*done)(struct rsp_operation *operation);
    void *context;

    /* Inside done. TARGET_OK: there is a reply, whatever it says. TARGET_INVALID: no such
     * processor. TARGET_UNSUPPORTED: no such space. TARGET_GONE, … */
    enum target_error error;
    const char *reply; /* binary, a NUL follows */
    size_t reply_length;

    /* the client's own */
    struct rsp_operation *prev, *next;
    struct rsp_switch *switching; /* not NULL: it is a switch, made by rsp_switch_new */
    bool acked;
};

struct rsp_listener {
    void *context;
    /* A resume goes out: from now on the target counts as running. Called in rsp_client_submit,
     * rsp_client_kick or the loop; must not suspend. For a step that is made again it is called
     * again, without a stop in between. */
    void (*resumed)(void *context);
    /* A stop reply (T or S packet). running: false where the target was thought to be halted. */
    void (*stopped)(void *context, bool running, const char *reply);
    /* The resume that had been taken was refused after all: the target is halted. */
    void (*refused)(void *context, const char *reply);
    /* Is it certain that nobody else lets the target run just now? Asked before something is sent
     * that no caller waits for; NULL: yes. Must not suspend. */
    bool (*undisturbed)(void *context);
    /* The connection has ended, and not by rsp_client_close. All requests have failed already. */
    void (*lost)(void *context, const char *reason);
};

#endif
