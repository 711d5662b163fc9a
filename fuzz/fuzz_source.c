/* fuzz/fuzz_source.c - hostile answers to a contract's source. The first byte picks the level (low
 * two bits) and the order in which requests are answered; the rest are answers, each ended by a
 * 0x1e byte (JSON has none), used in turn. A body that begins with '!' is a failure, one with '#'
 * an HTTP status of three digits and then the body. */
#include "resolver/source/source.h"

#include <stdlib.h>

#define PROVIDERS 3
#define NOW_S INT64_C(1770000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct source_response next_answer(struct ms_span *rest)
{
    size_t end = ms_span_find(*rest, 0x1e);
    struct source_response r = {
        .status = 200, .time_s = NOW_S + 1, .body = ms_span_sub(*rest, 0, end)};

    *rest = ms_span_sub(*rest, end + 1, rest->len);
    if (ms_span_starts(r.body, "!")) {
        r.err = MS_ERR_TIMEOUT;
        r.body.len = 0;
    } else if (ms_span_starts(r.body, "#") && r.body.len >= 4) {
        r.status =
            (uint32_t)(r.body.ptr[1] % 10 * 100 + r.body.ptr[2] % 10 * 10 + r.body.ptr[3] % 10);
        r.body = ms_span_sub(r.body, 4, r.body.len);
    }
    return r;
}

static void drive(struct source *source, uint8_t order, struct ms_span rest)
{
    struct source_request out[SOURCE_ID_MAX];
    struct ms_now now = {.wall_s = NOW_S, .boot_ms = 1000};
    size_t n = 0;

    enum source_state state = source_step(source, NULL, now);
    while (state == SOURCE_WANTS) {
        while (source_take_request(source, &out[n]))
            n++;
        must(n > 0 && n <= SOURCE_ID_MAX);
        size_t at = order % n;
        struct source_response r = next_answer(&rest);
        r.id = out[at].id;
        must(out[at].max_bytes <= SOURCE_RPC_BODY_MAX_BYTES);
        out[at] = out[--n];
        state = source_step(source, &r, now);
    }
    struct source_result *result = source_take_result(source);
    must((state == SOURCE_DONE) == (result != NULL));
    must((state == SOURCE_FAILED) == (source_error(source, NULL) != MS_ERR_INTERNAL) ||
         state == SOURCE_DONE);
    source_result_free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[PROVIDERS] = {"a", "b", "c"};
    static const struct spec_context context;
    struct source_policy policy = {
        .quorum = 2, .max_evidence_age_s = 21600, .n_providers = PROVIDERS};
    struct source *source = NULL;
    struct spec spec;

    if (size == 0)
        return 0;
    policy.level = (enum spec_level)(SPEC_LEVEL_L1 + data[0] % 3);
    for (size_t i = 0; i < PROVIDERS; i++)
        policy.providers[i] = (struct source_provider){
            .name = names[i], .group = names[i], .chain = 1, .proofs = SOURCE_PROOFS_FINALIZED};
    spec_init(&spec);
    must(spec_parse(ms_span_str("eip155:1:0xae519fc2ba8e6ffe6473195c092bf1bae986ff90"), &context,
                    &spec, NULL) == MS_OK);
    must(source_new(&spec, &policy, NULL, (struct ms_now){.wall_s = NOW_S, .boot_ms = 1000},
                    &source, NULL) == MS_OK);
    drive(source, (uint8_t)(data[0] >> 2), ms_span_of(data + 1, size - 1));
    source_free(source);
    spec_done(&spec);
    return 0;
}
