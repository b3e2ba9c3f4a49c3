/* Hides whether the socket or a clock wakes the reader. */
#include "base/paced_reader.h"

#include <stdint.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void on_socket(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct paced_reader *reader = watcher->data;
    (void)loop;
    (void)events;
    reader->readable(reader->context);
}

static void on_clock(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct paced_reader *reader = watcher->data;
    uint64_t expirations;
    (void)loop;
    (void)events;
    /* Stopped in the same turn of the loop: nothing to read, and nothing is due. */
    if (read(watcher->fd, &expirations, sizeof expirations) == sizeof expirations && reader->paced)
        reader->readable(reader->context);
}

void paced_reader_init(struct paced_reader *reader, struct ev_loop *loop, unsigned interval_us,
                       paced_reader_fn *readable, void *context)
{
    *reader = (struct paced_reader){
        .loop = loop, .readable = readable, .context = context, .interval_us = interval_us};
    ev_io_init(&reader->socket, on_socket, -1, EV_READ);
    ev_io_init(&reader->clock, on_clock, -1, EV_READ);
    reader->socket.data = reader->clock.data = reader;
    /* An answer that has come is taken before timers look at the clock. */
    ev_set_priority(&reader->socket, 1);
    ev_set_priority(&reader->clock, 1);
}

/* Once for all sockets that are read one after the other. */
static void make_clock(struct paced_reader *reader)
{
    if (reader->interval_us == 0 || reader->clock.fd >= 0)
        return;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd >= 0)
        ev_io_set(&reader->clock, fd, EV_READ);
}

static bool set_clock(const struct paced_reader *reader, bool running)
{
    long nanoseconds = running ? (long)reader->interval_us * 1000 : 0;
    struct itimerspec times = {.it_interval = {.tv_nsec = nanoseconds},
                               .it_value = {.tv_nsec = nanoseconds}};
    return timerfd_settime(reader->clock.fd, 0, &times, NULL) == 0;
}

static void stop_clock(struct paced_reader *reader)
{
    set_clock(reader, false);
    ev_io_stop(reader->loop, &reader->clock);
}

void paced_reader_pace(struct paced_reader *reader, bool paced)
{
    if (reader->paced == paced || reader->socket.fd < 0)
        return;
    if (paced && (reader->clock.fd < 0 || !set_clock(reader, true)))
        return;
    reader->paced = paced;
    if (paced) {
        ev_io_stop(reader->loop, &reader->socket);
        ev_io_start(reader->loop, &reader->clock);
    } else {
        stop_clock(reader);
        ev_io_start(reader->loop, &reader->socket);
    }
}

void paced_reader_start(struct paced_reader *reader, int fd)
{
    paced_reader_stop(reader);
    make_clock(reader);
    ev_io_set(&reader->socket, fd, EV_READ);
    ev_io_start(reader->loop, &reader->socket);
}

void paced_reader_stop(struct paced_reader *reader)
{
    if (reader->paced)
        stop_clock(reader);
    reader->paced = false;
    ev_io_stop(reader->loop, &reader->socket);
    ev_io_set(&reader->socket, -1, EV_READ);
}

void paced_reader_free(struct paced_reader *reader)
{
    paced_reader_stop(reader);
    if (reader->clock.fd < 0)
        return;
    close(reader->clock.fd);
    ev_io_set(&reader->clock, -1, EV_READ);
}
