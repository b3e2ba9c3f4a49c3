/* The table of the ways, and what each call from above asks of them. */
#include "upstream/ways/ways.h"

#include "upstream/translate/translate.h"
#include "upstream/ways/choose.h"
#include "upstream/ways/device.h"
#include "upstream/ways/direct_ram_way.h"
#include "upstream/ways/gate.h"
#include "upstream/ways/hold.h"
#include "upstream/ways/memory_file_way.h"
#include "upstream/ways/monitor_way.h"
#include "upstream/ways/physical.h"
#include "upstream/ways/qtest_way.h"
#include "upstream/ways/stub_way.h"
#include "upstream/ways/tells.h"
#include "upstream/ways/virtual.h"

#include <stdlib.h>

/* Asked from the last to the first. */
static const struct way_ops *const table[] = {&stub_way, &monitor_way, &qtest_way, &memory_file_way,
                                              &direct_ram_way};

struct ways {
    struct way_context context;
    struct way_rows rows;
    struct hold hold;
    struct gate gate;
    struct tells tells;
};

struct ways *ways_new(struct ev_loop *loop, double timeout, struct stub *stub,
                      struct translate *translate, const struct ways_config *config)
{
    struct ways *ways = calloc(1, sizeof *ways);
    if (!ways)
        return NULL;
    ways->context = (struct way_context){.loop = loop,
                                         .timeout = timeout,
                                         .stub = stub,
                                         .translate = translate,
                                         .config = *config,
                                         .gate = &ways->gate,
                                         .hold = &ways->hold};
    ways->rows.context = &ways->context;
    if (!rows_make(&ways->rows, table, sizeof table / sizeof table[0]) ||
        !rows_make(&ways->rows, config->more, config->more_count)) {
        ways_free(ways);
        return NULL;
    }
    ways->context.qtest = rows_find(&ways->rows, &qtest_way);
    return ways;
}

void ways_free(struct ways *ways)
{
    if (!ways)
        return;
    rows_free(&ways->rows);
    free(ways);
}

enum target_error ways_open(struct ways *ways, struct failure *failure)
{
    ways->tells = (struct tells){0};
    return rows_open(&ways->rows, failure);
}

void ways_close(struct ways *ways)
{
    rows_close(&ways->rows);
}

bool ways_big_endian(const struct ways *ways, bool *big_endian)
{
    return rows_big_endian(&ways->rows, big_endian);
}

bool ways_live(const struct ways *ways)
{
    return choose_live(&ways->rows);
}

bool ways_live_virtual(const struct ways *ways)
{
    return ways_live(ways) && translate_one_space(ways->context.translate);
}

size_t ways_list(const struct ways *ways, struct target_transport *out, size_t most)
{
    return rows_list(&ways->rows, out, most);
}

/* Memory */

enum target_error ways_physical(struct ways *ways, target_client client, enum target_access access,
                                struct target_span *spans, size_t count, bool write)
{
    const struct way_transfer transfer = {
        .client = client, .access = access, .write = write, .spans = spans, .count = count};
    return physical_spans(&ways->rows, &transfer);
}

enum target_error ways_device(struct ways *ways, target_client client,
                              const struct target_seen *seen, struct target_span *spans,
                              size_t count, bool write, const char **doubt)
{
    const struct way_transfer transfer = {.client = client,
                                          .access = TARGET_ACCESS_NATURAL,
                                          .write = write,
                                          .spans = spans,
                                          .count = count};
    return device_spans(&ways->rows, &ways->tells, seen, &transfer, doubt);
}

bool ways_virtual(struct ways *ways, target_client client, unsigned cpu, struct target_span *spans,
                  size_t count, bool write)
{
    const struct way_transfer transfer = {.client = client,
                                          .access = TARGET_ACCESS_BULK,
                                          .write = write,
                                          .spans = spans,
                                          .count = count};
    return virtual_spans(&ways->rows, cpu, &transfer);
}

void ways_count_virtual(struct ways *ways, bool write, const struct target_span *spans,
                        size_t count)
{
    way_count_spans(ways->rows.row[0], write, spans, count);
}

enum target_error ways_fill(struct ways *ways, uint64_t physical, uint64_t length, uint8_t byte,
                            uint64_t *done)
{
    const struct target_span whole = {.address = physical, .length = (size_t)length};
    *done = 0;
    if (translate_unknown(ways->context.translate, &whole, 1))
        return TARGET_UNSUPPORTED;
    return choose_fill(&ways->rows, physical, length, byte, done);
}

/* Ports */

enum target_error ways_port(struct ways *ways, struct way_port *access, struct failure *failure)
{
    return choose_port(&ways->rows, access, failure);
}

enum target_error ways_ports_out(struct ways *ways, struct target_port_write *writes, size_t count,
                                 struct failure *failure)
{
    return choose_ports_out(&ways->rows, writes, count, failure);
}

/* Who may be at it, and when */

void ways_hold(struct ways *ways)
{
    hold_take(&ways->hold);
}

void ways_release(struct ways *ways)
{
    hold_release(&ways->hold);
}

bool ways_drain(struct ways *ways)
{
    return hold_drain(&ways->hold);
}

void ways_enter(struct ways *ways)
{
    gate_enter(&ways->gate);
}

void ways_leave(struct ways *ways)
{
    gate_leave(&ways->gate);
}
