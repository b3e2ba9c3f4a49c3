/* The ways to the target's memory and ports beside its GDB stub, and which of them a transfer
 * takes. Correctness comes first, speed second; what none of them can do, or not now, is left to
 * the stub.
 *
 * Everything here is complete when it returns: acknowledged by QEMU, or done. So a call by one way
 * comes after an earlier one by another. */
#ifndef SB_UPSTREAM_WAYS_WAYS_H
#define SB_UPSTREAM_WAYS_WAYS_H

#include "upstream/machine/stub.h"
#include "upstream/types.h"
#include "upstream/ways/ways_config.h"

#include <ev.h>

struct failure;
struct translate;
struct way_port;
struct ways;

/* stub and translate are used as they stand at each call. NULL when out of memory. */
struct ways *ways_new(struct ev_loop *loop, double timeout, struct stub *stub,
                      struct translate *translate, const struct ways_config *config);
void ways_free(struct ways *ways);
/* In a task, attached and halted: open what is wanted. Not TARGET_OK when what must be had (on)
 * cannot; failure (not NULL) says which and why. */
enum target_error ways_open(struct ways *ways, struct failure *failure);
/* The byte order that qtest says its QEMU was built for. False: there is no qtest. */
bool ways_big_endian(const struct ways *ways, bool *big_endian);
void ways_close(struct ways *ways);

/* Physical memory and ports can be reached while the target runs, and so can virtual memory, by
 * translation. */
bool ways_live(const struct ways *ways);
bool ways_live_virtual(const struct ways *ways);

/* Physical spans, as target_memory.read_physical and write_physical; halted or ways_live(). Between
 * ways_enter and ways_leave, which a bulk write may leave and enter again. */
enum target_error ways_physical(struct ways *ways, target_client client, enum target_access access,
                                struct target_span *spans, size_t count, bool write);
/* As target_memory.access_device; as ways_physical. */
enum target_error ways_device(struct ways *ways, target_client client,
                              const struct target_seen *seen, struct target_span *spans,
                              size_t count, bool write, const char **doubt);
/* Virtual spans of a halted target. False: left to the stub, nothing was done. As ways_physical. */
bool ways_virtual(struct ways *ways, target_client client, unsigned cpu, struct target_span *spans,
                  size_t count, bool write);
/* One port access, of a target that has ports. failure, which may be NULL, says why it
 * failed. */
enum target_error ways_port(struct ways *ways, struct way_port *access, struct failure *failure);
/* Port writes, as target_ports.out_all. */
enum target_error ways_ports_out(struct ways *ways, struct target_port_write *writes, size_t count,
                                 struct failure *failure);
/* Fill RAM with a byte; *done: how much of it was. TARGET_UNSUPPORTED: no quick way, write it. */
enum target_error ways_fill(struct ways *ways, uint64_t physical, uint64_t length, uint8_t byte,
                            uint64_t *done);

/* The target is about to resume: until ways_release, virtual spans are left to the stub, whose
 * queue knows of it, and writes by direct RAM are not begun. */
void ways_hold(struct ways *ways);
void ways_release(struct ways *ways);
/* Wait, in a task, for virtual spans and writes by direct RAM under way. True: there were some. */
bool ways_drain(struct ways *ways);

/* Around everything that may look at the target's memory, or have a processor or a device look: for
 * a moment a write by direct RAM shuts the others out. Not to be nested. */
void ways_enter(struct ways *ways);
void ways_leave(struct ways *ways);

/* Count what ways_virtual has left to the stub. */
void ways_count_virtual(struct ways *ways, bool write, const struct target_span *spans,
                        size_t count);
/* As target_about.transports. */
size_t ways_list(const struct ways *ways, struct target_transport *out, size_t most);

#endif
