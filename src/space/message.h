/* What a session has to say of its last calls, in sentences for people. */
#ifndef SB_SPACE_MESSAGE_H
#define SB_SPACE_MESSAGE_H

struct session;

/* The failure of the last call; "" for none. Valid until the next call. */
const char *session_message(const struct session *session);
/* What the calls since it was last asked could not tell, in a sentence that is to be passed on with
 * their answer; the first counts. NULL: nothing. Valid until the next call. */
const char *session_take_warning(struct session *session);
void session_warn(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
