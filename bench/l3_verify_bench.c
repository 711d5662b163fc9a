/* bench/l3_verify_bench.c - what the verdict of a cold read costs without sockets and disks: every
 * bundle of a daemon's database is verified again from its evidence alone, which is the read's own
 * code on the read's own answers (and the parsing of the bundle on top).
 *
 *   l3_verify_bench DATABASE ROUNDS    prints milliseconds of processor time a verification */
#define _POSIX_C_SOURCE 200809L

#include "cache/cache.h"
#include "resolver/entry/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUNDLES_MAX 1000u

struct bundles {
    size_t n;
    struct ms_sha256 hash[BUNDLES_MAX];
};

static _Noreturn void die(const char *what, const struct ms_diag *diag)
{
    (void)fprintf(stderr, "l3_verify_bench: %s: %s\n", what, diag->text);
    exit(1);
}

static double now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static enum ms_err note(void *arg, enum ms_err row, const struct cache_entry *entry,
                        const struct ms_diag *why)
{
    struct bundles *bundles = arg;

    (void)why;
    if (row == MS_OK && entry->has_bundle && bundles->n < BUNDLES_MAX)
        bundles->hash[bundles->n++] = entry->bundle;
    return MS_OK;
}

static void verify(struct ms_span text)
{
    struct ms_diag diag = {0};
    struct source_result *result = NULL;
    struct spec spec;

    spec_init(&spec);
    if (bundle_verify(text, &spec, &result, &diag) != MS_OK)
        die("a bundle does not verify", &diag);
    if (result == NULL || result->trust != SOURCE_TRUST_PROOF)
        die("a bundle is not of a proven read", &diag);
    source_result_free(result);
    spec_done(&spec);
}

int main(int argc, char **argv)
{
    static struct bundles bundles;
    struct ms_diag diag = {0};
    struct cache *cache = NULL;
    uint64_t rounds = 0;
    double spent = 0;

    if (argc != 3 || !ms_span_u64(ms_span_str(argv[2]), &rounds) || rounds == 0) {
        (void)fprintf(stderr, "usage: l3_verify_bench DATABASE ROUNDS\n");
        return 2;
    }
    if (cache_open_readonly(argv[1], &cache, &diag) != MS_OK ||
        cache_each_entry(cache, note, &bundles, &diag) != MS_OK)
        die(argv[1], &diag);
    for (size_t i = 0; i < bundles.n; i++) {
        struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
        bool found = false;
        if (cache_blob_get(cache, &bundles.hash[i], &text, &found, &diag) != MS_OK || !found)
            die("evidence", &diag);
        double start = now_ms();
        for (uint64_t r = 0; r < rounds; r++)
            verify(ms_buf_span(&text));
        spent += now_ms() - start;
        ms_buf_done(&text);
    }
    cache_close(cache);
    if (bundles.n == 0)
        die("no bundles", &diag);
    (void)printf("%.3f\n", spent / (double)(bundles.n * rounds));
    return 0;
}
