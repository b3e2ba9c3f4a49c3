/* At which processor and in which space the stub stands, and the requests that switch it. */
#ifndef SB_UPSTREAM_LINK_RSP_MODES_H
#define SB_UPSTREAM_LINK_RSP_MODES_H

#include "upstream/link/rsp_operation.h"

#include <stdbool.h>
#include <stdint.h>

/* The request that switches the space; its number follows, as of RSP_MODE_SPACE. */
#define RSP_MODES_SPACE "Qqemu.PhyMemMode:"

#define RSP_UNKNOWN     UINT64_MAX
#define RSP_PROVEN_MOST 64

enum rsp_mode_kind {
    RSP_MODE_SPACE,           /* 0: virtual, 1: physical */
    RSP_MODE_THREAD,          /* Hg */
    RSP_MODE_CONTINUE_THREAD, /* Hc */
    RSP_MODE_MONITOR_CPU,     /* the monitor's processor + 1 */
    RSP_MODE_KINDS
};

struct rsp_proof {
    enum rsp_mode_kind kind;
    uint64_t value;
};

/* Where it stands; the functions here alone look inside. */
struct rsp_modes {
    uint64_t at[RSP_MODE_KINDS]; /* RSP_UNKNOWN, or what was sent last */
    struct rsp_proof proofs[RSP_PROVEN_MOST];
    unsigned proof_count; /* of those that were ever noted: the array is a ring */
};

/* A switch of the stub's state, a request of its own. */
struct rsp_switch {
    struct rsp_operation operation;
    enum rsp_mode_kind kind;
    uint64_t value;
    bool proven;  /* the stub has taken the same one before */
    bool printed; /* RSP_MODE_MONITOR_CPU: an error text came */
    char payload[64];
};

/* Forget which processor the stub is at, with space_too also which space, and what it has taken. */
void rsp_modes_forget(struct rsp_modes *modes, bool space_too);
bool rsp_modes_stand(const struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value);
/* It stands there now; RSP_UNKNOWN: no telling where. */
void rsp_modes_set(struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value);
/* The stub has taken a switch to that. */
void rsp_modes_prove(struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value);
/* The switch that must come before the operation; RSP_MODE_KINDS when there is none. spaces: the
 * stub has a physical space. */
enum rsp_mode_kind rsp_modes_needed(const struct rsp_modes *modes,
                                    const struct rsp_operation *operation, bool spaces,
                                    uint64_t *value);

/* The request for a switch, for free(3); its operation has no done. NULL: out of memory. */
struct rsp_switch *rsp_switch_new(const struct rsp_modes *modes, enum rsp_mode_kind kind,
                                  uint64_t value);

#endif
