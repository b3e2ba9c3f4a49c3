/* How a processor stands: how wide it is, and which memory it sees by what tables. */
#include "upstream/translate/translate_internal.h"

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/hex.h"

#include <stdlib.h>
#include <string.h>

#define EFER_REGISTER "p20"
#define EFER_LMA      0x400u

/* The monitor's text is the same while the target runs. */
static enum target_error efer_by_monitor(struct translate *translate, target_client client,
                                         unsigned cpu, uint64_t *efer)
{
    struct buffer text = {0};
    char message[128];
    enum target_error error =
        monitor_run(&translate->stub->monitor, client, stub_monitor_cpu(translate->stub, cpu),
                    "info registers", &text, message, sizeof message);
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

static enum target_error efer_by_stub(struct translate *translate, target_client client,
                                      unsigned cpu, uint64_t *efer)
{
    const struct stub *stub = translate->stub;
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

static enum target_error size_by_mode(struct translate *translate, target_client client,
                                      unsigned cpu, unsigned *size)
{
    const struct stub *stub = translate->stub;
    if (cpu < translate->modes_count && translate->modes[cpu] != 0) {
        *size = translate->modes[cpu];
        return TARGET_OK;
    }
    uint64_t changes = translate->mode_changes;
    uint64_t efer;
    enum target_error error = TARGET_RUNNING;
    if (!translate_running(translate))
        error = efer_by_stub(translate, client, cpu, &efer);
    if (error == TARGET_RUNNING || error == TARGET_FAILED)
        error = efer_by_monitor(translate, client, cpu, &efer);
    if (error != TARGET_OK)
        return error;
    *size = efer & EFER_LMA ? 8 : 4;
    if (translate_running(translate) || translate->mode_changes != changes)
        return TARGET_OK;
    if (!translate->modes) {
        translate->modes = calloc(stub->processors, 1);
        translate->modes_count = translate->modes ? stub->processors : 0;
    }
    if (cpu < translate->modes_count)
        translate->modes[cpu] = (uint8_t)*size;
    return TARGET_OK;
}

enum target_error translate_pointer_size(struct translate *translate, target_client client,
                                         unsigned cpu, unsigned *size)
{
    const struct stub *stub = translate->stub;
    if (cpu >= stub->processors)
        return TARGET_INVALID;
    if (!stub->known)
        return TARGET_UNSUPPORTED;
    if (stub->width == STUB_WIDTH_BY_MODE)
        return size_by_mode(translate, client, cpu, size);
    *size = stub->width == STUB_WIDTH_64 ? 8 : 4;
    return TARGET_OK;
}

enum target_error translate_narrow(struct translate *translate, target_client client, unsigned cpu,
                                   uint64_t address, uint64_t *narrow)
{
    const struct stub *stub = translate->stub;
    *narrow = address;
    if (address <= UINT32_MAX || !stub->known || stub->width == STUB_WIDTH_64)
        return TARGET_OK;
    unsigned size;
    enum target_error error = translate_pointer_size(translate, client, cpu, &size);
    if (error != TARGET_OK || size == 8)
        return error;
    if (address < (uint64_t)(int64_t)INT32_MIN)
        return TARGET_FAULT;
    *narrow = address & UINT32_MAX;
    return TARGET_OK;
}

enum target_error translate_stance(struct translate *translate, target_client client, unsigned cpu,
                                   struct page_walk_mode *mode)
{
    const struct stub *stub = translate->stub;
    struct buffer text = {0};
    char message[128];
    if (cpu < translate->stances_count && translate->stances[cpu].known) {
        *mode = translate->stances[cpu].mode;
        return TARGET_OK;
    }
    uint64_t changes = translate->mode_changes;
    enum target_error error =
        monitor_run(&translate->stub->monitor, client, stub_monitor_cpu(translate->stub, cpu),
                    "info registers", &text, message, sizeof message);
    if (error == TARGET_OK &&
        (text.length == 0 || !page_walk_parse(mode, (const char *)buffer_bytes(&text))))
        error = TARGET_FAILED;
    buffer_free(&text);
    if (error != TARGET_OK || translate_running(translate) || translate->mode_changes != changes)
        return error;
    if (!translate->stances) {
        translate->stances = calloc(stub->processors, sizeof *translate->stances);
        translate->stances_count = translate->stances ? stub->processors : 0;
    }
    if (cpu < translate->stances_count)
        translate->stances[cpu] = (struct stance){.known = true, .mode = *mode};
    return TARGET_OK;
}

bool translate_one_space(const struct translate *translate)
{
    const struct stub *stub = translate->stub;
    if (!stub->qemu || !stub->known)
        return false;
    if (stub->x86)
        return true;
    return !translate->secure && (strcmp(stub->architecture, "aarch64") == 0 ||
                                  strncmp(stub->architecture, "arm", strlen("arm")) == 0 ||
                                  strncmp(stub->architecture, "powerpc", strlen("powerpc")) == 0 ||
                                  strncmp(stub->architecture, "ppc", strlen("ppc")) == 0);
}

enum target_error translate_plain(struct translate *translate, target_client client, unsigned cpu,
                                  bool *plain)
{
    struct page_walk_mode mode;
    enum target_error error = translate_fresh_map(translate, client);
    *plain = error == TARGET_OK && translate_one_space(translate);
    if (!*plain || !translate->stub->x86)
        return error;
    error = translate_stance(translate, client, cpu, &mode);
    *plain = error == TARGET_OK && !mode.smm;
    return error;
}
