/* The fake target with a GDB stub in front of it, for the tests of the GDB front: registers of two
 * processors, a description of them, breakpoints, resumes in packets, a monitor, a log of every
 * packet. */
#ifndef SB_TESTS_FAKE_FRONT_TARGET_H
#define SB_TESTS_FAKE_FRONT_TARGET_H

#include "fake_target.h"

#include "base/buffer.h"

/* r0: 4 bytes, number 0; r1: 8 bytes, number 1; pc: 8 bytes, number 2; a g reply has all three. */
#define FAKE_FRONT_TARGET_G_SIZE 20

struct fake_front_target {
    struct fake_target fake; /* first: it is the target */
    struct target_memory memory;
    struct target_run run;
    struct target_packets packets;
    uint8_t registers[2][FAKE_FRONT_TARGET_G_SIZE];
    char stop[4096];
    struct buffer
        log;       /* what was sent, a line for each: "1:g" with the thread, "resume 1:vCont;c" */
    bool refuse_z; /* Z and z get E22 */
    bool no_description;
    enum target_error resume_error;
    const char *lose_behind; /* a packet that begins so is answered, and then it is lost */
};

/* QEMU with two processors, pages mapped at 0x1000 and 0x2000 (RAM), a hole behind. */
void fake_front_target_init(struct fake_front_target *stub);
void fake_front_target_free(struct fake_front_target *stub);
/* It stops by itself, for that reason ("T05thread:01;"). */
void fake_front_target_stop(struct fake_front_target *stub, const char *reply);
/* How often such a line is in the log. */
size_t fake_front_target_count(const struct fake_front_target *stub, const char *line);

#endif
