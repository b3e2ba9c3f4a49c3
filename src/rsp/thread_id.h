/* Thread ids of the GDB remote protocol, in every form that clients and stubs write them in.
 * Source: the GDB manual, "Packets", thread-id syntax. */
#ifndef SB_RSP_THREAD_ID_H
#define SB_RSP_THREAD_ID_H

#include <stdbool.h>
#include <stdint.h>

#define THREAD_ALL (-1) /* "-1" */
#define THREAD_ANY 0    /* "0": whichever the stub likes */

struct thread_id {
    int64_t process; /* THREAD_ANY where none was named */
    int64_t thread;
};

/* "1", "01", "0001", "-1", "0", "p1.1", "p01.02", "p1.-1", "p-1.-1", "p1" (all threads of 1),
 * digits in either case, before end; *text is advanced past it. False, with *text where it was, for
 * anything else, and for numbers over 62 bits. */
bool thread_parse(struct thread_id *id, const char **text, const char *end);

/* The id of one thread as a stub names it, without the process that a QEMU names once it has met a
 * client that wants one (it remembers that over connections): "2", "p01.02", of 64 bits. Advances
 * *text past it. False, with *text where it was, for anything else, all threads too. */
bool thread_parse_one(uint64_t *id, const char **text, const char *end);

#endif
