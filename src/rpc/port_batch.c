/* Hides which requests may go together, and their arguments until they are carried out. */
#include "rpc/port_batch.h"

#include "base/log.h"
#include "rpc/calls.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

/* No WriteIo of a port is longer: a method's name and five short values. */
#define REQUEST_MOST 64u

static const char *call_name(void)
{
    return wire_call_info(WIRE_CALL_WriteIo)->name;
}

struct port_batch {
    size_t count;
    uint32_t ids[PORT_BATCH_MOST];
    struct session_port_write writes[PORT_BATCH_MOST];
};

/* A batch that is being carried out. */
struct running {
    const struct port_batch *batch;
    struct session *session;
    const char *name;
    struct buffer *reply;
    port_batch_answer *answer;
    void *context;
};

bool port_batch_looks_like(const uint8_t *bytes, size_t length)
{
    return length <= REQUEST_MOST && message_may_ask(bytes, length, call_name());
}

struct port_batch *port_batch_new(void)
{
    struct port_batch *batch = malloc(sizeof *batch);

    if (batch)
        batch->count = 0;
    return batch;
}

void port_batch_free(struct port_batch *batch)
{
    free(batch);
}

bool port_batch_add(struct port_batch *batch, const uint8_t *bytes, size_t length)
{
    union argument arguments[PARAMS_MOST];
    struct message message;
    const char *fault;

    if (batch->count == PORT_BATCH_MOST || !port_batch_looks_like(bytes, length) ||
        !message_decode(&message, bytes, length, &fault) ||
        !call_is(&message, WIRE_CALL_WriteIo, arguments))
        return false;
    struct session_port_write *write = &batch->writes[batch->count];
    const struct value_bytes *bin = &arguments[4].bin;
    *write = (struct session_port_write){.interface_type = arguments[0].interface_type,
                                         .bus = (uint32_t)arguments[1].number,
                                         .address_space = (uint32_t)arguments[2].number,
                                         .offset = arguments[3].number,
                                         .size = bin->size};
    /* of one that is too long the size alone counts */
    if (bin->size > 0)
        memcpy(write->bytes, bin->at,
               bin->size < sizeof write->bytes ? bin->size : sizeof write->bytes);
    batch->ids[batch->count++] = message.id;
    return true;
}

static bool written(void *context, size_t index, HRESULT hr, uint32_t done)
{
    struct running *running = context;
    bool whole = call_answer_number(running->session, running->name, call_name(),
                                    running->batch->ids[index], hr, "", done, running->reply);

    return running->answer(running->context, whole ? running->reply : NULL);
}

void port_batch_carry_out(struct port_batch *batch, struct session *session, const char *name,
                          struct buffer *reply, port_batch_answer *answer, void *context)
{
    struct running running = {.batch = batch,
                              .session = session,
                              .name = name,
                              .reply = reply,
                              .answer = answer,
                              .context = context};

    log_trace("rpc", "%s: %s, %zu together", name, call_name(), batch->count);
    size_t done = session_write_ports(session, batch->writes, batch->count, written, &running);
    if (done < batch->count)
        log_info("rpc", "%s: %zu requests for %s were not carried out", name, batch->count - done,
                 call_name());
}
