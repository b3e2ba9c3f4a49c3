/* Which way a transfer takes: the rows are asked from the last to the first. In a task, but for
 * what only asks. */
#ifndef SB_UPSTREAM_WAYS_CHOOSE_H
#define SB_UPSTREAM_WAYS_CHOOSE_H

#include "upstream/ways/rows.h"

/* Can physical memory be reached while the target runs? */
bool choose_live(const struct way_rows *rows);
/* Is there a way by which these virtual spans of a halted target are worth translating? */
bool choose_worth_translating(const struct way_rows *rows, const struct target_span *spans,
                              size_t count, bool write);

/* Each sets done and error of every span, and returns the first error that is not TARGET_OK, or why
 * nothing was done. The spans of the first lie in RAM and ROM, those of the second are single
 * accesses. */
enum target_error choose_bulk(const struct way_rows *rows, const struct way_transfer *transfer);
enum target_error choose_natural(const struct way_rows *rows, const struct way_transfer *transfer);
/* By the last resort alone. What is done already is left out. */
enum target_error choose_last_resort(const struct way_rows *rows,
                                     const struct way_transfer *transfer);
/* By the first that is open while the target runs. TARGET_RUNNING: there is none, nothing was
 * done. */
enum target_error choose_running(const struct way_rows *rows, const struct way_transfer *transfer);

/* TARGET_UNSUPPORTED: no way does that. Else as the functions of a row (struct way_ops). */
enum target_error choose_fill(const struct way_rows *rows, uint64_t physical, uint64_t length,
                              uint8_t byte, uint64_t *done);
enum target_error choose_port(const struct way_rows *rows, struct way_port *access,
                              struct failure *failure);
enum target_error choose_ports_out(const struct way_rows *rows, struct target_port_write *writes,
                                   size_t count, struct failure *failure);

#endif
