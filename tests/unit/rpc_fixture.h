/* A peer of the rpc front for tests: the body of a test runs as a task beside the connection's own,
 * on the same loop, and talks to it over a socket. */
#ifndef SB_TESTS_RPC_FIXTURE_H
#define SB_TESTS_RPC_FIXTURE_H

#include "msgpack_words.h"
#include "space_fixture.h"
#include "wire/frame.h"
#include "witness.h"

#include <ev.h>
#include <stdbool.h>

struct peer {
    int fd;
    struct buffer input;
    struct buffer output;   /* what is to be sent */
    struct witness message; /* the last one received */
    bool received;
    size_t held; /* its bytes in input */
};

struct rpc_test {
    struct ev_loop *loop;
    struct machine machine;
    bool ended; /* the body has returned */
    /* target_run.wait waits for these, as a real target's does */
    struct target_run run;
    bool cancelled;
    bool halts_when_cancelled;
};

/* Run body as a task until it has returned and nothing is left to do. */
void rpc_test_run(void (*body)(struct rpc_test *test));

void peer_open(struct peer *peer, int fd);
void peer_close(struct peer *peer);
/* Send what output holds; false when the other end is gone. */
bool peer_send(struct peer *peer);
/* Pack and send one message. */
#define SEND(peer, ...)                                                                            \
    do {                                                                                           \
        words_pack(&(peer)->output, __VA_ARGS__);                                                  \
        ck_assert(peer_send(peer));                                                                \
    } while (0)
/* The next message, in peer->message; false at the end of the stream. */
bool peer_receive(struct peer *peer);
/* The next message is the response to that request; its error's HRESULT or its result's. */
HRESULT peer_response(struct peer *peer, uint32_t id);
/* The next message is that notification; its HRESULT. */
HRESULT peer_notification(struct peer *peer, const char *method);
void peer_expect_end(struct peer *peer);

/* Wait, a turn of the loop at a time, until condition holds. */
#define WAIT_UNTIL(condition)                                                                      \
    do {                                                                                           \
        while (!(condition))                                                                       \
            task_sleep(0.001);                                                                     \
    } while (0)

#endif
