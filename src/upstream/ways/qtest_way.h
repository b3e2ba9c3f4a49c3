/* Memory, devices and ports by QEMU's qtest protocol, halted and running. */
#ifndef SB_UPSTREAM_WAYS_QTEST_WAY_H
#define SB_UPSTREAM_WAYS_QTEST_WAY_H

#include "upstream/ways/way.h"

struct qtest;

extern const struct way_ops qtest_way;

/* The connection of that way, for what only QEMU's own fills can do. */
struct qtest *qtest_way_connection(const struct way *way);
/* qtest was lost with a request unanswered, which QEMU may carry out yet. True: it has, for a new
 * connection is served when all of the old one was carried out. In a task. */
bool qtest_way_settle(struct way *way);

#endif
