/* The client's connected socket: whole messages come in, bytes go out. Nothing of what the messages
 * say is known here. What loses the connection does so by channel_lost, and fd is -1 from then on.
 */
#ifndef SB_CLIENT_CHANNEL_H
#define SB_CLIENT_CHANNEL_H

#include "base/buffer.h"
#include "client/message_size.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel {
    int fd;              /* -1: lost */
    char *reason;        /* CLIENT_MESSAGE_SIZE bytes that are told how it was lost */
    struct buffer input; /* read by its owner, changed here only */
    struct frame_scanner scanner;
};

/* What to do with what has arrived while we send: take it in. True: it answers a request that was
 * not sent whole, which ends the connection. */
typedef bool channel_arrived(void *context);

/* Take over a connected descriptor that does not block. reason: CLIENT_MESSAGE_SIZE bytes, which
 * must outlive the channel. */
void channel_init(struct channel *channel, int fd, char *reason);
/* Hang up, where that has not been done. */
void channel_close(struct channel *channel);
/* Hang up and say why; the first reason counts. */
void channel_lost(struct channel *channel, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Wait for the socket, until deadline (by clock_now; < 0: for ever). The events that poll reports,
 * 0 when time is over or the connection is lost. */
int channel_wait_ready(struct channel *channel, short events, double deadline);
/* Wait for up to allowed seconds (< 0: for ever) and read what is there; none that long loses the
 * connection. */
void channel_wait_receive(struct channel *channel, double allowed);
/* Read what is there into the input. False when the connection is lost. */
bool channel_receive(struct channel *channel);

/* The size of the first whole message of the input, 0: there is none yet, or the connection is
 * lost. It is scanned once: whoever is told of it takes it. */
size_t channel_next(struct channel *channel);
/* Drop bytes of the input that are no longer needed. */
void channel_consume(struct channel *channel, size_t size);

/* Is the first message of the input a large one that has not come whole? */
bool channel_large_begun(const struct channel *channel);
/* The input is the beginning of a message: head bytes, then some of length bytes that belong into
 * that place. Receive them there, to their end; the daemon may be silent for allowed seconds (< 0:
 * for ever). False when the connection is lost. */
bool channel_receive_into(struct channel *channel, size_t head, uint8_t *into, size_t length,
                          double allowed);

/* Send first and body (size bytes), and receive meanwhile: a daemon that has something to say must
 * not have to wait for us while we wait for it. It may be silent for allowed seconds (< 0: for
 * ever). */
void channel_send(struct channel *channel, const struct buffer *first, const void *body,
                  size_t size, double allowed, channel_arrived *arrived, void *context);

#endif
