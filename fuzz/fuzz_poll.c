/* fuzz/fuzz_poll.c - hostile answers to a poll of several contracts. The first byte picks the level
 * (low two bits), whether Multicall3 is known to be missing, whether blocks were believed before,
 * and the order in which requests are answered; the rest are answers, each ended by a 0x1e byte
 * (JSON has none), used in turn. A body that begins with '!' is a failure, one with '#' an HTTP
 * status of three digits and then the body.
 * '@' in a body stands for the answer of an honest Multicall3 to this poll. */
#include "resolver/source/poll.h"

#include "base/buf.h"

#include <stdlib.h>

#define PROVIDERS 3
#define ITEMS 3
#define NOW_S INT64_C(1770000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void add_word(struct ms_buf *out, uint8_t value)
{
    (void)ms_buf_addf(out, "%062x%02x", 0, value);
}

/* (true, 32 bytes of 0x11) for each item. */
static void add_honest(struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "0x");
    add_word(out, 0x20);
    add_word(out, ITEMS);
    for (uint8_t i = 0; i < ITEMS; i++)
        add_word(out, (uint8_t)(0x20 * ITEMS + 0x80 * i));
    for (size_t i = 0; i < ITEMS; i++) {
        add_word(out, 1);
        add_word(out, 0x40);
        add_word(out, 0x20);
        for (size_t k = 0; k < 32; k++)
            (void)ms_buf_add_str(out, "11");
    }
}

static void expand(struct ms_span body, struct ms_buf *out)
{
    for (size_t i = 0; i < body.len; i++)
        if (body.ptr[i] == '@')
            add_honest(out);
        else
            (void)ms_buf_add_byte(out, body.ptr[i]);
}

static struct source_response next_answer(struct ms_span *rest, struct ms_buf *body)
{
    size_t end = ms_span_find(*rest, 0x1e);
    struct ms_span text = ms_span_sub(*rest, 0, end);
    struct source_response r = {.status = 200, .time_s = NOW_S + 1};

    *rest = ms_span_sub(*rest, end + 1, rest->len);
    if (ms_span_starts(text, "!")) {
        r.err = MS_ERR_TIMEOUT;
        return r;
    }
    if (ms_span_starts(text, "#") && text.len >= 4) {
        r.status = (uint32_t)(text.ptr[1] % 10 * 100 + text.ptr[2] % 10 * 10 + text.ptr[3] % 10);
        text = ms_span_sub(text, 4, text.len);
    }
    expand(text, body);
    r.body = ms_buf_span(body);
    return r;
}

static void check(const struct source *poll, enum source_state state, enum spec_level level)
{
    struct source_poll_hints hints = source_poll_hints(poll);
    uint64_t head = 0;

    must(hints.chunk_calls >= SOURCE_POLL_CHUNK_MIN && hints.chunk_calls <= SOURCE_POLL_CHUNK_MAX);
    for (size_t i = 0; i <= ITEMS; i++) {
        struct ms_diag diag;
        enum ms_err err = MS_OK;
        enum source_poll_verdict verdict = source_poll_verdict(poll, i, &err, &diag);
        must(verdict == SOURCE_POLL_UNKNOWN || (state == SOURCE_DONE && i < ITEMS));
        must((verdict == SOURCE_POLL_UNPROVEN) == (err != MS_OK));
        /* the accounts have no state that anybody could prove here */
        must(verdict != SOURCE_POLL_SAME || level < SPEC_LEVEL_L3);
    }
    if (state == SOURCE_DONE)
        must(source_poll_final(poll).time_s <= NOW_S + 15);
    (void)source_poll_head(poll, &head);
}

static void drive(struct source *poll, uint8_t order, struct ms_span rest, enum spec_level level)
{
    struct source_request out[SOURCE_REQUESTS_MAX];
    struct ms_now now = {.wall_s = NOW_S, .boot_ms = 1000};
    size_t n = 0;

    enum source_state state = source_step(poll, NULL, now);
    while (state == SOURCE_WANTS) {
        struct ms_buf body = MS_BUF_INIT((size_t)2 << 20);
        while (source_take_request(poll, &out[n]))
            n++;
        must(n > 0 && n <= SOURCE_REQUESTS_MAX);
        size_t at = order % n;
        struct source_response r = next_answer(&rest, &body);
        r.id = out[at].id;
        out[at] = out[--n];
        state = source_step(poll, &r, now);
        ms_buf_done(&body);
    }
    must(source_take_result(poll) == NULL);
    check(poll, state, level);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[PROVIDERS] = {"a", "b", "c"};
    static uint8_t expected[32], selector[4] = {0x13, 0x03, 0xa4, 0x84};
    struct source_probe_call calls[ITEMS];
    struct source_probe_slot slot = {.value = eth_word_u64(5)};
    struct source_probe_account account = {.n_slots = 1, .slots = &slot};
    struct source_probe probes[ITEMS];
    struct source_poll_item items[ITEMS];
    struct source_policy policy = {.quorum = 2,
                                   .max_evidence_age_s = 21600,
                                   .times = source_times_default,
                                   .n_providers = PROVIDERS};
    struct source_poll_hints hints = {.no_multicall = size > 0 && (data[0] & 4) != 0};
    struct source *poll = NULL;

    if (size == 0)
        return 0;
    memset(expected, 0x11, sizeof(expected));
    policy.level = (enum spec_level)(SPEC_LEVEL_L1 + data[0] % 3);
    for (size_t i = 0; i < PROVIDERS; i++)
        policy.providers[i] = (struct source_provider){
            .name = names[i], .group = names[i], .chain = 1, .proofs = SOURCE_PROOFS_FINALIZED};
    for (size_t i = 0; i < ITEMS; i++) {
        struct ms_span answer = ms_span_of(expected, sizeof(expected));
        calls[i] = (struct source_probe_call){
            .to = {{(uint8_t)i}}, .data = ms_span_of(selector, 4), .final = answer, .head = answer};
        probes[i] = (struct source_probe){
            .n_calls = 1, .calls = &calls[i], .n_accounts = 1, .accounts = &account};
        items[i] = (struct source_poll_item){.probe = &probes[i],
                                             .has_final = (data[0] & 8) != 0,
                                             .final_number = i,
                                             .prove = i > 0};
    }
    must(source_poll_new(1, &policy, items, ITEMS, &hints,
                         (struct ms_now){.wall_s = NOW_S, .boot_ms = 1000}, &poll, NULL) == MS_OK);
    drive(poll, (uint8_t)(data[0] >> 4), ms_span_of(data + 1, size - 1), policy.level);
    source_free(poll);
    return 0;
}
