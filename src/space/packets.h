/* Requests of the GDB remote protocol to the stub upstream, past the calls: what a debugger asks
 * that they have no words for. For registers there is space/registers.h, for what resumes
 * space/run.h, which put the views in order first. */
#ifndef SB_SPACE_PACKETS_H
#define SB_SPACE_PACKETS_H

#include "space/types.h"

struct buffer;
struct session;

/* One request as it stands (unescaped payload), for a thread of the upstream stub by its id (0 or
 * less: any), and its reply in *reply: cleared before, a NUL follows. Never for anything that
 * resumes, detaches or kills; what must not be sent is SPACE_INVALID. Suspends. */
enum space_error session_packet(struct session *session, int64_t thread, const void *payload,
                                size_t length, struct buffer *reply);

#endif
