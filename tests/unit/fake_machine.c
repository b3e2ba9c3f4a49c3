#include "fake_machine.h"

#include "base/buffer.h"
#include "base/hex.h"

#include <check.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PAGE 4096u

/* Both monitors */

static void qmp_say(struct fake_machine *machine, const char *text)
{
    if (machine->qmp_fd >= 0)
        (void)!send(machine->qmp_fd, text, strlen(text), MSG_NOSIGNAL);
}

static void qmp_event(struct fake_machine *machine, const char *name)
{
    char text[128];
    snprintf(text, sizeof text,
             "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"%s\"}\r\n", name);
    qmp_say(machine, text);
}

static void set_running(struct fake_machine *machine, bool running)
{
    if (machine->running == running)
        return;
    machine->running = running;
    qmp_event(machine, running ? "RESUME" : "STOP");
}

static const char mtree[] =
    "FlatView #0\r\n AS \"I/O\", root: io\r\n Root memory region: io\r\n"
    "  0000000000000000-000000000000ffff (prio 0, i/o): io\r\n\r\n"
    "FlatView #1\r\n AS \"memory\", root: system\r\n AS \"cpu-memory-0\", root: system\r\n"
    " Root memory region: system\r\n"
    "  0000000000000000-000000000000cfff (prio 0, ram): ram\r\n"
    "  000000000000d000-000000000000dfff (prio 0, rom): bios\r\n"
    "  000000000000e000-000000000000efff (prio 0, i/o): device\r\n";

/* A byte of its memory; NULL where there is none. */
static uint8_t *physical_byte(struct fake_machine *machine, uint64_t address)
{
    if (machine->root && address - MACHINE_HIGH < MACHINE_HIGH_SIZE)
        address = MACHINE_SHOWN + address % PAGE;
    return address < MACHINE_SIZE ? &machine->memory[address] : NULL;
}

/* Where a virtual page lies; false where there is none. */
static bool page_at(struct fake_machine *machine, unsigned cpu, uint64_t address, uint64_t *page)
{
    uint64_t entry = machine->root;

    if (!machine->root) {
        unsigned number =
            address / PAGE < MACHINE_PAGES ? machine->pages[cpu][address / PAGE] : MACHINE_UNMAPPED;
        *page = (uint64_t)number * PAGE;
        return number != MACHINE_UNMAPPED;
    }
    for (unsigned shift = 39; shift >= 12; shift -= 9) {
        uint64_t at = (entry & ~(uint64_t)0xfff) + (address >> shift & 511) * 8;
        const uint8_t *bytes = physical_byte(machine, at);
        if (!bytes)
            return false;
        memcpy(&entry, bytes, sizeof entry);
        if (!(entry & 1))
            return false;
        if (shift == 21 && (entry & 0x80)) {
            *page = (entry & ~(uint64_t)0x1fffff) + (address & 0x1ff000);
            return true;
        }
    }
    *page = entry & ~(uint64_t)0xfff;
    return true;
}

/* One line for the human monitor; what it prints. */
static void hmp(struct fake_machine *machine, unsigned *cpu, const char *line, struct buffer *out)
{
    uint64_t address, page;
    unsigned number, value;
    char size;
    if (sscanf(line, "gva2gpa 0x%" SCNx64, &address) == 1) {
        if (!page_at(machine, *cpu, address, &page))
            buffer_printf(out, "Unmapped\r\n");
        else
            buffer_printf(out, "gpa: 0x%" PRIx64 "\r\n", page + address % PAGE);
    } else if (sscanf(line, "cpu %u", &number) == 1) {
        if (number < MACHINE_CPUS)
            *cpu = number;
        else
            buffer_printf(out, "invalid CPU index\r\n");
    } else if (sscanf(line, "i /%c 0x%x", &size, &number) == 2) {
        buffer_printf(out, "portb[0x%04x] = 0x%02x\r\n", number, machine->port[number & 0xff]);
    } else if (sscanf(line, "o /%c 0x%x 0x%x", &size, &number, &value) == 3) {
        if (machine->port_error)
            buffer_printf(out, "%s\r\n", machine->port_error);
        else
            machine->port[number & 0xff] = (uint8_t)value;
    } else if (strcmp(line, "info mtree -f") == 0) {
        buffer_append(out, mtree, strlen(mtree));
        if (machine->root)
            buffer_printf(out, "  %016x-%016x (prio 0, ram): high\r\n", MACHINE_HIGH,
                          MACHINE_HIGH + MACHINE_HIGH_SIZE - 1);
        for (uint64_t i = 0; i < machine->ranges; i++)
            buffer_printf(out, "  %016" PRIx64 "-%016" PRIx64 " (prio 0, i/o): one of many\r\n",
                          MACHINE_RANGES + 16 * i, MACHINE_RANGES + 16 * i + 15);
        buffer_printf(out, "\r\n");
    } else if (strcmp(line, "info version") == 0) {
        buffer_printf(out, "%s\r\n", machine->version);
    } else if (strcmp(line, "info status") == 0) {
        buffer_printf(out, "VM status: %s\r\n", machine->running ? "running" : machine->status);
    } else if (strcmp(line, "info registers") == 0) {
        if (machine->root)
            buffer_printf(out, "SMM=0 A20=1 CR0=80000011 CR3=%016" PRIx64 " CR4=00000020\r\n",
                          machine->root);
        buffer_printf(out, "CR0=1 EFER=%016x\r\n", machine->long_mode ? 0x500 : 0);
    } else if (strcmp(line, "info pci") != 0) {
        buffer_printf(out, "unknown command: '%s'\r\n", line);
    }
}

static void qmp_command(struct fake_machine *machine, json_t *request)
{
    const char *command = json_string_value(json_object_get(request, "execute"));
    json_t *arguments = json_object_get(request, "arguments");
    json_t *result = json_object();
    if (strcmp(command, "query-status") == 0) {
        machine->status_asked++;
        task_cond_broadcast(&machine->status_turn);
        while (machine->slow_status)
            task_cond_wait(&machine->status_turn, -1);
        json_object_set_new(result, "running", json_boolean(machine->running));
        json_object_set_new(result, "status", json_string(machine->running ? "running" : "paused"));
    } else if (strcmp(command, "stop") == 0) {
        set_running(machine, false);
        machine->asked_to_run = false;
    } else if (strcmp(command, "cont") == 0) {
        set_running(machine, true);
    } else if (strcmp(command, "human-monitor-command") == 0) {
        struct buffer out = {0};
        unsigned cpu = (unsigned)json_integer_value(json_object_get(arguments, "cpu-index"));
        hmp(machine, &cpu, json_string_value(json_object_get(arguments, "command-line")), &out);
        json_decref(result);
        result = json_stringn((const char *)buffer_bytes(&out), out.length);
        buffer_free(&out);
    }
    json_t *answer = json_pack("{s:o}", "return", result);
    json_t *id = json_object_get(request, "id");
    if (id)
        json_object_set(answer, "id", id);
    char *text = json_dumps(answer, 0);
    qmp_say(machine, text);
    qmp_say(machine, "\r\n");
    free(text);
    json_decref(answer);
}

static void serve_qmp_connection(struct fake_machine *machine)
{
    struct buffer in = {0};
    qmp_say(machine,
            "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, "
            "\"package\": \"\"}, \"capabilities\": []}}\r\n");
    for (;;) {
        ssize_t count = buffer_read_fd(&in, machine->qmp_fd, 4096);
        if (count == 0 || (count < 0 && errno != EAGAIN))
            break;
        if (count < 0) {
            task_wait_fd(machine->qmp_fd, EV_READ, -1);
            continue;
        }
        const char *end;
        while ((end = memchr(buffer_bytes(&in), '\n', in.length))) {
            size_t length = (size_t)(end - (const char *)buffer_bytes(&in));
            json_t *request = json_loadb((const char *)buffer_bytes(&in), length, 0, NULL);
            ck_assert_ptr_nonnull(request);
            buffer_consume(&in, length + 1);
            qmp_command(machine, request);
            json_decref(request);
        }
    }
    buffer_free(&in);
    close(machine->qmp_fd);
    machine->qmp_fd = -1;
}

static void serve_qmp(void *arg)
{
    struct fake_machine *machine = arg;
    while (task_wait_fd(machine->qmp_listener, EV_READ, -1) && !machine->closing) {
        machine->qmp_fd = endpoint_accept(machine->qmp_listener);
        if (machine->qmp_fd >= 0)
            serve_qmp_connection(machine);
    }
    close(machine->qmp_listener);
}

/* The stub */

static void say(struct fake_machine *machine, const char *payload)
{
    if (machine->acks)
        fake_stub_reply(&machine->stub, payload);
    else
        fake_stub_packet(&machine->stub, payload);
}

/* A virtual address of the processor that Hg names, or a physical one; false where there is
 * nothing. */
static bool locate(struct fake_machine *machine, uint64_t address, uint8_t **byte)
{
    uint64_t page = address - address % PAGE;
    if (!machine->physical && !page_at(machine, machine->cpu, address, &page))
        return false;
    *byte = physical_byte(machine, page + address % PAGE);
    return *byte != NULL;
}

/* Is it the hole or the device that lies there? False: memory, or nothing. */
static bool beyond_memory(struct fake_machine *machine, uint64_t address, bool *hole)
{
    uint64_t page = address - address % PAGE;
    if (!machine->devices ||
        (!machine->physical && !page_at(machine, machine->cpu, address, &page)))
        return false;
    *hole = page >= MACHINE_HOLE && page < MACHINE_HIGH;
    return *hole || page == MACHINE_DEVICE;
}

/* Answer an access that goes nowhere; false: it does go somewhere. */
static bool do_refuse(struct fake_machine *machine, uint64_t address, uint64_t length, bool write)
{
    bool hole;
    char zeros[2 * PAGE + 1];
    if (!beyond_memory(machine, address, &hole))
        return false;
    if (write && !machine->physical && machine->quiet_virtual_writes) {
        say(machine, "OK");
        return true;
    }
    if (!hole && length != 1)
        return false;
    snprintf(zeros, sizeof zeros, "%0*d", (int)(2 * length), 0);
    say(machine, !machine->physical || !machine->quiet_physical ? "E14" : write ? "OK" : zeros);
    return true;
}

static void do_read(struct fake_machine *machine, const char *packet)
{
    uint64_t address, length;
    uint8_t *byte;
    char text[2 * PAGE + 1];
    ck_assert_int_eq(sscanf(packet, "m%" SCNx64 ",%" SCNx64, &address, &length), 2);
    ck_assert_uint_le(length, PAGE);
    if (do_refuse(machine, address, length, false))
        return;
    if (machine->read_most && length > machine->read_most)
        length = machine->read_most;
    for (uint64_t i = 0; i < length; i++) {
        if (!locate(machine, address + i, &byte)) {
            say(machine, "E14");
            return;
        }
        hex_encode(text + 2 * i, byte, 1);
    }
    text[2 * length] = 0;
    say(machine, text);
}

static void do_write(struct fake_machine *machine, const char *packet)
{
    uint64_t address, length;
    uint8_t *byte;
    const char *data = strchr(packet, ':');
    ck_assert_int_eq(sscanf(packet + 1, "%" SCNx64 ",%" SCNx64, &address, &length), 2);
    ck_assert_ptr_nonnull(data);
    data++;
    if (packet[0] == 'M')
        ck_assert_uint_eq(strlen(data), 2 * length);
    else
        ck_assert_uint_eq((size_t)(packet + machine->stub.length - data), length);
    if (do_refuse(machine, address, length, true))
        return;
    for (uint64_t i = 0; i < length; i++) {
        if (!locate(machine, address + i, &byte)) {
            say(machine, "E14");
            return;
        }
        if (packet[0] == 'X')
            *byte = (uint8_t)data[i];
        else
            ck_assert(hex_decode(byte, data + 2 * i, 2));
    }
    say(machine, "OK");
}

static void do_monitor(struct fake_machine *machine, const char *digits)
{
    char line[256];
    size_t length = strlen(digits) / 2;
    struct buffer out = {0};
    ck_assert_uint_lt(length, sizeof line);
    ck_assert(hex_decode((uint8_t *)line, digits, 2 * length));
    line[length] = 0;
    hmp(machine, &machine->monitor_cpu, line, &out);
    if (machine->acks)
        fake_stub_bytes(&machine->stub, "+", 1);
    while (out.length > 0) { /* one packet a line, as QEMU does */
        char text[256] = "O";
        const uint8_t *end = memchr(buffer_bytes(&out), '\n', out.length);
        size_t part = end ? (size_t)(end - buffer_bytes(&out)) + 1 : out.length;
        hex_encode(text + 1, buffer_bytes(&out), part);
        text[1 + 2 * part] = 0;
        fake_stub_packet(&machine->stub, text);
        buffer_consume(&out, part);
    }
    buffer_free(&out);
    fake_stub_packet(&machine->stub, "OK");
}

static void do_query(struct fake_machine *machine, const char *packet)
{
    char text[256];
    if (strncmp(packet, "qSupported", 10) == 0)
        say(machine, machine->qemu   ? "PacketSize=1000;qXfer:features:read+;vContSupported+"
                     : machine->acks ? "PacketSize=800;qXfer:features:read+"
                                     : "PacketSize=800;QStartNoAckMode+;qXfer:features:read+");
    else if (strncmp(packet, "qXfer:features:read:target.xml:0,", 33) == 0) {
        snprintf(text, sizeof text, "l<target><architecture>%s</architecture></target>",
                 machine->architecture);
        say(machine, text);
    } else if (strcmp(packet, "qfThreadInfo") == 0) {
        say(machine, machine->qemu ? "m01" : "m1b30,1b31");
        machine->listed = false;
    } else if (strcmp(packet, "qsThreadInfo") == 0) {
        say(machine, machine->qemu && !machine->listed ? "m02" : "l");
        machine->listed = true;
    } else if (machine->qemu && strcmp(packet, "qqemu.Supported") == 0)
        say(machine, "sstepbits;sstep;PhyMemMode");
    else if (machine->qemu && strcmp(packet, "qqemu.sstepbits") == 0)
        say(machine, "ENABLE=1,NOIRQ=2,NOTIMER=4");
    else if (machine->qemu && strncmp(packet, "qRcmd,", 6) == 0)
        do_monitor(machine, packet + 6);
    else
        say(machine, "");
}

static void do_set(struct fake_machine *machine, const char *packet)
{
    if (machine->qemu && strncmp(packet, "Qqemu.PhyMemMode:", 17) == 0)
        machine->physical = packet[17] == '1';
    else if (strcmp(packet, "QStartNoAckMode") == 0) {
        say(machine, "OK");
        machine->acks = false;
        return;
    } else if (!machine->qemu) {
        say(machine, "");
        return;
    }
    say(machine, "OK");
}

static void do_thread(struct fake_machine *machine, const char *packet)
{
    uint64_t id = strtoull(packet + 2, NULL, 16);
    if (machine->qemu && (id < 1 || id > MACHINE_CPUS)) {
        say(machine, "E22");
        return;
    }
    if (machine->qemu && packet[1] == 'g')
        machine->cpu = (unsigned)id - 1;
    say(machine, "OK");
}

/* A step, or what looks like one, of the processor that the packet names. */
static void do_step(struct fake_machine *machine, const char *packet)
{
    char reply[32];
    const char *colon = strchr(packet, ':');
    uint64_t id = colon ? strtoull(colon + 1, NULL, 16) : 1;
    if (machine->phantoms > 0)
        machine->phantoms--;
    else
        machine->moved[id == 2]++;
    snprintf(reply, sizeof reply, "T05thread:%02" PRIx64 ";", id);
    fake_machine_halt(machine, reply);
}

static void do_registers(struct fake_machine *machine)
{
    char text[16];
    snprintf(text, sizeof text, "%08" PRIx32, machine->moved[machine->cpu]);
    say(machine, text);
}

static void obey(struct fake_machine *machine, const char *packet)
{
    switch (packet[0]) {
    case '?':
        say(machine, "T05thread:01;");
        break;
    case 'm':
        do_read(machine, packet);
        break;
    case 'X':
        if (!machine->binary) {
            say(machine, "");
            break;
        }
        /* fall through */
    case 'M':
        do_write(machine, packet);
        break;
    case 'H':
        do_thread(machine, packet);
        break;
    case 'q':
        do_query(machine, packet);
        break;
    case 'Q':
        do_set(machine, packet);
        break;
    case 'g':
        do_registers(machine);
        break;
    case 'p':
        say(machine, machine->long_mode ? "0005000000000000" : "0000000000000000");
        break;
    case 'P':
        say(machine, "OK");
        break;
    case 'c':
    case 's':
    case 'v':
        if (strcmp(packet, "vCont?") == 0) {
            say(machine, "vCont;c;C;s;S");
            break;
        }
        if (machine->acks)
            fake_stub_bytes(&machine->stub, "+", 1);
        machine->asked_to_run = true;
        set_running(machine, true);
        if (strncmp(packet, "vCont;s", 7) == 0 || packet[0] == 's')
            do_step(machine, packet);
        break;
    default:
        say(machine, "");
    }
}

static bool starts(const char *packet, const char *start)
{
    return start && strncmp(packet, start, strlen(start)) == 0;
}

/* Bytes while the machine runs: only the interrupt is right. */
static bool hear_running(struct fake_machine *machine)
{
    char byte;
    struct fake_stub *stub = &machine->stub;
    if (stub->in.length > 0) { /* came in one piece with the resume */
        byte = (char)buffer_bytes(&stub->in)[0];
        buffer_consume(&stub->in, 1);
    } else {
        ssize_t count = recv(stub->fd, &byte, 1, 0);
        if (count < 0 && errno == EAGAIN) {
            task_wait_fd(stub->fd, EV_READ, 0.01);
            return true;
        }
        if (count <= 0)
            return false;
    }
    if (!machine->running) { /* halted in the meantime */
        buffer_append(&stub->in, &byte, 1);
        return true;
    }
    if (byte != 0x03)
        machine->bad++;
    machine->asked_to_run = true;
    fake_machine_halt(machine, "T02thread:01;");
    return true;
}

static void serve_connection(struct fake_machine *machine)
{
    struct fake_stub *stub = &machine->stub;
    if (machine->running) { /* a connect halts it */
        set_running(machine, false);
        if (!machine->silent_stops)
            fake_stub_packet(stub, "T02thread:01;");
    }
    for (;;) {
        if (machine->running) {
            if (!hear_running(machine))
                return;
            continue;
        }
        if (!fake_stub_hear_within(stub, 0.01)) {
            if (stub->ended)
                return;
            continue;
        }
        const char *packet = stub->packet;
        char *note = machine->log[machine->logged++ % MACHINE_LOG_MOST];
        snprintf(note, MACHINE_NOTE_SIZE, "%.*s", (int)MACHINE_NOTE_SIZE - 1, packet);
        if (starts(packet, machine->die_at)) {
            machine->die_at = NULL;
            return;
        }
        if (starts(packet, machine->mute_at))
            continue;
        if (starts(packet, machine->answer_at))
            say(machine, machine->answer);
        else
            obey(machine, packet);
    }
}

static void serve_gdb(void *arg)
{
    struct fake_machine *machine = arg;
    while (task_wait_fd(machine->gdb_listener, EV_READ, -1) && !machine->closing) {
        int fd = endpoint_accept(machine->gdb_listener);
        if (fd < 0)
            continue;
        machine->connects++;
        machine->acks = true;
        fake_stub_init(&machine->stub, fd);
        machine->stub.patient = machine->patient;
        serve_connection(machine);
        fake_stub_free(&machine->stub);
        if (machine->qmp_fd >= 0 && machine->closing)
            shutdown(machine->qmp_fd, SHUT_RDWR);
    }
    close(machine->gdb_listener);
}

/* Outside */

void fake_machine_start(struct fake_machine *machine, struct ev_loop *loop)
{
    char error[ENDPOINT_ERROR_SIZE], text[128];
    *machine = (struct fake_machine){.loop = loop,
                                     .qemu = true,
                                     .architecture = "i386:x86-64",
                                     .version = "7.2.22Debian",
                                     .status = "paused",
                                     .long_mode = true,
                                     .qmp_fd = -1};
    for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
        for (unsigned page = 0; page < MACHINE_PAGES; page++)
            machine->pages[cpu][page] = (uint8_t)page;
    strcpy(machine->directory, "/tmp/test-upstream-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(machine->directory));
    snprintf(text, sizeof text, "unix:%s/gdb", machine->directory);
    ck_assert(endpoint_parse(&machine->gdb, text, error));
    snprintf(text, sizeof text, "unix:%s/qmp", machine->directory);
    ck_assert(endpoint_parse(&machine->qmp, text, error));
    machine->gdb_listener = endpoint_listen(&machine->gdb, error);
    machine->qmp_listener = endpoint_listen(&machine->qmp, error);
    ck_assert_int_ge(machine->gdb_listener, 0);
    ck_assert_int_ge(machine->qmp_listener, 0);
}

void fake_machine_serve(struct fake_machine *machine)
{
    ck_assert_ptr_nonnull(task_spawn(machine->loop, "machine", serve_gdb, machine));
    ck_assert_ptr_nonnull(task_spawn(machine->loop, "machine-qmp", serve_qmp, machine));
}

void fake_machine_stop(struct fake_machine *machine)
{
    char error[ENDPOINT_ERROR_SIZE];
    machine->closing = true;
    /* Wakes whoever waits for a connection. */
    int gdb = endpoint_connect(&machine->gdb, 1, true, error);
    int qmp = endpoint_connect(&machine->qmp, 1, true, error);
    endpoint_unlink(&machine->gdb);
    endpoint_unlink(&machine->qmp);
    rmdir(machine->directory);
    close(gdb);
    close(qmp);
}

/* Is there something from the client that was not taken in? */
static bool unread(const struct fake_machine *machine)
{
    struct pollfd poller = {.fd = machine->stub.fd, .events = POLLIN};
    return machine->stub.fd >= 0 && (machine->stub.in.length > 0 || poll(&poller, 1, 0) > 0);
}

void fake_machine_run(struct fake_machine *machine, bool run)
{
    /* The acknowledgement of what came last, read while it runs, would halt it again. */
    while (run && !machine->running && unread(machine))
        task_sleep(0.001);
    set_running(machine, run);
    if (!run && machine->stub.fd >= 0 && (!machine->silent_stops || machine->asked_to_run))
        fake_stub_packet(&machine->stub, "T02thread:01;");
    machine->asked_to_run = false;
}

void fake_machine_halt(struct fake_machine *machine, const char *reply)
{
    set_running(machine, false);
    machine->asked_to_run = false;
    if (machine->stub.fd >= 0)
        fake_stub_packet(&machine->stub, reply);
}

unsigned fake_machine_count(const struct fake_machine *machine, const char *start)
{
    unsigned count = 0;
    for (unsigned i = 0; i < machine->logged && i < MACHINE_LOG_MOST; i++)
        count += starts(machine->log[i], start);
    return count;
}
