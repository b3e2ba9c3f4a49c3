/* Runs a fuzz target without libFuzzer: on the files that are named, else on a fixed number of
 * inputs that are the same on every machine. So it is built and run by `make check`. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUTS     40000u
#define INPUT_MOST 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static int run_file(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return EXIT_FAILURE;
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    LLVMFuzzerTestOneInput(bytes, size);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    uint32_t state = 20221213;
    for (int i = 1; i < argc; i++)
        if (run_file(argv[i]) != EXIT_SUCCESS)
            return EXIT_FAILURE;
    for (unsigned i = 0; argc == 1 && i < INPUTS; i++) {
        uint8_t bytes[INPUT_MOST];
        size_t size = next_random(&state) % INPUT_MOST;
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)(next_random(&state) >> 16);
        LLVMFuzzerTestOneInput(bytes, size);
    }
    return EXIT_SUCCESS;
}
