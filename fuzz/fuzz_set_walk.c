/* fuzz/fuzz_set_walk.c - hostile hosts on the way back along signed sets: the first byte says how
 * many hosts are known (low two bits), the next is the sequence of the accepted set, 32 more are
 * what it names as the one before it; the rest are files, each ended by a 0x1e byte (JSON has
 * none), given in turn. One that begins with '!' cannot be had, one with '#' is not there. Whatever
 * they are, a set that is taken is named by the one before, or lies below a gap and has enough
 * signers. */
#include "resolver/source/set_walk.h"

#include <stdio.h>
#include <stdlib.h>

#define NOW_S INT64_C(1770000000)
#define SPEC                                                                       \
    "2of3:0x5d5c99EdF529335160FF180fA141Dd4967fc00D2,0x75E0De31eCa89159a26b09cc3b" \
    "5eF4736A4f8969,0x3c524fD949d601790ac741dFB5B07414F3DacF1d"

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
    if (ms_span_starts(r.body, "#") || r.body.len == 0)
        r.status = 404;
    if (r.err != MS_OK || r.status != 200)
        r.body.len = 0;
    return r;
}

/* What was taken, judged anew. */
static void judge(const struct spec *spec, const struct set_at *from, const struct source *walk)
{
    const struct set_found *found;
    struct set_at at = *from;
    size_t n = set_walk_found(walk, &found);

    must(n <= SET_WALK_SETS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct ms_arena arena = MS_ARENA_INIT(2 * MSIG_DOC_ARENA_BYTES);
        struct set_roots roots;
        struct msig_set_doc doc;
        must(msig_set_parse(found[i].text, &arena, &doc, NULL) == MS_OK);
        must(set_roots_read(spec, NULL, &arena, &roots, NULL) == MS_OK);
        must(doc.set.app.len == 0 && doc.set.sequence == found[i].sequence);
        must(found[i].sequence < at.sequence && eth_hash_eq(&doc.set_hash, &found[i].hash));
        must(found[i].linked == eth_hash_eq(&found[i].hash, &at.named));
        must(found[i].linked ||
             (found[i].sequence + 1 < at.sequence && set_signers_judge(&roots, &doc).met));
        at = set_at_below(found[i].sequence, &found[i].previous);
        ms_arena_done(&arena);
    }
    struct set_at next = set_walk_next(walk);
    must(next.sequence == at.sequence && next.number <= at.number);
}

static void walk_once(const struct spec *spec, const struct set_walk *in, struct ms_span rest)
{
    static const struct source_policy policy;
    const struct ms_now now = {NOW_S, 1, 0};
    struct source *walk = NULL;
    struct source_request request;
    size_t n = 0;

    must(set_walk_new(spec, &policy, in, now, &walk, NULL) == MS_OK);
    enum source_state state = source_step(walk, NULL, now);
    while (state == SOURCE_WANTS) {
        must(source_take_request(walk, &request) && request.kind == SOURCE_REQUEST_HTTP);
        must(++n <= SET_WALK_NUMBERS_MAX * SOURCE_HOSTS_MAX);
        struct source_response response = next_file(&rest);
        response.id = request.id;
        state = source_step(walk, &response, now);
    }
    must(state == SOURCE_DONE || source_error(walk, NULL) != MS_ERR_INTERNAL);
    judge(spec, &in->from, walk);
    source_free(walk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct spec_context context;
    static const char *const hosts[] = {"a.example", "b.example", "c.example", "d.example"};
    struct eth_hash named;
    struct spec spec;

    if (size < 2 + sizeof(named.b))
        return 0;
    memcpy(named.b, data + 2, sizeof(named.b));
    const struct set_walk in = {
        .from = set_at_below(data[1], &named), .n_hosts = 1u + (data[0] & 3u), .hosts = hosts};
    if (set_at_ended(&in.from))
        return 0;
    spec_init(&spec);
    must(spec_parse(ms_span_str(SPEC), &context, &spec, NULL) == MS_OK);
    walk_once(&spec, &in, ms_span_of(data + 2 + sizeof(named.b), size - 2 - sizeof(named.b)));
    spec_done(&spec);
    return 0;
}
