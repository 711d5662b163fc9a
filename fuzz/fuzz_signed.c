/* fuzz/fuzz_signed.c - hostile files of a signed set's folder, and hostile answers about a contract
 * among its signers: the first byte says how many hosts are known (low two bits), in which order
 * requests are answered (four bits), and the read level; the rest are files and answers, each ended
 * by a 0x1e byte (JSON has none), used in turn. One that begins with '!' cannot be had, one with
 * '#' is not there. A set that is accepted was signed: the keys of the corpus are test keys, and no
 * mutation finds a signature. */
#include "resolver/source/source.h"

#include <stdio.h>
#include <stdlib.h>

#define PROVIDERS 3
#define NOW_S INT64_C(1770000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct source_response next_file(struct ms_span *rest)
{
    size_t end = ms_span_find(*rest, 0x1e);
    struct source_response r = {.status = 200, .time_s = NOW_S, .body = ms_span_sub(*rest, 0, end)};

    *rest = ms_span_sub(*rest, end + 1, rest->len);
    if (ms_span_starts(r.body, "!"))
        r.err = MS_ERR_TIMEOUT;
    if (ms_span_starts(r.body, "#"))
        r.status = 404;
    if (r.err != MS_OK || r.status != 200)
        r.body.len = 0;
    return r;
}

static void judge(struct source *source, enum source_state state)
{
    struct source_result *result = source_take_result(source);

    must((state == SOURCE_DONE) == (result != NULL));
    must(state == SOURCE_DONE || source_error(source, NULL) != MS_ERR_INTERNAL);
    if (result != NULL)
        must(result->trust == SOURCE_TRUST_SIGNERS && result->trust_k >= 1 &&
             result->trust_k <= result->trust_n && result->valid_until_s >= NOW_S &&
             json_is_array(json_object_get(result->carry, "roots")));
    source_result_free(result);
}

/* In their order waits are over only when nothing else is out. */
static size_t pick(uint8_t order, const struct source_request *out, size_t n)
{
    size_t at = order % n;
    while (order == 0 && at + 1 < n && out[at].kind == SOURCE_REQUEST_WAIT)
        at++;
    return at;
}

static struct source_response respond(const struct source_request *request, struct ms_span *rest)
{
    struct source_response r = {.err = MS_ERR_TIMEOUT, .time_s = NOW_S};

    must(request->kind != SOURCE_REQUEST_HTTP || request->max_bytes <= SOURCE_BODY_MAX_BYTES);
    must(request->kind != SOURCE_REQUEST_RPC || request->provider < PROVIDERS);
    if (request->kind != SOURCE_REQUEST_WAIT)
        r = next_file(rest);
    r.id = request->id;
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
        size_t at = pick(order, out, n);
        struct source_response r = respond(&out[at], &rest);
        memmove(&out[at], &out[at + 1], (--n - at) * sizeof(out[0]));
        state = source_step(source, &r, now);
    }
    judge(source, state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char signers[] = "2of4:0x5d5c99EdF529335160FF180fA141Dd4967fc00D2,"
                                  "0x75E0De31eCa89159a26b09cc3b5eF4736A4f8969,"
                                  "0x3c524fD949d601790ac741dFB5B07414F3DacF1d,"
                                  "0xAE519FC2Ba8e6fFE6473195c092bF1BAe986ff90";
    static const char *const names[PROVIDERS] = {"a", "b", "c"};
    struct source_policy policy = {.quorum = 2, .n_providers = PROVIDERS};
    struct source_previous previous = {0};
    struct source *source = NULL;
    struct spec spec;

    if (size < 1)
        return 0;
    for (previous.n_hosts = 0; previous.n_hosts <= (data[0] & 3u); previous.n_hosts++)
        (void)snprintf(previous.hosts[previous.n_hosts], SOURCE_HOST_MAX_BYTES, "h%zu.example",
                       previous.n_hosts);
    policy.level = (enum spec_level)(SPEC_LEVEL_L1 + (data[0] >> 6) % 3);
    for (size_t i = 0; i < PROVIDERS; i++)
        policy.providers[i] = (struct source_provider){
            .name = names[i], .group = names[i], .chain = 1, .proofs = SOURCE_PROOFS_FINALIZED};
    spec_init(&spec);
    must(spec_parse(ms_span_str(signers), NULL, &spec, NULL) == MS_OK);
    must(source_new(&spec, &policy, &previous, (struct ms_now){.wall_s = NOW_S, .boot_ms = 1000},
                    &source, NULL) == MS_OK);
    drive(source, data[0] >> 2 & 15u, ms_span_of(data + 1, size - 1));
    source_free(source);
    spec_done(&spec);
    return 0;
}
