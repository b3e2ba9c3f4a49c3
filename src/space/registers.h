/* Registers, in the words of the GDB remote protocol: values are the hexadecimal digits of g, G, p
 * and P. Source: the GDB manual, "Packets".
 *
 * Before a register changes, the dirty bytes of every session go to the target: what they were
 * meant for may be reached in another way afterwards. And QEMU is asked for all registers first:
 * otherwise it would lose the write, or answer with stale ones.
 *
 * thread: an id of the upstream stub, 0 or less: any. Replies as with session_packet. */
#ifndef SB_SPACE_REGISTERS_H
#define SB_SPACE_REGISTERS_H

#include "space/types.h"

struct buffer;
struct session;

/* g */
enum space_error session_read_registers(struct session *session, int64_t thread,
                                        struct buffer *reply);
/* p */
enum space_error session_read_register(struct session *session, int64_t thread, uint64_t number,
                                       struct buffer *reply);
/* P. The reply tells whether it was taken. */
enum space_error session_write_register(struct session *session, int64_t thread, uint64_t number,
                                        const char *digits, size_t length, struct buffer *reply);
/* G, as it stands: payload begins with the G. */
enum space_error session_write_registers(struct session *session, int64_t thread,
                                         const char *payload, size_t length, struct buffer *reply);

/* Several registers one by one: begin, which answers with a g, then each that is to change, with
 * nothing else between. */
enum space_error session_begin_registers(struct session *session, int64_t thread,
                                         struct buffer *reply);
enum space_error session_change_register(struct session *session, int64_t thread, uint64_t number,
                                         const char *digits, size_t length, struct buffer *reply);

#endif
