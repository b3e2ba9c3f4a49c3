/* The cases of `theirs` that speak to QEMU without a monitor, and what all cases share. */
#ifndef SB_BENCH_THEIRS_H
#define SB_BENCH_THEIRS_H

#include "clock.h"

/* The socket, and the numbers of the command line. */
extern int fd;
extern uint64_t number[8];

void send_all(const char *bytes, size_t size);

/* theirs_blast.c */
void blast_write(void);
void blast_scattered(void);
void blast_read(void);
void singles(void);
void single_reads(void);
void qtest_write(void);

#endif
