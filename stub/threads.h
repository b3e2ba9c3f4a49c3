/* Thread ids of the GDB remote protocol, in every form that clients write them in, and a
 * processor's number as one. Source: the GDB manual, "Packets", thread-id syntax. */
#ifndef SB_STUB_THREADS_H
#define SB_STUB_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any id written here, NUL included. */
#define THREAD_TEXT_SIZE 40

#define THREAD_ALL (-1) /* "-1" */
#define THREAD_ANY 0    /* "0": whichever the stub likes */

struct thread_id {
    int64_t process; /* THREAD_ANY where the client named none */
    int64_t thread;
};

/* "1", "01", "0001", "-1", "0", "p1.1", "p01.02", "p1.-1", "p-1.-1", "p1" (all threads of 1),
 * digits in either case, before end; *text is advanced past it. False, with *text where it was, for
 * anything else, and for numbers over 62 bits. */
bool thread_parse(struct thread_id *id, const char **text, const char *end);
/* As one client wants it: "p1.2" or "2" (THREAD_TEXT_SIZE bytes). Returns text. */
const char *thread_format(char *text, bool multiprocess, int64_t process, int64_t thread);

/* Replace every thread id in a reply of the upstream stub (ids without processes) by the client's
 * form: a list "m1,2,3". Returns false where the list is none, or too long for size. */
bool thread_list_rewrite(char *out, size_t size, const char *list, bool multiprocess,
                         int64_t process);

#endif
