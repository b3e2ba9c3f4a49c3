/* Hides how much may be in flight, and what an ack belongs to. */
#include "upstream/link/rsp_flight.h"

#include <utlist.h>

void rsp_flight_add(struct rsp_flight *flight, struct rsp_operation *operation)
{
    operation->acked = false;
    DL_APPEND(flight->first, operation);
    flight->count++;
    if (operation->weight == 0)
        operation->weight = RSP_WEIGHT_FULL;
    flight->weight += operation->weight;
    if (flight->count == 1)
        flight->retries = 0;
}

void rsp_flight_remove(struct rsp_flight *flight, struct rsp_operation *operation)
{
    DL_DELETE(flight->first, operation);
    flight->count--;
    flight->weight -= operation->weight;
    flight->retries = 0;
}

void rsp_flight_retry(struct rsp_flight *flight)
{
    flight->retries++;
}

struct rsp_operation *rsp_flight_ack(struct rsp_flight *flight)
{
    for (struct rsp_operation *operation = flight->first; operation; operation = operation->next)
        if (!operation->acked) {
            operation->acked = true;
            return operation;
        }
    return NULL;
}

bool rsp_flight_room(const struct rsp_flight *flight, unsigned depth)
{
    return depth == 1 ? flight->count == 0 : flight->weight < depth * RSP_WEIGHT_FULL;
}

void rsp_flight_drop(struct rsp_flight *flight, enum target_error error,
                     struct rsp_operation **list)
{
    for (struct rsp_operation *operation = flight->first; operation; operation = operation->next)
        operation->error = error;
    DL_CONCAT(*list, flight->first);
    flight->first = NULL;
    flight->count = flight->weight = 0;
}
