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

#endif
