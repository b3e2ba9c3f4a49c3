/* Hides whose turn it is to send. */
#include "upstream/link/rsp_turns.h"

#include <stdlib.h>
#include <utlist.h>

/* Requests of one caller that go out before it is another's turn. */
#define QUANTUM 8

/* The requests of one caller. */
struct rsp_turn {
    target_client client;
    struct rsp_operation *operations;
    struct rsp_turn *prev, *next;
};

void rsp_turns_begin(struct rsp_turns *turns)
{
    turns->quantum_left = QUANTUM;
}

bool rsp_turns_add(struct rsp_turns *turns, struct rsp_operation *operation)
{
    struct rsp_turn *turn;
    DL_SEARCH_SCALAR(turns->first, turn, client, operation->client);
    if (!turn) {
        turn = calloc(1, sizeof *turn);
        if (!turn)
            return false;
        turn->client = operation->client;
        DL_APPEND(turns->first, turn);
    }
    DL_APPEND(turn->operations, operation);
    return true;
}

struct rsp_operation *rsp_turns_front(struct rsp_turns *turns)
{
    if (!turns->first)
        return NULL;
    if (turns->quantum_left == 0 && turns->first->next) {
        struct rsp_turn *turn = turns->first;
        DL_DELETE(turns->first, turn);
        DL_APPEND(turns->first, turn);
    }
    if (turns->quantum_left == 0)
        turns->quantum_left = QUANTUM;
    return turns->first->operations;
}

void rsp_turns_pop(struct rsp_turns *turns)
{
    struct rsp_turn *turn = turns->first;
    struct rsp_operation *operation = turn->operations;
    DL_DELETE(turn->operations, operation);
    turns->quantum_left--;
    if (!turn->operations) {
        DL_DELETE(turns->first, turn);
        free(turn);
        turns->quantum_left = QUANTUM;
    }
}

void rsp_turns_drop(struct rsp_turns *turns, enum target_error error, struct rsp_operation **list)
{
    struct rsp_operation *operation, *next;
    while (turns->first) {
        struct rsp_turn *turn = turns->first;
        DL_DELETE(turns->first, turn);
        for (operation = turn->operations; operation; operation = next) {
            next = operation->next;
            DL_DELETE(turn->operations, operation);
            operation->error = error;
            DL_APPEND(*list, operation);
        }
        free(turn);
    }
}
