/* The main of a fuzz target where there is no libFuzzer: runs it on each seed, on every beginning
 * of it, and on it with each byte changed. It takes files and folders; without any the seeds of the
 * target, which is called fuzz_NAME, in $srcdir/tests/fuzz/seeds/NAME, and a number of inputs that
 * are random, and the same on every machine. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SEED_MOST = 1 << 20, RANDOM_INPUTS = 40000, RANDOM_MOST = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *path)
{
    fprintf(stderr, "%s: %s\n", path, strerror(errno));
    exit(1);
}

/* Memory of its own, so that one byte too far is noticed. */
static void run(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* How many inputs were run. */
static unsigned long run_neighbours(uint8_t *data, size_t size)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    unsigned long count = 0;

    for (size_t end = 0; end <= size; end++, count++)
        run(data, end);
    for (size_t at = 0; at < size; at++) {
        for (size_t i = 0; i < sizeof(changes); i++, count++) {
            data[at] ^= changes[i];
            run(data, size);
            data[at] ^= changes[i];
        }
    }
    return count;
}

static unsigned long replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(SEED_MOST);

    if (!file || !data)
        fail(path);
    size_t size = fread(data, 1, SEED_MOST, file);
    if (ferror(file))
        fail(path);
    fclose(file);
    unsigned long count = run_neighbours(data, size);
    free(data);
    return count;
}

static unsigned long replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    unsigned long count = 0;

    if (!folder)
        fail(path);
    while ((entry = readdir(folder))) {
        char file[4096];
        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file)) {
            errno = ENAMETOOLONG;
            fail(path);
        }
        count += replay_file(file);
    }
    closedir(folder);
    return count;
}

static unsigned long replay(const char *path)
{
    struct stat what;

    if (stat(path, &what) != 0)
        fail(path);
    return S_ISDIR(what.st_mode) ? replay_folder(path) : replay_file(path);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static unsigned long run_random(void)
{
    uint32_t state = 20221213;
    uint8_t data[RANDOM_MOST];

    for (int i = 0; i < RANDOM_INPUTS; i++) {
        size_t size = next_random(&state) % sizeof(data);
        for (size_t at = 0; at < size; at++)
            data[at] = (uint8_t)(next_random(&state) >> 16);
        run(data, size);
    }
    return RANDOM_INPUTS;
}

static unsigned long replay_seeds(const char *program)
{
    const char *source = getenv("srcdir"), *name = strstr(program, "fuzz_");
    char path[4096];

    for (const char *next = name; next; next = strstr(next + 1, "fuzz_"))
        name = next;
    if (!name || snprintf(path, sizeof(path), "%s/tests/fuzz/seeds/%s", source ? source : ".",
                          name + strlen("fuzz_")) >= (int)sizeof(path)) {
        errno = EINVAL;
        fail(program);
    }
    return replay(path);
}

int main(int argc, char **argv)
{
    unsigned long seeds = argc > 1 ? 0 : replay_seeds(argv[0]);

    for (int i = 1; i < argc; i++)
        seeds += replay(argv[i]);
    if (!seeds) {
        fprintf(stderr, "%s: no seeds\n", argv[0]);
        return 1;
    }
    printf("%s: %lu inputs\n", argv[0], seeds + (argc > 1 ? 0 : run_random()));
    return 0;
}
