/* fuzz/replay.c - stands in for libFuzzer: runs the target over every file of the folders named on
 * the command line, each as a heap block of its exact size (so that ASan sees one byte too far),
 * and over every prefix and a few bit flips of it. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REPLAY_PREFIX_MAX 2048 /* files up to this size are tried at every length */
#define REPLAY_LARGE_STEPS 400 /* larger ones at so many */
#define REPLAY_FILE_MAX (4u << 20)

static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);
    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    (void)LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_variants(uint8_t *data, size_t size)
{
    run_copy(data, size);
    size_t step = size <= REPLAY_PREFIX_MAX ? 1 : size / REPLAY_LARGE_STEPS + 1;
    for (size_t n = 0; n < size; n += step)
        run_copy(data, n);
    for (size_t i = 0; i < size; i += step) {
        data[i] ^= (uint8_t)(1u << (i % 8));
        run_copy(data, size);
        data[i] ^= (uint8_t)(1u << (i % 8));
    }
}

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    uint8_t *data = malloc(REPLAY_FILE_MAX);
    if (data == NULL)
        abort();
    size_t size = fread(data, 1, REPLAY_FILE_MAX, file);
    (void)fclose(file);
    run_variants(data, size);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    size_t files = 0;
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            (void)snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
            failed |= run_file(path);
            files++;
        }
        (void)closedir(dir);
    }
    printf("replayed %zu files\n", files);
    return failed != 0 || files == 0;
}
