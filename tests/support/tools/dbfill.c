/* tests/support/tools/dbfill.c - fills the state directory of a daemon with entries of https
 * locations as the daemon itself would have stored them a moment ago: a row, its bundle, its
 * history. Never installed.
 *
 *   dbfill DIR COUNT RELEASES     entries of https://fill.example/N, N from 0, each with a list of
 *                                 RELEASES measurements of dcap-tdx; they stay fresh for a day.
 *                                 Prints their specifiers */
#define _GNU_SOURCE /* CLOCK_BOOTTIME */
#include "base/base64.h"
#include "cache/cache.h"
#include "resolver/entry/bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GROUP 500u

static _Noreturn void die(const char *what, enum ms_err err, const struct ms_diag *diag)
{
    (void)fprintf(stderr, "dbfill: %s: %s\n", what, ms_diag_text(diag, err));
    exit(1);
}

static void must(enum ms_err err, const char *what, const struct ms_diag *diag)
{
    static const struct ms_diag none;
    if (err != MS_OK)
        die(what, err, diag == NULL ? &none : diag);
}

static void write_document(unsigned long number, unsigned long releases, struct ms_buf *out)
{
    ms_buf_reset(out);
    (void)ms_buf_add_byte(out, '[');
    for (unsigned long i = 0; i < releases; i++)
        (void)ms_buf_addf(out,
                          "%s{\"measurement_id\":\"v%lu\",\"attestation_type\":\"dcap-tdx\","
                          "\"measurements\":{\"0\":{\"expected\":\"%048lx%048lx\"}}}",
                          i == 0 ? "" : ",", i, number + 1, i + 1);
    must(ms_buf_add_byte(out, ']'), "document", NULL);
}

static void specifier(unsigned long number, char *out, size_t size)
{
    struct ms_buf base64 = MS_BUF_INIT(96);
    char url[64];

    (void)snprintf(url, sizeof(url), "https://fill.example/%lu", number);
    must(ms_base64url_encode(ms_span_str(url), &base64), "base64", NULL);
    (void)snprintf(out, size, "url:%s", ms_buf_str(&base64));
    ms_buf_done(&base64);
}

/* The attempt that a daemon would have made. */
static struct source_result *resolve(const struct spec *spec, struct ms_span document,
                                     struct ms_now now, struct ms_buf *bundle)
{
    struct source_policy policy = {.level = SPEC_LEVEL_L2,
                                   .quorum = 2,
                                   .poll_s = 60,
                                   .head_poll_s = 12,
                                   .max_evidence_age_s = 21600};
    struct source_previous previous = {0};
    struct source_request request;
    struct bundle_transcript *transcript = NULL;
    struct source *source = NULL;
    struct ms_diag diag = {0};

    must(bundle_transcript_new(&transcript), "transcript", NULL);
    must(source_new(spec, &policy, &previous, now, &source, &diag), "source", &diag);
    enum source_state state = source_step(source, NULL, now);
    while (state == SOURCE_WANTS && source_take_request(source, &request)) {
        struct source_response response = {
            .id = request.id, .status = 200, .body = document, .time_s = now.wall_s};
        response.header[SOURCE_HEADER_CACHE_CONTROL] = "max-age=86400";
        response.header[SOURCE_HEADER_CONTENT_TYPE] = "application/json";
        must(bundle_transcript_add(transcript, &response), "transcript", NULL);
        state = source_step(source, &response, now);
    }
    struct source_result *result = state == SOURCE_DONE ? source_take_result(source) : NULL;
    if (result == NULL)
        die("resolution", source_error(source, &diag), &diag);
    ms_buf_reset(bundle);
    must(bundle_write(spec, &policy, &previous, now, transcript, result, MS_OK, bundle), "bundle",
         NULL);
    source_free(source);
    bundle_transcript_free(transcript);
    return result;
}

/* Now, on this boot's clock: what is of another boot would be fetched again. */
static struct cache_time moment(struct ms_now now)
{
    struct cache_time at = {.wall_s = now.wall_s, .boot_ms = now.boot_ms};
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");

    if (file == NULL || fread(at.boot_id, 1, CACHE_BOOT_ID_LEN, file) != CACHE_BOOT_ID_LEN)
        at.boot_id[0] = '\0';
    if (file != NULL)
        (void)fclose(file);
    return at;
}

static void store(struct cache *cache, const struct spec *spec, const struct source_result *result,
                  struct ms_span bundle, const struct cache_time *at)
{
    struct cache_entry entry = {.key = spec->key,
                                .canonical = spec->canonical,
                                .kind = spec->kind,
                                .status = CACHE_GOOD,
                                .has_bundle = true,
                                .bundle = ms_sha256(bundle),
                                .has_sequence = true,
                                .sequence = 1,
                                .floor_sequence = 1,
                                .commitment = result->commitment,
                                .set_hash = result->set_hash,
                                .fetched = *at,
                                .checked = *at,
                                .evidence_time_s = result->evidence_time_s,
                                .life = result->life};
    struct cache_history history = {.key = spec->key,
                                    .time_s = at->wall_s,
                                    .status = CACHE_GOOD,
                                    .kind = "change",
                                    .has_sequence = true,
                                    .sequence = 1,
                                    .set_hash = result->set_hash,
                                    .has_bundle = true,
                                    .bundle = entry.bundle};
    struct cache_change change = {1, &bundle, &entry, &history};
    struct ms_diag diag = {0};

    must(cache_commit(cache, &change, &diag), "commit", &diag);
}

int main(int argc, char **argv)
{
    static const struct spec_context context;
    struct ms_buf document = MS_BUF_INIT(SOURCE_BODY_MAX_BYTES);
    struct ms_buf bundle = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct cache *cache = NULL;
    struct ms_diag diag = {0};
    struct timespec boot = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &boot);
    struct ms_now now = {.wall_s = time(NULL), .boot_ms = (int64_t)boot.tv_sec * 1000};
    struct cache_time at = moment(now);

    if (argc != 4) {
        (void)fputs("usage: dbfill DIR COUNT RELEASES\n", stderr);
        return 2;
    }
    unsigned long count = strtoul(argv[2], NULL, 10), releases = strtoul(argv[3], NULL, 10);
    must(cache_open(argv[1], NULL, &cache, &diag), argv[1], &diag);
    for (unsigned long i = 0; i < count; i++) {
        char text[96];
        struct spec spec;
        specifier(i, text, sizeof(text));
        (void)puts(text);
        spec_init(&spec);
        must(spec_parse(ms_span_str(text), &context, &spec, &diag), text, &diag);
        bundle_identity_only(&spec);
        write_document(i, releases, &document);
        struct source_result *result = resolve(&spec, ms_buf_span(&document), now, &bundle);
        if (i % GROUP == 0)
            must(cache_group_begin(cache, &diag), "begin", &diag);
        store(cache, &spec, result, ms_buf_span(&bundle), &at);
        if (i % GROUP == GROUP - 1 || i + 1 == count)
            must(cache_group_end(cache, &diag), "end", &diag);
        source_result_free(result);
        spec_done(&spec);
    }
    cache_close(cache);
    ms_buf_done(&document);
    ms_buf_done(&bundle);
    return 0;
}
