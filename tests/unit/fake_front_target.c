#include "fake_front_target.h"

#include "base/hex.h"

#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char description[] =
    "<target><architecture>i386:x86-64</architecture><reg name=\"r0\" bitsize=\"32\"/>"
    "<reg name=\"r1\" bitsize=\"64\"/><reg name=\"pc\" bitsize=\"64\" type=\"code_ptr\"/></target>";

static const size_t offsets[] = {0, 4, 12, FAKE_FRONT_TARGET_G_SIZE};

static void answer(struct buffer *reply, const char *text)
{
    ck_assert(buffer_append(reply, text, strlen(text)));
}

static void answer_hex(struct buffer *reply, const uint8_t *bytes, size_t size)
{
    char text[2 * FAKE_FRONT_TARGET_G_SIZE + 1];
    hex_encode(text, bytes, size);
    text[2 * size] = '\0';
    answer(reply, text);
}

static void answer_document(struct buffer *reply, const char *range)
{
    size_t offset = strtoul(range, NULL, 16), left = strlen(description);
    char text[64];
    offset = offset < left ? offset : left;
    left -= offset;
    size_t count = left < 50 ? left : 50; /* chunks */
    snprintf(text, sizeof text, "%c%.*s", count == left ? 'l' : 'm', (int)count,
             description + offset);
    answer(reply, text);
}

static enum target_error packet(struct target *target, target_client client, uint64_t thread,
                                const void *payload, size_t length, struct buffer *reply)
{
    struct fake_front_target *stub = (struct fake_front_target *)target;
    const char *text = payload, *at = text + 1, *end = text + length;
    uint8_t *registers = stub->registers[thread == 2];
    uint64_t number;
    (void)client;

    if (stub->fake.state != TARGET_STATE_HALTED)
        return stub->fake.state == TARGET_STATE_RUNNING ? TARGET_RUNNING : TARGET_GONE;
    ck_assert(buffer_printf(&stub->log, "%" PRIu64 ":%.*s\n", thread, (int)length, text));
    switch (text[0]) {
    case 'g':
        answer_hex(reply, registers, FAKE_FRONT_TARGET_G_SIZE);
        break;
    case 'p':
        if (hex_number(&number, &at, end) && number < 3)
            answer_hex(reply, registers + offsets[number], offsets[number + 1] - offsets[number]);
        else
            answer(reply, "E14");
        break;
    case 'P':
        ck_assert(hex_number(&number, &at, end) && *at++ == '=');
        if (number < 3 && (size_t)(end - at) == 2 * (offsets[number + 1] - offsets[number]))
            ck_assert(hex_decode(registers + offsets[number], at, (size_t)(end - at)));
        answer(reply, "OK");
        break;
    case 'Z':
    case 'z':
        answer(reply, stub->refuse_z ? "E22" : "OK");
        break;
    case 'q':
        if (length > 32 && memcmp(text, "qXfer:features:read:target.xml:", 31) == 0 &&
            !stub->no_description)
            answer_document(reply, text + 31);
        else if (length == 11 && memcmp(text, "qqemu.sstep", 11) == 0)
            answer(reply, "0x7");
        else if (length > 16 && memcmp(text, "qThreadExtraInfo", 16) == 0)
            answer(reply, "435055");
        break;
    case 'Q':
        answer(reply, "OK");
        break;
    default:
        ck_abort_msg("a packet that must not be sent: %.*s", (int)length, text);
    }
    if (stub->lose_behind && strncmp(text, stub->lose_behind, strlen(stub->lose_behind)) == 0)
        fake_lose(&stub->fake);
    return TARGET_OK;
}

static enum target_error resume_packet(struct target *target, target_client client, uint64_t thread,
                                       const void *payload, size_t length, struct failure *failure)
{
    struct fake_front_target *stub = (struct fake_front_target *)target;
    bool wrote;

    if (stub->fake.state != TARGET_STATE_HALTED)
        return stub->fake.state == TARGET_STATE_RUNNING ? TARGET_RUNNING : TARGET_GONE;
    if (stub->resume_error)
        return stub->resume_error;
    do {
        wrote = false;
        if (!stub->fake.listener->before_resume(stub->fake.listener->context, client, &wrote,
                                                failure))
            return TARGET_FAILED;
    } while (wrote);
    ck_assert(buffer_printf(&stub->log, "resume %" PRIu64 ":%.*s\n", thread, (int)length,
                            (const char *)payload));
    fake_resume_by_others(&stub->fake);
    return TARGET_OK;
}

static const char *stop_reply(struct target *target)
{
    return ((struct fake_front_target *)target)->stop;
}

static enum target_error interrupt(struct target *target, target_client client)
{
    struct fake_front_target *stub = (struct fake_front_target *)target;
    (void)client;
    if (stub->fake.state == TARGET_STATE_RUNNING)
        fake_front_target_stop(stub, "T02thread:01;");
    return TARGET_OK;
}

static enum target_error monitor(struct target *target, target_client client, unsigned cpu,
                                 const char *command, struct buffer *text)
{
    struct fake_front_target *stub = (struct fake_front_target *)target;
    (void)client;
    ck_assert(buffer_printf(&stub->log, "monitor %u:%s\n", cpu, command));
    if (stub->fake.state != TARGET_STATE_HALTED)
        return TARGET_RUNNING;
    ck_assert(buffer_printf(text, "printed by %s\r\n", command));
    return TARGET_OK;
}

static enum target_error read_live(struct target *target, target_client client, unsigned cpu,
                                   struct target_span *spans, size_t count)
{
    struct fake_front_target *stub = (struct fake_front_target *)target;
    enum target_state state = stub->fake.state;
    /* what a halted one would say */
    stub->fake.state = TARGET_STATE_HALTED;
    enum target_error error =
        stub->fake.base.memory->read_virtual(target, client, cpu, spans, count);
    stub->fake.state = state;
    return error;
}

void fake_front_target_init(struct fake_front_target *stub)
{
    memset(stub, 0, sizeof *stub);
    fake_init(&stub->fake);
    stub->memory = *stub->fake.base.memory;
    stub->memory.read_live = read_live;
    stub->fake.base.memory = &stub->memory;
    stub->run = *stub->fake.base.run;
    stub->run.resume_packet = resume_packet;
    stub->run.stop_reply = stop_reply;
    stub->run.interrupt = interrupt;
    stub->fake.base.run = &stub->run;
    stub->packets = (struct target_packets){.monitor = monitor, .packet_thread = packet};
    stub->fake.base.packets = &stub->packets;
    stub->fake.info.qemu = true;
    stub->fake.info.processors = 2;
    stub->fake.info.features = "PacketSize=1000;qXfer:features:read+;vContSupported+";
    strcpy(stub->fake.info.architecture, "i386:x86-64");
    fake_region(&stub->fake, REGION_RAM, 0x100000, 0x4000, "pc.ram");
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        fake_map(&stub->fake, cpu, 0x1000, 0x100000);
        fake_map(&stub->fake, cpu, 0x2000, 0x101000 + cpu * 0x1000);
    }
    strcpy(stub->stop, "T05thread:01;");
}

void fake_front_target_free(struct fake_front_target *stub)
{
    buffer_free(&stub->log);
    fake_free(&stub->fake);
}

void fake_front_target_stop(struct fake_front_target *stub, const char *reply)
{
    snprintf(stub->stop, sizeof stub->stop, "%s", reply);
    fake_halt(&stub->fake);
}

size_t fake_front_target_count(const struct fake_front_target *stub, const char *line)
{
    const char *text = (const char *)buffer_bytes(&stub->log), *end = text + stub->log.length;
    size_t count = 0;
    while (text < end) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        count += (size_t)(stop - text) == strlen(line) && memcmp(text, line, strlen(line)) == 0;
        text = stop + 1;
    }
    return count;
}
