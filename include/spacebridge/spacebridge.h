/* libspacebridge: dbgeng-style memory, port and run control calls on a target that spacebridged
 * serves.
 *
 * Plain and blocking: a function sends its call and returns when the daemon has answered. Each is
 * named after the dbgeng method, takes its parameters in dbgeng's order and returns its HRESULT.
 * What the calls mean: docs/protocol.md; the manual page is libspacebridge(3).
 *
 * Thread-compatible: one connection is used by one thread at a time, different connections by
 * different threads at once. No function raises SIGPIPE. */

/* clang-format off */
/* An example:
 *
 *     char error[256];
 *     spacebridge_t *sb = spacebridge_open(NULL, 10, error, sizeof error);
 *     if (!sb) {
 *         fprintf(stderr, "%s\n", error);
 *         return 4;
 *     }
 *     uint32_t value = 0x90909090;
 *     size_t written;
 *     if (FAILED(spacebridge_write_virtual(sb, 0x7000, &value, sizeof value, &written)))
 *         fprintf(stderr, "%s\n", spacebridge_last_message(sb));
 *     spacebridge_close(sb);
 */
/* clang-format on */
#ifndef SPACEBRIDGE_SPACEBRIDGE_H
#define SPACEBRIDGE_SPACEBRIDGE_H

#include <spacebridge/hresult.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SPACEBRIDGE_API __attribute__((visibility("default")))
#else
#define SPACEBRIDGE_API
#endif

typedef struct spacebridge spacebridge_t;

/* Connections ------------------------------------------------------------------------------- */

/* Connect and greet the daemon. endpoint: unix:PATH, tcp:HOST:PORT or tcp:[IPV6]:PORT; NULL:
 * $SPACEBRIDGE, and where that is not set the daemon's default. timeout: seconds for connecting and
 * greeting, < 0: no limit. NULL on failure: error (may be NULL; size bytes) then says why. */
SPACEBRIDGE_API spacebridge_t *spacebridge_open(const char *endpoint, double timeout, char *error,
                                                size_t size);

/* Hang up. The daemon then writes back what is dirty in this connection's view, but nobody is told
 * how that went: call spacebridge_flush_cache first. NULL is fine. */
SPACEBRIDGE_API void spacebridge_close(spacebridge_t *sb);

/* Seconds that the daemon may be silent during a call before the connection counts as lost (120
 * when opened; < 0: no limit). spacebridge_wait_for_event adds its own time-out. */
SPACEBRIDGE_API void spacebridge_set_timeout(spacebridge_t *sb, double timeout);

/* What the last call had to say when it failed or was short, naming the call, the address and the
 * reason; "" otherwise. Valid until the next call. A lost connection makes every call
 * E_UNEXPECTED, and this says how it was lost. */
SPACEBRIDGE_API const char *spacebridge_last_message(const spacebridge_t *sb);

/* What the last call could not tell, though it was done as well as can be; "" where it had nothing
 * to say. So a device may have refused an access of that width, and QEMU tells nobody: the count is
 * then of what was sent, and bytes that were read may be zeros that stand for a refusal. Valid
 * until the next call. */
SPACEBRIDGE_API const char *spacebridge_last_warning(const spacebridge_t *sb);

/* Nonzero when the connection is lost: every further call is E_UNEXPECTED. */
SPACEBRIDGE_API int spacebridge_is_lost(const spacebridge_t *sb);

/* The name of an HRESULT ("ERROR_WRITE_FAULT"), "HRESULT" for one that has none here. */
SPACEBRIDGE_API const char *spacebridge_hresult_name(HRESULT hr);

struct spacebridge_hello {
    char server_version[32];
    char architecture[64]; /* GDB's name ("i386:x86-64"); "" where it is not known */
    char upstream[720];    /* a line for people: what the daemon is connected to */
    uint32_t pointer_size; /* bytes; 0 while there is no target */
    int big_endian;        /* -1: it is not known how the target keeps its numbers */
    uint32_t processors;
    uint32_t page_size;
};
/* Ask the daemon what its target is. */
SPACEBRIDGE_API HRESULT spacebridge_get_hello(spacebridge_t *sb, struct spacebridge_hello *hello);

/* What the daemon said without being asked, but for warnings (spacebridge_last_warning). */
struct spacebridge_notification {
    char method[32]; /* "FlushFailed": dirty bytes of this view could not be written */
    HRESULT hresult;
    char message[1024];
};
/* The next one, in the order in which they came: S_OK, or S_FALSE when there is none within timeout
 * seconds (0: do not wait; < 0: no limit). They are kept while calls are made: the 64 latest. */
SPACEBRIDGE_API HRESULT spacebridge_next_notification(
    spacebridge_t *sb, double timeout, struct spacebridge_notification *notification);

/* Memory ------------------------------------------------------------------------------------ */

/* Addresses are the target's. The count of bytes transferred may be NULL; it is always the length
 * of the prefix that really was. S_OK: at least one byte was (or none was asked for), so look at
 * the count. A size that does not fit one message of the protocol is split here, at page
 * boundaries; when a later piece fails the result is S_OK with the count so far, and
 * spacebridge_last_message says why it ended. */
SPACEBRIDGE_API HRESULT spacebridge_read_virtual(spacebridge_t *sb, uint64_t offset, void *buffer,
                                                 size_t size, size_t *bytes_read);
SPACEBRIDGE_API HRESULT spacebridge_write_virtual(spacebridge_t *sb, uint64_t offset,
                                                  const void *buffer, size_t size,
                                                  size_t *bytes_written);
SPACEBRIDGE_API HRESULT spacebridge_read_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                          void *buffer, size_t size,
                                                          size_t *bytes_read);
SPACEBRIDGE_API HRESULT spacebridge_write_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                           const void *buffer, size_t size,
                                                           size_t *bytes_written);
SPACEBRIDGE_API HRESULT spacebridge_read_physical(spacebridge_t *sb, uint64_t offset, void *buffer,
                                                  size_t size, size_t *bytes_read);
SPACEBRIDGE_API HRESULT spacebridge_write_physical(spacebridge_t *sb, uint64_t offset,
                                                   const void *buffer, size_t size,
                                                   size_t *bytes_written);
/* flags: DEBUG_PHYSICAL_*. */
SPACEBRIDGE_API HRESULT spacebridge_read_physical2(spacebridge_t *sb, uint64_t offset,
                                                   uint32_t flags, void *buffer, size_t size,
                                                   size_t *bytes_read);
SPACEBRIDGE_API HRESULT spacebridge_write_physical2(spacebridge_t *sb, uint64_t offset,
                                                    uint32_t flags, const void *buffer, size_t size,
                                                    size_t *bytes_written);

/* Pointers of the target's size and byte order, here in the host's; 4-byte ones are sign-extended
 * when read and cut to 32 bits when written. S_OK: all of them were transferred. At most 7456526 in
 * a call. */
SPACEBRIDGE_API HRESULT spacebridge_read_pointers_virtual(spacebridge_t *sb, uint32_t count,
                                                          uint64_t offset, uint64_t *pointers);
SPACEBRIDGE_API HRESULT spacebridge_write_pointers_virtual(spacebridge_t *sb, uint32_t count,
                                                           uint64_t offset,
                                                           const uint64_t *pointers);

/* Ports. interface_type: enum spacebridge_interface_type; address_space: 1; size: 1, 2 or 4;
 * buffer: the value, least significant byte first. */
SPACEBRIDGE_API HRESULT spacebridge_read_io(spacebridge_t *sb, int32_t interface_type,
                                            uint32_t bus_number, uint32_t address_space,
                                            uint64_t offset, void *buffer, uint32_t size,
                                            uint32_t *bytes_read);
SPACEBRIDGE_API HRESULT spacebridge_write_io(spacebridge_t *sb, int32_t interface_type,
                                             uint32_t bus_number, uint32_t address_space,
                                             uint64_t offset, const void *buffer, uint32_t size,
                                             uint32_t *bytes_written);

/* A pattern over and over, its last copy cut short; size up to 2^32 - 1. */
SPACEBRIDGE_API HRESULT spacebridge_fill_virtual(spacebridge_t *sb, uint64_t start, uint32_t size,
                                                 const void *pattern, uint32_t pattern_size,
                                                 uint32_t *filled);
SPACEBRIDGE_API HRESULT spacebridge_fill_physical(spacebridge_t *sb, uint64_t start, uint32_t size,
                                                  const void *pattern, uint32_t pattern_size,
                                                  uint32_t *filled);

SPACEBRIDGE_API HRESULT spacebridge_virtual_to_physical(spacebridge_t *sb, uint64_t virtual_address,
                                                        uint64_t *physical_address);

/* Run control ------------------------------------------------------------------------------- */

/* status: DEBUG_STATUS_GO (it runs) or DEBUG_STATUS_BREAK (it is halted). */
SPACEBRIDGE_API HRESULT spacebridge_get_execution_status(spacebridge_t *sb, uint32_t *status);
/* status: DEBUG_STATUS_GO or DEBUG_STATUS_STEP_INTO. */
SPACEBRIDGE_API HRESULT spacebridge_set_execution_status(spacebridge_t *sb, uint32_t status);
/* Ask a running target to halt; spacebridge_wait_for_event tells when it has. The target is shared:
 * to break a wait that another thread is in, call this on a connection of one's own. */
SPACEBRIDGE_API HRESULT spacebridge_set_interrupt(spacebridge_t *sb);
/* Wait until the target is halted: S_OK, and text (may be NULL; size bytes, cut if need be) says
 * why it is; S_FALSE when timeout_ms passed (UINT32_MAX: no limit). */
SPACEBRIDGE_API HRESULT spacebridge_wait_for_event(spacebridge_t *sb, uint32_t timeout_ms,
                                                   char *text, size_t size);
SPACEBRIDGE_API HRESULT spacebridge_get_number_processors(spacebridge_t *sb, uint32_t *number);
SPACEBRIDGE_API HRESULT spacebridge_get_current_processor(spacebridge_t *sb, uint32_t *processor);
SPACEBRIDGE_API HRESULT spacebridge_set_current_processor(spacebridge_t *sb, uint32_t processor);

/* This connection's view -------------------------------------------------------------------- */

/* Commit: write dirty bytes to the target. E_FAIL: some could not be; the message names the first.
 */
SPACEBRIDGE_API HRESULT spacebridge_flush_cache(spacebridge_t *sb, uint64_t *bytes_flushed);
/* Roll back: forget dirty bytes. */
SPACEBRIDGE_API HRESULT spacebridge_discard_cache(spacebridge_t *sb, uint64_t *bytes_dropped);
/* Drop what is clean, so that the next read asks the target. */
SPACEBRIDGE_API HRESULT spacebridge_invalidate_cache(spacebridge_t *sb);

struct spacebridge_cache_status {
    char policy[16];      /* "write-back", "write-through", "off" */
    uint64_t size;        /* bytes it may hold */
    uint64_t used;        /* bytes that its lines take */
    uint64_t valid_bytes; /* bytes of them that are known, dirty ones included */
    uint64_t dirty_bytes; /* bytes that the target does not have yet */
    uint64_t lines, dirty_lines;
    uint64_t hits, misses; /* reads of a line answered here / by the target */
    uint64_t flushes, flushed_bytes;
    uint64_t lost_bytes; /* dirty bytes that a flush could not write */
    uint64_t evictions;
};
SPACEBRIDGE_API HRESULT spacebridge_get_cache_status(spacebridge_t *sb,
                                                     struct spacebridge_cache_status *status);
/* A way from the daemon to the target, and what went by it since the daemon began. */
struct spacebridge_transport {
    char name[24]; /* "rsp", "monitor", "qtest", "memory-file", "direct-ram" */
    uint32_t open; /* 1 or 0 */
    uint64_t calls, bytes_read, bytes_written;
    char note[128]; /* why it is not open */
};
/* At most `most` of them into transports, in the daemon's order; *count: how many. */
SPACEBRIDGE_API HRESULT spacebridge_get_transport_status(spacebridge_t *sb,
                                                         struct spacebridge_transport *transports,
                                                         size_t most, size_t *count);
/* policy: "write-back", "write-through" or "off". */
SPACEBRIDGE_API HRESULT spacebridge_set_cache_policy(spacebridge_t *sb, const char *policy);

/* Many calls at once ------------------------------------------------------------------------ */

/* clang-format off */
/* An example:
 *
 *     uint64_t address[] = {0x7000, 0x7010};
 *     uint32_t value[] = {1, 2};
 *     struct spacebridge_outcome outcome;
 *     for (size_t i = 0; i < 2; i++)
 *         spacebridge_queue_write_virtual(sb, address[i], &value[i], sizeof value[i], NULL);
 *     while (spacebridge_collect(sb, &outcome) == S_OK)
 *         if (FAILED(outcome.hresult))
 *             fprintf(stderr, "%s\n", spacebridge_last_message(sb));
 */
/* clang-format on */

/* A call is queued without waiting for its answer; the outcomes are collected later, in the order
 * in which the calls were queued. The daemon carries the calls of one connection out in that order,
 * each as if it had been made alone: one that fails does not keep back those behind it.
 *
 * What is queued is sent when 64 KiB have gathered, when an outcome is waited for, with any other
 * call of this connection, and by spacebridge_send_queued. Sending waits while the daemon takes
 * nothing, and takes in answers meanwhile: neither side ever waits for the other for ever. An
 * outcome that nobody has collected takes some 60 bytes. Other calls may be made in between: they
 * are carried out behind what is queued (but for spacebridge_set_interrupt, which overtakes), and
 * leave the outcomes to be collected.
 *
 * A queue function returns S_OK when the call is queued, and its ticket (1, 2, 3, ..., of this
 * connection) in *ticket, which may be NULL; else nothing is queued: E_INVALIDARG when it is too
 * large for one message of the protocol (67108736 bytes), E_UNEXPECTED when the connection is lost,
 * E_OUTOFMEMORY (the connection is lost then, too). The bytes of a write are taken before it
 * returns. The buffer of a read must stay until its outcome is collected; bytes beyond the count
 * are left as they were. */
SPACEBRIDGE_API HRESULT spacebridge_queue_read_virtual(spacebridge_t *sb, uint64_t offset,
                                                       void *buffer, size_t size, uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_write_virtual(spacebridge_t *sb, uint64_t offset,
                                                        const void *buffer, size_t size,
                                                        uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_read_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                                void *buffer, size_t size,
                                                                uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_write_virtual_uncached(spacebridge_t *sb, uint64_t offset,
                                                                 const void *buffer, size_t size,
                                                                 uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_read_physical2(spacebridge_t *sb, uint64_t offset,
                                                         uint32_t flags, void *buffer, size_t size,
                                                         uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_write_physical2(spacebridge_t *sb, uint64_t offset,
                                                          uint32_t flags, const void *buffer,
                                                          size_t size, uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_read_io(spacebridge_t *sb, int32_t interface_type,
                                                  uint32_t bus_number, uint32_t address_space,
                                                  uint64_t offset, void *buffer, uint32_t size,
                                                  uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_write_io(spacebridge_t *sb, int32_t interface_type,
                                                   uint32_t bus_number, uint32_t address_space,
                                                   uint64_t offset, const void *buffer,
                                                   uint32_t size, uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_virtual_to_physical(spacebridge_t *sb,
                                                              uint64_t virtual_address,
                                                              uint64_t *ticket);
SPACEBRIDGE_API HRESULT spacebridge_queue_flush_cache(spacebridge_t *sb, uint64_t *ticket);

/* Send what is queued, without waiting for answers. */
SPACEBRIDGE_API HRESULT spacebridge_send_queued(spacebridge_t *sb);

struct spacebridge_outcome {
    uint64_t ticket;
    HRESULT hresult;
    /* What the call of that name counts or says: the prefix in bytes that was transferred (look at
     * it also after S_OK), the physical address, the bytes flushed; 0 after a failure. */
    uint64_t value;
};
/* The outcome of the oldest call that is queued; spacebridge_last_message says why it failed, and
 * spacebridge_last_warning what it could not tell. S_OK:
 * there was one, its own HRESULT is in *outcome. S_FALSE: nothing is queued. When the connection is
 * lost, calls whose answers had come have their outcome, the others E_UNEXPECTED: they may have
 * been carried out or not. */
SPACEBRIDGE_API HRESULT spacebridge_collect(spacebridge_t *sb, struct spacebridge_outcome *outcome);
/* How many outcomes are to be collected. */
SPACEBRIDGE_API size_t spacebridge_queued(const spacebridge_t *sb);

#ifdef __cplusplus
}
#endif

#endif
