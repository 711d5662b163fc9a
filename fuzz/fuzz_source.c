/* fuzz/fuzz_source.c - hostile answers to a contract's source. The first byte picks the level (low
 * two bits) and the order in which requests are answered; the second the specifier (low three bits)
 * and what is known already; the rest are answers, each ended by a
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

#define ADDRESS "eip155:1:0xae519fc2ba8e6ffe6473195c092bf1bae986ff90"
static const char *const specs[] = {
    ADDRESS,
    ADDRESS ";kind=registry",
    ADDRESS ";kind=dstack-app",
    ADDRESS ";kind=dstack-kms",
    ADDRESS ";kind=flashtestations",
    ADDRESS ";kms=0x11519fc2ba8e6ffe6473195c092bf1bae986ff90",
};

/* A value that the mapping contracts of the corpus approve, and where a search of logs had ended.
 */
static void known_already(uint8_t what, struct source_previous *previous)
{
    static const enum source_candidate_kind kinds[] = {
        SOURCE_CANDIDATE_COMPOSE_HASH, SOURCE_CANDIDATE_OS_IMAGE, SOURCE_CANDIDATE_WORKLOAD_ID,
        SOURCE_CANDIDATE_DEVICE};

    for (size_t i = 0; (what & 1) != 0 && i < MS_ARRAY_LEN(kinds); i++) {
        struct source_candidate *c = &previous->candidates[previous->n_candidates++];
        c->kind = kinds[i];
        memset(c->value, 1, sizeof(c->value));
    }
    if ((what & 2) != 0)
        previous->scan = (struct source_scan){.begun = true, .from = 9, .next = 9, .window = 2000};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[PROVIDERS] = {"a", "b", "c"};
    static const struct spec_context context;
    struct source_policy policy = {.quorum = 2,
                                   .max_evidence_age_s = 21600,
                                   .times = source_times_default,
                                   .n_providers = PROVIDERS};
    struct source_previous previous = {0};
    struct source *source = NULL;
    struct spec spec;

    if (size < 2)
        return 0;
    policy.level = (enum spec_level)(SPEC_LEVEL_L1 + data[0] % 3);
    for (size_t i = 0; i < PROVIDERS; i++)
        policy.providers[i] = (struct source_provider){
            .name = names[i], .group = names[i], .chain = 1, .proofs = SOURCE_PROOFS_FINALIZED};
    known_already(data[1] >> 3, &previous);
    spec_init(&spec);
    must(spec_parse(ms_span_str(specs[data[1] % 8 % MS_ARRAY_LEN(specs)]), &context, &spec, NULL) ==
         MS_OK);
    must(source_new(&spec, &policy, &previous, (struct ms_now){.wall_s = NOW_S, .boot_ms = 1000},
                    &source, NULL) == MS_OK);
    drive(source, (uint8_t)(data[0] >> 2), ms_span_of(data + 2, size - 2));
    source_free(source);
    spec_done(&spec);
    return 0;
}
