/* Hides which switches of the stub's state are needed, and how they are spelled. */
#include "upstream/link/rsp_modes.h"

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rsp_modes_forget(struct rsp_modes *modes, bool space_too)
{
    for (int kind = 0; kind < RSP_MODE_KINDS; kind++)
        if (kind != RSP_MODE_SPACE || space_too)
            modes->at[kind] = RSP_UNKNOWN;
    modes->proof_count = 0;
}

bool rsp_modes_stand(const struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value)
{
    return modes->at[kind] == value;
}

void rsp_modes_set(struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value)
{
    modes->at[kind] = value;
}

static bool proven(const struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value)
{
    for (unsigned i = 0; i < modes->proof_count && i < RSP_PROVEN_MOST; i++)
        if (modes->proofs[i].kind == kind && modes->proofs[i].value == value)
            return true;
    return false;
}

void rsp_modes_prove(struct rsp_modes *modes, enum rsp_mode_kind kind, uint64_t value)
{
    if (!proven(modes, kind, value))
        modes->proofs[modes->proof_count++ % RSP_PROVEN_MOST] =
            (struct rsp_proof){.kind = kind, .value = value};
}

enum rsp_mode_kind rsp_modes_needed(const struct rsp_modes *modes,
                                    const struct rsp_operation *operation, bool spaces,
                                    uint64_t *value)
{
    *value = operation->space == RSP_SPACE_PHYSICAL;
    if (operation->space != RSP_SPACE_ANY && spaces && modes->at[RSP_MODE_SPACE] != *value)
        return RSP_MODE_SPACE;
    *value = operation->thread;
    if (*value != 0 && modes->at[RSP_MODE_THREAD] != *value)
        return RSP_MODE_THREAD;
    *value = operation->continue_thread;
    if (*value != 0 && modes->at[RSP_MODE_CONTINUE_THREAD] != *value)
        return RSP_MODE_CONTINUE_THREAD;
    *value = operation->monitor_cpu;
    if (*value != 0 && modes->at[RSP_MODE_MONITOR_CPU] != *value)
        return RSP_MODE_MONITOR_CPU;
    return RSP_MODE_KINDS;
}

struct rsp_switch *rsp_switch_new(const struct rsp_modes *modes, enum rsp_mode_kind kind,
                                  uint64_t value)
{
    struct rsp_switch *switching = calloc(1, sizeof *switching);
    if (!switching)
        return NULL;
    switching->kind = kind;
    switching->value = value;
    switching->proven = proven(modes, kind, value);
    struct rsp_operation *operation = &switching->operation;
    operation->kind = RSP_REQUEST;
    operation->switching = switching;
    char *payload = switching->payload;
    const size_t size = sizeof switching->payload;
    operation->payload = payload;
    switch (kind) {
    case RSP_MODE_SPACE:
        snprintf(payload, size, RSP_MODES_SPACE "%" PRIu64, value);
        break;
    case RSP_MODE_THREAD:
        snprintf(payload, size, "Hg%" PRIx64, value);
        break;
    case RSP_MODE_CONTINUE_THREAD:
        snprintf(payload, size, "Hc%" PRIx64, value);
        break;
    default: {
        char command[32];
        int length = snprintf(command, sizeof command, "cpu %" PRIu64, value - 1);
        size_t prefix = strlen("qRcmd,");
        memcpy(payload, "qRcmd,", prefix);
        hex_encode(payload + prefix, (const uint8_t *)command, (size_t)length);
        operation->kind = RSP_COMMAND;
    }
    }
    operation->length = strlen(payload);
    return switching;
}
