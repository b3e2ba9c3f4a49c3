/* The bench's side that goes through spacebridge: one case a run, by the client library.
 *
 *     ours ENDPOINT CASE [NUMBER...]
 *
 * Prints the seconds that the case took, connecting and making ready not counted. Cases that give
 * more than one figure print them in one line. What a case checks besides its time (the count of
 * every call, the bytes that were read) must hold, or it fails. */
#include "clock.h"
#include "spacebridge/spacebridge.h"

#include <errno.h>
#include <string.h>

static spacebridge_t *sb;
static const char *endpoint;
static uint64_t number[8];
static int numbers;

static void check(HRESULT hr, const char *what)
{
    if (hr == S_OK)
        return;
    fprintf(stderr, "bench: %s: 0x%08x %s\n", what, (unsigned)hr, spacebridge_last_message(sb));
    exit(1);
}

static void check_count(HRESULT hr, const size_t *count, uint64_t wanted, const char *what)
{
    check(hr, what);
    if (*count != wanted)
        give_up(what);
}

static spacebridge_t *join(void)
{
    char error[1024];
    spacebridge_t *joined = spacebridge_open(endpoint, 10, error, sizeof error);

    if (!joined)
        give_up(error);
    return joined;
}

static uint8_t *room(size_t size)
{
    uint8_t *bytes = malloc(size);

    if (!bytes)
        give_up("out of memory");
    memset(bytes, 0, size);
    return bytes;
}

static void done(double start)
{
    printf("%.9f\n", clock_now() - start);
}

/* Bulk: BASE SIZE RANDOM(0: zeros); a read has no RANDOM: there is noise to be read. */

typedef HRESULT write_fn(spacebridge_t *, uint64_t, const void *, size_t, size_t *);
typedef HRESULT read_fn(spacebridge_t *, uint64_t, void *, size_t, size_t *);

static void bulk_write(write_fn *write)
{
    size_t size = (size_t)number[1], count = 0;
    uint8_t *bytes = room(size);

    if (number[2])
        noise_fill(bytes, size);
    double start = clock_now();
    HRESULT hr = write(sb, number[0], bytes, size, &count);
    if (write == spacebridge_write_virtual && hr == S_OK)
        hr = spacebridge_flush_cache(sb, NULL);
    check_count(hr, &count, size, "a bulk write");
    done(start);
    free(bytes);
}

static void bulk_read(read_fn *read, write_fn *write)
{
    size_t size = (size_t)number[1], count = 0;
    uint8_t *bytes = room(size), *there = room(size);

    noise_fill(there, size);
    check_count(write(sb, number[0], there, size, &count), &count, size, "what is to be read");
    double start = clock_now();
    check_count(read(sb, number[0], bytes, size, &count), &count, size, "a bulk read");
    done(start);
    if (memcmp(bytes, there, size) != 0)
        give_up("a bulk read gave other bytes than are there");
    free(bytes);
    free(there);
}

/* START SIZE, one byte over and over. */
static void bulk_fill(HRESULT (*fill)(spacebridge_t *, uint64_t, uint32_t, const void *, uint32_t,
                                      uint32_t *),
                      read_fn *read)
{
    size_t size = (size_t)number[1], count = 0;
    uint8_t *bytes = room(size), byte = 0x5a;
    uint32_t filled = 0;

    double start = clock_now();
    check(fill(sb, number[0], (uint32_t)size, &byte, 1, &filled), "a fill");
    done(start);
    check_count(read(sb, number[0], bytes, size, &count), &count, size, "what was filled");
    if (filled != size || bytes[0] != byte || memcmp(bytes, bytes + 1, size - 1) != 0)
        give_up("a fill filled other than it said");
    free(bytes);
}

static void write_virtual(void)
{
    bulk_write(spacebridge_write_virtual_uncached);
}
static void write_back(void)
{
    bulk_write(spacebridge_write_virtual);
}
static void write_physical(void)
{
    bulk_write(spacebridge_write_physical);
}
static void read_virtual(void)
{
    bulk_read(spacebridge_read_virtual_uncached, spacebridge_write_virtual_uncached);
}
static void read_physical(void)
{
    bulk_read(spacebridge_read_physical, spacebridge_write_physical);
}
static void fill_virtual(void)
{
    bulk_fill(spacebridge_fill_virtual, spacebridge_read_virtual_uncached);
}
static void fill_physical(void)
{
    bulk_fill(spacebridge_fill_physical, spacebridge_read_physical);
}

/* Sequential cached reads: BASE SIZE PIECE */
static void read_sequential(void)
{
    size_t piece = (size_t)number[2], count;
    uint8_t *bytes = room(piece);

    double start = clock_now();
    for (uint64_t at = 0; at + piece <= number[1]; at += piece)
        check_count(spacebridge_read_virtual(sb, number[0] + at, bytes, piece, &count), &count,
                    piece, "a sequential read");
    done(start);
    free(bytes);
}

/* Many small writes through the queue: BASE SPAN COUNT CONTIGUOUS */
static void queued_writes(void)
{
    struct spacebridge_outcome outcome;
    uint64_t state = 1;
    size_t outcomes = 0;
    HRESULT hr;

    double start = clock_now();
    for (size_t i = 0; i < number[2]; i++) {
        uint64_t address = address_of((int)number[3], number[0], number[1], i, &state);
        uint32_t value = (uint32_t)(address ^ i);
        check(spacebridge_queue_write_virtual(sb, address, &value, sizeof value, NULL), "queueing");
    }
    check(spacebridge_queue_flush_cache(sb, NULL), "queueing");
    while ((hr = spacebridge_collect(sb, &outcome)) == S_OK) {
        check(outcome.hresult, "a queued write");
        if (++outcomes <= number[2] && outcome.value != 4)
            give_up("a queued write was short");
    }
    done(start);
    if (hr != S_FALSE || outcomes != number[2] + 1)
        give_up("outcomes are missing");
}

/* A word in each of COUNT pages, and a flush: BASE COUNT. Seconds of the flush. */
static void dirty_pages(void)
{
    for (uint64_t i = 0; i < number[1]; i++)
        check(spacebridge_write_virtual(sb, number[0] + i * 4096, &i, sizeof i, NULL), "a write");
    double start = clock_now();
    check(spacebridge_flush_cache(sb, NULL), "FlushCache");
    done(start);
}

/* Round trips: BASE COUNT. Seconds of one. */
static void round_trips(write_fn *write)
{
    uint64_t value = 0x1122334455667788;
    size_t count;

    for (int i = 0; i < 100; i++)
        check(write(sb, number[0], &value, sizeof value, &count), "a write");
    double start = clock_now();
    for (size_t i = 0; i < number[1]; i++)
        check_count(write(sb, number[0], &value, sizeof value, &count), &count, sizeof value,
                    "a write");
    printf("%.9f\n", (clock_now() - start) / (double)number[1]);
}

static void trips_cached(void)
{
    round_trips(spacebridge_write_virtual);
    check(spacebridge_discard_cache(sb, NULL), "DiscardCache");
}
static void trips_uncached(void)
{
    round_trips(spacebridge_write_virtual_uncached);
}

/* Small physical reads: ADDRESS COUNT PORT, each after a write to that port, which makes the memory
 * map uncertain; PORT 0: none. Seconds of one read. */
static void map_reads(void)
{
    uint64_t value;
    uint8_t byte = 0x20;
    size_t count;
    double taken = 0;

    for (size_t i = 0; i <= number[1]; i++) { /* the first one is not counted */
        if (number[2])
            check(spacebridge_write_io(sb, 1, 0, 1, number[2], &byte, 1, NULL), "WriteIo");
        double start = clock_now();
        check_count(spacebridge_read_physical(sb, number[0], &value, sizeof value, &count), &count,
                    sizeof value, "a small read");
        taken += i > 0 ? clock_now() - start : 0;
    }
    printf("%.9f\n", taken / (double)number[1]);
}

/* Ports: PORT COUNT, one by one: seconds of one. */
static void io_single(void)
{
    uint8_t byte = 0x20;
    uint32_t written;

    double start = clock_now();
    for (size_t i = 0; i < number[1]; i++)
        check(spacebridge_write_io(sb, 1, 0, 1, number[0], &byte, 1, &written), "WriteIo");
    printf("%.9f\n", (clock_now() - start) / (double)number[1]);
}

/* The same queued: seconds of all. */
static void io_queued(void)
{
    struct spacebridge_outcome outcome;
    uint8_t byte = 0x20;

    double start = clock_now();
    for (size_t i = 0; i < number[1]; i++)
        check(spacebridge_queue_write_io(sb, 1, 0, 1, number[0], &byte, 1, NULL), "queueing");
    for (size_t i = 0; i < number[1]; i++) {
        check(spacebridge_collect(sb, &outcome), "collecting");
        check(outcome.hresult, "WriteIo");
    }
    done(start);
}

/* While others work: BASE COUNT: median and 99th percentile of small uncached reads, in seconds. */
static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void latencies(void)
{
    size_t total = (size_t)number[1], count;
    double *taken = calloc(total, sizeof *taken);
    uint64_t value;

    if (!taken)
        give_up("out of memory");
    for (size_t i = 0; i < total; i++) {
        double start = clock_now();
        check_count(spacebridge_read_virtual_uncached(sb, number[0], &value, sizeof value, &count),
                    &count, sizeof value, "a small read");
        taken[i] = clock_now() - start;
    }
    qsort(taken, total, sizeof *taken, compare);
    printf("%.9f %.9f\n", taken[total / 2], taken[total * 99 / 100]);
    free(taken);
}

/* BASE SIZE TOTAL: writes of SIZE over and over until TOTAL bytes went. */
static void stream(void)
{
    size_t size = (size_t)number[1], count;
    uint8_t *bytes = room(size);

    double start = clock_now();
    for (uint64_t sent = 0; sent < number[2]; sent += size)
        check_count(spacebridge_write_virtual_uncached(sb, number[0], bytes, size, &count), &count,
                    size, "streaming");
    done(start);
    free(bytes);
}

/* Connections that do nothing, until standard input ends: COUNT. Says when they are there. */
static void idle(void)
{
    spacebridge_t **many = calloc((size_t)number[0], sizeof *many);

    if (!many)
        give_up("out of memory");
    for (size_t i = 0; i < number[0]; i++)
        many[i] = join();
    printf("there\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    for (size_t i = 0; i < number[0]; i++)
        spacebridge_close(many[i]);
    free(many);
}

/* COUNT writes in all, cached, queued by CONNECTIONS in turn, and flushed: BASE SPAN COUNT
 * CONNECTIONS */
static void busy(void)
{
    size_t connections = (size_t)number[3], each = (size_t)(number[2] / number[3]);
    spacebridge_t **many = calloc(connections, sizeof *many);
    struct spacebridge_outcome outcome;
    uint64_t state = 1;

    if (!many)
        give_up("out of memory");
    for (size_t i = 0; i < connections; i++)
        many[i] = join();
    double start = clock_now();
    for (size_t i = 0; i < connections; i++) {
        for (size_t k = 0; k < each; k++) {
            uint64_t address = address_of(0, number[0], number[1], k, &state);
            sb = many[i];
            check(spacebridge_queue_write_virtual_uncached(sb, address, &address, 4, NULL),
                  "queueing");
        }
        check(spacebridge_send_queued(sb), "sending");
    }
    for (size_t i = 0; i < connections; i++) {
        sb = many[i];
        while (spacebridge_collect(sb, &outcome) == S_OK)
            check(outcome.hresult, "a queued write");
    }
    done(start);
    for (size_t i = 0; i < connections; i++)
        spacebridge_close(many[i]);
    free(many);
}

static const struct {
    const char *name;
    void (*run)(void);
    int numbers;
    int joined;
} cases[] = {
    {"write-virtual", write_virtual, 3, 1},
    {"write-back", write_back, 3, 1},
    {"write-physical", write_physical, 3, 1},
    {"read-virtual", read_virtual, 2, 1},
    {"read-physical", read_physical, 2, 1},
    {"fill-virtual", fill_virtual, 2, 1},
    {"fill-physical", fill_physical, 2, 1},
    {"read-sequential", read_sequential, 3, 1},
    {"queued-writes", queued_writes, 4, 1},
    {"trips-cached", trips_cached, 2, 1},
    {"trips-uncached", trips_uncached, 2, 1},
    {"map-reads", map_reads, 3, 1},
    {"io-single", io_single, 2, 1},
    {"io-queued", io_queued, 2, 1},
    {"latencies", latencies, 2, 1},
    {"stream", stream, 3, 1},
    {"idle", idle, 1, 0},
    {"busy", busy, 4, 0},
    {"dirty-pages", dirty_pages, 2, 1},
};

int main(int argc, char **argv)
{
    if (argc < 3)
        give_up("usage: ours ENDPOINT CASE [NUMBER...]");
    endpoint = argv[1];
    for (numbers = 0; numbers < argc - 3 && numbers < 8; numbers++)
        number[numbers] = strtoull(argv[3 + numbers], NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strcmp(argv[2], cases[i].name) != 0)
            continue;
        if (numbers != cases[i].numbers)
            give_up("the case takes another count of numbers");
        if (cases[i].joined)
            sb = join();
        cases[i].run();
        if (cases[i].joined)
            spacebridge_close(sb);
        return 0;
    }
    give_up("there is no such case");
}
