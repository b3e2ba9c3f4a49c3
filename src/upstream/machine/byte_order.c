/* The byte order has many witnesses, and most of them know only some of it. */
#include "upstream/machine/byte_order.h"

#include "base/bytes.h"
#include "upstream/link/qmp.h"
#include "upstream/machine/architecture.h"

#include <string.h>

static enum byte_order order_of(bool big_endian)
{
    return big_endian ? BYTE_ORDER_BIG : BYTE_ORDER_LITTLE;
}

/* A property of the processor, which is a boolean. False: it has none of that name. */
static bool property(struct qmp *qmp, const char *path, const char *name, bool *value)
{
    json_t *result = NULL;
    json_t *arguments = json_pack("{s:s, s:s}", "path", path, "property", name);
    bool good = qmp_execute(qmp, "qom-get", arguments, &result, NULL) == TARGET_OK &&
                json_is_boolean(result);
    *value = good && json_is_true(result);
    json_decref(result);
    return good;
}

void byte_order_ask_processor(struct stub *stub, struct qmp *qmp)
{
    const struct architecture *built = architecture_find(stub->build);
    json_t *processors = NULL;
    bool value;
    if (!built || (built->order != ORDER_OF_BUILD && built->order != ORDER_OF_MACHINE) ||
        qmp_execute(qmp, "query-cpus-fast", NULL, &processors, NULL) != TARGET_OK)
        return;
    const char *path =
        json_string_value(json_object_get(json_array_get(processors, 0), "qom-path"));
    stub->processor_asked = path != NULL;
    if (path && property(qmp, path, "big-endian", &value))
        stub->processor_order = order_of(value);
    else if (path && property(qmp, path, "little-endian", &value))
        stub->processor_order = order_of(!value);
    json_decref(processors);
}

/* Source: getauxval(3); all kinds that Linux has are below 64. */
#define AUXV_KIND_MOST 0xff

enum byte_order byte_order_parse_auxv(const uint8_t *bytes, size_t length, size_t size)
{
    if (length < size || size > sizeof(uint64_t))
        return BYTE_ORDER_UNKNOWN;
    uint64_t little = bytes_load(bytes, size, false), big = bytes_load(bytes, size, true);
    if (little == 0 || (little > AUXV_KIND_MOST) == (big > AUXV_KIND_MOST))
        return BYTE_ORDER_UNKNOWN;
    return order_of(big <= AUXV_KIND_MOST);
}

/* Does the name of the build tell? */
static bool build_tells(const struct stub *stub, const struct architecture *built)
{
    return built && (built->order != ORDER_OF_MACHINE || stub->processor_asked);
}

void byte_order_decide(struct stub *stub)
{
    const struct architecture *built = architecture_find(stub->build);
    const struct architecture *named = architecture_find(stub->architecture);
    stub->order = stub->processor_order;
    if (stub->order == BYTE_ORDER_UNKNOWN && build_tells(stub, built))
        stub->order = order_of(built->big_endian);
    if (stub->order == BYTE_ORDER_UNKNOWN && named &&
        (named->order == ORDER_EVERYWHERE || (named->order == ORDER_IN_QEMU && stub->qemu)))
        stub->order = order_of(named->big_endian);
}

void byte_order_by_qtest(struct stub *stub, bool big_endian)
{
    const struct architecture *named = architecture_find(stub->architecture);
    if (stub->order == BYTE_ORDER_UNKNOWN && named && named->order != ORDER_OF_MACHINE)
        stub->order = order_of(big_endian);
}
