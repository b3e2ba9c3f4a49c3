/* Steps in the words of the protocol: which packets step one processor, which stop replies say that
 * a step has ended and nothing else. Pure text. Source: the GDB manual, "Packets" (vCont, s, S) and
 * "Stop Reply Packets". */
#ifndef SB_UPSTREAM_LINK_STEP_TEXT_H
#define SB_UPSTREAM_LINK_STEP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The one thread that a packet steps; others may go on meanwhile. selected: what Hc names (0: any);
 * only: the target's one thread (0: it has several). 0: it steps none, several, one that cannot be
 * told, or from an address that it names itself. */
uint64_t step_text_thread(const char *payload, size_t length, uint64_t selected, uint64_t only);

/* Does the reply say that this thread has stopped by SIGTRAP, and no more? A reply with a word that
 * is not known here (a watchpoint, a breakpoint) does not. */
bool step_text_ended(const char *reply, uint64_t thread);

#endif
