/* How much is kept of a sentence for people: of the daemon's messages and warnings, and of why a
 * connection was lost. */
#ifndef SB_CLIENT_MESSAGE_SIZE_H
#define SB_CLIENT_MESSAGE_SIZE_H

/* Bytes, the NUL counted; as the message of struct spacebridge_notification. */
#define CLIENT_MESSAGE_SIZE 1024

#endif
