/* The command loop: what the guest is asked over its serial port, it does with its own loads and
 * stores, so that a test need not believe the debugger. */
#include "guest.h"

#include <stdarg.h>

#define MAX_WORDS 6

struct command_line {
    char *word[MAX_WORDS];
    unsigned words;
    const char *id; /* repeated in the answer */
};

/* Where to go on after a fault, and whether one is expected, for each processor. */
static void *recover[MAX_CPUS][5];
static volatile bool guarded[MAX_CPUS];

void *memcpy(void *to, const void *from, size_t size)
{
    char *t = to;
    const char *f = from;

    while (size-- > 0)
        *t++ = *f++;
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    volatile char *t = to;

    while (size-- > 0)
        *t++ = (char)byte;
    return to;
}

static bool equal(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static void print_hex(uint64_t value, int digits)
{
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4)
        machine_put("0123456789abcdef"[(value >> shift) & 15]);
}

static int hex_width(uint64_t value)
{
    int digits = 1;

    while (digits < 16 && value >> (4 * digits) != 0)
        digits++;
    return digits;
}

static void print_decimal(unsigned value)
{
    if (value >= 10)
        print_decimal(value / 10);
    machine_put((char)('0' + value % 10));
}

void guest_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            machine_put(*format);
            continue;
        }
        switch (*++format) {
        case 's':
            for (const char *s = va_arg(args, const char *); *s != '\0'; s++)
                machine_put(*s);
            break;
        case 'd':
            print_decimal(va_arg(args, unsigned));
            break;
        case 'x': {
            uint64_t value = va_arg(args, uint64_t);
            print_hex(value, hex_width(value));
            break;
        }
        default:
            machine_put('%');
            break;
        }
    }
    va_end(args);
}

_Noreturn void guest_fault(uint64_t vector, uint64_t where)
{
    unsigned cpu = machine_cpu();

    if (guarded[cpu]) {
        guarded[cpu] = false;
        __builtin_longjmp(recover[cpu], 1);
    }
    guest_print("* panic vector=0x%x at=0x%x\n", vector, where);
    machine_exit(0x7f);
    for (;;)
        machine_idle();
}

/* Runs fn(argument); false when it faulted. In a function of its own, and never inlined, because
 * __builtin_setjmp and the jump must not share a frame. */
static __attribute__((noinline)) bool guard(void (*fn)(void *), void *argument)
{
    unsigned cpu = machine_cpu();

    if (__builtin_setjmp(recover[cpu]) != 0)
        return false;
    guarded[cpu] = true;
    fn(argument);
    guarded[cpu] = false;
    return true;
}

struct access {
    uint64_t address;
    uint64_t length; /* or count, or width */
    uint64_t value;
    uint8_t *bytes;
};

static void load_bytes(void *argument)
{
    struct access *a = argument;

    for (uint64_t i = 0; i < a->length; i++)
        a->bytes[i] = *(volatile uint8_t *)(uintptr_t)(a->address + i);
}

static void store_bytes(void *argument)
{
    struct access *a = argument;

    for (uint64_t i = 0; i < a->length; i++)
        *(volatile uint8_t *)(uintptr_t)(a->address + i) = a->bytes[i];
    machine_sync_code(a->address, a->length);
}

static void fill_bytes(void *argument)
{
    struct access *a = argument;

    memset((void *)(uintptr_t)a->address, (int)a->value, a->length);
}

/* CRC-32 as zlib has it. */
static void checksum(void *argument)
{
    struct access *a = argument;
    uint32_t crc = 0xffffffffu;

    for (uint64_t i = 0; i < a->length; i++) {
        crc ^= *(volatile uint8_t *)(uintptr_t)(a->address + i);
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & -(crc & 1));
    }
    a->value = ~crc;
}

static void load_value(void *argument)
{
    struct access *a = argument;
    uintptr_t p = (uintptr_t)a->address;

    switch (a->length) {
    case 1:
        a->value = *(volatile uint8_t *)p;
        break;
    case 2:
        a->value = *(volatile uint16_t *)p;
        break;
    case 4:
        a->value = *(volatile uint32_t *)p;
        break;
    default:
        a->value = *(volatile uint64_t *)p;
        break;
    }
}

static void store_value(void *argument)
{
    struct access *a = argument;
    uintptr_t p = (uintptr_t)a->address;

    switch (a->length) {
    case 1:
        *(volatile uint8_t *)p = (uint8_t)a->value;
        break;
    case 2:
        *(volatile uint16_t *)p = (uint16_t)a->value;
        break;
    case 4:
        *(volatile uint32_t *)p = (uint32_t)a->value;
        break;
    default:
        *(volatile uint64_t *)p = a->value;
        break;
    }
}

static void call_code(void *argument)
{
    typedef uintptr_t function(uintptr_t);
    struct access *a = argument;
    function *code = (function *)(uintptr_t)a->address;

    a->value = code((uintptr_t)a->value);
}

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    unsigned base = 10;

    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    }
    for (; *text != '\0'; text++) {
        unsigned digit = *text >= 'a' ? (unsigned)*text - 'a' + 10 : (unsigned)*text - '0';
        value = value * base + digit;
    }
    return value;
}

static uint8_t buffer[PAGE_SIZE];

static void answer(const struct command_line *line, const char *word)
{
    guest_print("%s %s", line->id, word);
}

static void answer_value(const struct command_line *line, uint64_t value)
{
    guest_print("%s ok 0x%x\n", line->id, value);
}

static void answer_done(const struct command_line *line, bool done)
{
    guest_print("%s %s\n", line->id, done ? "ok" : "fault");
}

static void answer_bytes(const struct command_line *line, const uint8_t *bytes, uint64_t length)
{
    answer(line, "ok ");
    for (uint64_t i = 0; i < length; i++)
        print_hex(bytes[i], 2);
    machine_put('\n');
}

/* read ADDRESS LENGTH: byte loads */
static void do_read(const struct command_line *line)
{
    struct access a = {number(line->word[1]), number(line->word[2]), 0, buffer};

    if (a.length > sizeof buffer || !guard(load_bytes, &a))
        answer_done(line, false);
    else
        answer_bytes(line, buffer, a.length);
}

/* phys ADDRESS LENGTH: the same through a page that the guest maps there, within one page */
static void do_phys(const struct command_line *line)
{
    uint64_t address = number(line->word[1]);
    uint64_t mailbox = (uint64_t)(uintptr_t)machine_mailbox();
    uint64_t scratch = mailbox - PAGE_MAILBOX + PAGE_SCRATCH;
    struct access a = {scratch + address % PAGE_SIZE, number(line->word[2]), 0, buffer};

    if (mailbox == 0) {
        a.address = address;
    } else if (!machine_map(scratch, address & ~(uint64_t)(PAGE_SIZE - 1), true)) {
        answer_done(line, false);
        return;
    }
    if (a.length > sizeof buffer || !guard(load_bytes, &a))
        answer_done(line, false);
    else
        answer_bytes(line, buffer, a.length);
    if (mailbox != 0)
        machine_unmap(scratch);
}

/* write ADDRESS HEX: byte stores */
static void do_write(const struct command_line *line)
{
    struct access a = {number(line->word[1]), 0, 0, buffer};
    const char *hex = line->word[2];

    for (; hex[0] != '\0' && hex[1] != '\0' && a.length < sizeof buffer; hex += 2) {
        char byte[] = {'0', 'x', hex[0], hex[1], '\0'};
        buffer[a.length++] = (uint8_t)number(byte);
    }
    answer_done(line, guard(store_bytes, &a));
}

/* fill ADDRESS LENGTH BYTE */
static void do_fill(const struct command_line *line)
{
    struct access a = {number(line->word[1]), number(line->word[2]), number(line->word[3]), NULL};

    answer_done(line, guard(fill_bytes, &a));
}

/* sum ADDRESS LENGTH: CRC-32 */
static void do_sum(const struct command_line *line)
{
    struct access a = {number(line->word[1]), number(line->word[2]), 0, NULL};

    if (guard(checksum, &a))
        answer_value(line, a.value);
    else
        answer_done(line, false);
}

/* load WIDTH ADDRESS: one access */
static void do_load(const struct command_line *line)
{
    struct access a = {number(line->word[2]), number(line->word[1]), 0, NULL};

    if (guard(load_value, &a))
        answer_value(line, a.value);
    else
        answer_done(line, false);
}

/* store WIDTH ADDRESS VALUE: one access */
static void do_store(const struct command_line *line)
{
    struct access a = {number(line->word[2]), number(line->word[1]), number(line->word[3]), NULL};

    answer_done(line, guard(store_value, &a));
}

/* pointers ADDRESS COUNT: as this machine's own pointers */
static void do_pointers(const struct command_line *line)
{
    struct access a = {number(line->word[1]), sizeof(uintptr_t), 0, NULL};
    uint64_t count = number(line->word[2]);

    answer(line, "ok");
    for (uint64_t i = 0; i < count && guard(load_value, &a); i++, a.address += sizeof(uintptr_t))
        guest_print(" 0x%x", a.value);
    machine_put('\n');
}

/* call ADDRESS ARGUMENT: run what is there as a function */
static void do_call(const struct command_line *line)
{
    struct access a = {number(line->word[1]), 0, number(line->word[2]), NULL};

    if (guard(call_code, &a))
        answer_value(line, a.value);
    else
        answer_done(line, false);
}

/* in WIDTH PORT, out WIDTH PORT VALUE */
static void do_in(const struct command_line *line)
{
    uint32_t value;

    if (machine_in((unsigned)number(line->word[1]), (uint16_t)number(line->word[2]), &value))
        answer_value(line, value);
    else
        answer_done(line, false);
}

static void do_out(const struct command_line *line)
{
    answer_done(line, machine_out((unsigned)number(line->word[1]), (uint16_t)number(line->word[2]),
                                  (uint32_t)number(line->word[3])));
}

/* map PAGE PHYSICAL rw|ro, unmap PAGE */
static void do_map(const struct command_line *line)
{
    answer_done(line, machine_map(number(line->word[1]), number(line->word[2]),
                                  equal(line->word[3], "rw")));
}

static void do_unmap(const struct command_line *line)
{
    answer_done(line, machine_unmap(number(line->word[1])));
}

/* beat CPU: how often that processor's loop has turned */
static void do_beat(const struct command_line *line)
{
    volatile struct mailbox *mailbox = machine_mailbox();
    uint64_t cpu = number(line->word[1]);

    answer_value(line, mailbox != NULL && cpu < MAX_CPUS ? mailbox->beat[cpu] : 0);
}

/* spin 0|1: rest between turns, or not */
static void do_spin(const struct command_line *line)
{
    machine_spin(number(line->word[1]) != 0);
    answer_done(line, true);
}

static void do_exit(const struct command_line *line)
{
    answer_done(line, true);
    machine_exit((uint32_t)number(line->word[1]));
}

static void do_reset(const struct command_line *line)
{
    answer_done(line, true);
    machine_reset();
}

static void do_cpu(const struct command_line *line);

static const struct {
    const char *name;
    unsigned words;
    void (*act)(const struct command_line *);
} commands[] = {
    {"read", 3, do_read},   {"phys", 3, do_phys},   {"write", 3, do_write},
    {"fill", 4, do_fill},   {"sum", 3, do_sum},     {"load", 3, do_load},
    {"store", 4, do_store}, {"call", 3, do_call},   {"pointers", 3, do_pointers},
    {"in", 3, do_in},       {"out", 4, do_out},     {"map", 4, do_map},
    {"unmap", 2, do_unmap}, {"beat", 2, do_beat},   {"spin", 2, do_spin},
    {"exit", 2, do_exit},   {"reset", 1, do_reset}, {"cpu", 3, do_cpu},
};

static void run(void *argument)
{
    const struct command_line *line = argument;

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (line->words > 0 && equal(line->word[0], commands[i].name)) {
            if (line->words < commands[i].words)
                break;
            commands[i].act(line);
            return;
        }
    }
    answer(line, "bad\n");
}

/* cpu N COMMAND: the command, as that processor sees the world */
static void do_cpu(const struct command_line *line)
{
    struct command_line inner = {.words = line->words - 2, .id = line->id};

    for (unsigned i = 0; i < inner.words; i++)
        inner.word[i] = line->word[i + 2];
    if (!machine_run_on((unsigned)number(line->word[1]), run, &inner))
        answer(line, "bad\n");
}

static void split(struct command_line *line, char *text)
{
    line->words = 0;
    line->id = "?";
    for (bool first = true; *text != '\0'; first = false) {
        char *word = text;
        while (*text != '\0' && *text != ' ')
            text++;
        if (*text != '\0')
            *text++ = '\0';
        if (first)
            line->id = word;
        else if (line->words < MAX_WORDS)
            line->word[line->words++] = word;
    }
}

static void watch_mailbox(volatile struct mailbox *mailbox, uint32_t *last)
{
    uint32_t seq = mailbox->seq;
    struct access a = {mailbox->address, mailbox->length, 0, buffer};

    if (seq == *last)
        return;
    *last = seq;
    guest_print("* mailbox %d 0x%x ", seq, a.address);
    if (a.length > sizeof buffer || !guard(load_bytes, &a)) {
        guest_print("fault\n");
        return;
    }
    for (uint64_t i = 0; i < a.length; i++)
        print_hex(buffer[i], 2);
    machine_put('\n');
}

void guest_beat(unsigned cpu)
{
    volatile struct mailbox *mailbox = machine_mailbox();

    if (mailbox != NULL)
        mailbox->beat[cpu]++;
}

_Noreturn void guest_main(void)
{
    static char text[LINE_LENGTH];
    static struct command_line line;
    volatile struct mailbox *mailbox = machine_mailbox();
    size_t length = 0;
    uint32_t last_seq = 0;
    unsigned quiet = 0; /* turns without a character: the next one of a line comes soon */

    if (mailbox != NULL)
        mailbox->seq = 0;
    guest_print("* ready %s cpus=%d pointer=%d\n", machine_name, machine_cpus(),
                (unsigned)sizeof(void *));
    for (;;) {
        int c = machine_get();
        guest_beat(0);
        if (mailbox != NULL)
            watch_mailbox(mailbox, &last_seq);
        if (c >= 0)
            quiet = 0;
        if (c < 0) {
            if (++quiet > 2000)
                machine_idle();
        } else if (c == '\n') {
            text[length] = '\0';
            length = 0;
            split(&line, text);
            run(&line);
        } else if (length < sizeof text - 1) {
            text[length++] = (char)c;
        }
    }
}
