/* Which way round the machine keeps its numbers: asked of whoever knows, for names do not tell it
 * (QEMU 11 says "mips" of mipsel too). */
#ifndef SB_UPSTREAM_MACHINE_BYTE_ORDER_H
#define SB_UPSTREAM_MACHINE_BYTE_ORDER_H

#include "upstream/machine/stub.h"

struct qmp;

/* In a task: ask the processor itself, where its kind can have both. qmp: not NULL, connected.
 * Whatever goes wrong means that it does not say. */
void byte_order_ask_processor(struct stub *stub, struct qmp *qmp);
/* What the auxiliary vector of a process gives away (length bytes from its start): numbers of kinds
 * that are small, each as wide as a pointer (size bytes). Pure. */
enum byte_order byte_order_parse_auxv(const uint8_t *bytes, size_t length, size_t size);
/* Make up stub->order from what has been asked: the processor (or process), the build, and the
 * architecture's name where that has one order only. */
void byte_order_decide(struct stub *stub);
/* What qtest says, which speaks of the build, where nothing else has told. */
void byte_order_by_qtest(struct stub *stub, bool big_endian);

#endif
