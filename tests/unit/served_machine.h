/* The machine of the space's tests, served by a real rpc front in a child process: something for
 * clients that block to talk to. */
#ifndef SB_TESTS_SERVED_MACHINE_H
#define SB_TESTS_SERVED_MACHINE_H

#include "space_fixture.h"

#include <sys/types.h>

struct served_machine {
    char directory[64];
    char endpoint[128];
    pid_t child;
    int life; /* closing it ends the child */
};

/* prepare (may be NULL) changes the machine before it is served. */
void served_start(struct served_machine *served, void (*prepare)(struct machine *machine));
/* The child ends orderly; the test fails when it does not. */
void served_stop(struct served_machine *served);

#endif
