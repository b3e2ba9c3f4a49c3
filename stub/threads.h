/* Thread ids in the form that a client wants. Source: the GDB manual, "Packets", thread-id syntax.
 */
#ifndef SB_STUB_THREADS_H
#define SB_STUB_THREADS_H

#include "rsp/thread_id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for any id written here, NUL included. */
#define THREAD_TEXT_SIZE 40

/* As one client wants it: "p1.2" or "2" (THREAD_TEXT_SIZE bytes). Returns text. */
const char *thread_format(char *text, bool multiprocess, int64_t process, int64_t thread);

/* Replace every thread id in a reply of the upstream stub (ids without processes) by the client's
 * form: a list "m1,2,3". Returns false where the list is none, or too long for size. */
bool thread_list_rewrite(char *out, size_t size, const char *list, bool multiprocess,
                         int64_t process);

#endif
