/* How a processor stands: how wide it is, and which memory it sees by what tables. */
#include "upstream/translate/modes.h"

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hex.h"

#include <stdlib.h>
#include <string.h>

#define EFER_REGISTER "p20"
#define EFER_LMA      0x400u

/* How a processor of an x86 machine stands. */
struct stance {
    bool known;
    struct page_walk_mode mode;
};

struct modes {
    struct stub *stub;
    struct fresh_map *map;
    struct stance *stances; /* of each processor */
    unsigned stances_count;
    uint8_t *sizes; /* pointer sizes of x86-64 processors, 0 where not known */
    unsigned sizes_count;
    uint64_t changes;
};

struct modes *modes_new(struct stub *stub, struct fresh_map *map)
{
    struct modes *modes = calloc(1, sizeof *modes);
    if (!modes)
        return NULL;
    modes->stub = stub;
    modes->map = map;
    return modes;
}

void modes_changed(struct modes *modes)
{
    free(modes->sizes);
    modes->sizes = NULL;
    modes->sizes_count = 0;
    free(modes->stances);
    modes->stances = NULL;
    modes->stances_count = 0;
    modes->changes++;
}

void modes_free(struct modes *modes)
{
    if (!modes)
        return;
    free(modes->sizes);
    free(modes->stances);
    free(modes);
}

/* The monitor's text is the same while the target runs. */
static enum target_error efer_by_monitor(struct modes *modes, target_client client, unsigned cpu,
                                         uint64_t *efer)
{
    struct buffer text = {0};
    enum target_error error =
        monitor_run(&modes->stub->monitor, client, stub_monitor_cpu(modes->stub, cpu),
                    "info registers", &text, NULL);
    if (error == TARGET_OK) {
        const char *found = strstr((const char *)buffer_bytes(&text), "EFER=");
        if (found)
            found += strlen("EFER=");
        if (!found || !hex_number(efer, &found, found + strspn(found, "0123456789abcdefABCDEF")))
            error = TARGET_FAILED;
    }
    buffer_free(&text);
    return error;
}

static enum target_error efer_by_stub(struct modes *modes, target_client client, unsigned cpu,
                                      uint64_t *efer)
{
    const struct stub *stub = modes->stub;
    struct buffer reply = {0};
    /* Under KVM only g fetches the registers from the kernel, p shows what was fetched last. */
    struct rsp_operation all = {.payload = "g", .length = 1, .client = client};
    struct rsp_operation one = {
        .payload = EFER_REGISTER, .length = strlen(EFER_REGISTER), .client = client};
    all.thread = one.thread = stub->threads[cpu];
    enum target_error error = rsp_client_call(stub->rsp, &all, NULL);
    if (error == TARGET_OK)
        error = rsp_client_call(stub->rsp, &one, &reply);
    uint8_t bytes[8];
    if (error == TARGET_OK) {
        if (reply.length == 16 && hex_decode(bytes, (const char *)buffer_bytes(&reply), 16))
            *efer = bytes_load(bytes, 2, false);
        else
            error = TARGET_FAILED;
    }
    buffer_free(&reply);
    return error;
}

static enum target_error size_by_mode(struct modes *modes, target_client client, unsigned cpu,
                                      unsigned *size)
{
    const struct stub *stub = modes->stub;
    if (cpu < modes->sizes_count && modes->sizes[cpu] != 0) {
        *size = modes->sizes[cpu];
        return TARGET_OK;
    }
    uint64_t changes = modes->changes;
    uint64_t efer;
    enum target_error error = TARGET_RUNNING;
    if (!stub_running(modes->stub))
        error = efer_by_stub(modes, client, cpu, &efer);
    if (error == TARGET_RUNNING || error == TARGET_FAILED)
        error = efer_by_monitor(modes, client, cpu, &efer);
    if (error != TARGET_OK)
        return error;
    *size = efer & EFER_LMA ? 8 : 4;
    if (stub_running(modes->stub) || modes->changes != changes)
        return TARGET_OK;
    if (!modes->sizes) {
        modes->sizes = calloc(stub->processors, 1);
        modes->sizes_count = modes->sizes ? stub->processors : 0;
    }
    if (cpu < modes->sizes_count)
        modes->sizes[cpu] = (uint8_t)*size;
    return TARGET_OK;
}

enum target_error modes_pointer_size(struct modes *modes, target_client client, unsigned cpu,
                                     unsigned *size)
{
    const struct stub *stub = modes->stub;
    if (cpu >= stub->processors)
        return TARGET_INVALID;
    if (!stub->known)
        return TARGET_UNSUPPORTED;
    if (stub->width == STUB_WIDTH_BY_MODE)
        return size_by_mode(modes, client, cpu, size);
    *size = stub->width == STUB_WIDTH_64 ? 8 : 4;
    return TARGET_OK;
}

enum target_error modes_narrow(struct modes *modes, target_client client, unsigned cpu,
                               uint64_t address, uint64_t *narrow)
{
    const struct stub *stub = modes->stub;
    *narrow = address;
    if (address <= UINT32_MAX || !stub->known || stub->width == STUB_WIDTH_64)
        return TARGET_OK;
    unsigned size;
    enum target_error error = modes_pointer_size(modes, client, cpu, &size);
    if (error != TARGET_OK || size == 8)
        return error;
    if (address < (uint64_t)(int64_t)INT32_MIN)
        return TARGET_FAULT;
    *narrow = address & UINT32_MAX;
    return TARGET_OK;
}

enum target_error modes_stance(struct modes *modes, target_client client, unsigned cpu,
                               struct page_walk_mode *mode)
{
    const struct stub *stub = modes->stub;
    struct buffer text = {0};
    if (cpu < modes->stances_count && modes->stances[cpu].known) {
        *mode = modes->stances[cpu].mode;
        return TARGET_OK;
    }
    uint64_t changes = modes->changes;
    enum target_error error =
        monitor_run(&modes->stub->monitor, client, stub_monitor_cpu(modes->stub, cpu),
                    "info registers", &text, NULL);
    if (error == TARGET_OK &&
        (text.length == 0 || !page_walk_parse(mode, (const char *)buffer_bytes(&text))))
        error = TARGET_FAILED;
    buffer_free(&text);
    if (error != TARGET_OK || stub_running(modes->stub) || modes->changes != changes)
        return error;
    if (!modes->stances) {
        modes->stances = calloc(stub->processors, sizeof *modes->stances);
        modes->stances_count = modes->stances ? stub->processors : 0;
    }
    if (cpu < modes->stances_count)
        modes->stances[cpu] = (struct stance){.known = true, .mode = *mode};
    return TARGET_OK;
}

bool modes_one_space(const struct modes *modes)
{
    const struct stub *stub = modes->stub;
    if (!stub->qemu || !stub->known)
        return false;
    if (stub->x86)
        return true;
    return !fresh_map_secure(modes->map) &&
           (strcmp(stub->architecture, "aarch64") == 0 ||
            strncmp(stub->architecture, "arm", strlen("arm")) == 0 ||
            strncmp(stub->architecture, "powerpc", strlen("powerpc")) == 0 ||
            strncmp(stub->architecture, "ppc", strlen("ppc")) == 0);
}

enum target_error modes_plain(struct modes *modes, target_client client, unsigned cpu, bool *plain)
{
    struct page_walk_mode mode;
    enum target_error error = fresh_map_load(modes->map, client);
    *plain = error == TARGET_OK && modes_one_space(modes);
    if (!*plain || !modes->stub->x86)
        return error;
    error = modes_stance(modes, client, cpu, &mode);
    *plain = error == TARGET_OK && !mode.smm;
    return error;
}
