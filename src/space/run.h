/* Run control as a debugger needs it, beside the calls of space/session.h: in the words of the GDB
 * remote protocol, and with the reason of a stop. Before the target is resumed, every session's
 * dirty bytes go to it. */
#ifndef SB_SPACE_RUN_H
#define SB_SPACE_RUN_H

#include "space/types.h"

struct failure;
struct session;

/* Never suspends. */
enum space_state session_state(const struct session *session);

/* Resume all processors. SPACE_RUNNING when it runs already. Returns once the stub has taken it,
 * does not wait for the stop. failure may be NULL, and is clear at first; it says more than the
 * code where there is more to say. */
enum space_error session_resume(struct session *session, struct failure *failure);
/* The same in a client's own words: a payload (vCont;…, c, s, C…, S…, bc, bs, vRun;…) with the
 * thread ids of the upstream stub, sent as it stands. thread: what Hc names (0 or less: any). What
 * this stub must never get is SPACE_INVALID. */
enum space_error session_resume_packet(struct session *session, int64_t thread, const void *payload,
                                       size_t length, struct failure *failure);
/* Ask a running target to halt; never suspends; SPACE_OK too when it is halted. */
enum space_error session_halt(struct session *session);
/* Wait until the target is halted or lost, at most timeout seconds (< 0: for ever). SPACE_OK:
 * halted, text (size bytes) says why; SPACE_RUNNING: time is over; SPACE_GONE. */
enum space_error session_wait_halted(struct session *session, double timeout, char *text,
                                     size_t size);
/* The stop reply ("T05thread:01;", "W00") that tells why the target is halted or gone, as the stub
 * gave it, or made up ("T02thread:01;") where another way than the stub stopped it; "": not known.
 * Of any length, valid until the caller suspends. */
const char *session_stop_reply(const struct session *session);

#endif
