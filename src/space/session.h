/* The heart: what the dbgeng-style calls mean, on any target. One space for each target, one
 * session for each connection. Knows no wire. Contract: docs/protocol.md.
 *
 * A session's calls are made by one task at a time (its connection's); session_interrupt,
 * session_cancel and the callbacks may come in between. Every function that returns an HRESULT
 * leaves a sentence for people in session_message() when it failed, naming the call, the address
 * and the reason. */
#ifndef SB_SPACE_SESSION_H
#define SB_SPACE_SESSION_H

#include "space/message.h"
#include "space/space.h"
#include "space/types.h"
#include "spacebridge/hresult.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL when out of memory. name: for the log ("rpc#3"). */
struct session *session_open(struct space *space, const char *name, enum cache_policy policy,
                             const struct session_listener *listener);
/* Flush, log what could not be written, free. Suspends as long as the flush takes. */
void session_close(struct session *session);
const char *session_name(const struct session *session);

/* The calls that follow are parts of one that asks for so many bytes: what they say of a failure
 * counts those. 0: they stand for themselves. */
void session_parts_of(struct session *session, uint32_t size);

/* Do further calls of this session wait behind the next one? Then a small write that finds the view
 * full of dirty bytes need not wait until they are written: they are on their way while calls go on
 * that only put more into the view, and every other call of this session that has to do with
 * memory, ports or the view waits for them. What could not be written is told to the listener. */
void session_more_follow(struct session *session, bool more);

/* Virtual. *done is always the length of the prefix that really was transferred (write-back: put in
 * the view), also on failure. */
HRESULT session_read_virtual(struct session *, uint64_t offset, void *buffer, uint32_t size,
                             uint32_t *done);
HRESULT session_write_virtual(struct session *, uint64_t offset, const void *buffer, uint32_t size,
                              uint32_t *done);
HRESULT session_read_virtual_uncached(struct session *, uint64_t offset, void *buffer,
                                      uint32_t size, uint32_t *done);
HRESULT session_write_virtual_uncached(struct session *, uint64_t offset, const void *buffer,
                                       uint32_t size, uint32_t *done);
HRESULT session_virtual_to_physical(struct session *, uint64_t offset, uint64_t *physical);

/* Pointers: host order, sign-extended on a 4-byte target; all or an error. *done: how many, also on
 * failure. */
HRESULT session_read_pointers_virtual(struct session *, uint32_t count, uint64_t offset,
                                      uint64_t *pointers, uint32_t *done);
HRESULT session_write_pointers_virtual(struct session *, uint32_t count, uint64_t offset,
                                       const uint64_t *pointers, uint32_t *done);

/* Physical. call: the name for messages ("WritePhysical" or "WritePhysical2"). */
HRESULT session_read_physical(struct session *, const char *call, uint64_t offset, uint32_t flags,
                              void *buffer, uint32_t size, uint32_t *done);
HRESULT session_write_physical(struct session *, const char *call, uint64_t offset, uint32_t flags,
                               const void *buffer, uint32_t size, uint32_t *done);

/* A pattern over and over; *filled: the prefix that really was. S_OK when at least one byte was. */
HRESULT session_fill_virtual(struct session *, uint64_t start, uint32_t size, const void *pattern,
                             uint32_t pattern_size, uint32_t *filled);
HRESULT session_fill_physical(struct session *, uint64_t start, uint32_t size, const void *pattern,
                              uint32_t pattern_size, uint32_t *filled);

/* Ports. buffer holds size bytes, least significant first. */
HRESULT session_read_io(struct session *, int32_t interface_type, uint32_t bus,
                        uint32_t address_space, uint64_t offset, void *buffer, uint32_t size,
                        uint32_t *done);
HRESULT session_write_io(struct session *, int32_t interface_type, uint32_t bus,
                         uint32_t address_space, uint64_t offset, const void *buffer, uint32_t size,
                         uint32_t *done);

/* WriteIo as it was asked for. */
struct session_port_write {
    int32_t interface_type;
    uint32_t bus;
    uint32_t address_space;
    uint64_t offset;
    uint32_t size;
    uint8_t bytes[4]; /* the first of size, which may be out of bounds */
};
/* One write has its result, and session_message() is about it. Told in order; must not suspend.
 * False: carry out no more of them. */
typedef bool session_port_written(void *context, size_t index, HRESULT hr, uint32_t done);
/* The same as session_write_io for each, in order, but the accesses of those that nothing stands
 * between are under way at the same time where the target can do that. Returns how many were
 * carried out: count, unless it was told to stop. */
size_t session_write_ports(struct session *, const struct session_port_write *writes, size_t count,
                           session_port_written *written, void *context);

/* Run control. */
HRESULT session_get_execution_status(struct session *, uint32_t *status);
HRESULT session_set_execution_status(struct session *, uint32_t status);
/* Never suspends; may be called while another call of this session is under way. */
HRESULT session_interrupt(struct session *);
/* S_OK with text when the target is halted; S_FALSE when timeout_ms passed (UINT32_MAX: no limit).
 */
HRESULT session_wait_for_event(struct session *, uint32_t timeout_ms, char *text, size_t size);
/* The connection is gone: end a session_wait_for_event that is under way, at once. */
void session_cancel(struct session *);
HRESULT session_get_number_processors(struct session *, uint32_t *number);
HRESULT session_get_current_processor(struct session *, uint32_t *processor);
HRESULT session_set_current_processor(struct session *, uint32_t processor);

/* Which changes the connection is told of, of its own accord: DEBUG_EVENT_CHANGE_DEBUGGEE_STATE,
 * DEBUG_EVENT_CHANGE_ENGINE_STATE, 0. E_INVALIDARG for other bits.
 * (IDebugClient::SetEventCallbacks, IDebugEventCallbacks::GetInterestMask) */
HRESULT session_set_event_mask(struct session *, uint32_t mask);
uint32_t session_event_mask(const struct session *);
/* It is told of nothing, and any mask but 0 is E_INVALIDARG from now on, in these words (static
 * text); NULL: it may ask. */
void session_forbid_events(struct session *, const char *why);

/* The view. */
HRESULT session_flush(struct session *, uint64_t *flushed);
HRESULT session_discard(struct session *, uint64_t *dropped);
/* Drops clean lines; dirty bytes stay. */
HRESULT session_invalidate(struct session *);
HRESULT session_set_cache_policy(struct session *, enum cache_policy policy);

struct session_cache_status {
    enum cache_policy policy;
    uint64_t size; /* bytes it may hold */
    uint64_t used; /* bytes its lines hold, 4096 each */
    uint64_t valid_bytes, dirty_bytes;
    uint64_t lines, dirty_lines;
    uint64_t hits, misses; /* reads of a line that were answered from it / had to ask the target */
    uint64_t flushes, flushed_bytes, lost_bytes, evictions;
};
HRESULT session_get_cache_status(struct session *, struct session_cache_status *status);

/* As session_read_virtual on a target that runs, through its monitor, not cached; E_UNEXPECTED
 * where that cannot be. */
HRESULT session_read_live(struct session *, uint64_t offset, void *buffer, uint32_t size,
                          uint32_t *done);

#endif
