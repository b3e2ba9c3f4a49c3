/* A libev reader that can keep a pace. A peer that answers many small requests one by one wakes its
 * reader for each answer, and pays for it: waking a sleeper costs QEMU's stub as much as carrying
 * out a small write. While much is under way the reader does not sleep on the socket but looks at
 * it at intervals. By measurement on QEMU 7.2 the same stub then takes bulk writes a fifth faster.
 *
 * The watcher's callback is called with EV_READ in either manner, in pace perhaps with nothing to
 * read. Source of the clock: timerfd_create(2); libev's own timers count in milliseconds. */
#ifndef SB_BASE_PACED_READER_H
#define SB_BASE_PACED_READER_H

#include <ev.h>
#include <stdbool.h>

struct paced_reader;
typedef void paced_reader_fn(void *context);

struct paced_reader {
    struct ev_loop *loop;
    paced_reader_fn *readable;
    void *context;
    ev_io socket;
    ev_io clock; /* its fd is -1 where the system gives no timer: then there is no pace */
    unsigned interval_us;
    bool paced;
};

/* interval_us: microseconds between two looks in pace, at most 999999; 0: it never keeps one.
 * readable must not suspend; it may stop or free the reader. */
void paced_reader_init(struct paced_reader *reader, struct ev_loop *loop, unsigned interval_us,
                       paced_reader_fn *readable, void *context);
/* Read from fd, woken by it; it stays the caller's to close, after paced_reader_stop. */
void paced_reader_start(struct paced_reader *reader, int fd);
void paced_reader_stop(struct paced_reader *reader);
/* Look at intervals (true), or be woken. Nothing that came meanwhile is missed. */
void paced_reader_pace(struct paced_reader *reader, bool paced);
/* Stopped, and its timer closed. */
void paced_reader_free(struct paced_reader *reader);

#endif
