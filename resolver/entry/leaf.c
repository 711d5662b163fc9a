/* resolver/entry/leaf.c - entries of the log as text. */
#include "resolver/entry/leaf.h"

#include "base/hex.h"

#include <inttypes.h>

static bool is_state(struct ms_span text)
{
    if (text.len == 0 || text.len >= LEAF_STATE_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 'a' || text.ptr[i] > 'z')
            return false;
    return true;
}

static struct ms_span state_of(const struct leaf *leaf)
{
    struct ms_span all = ms_span_of(leaf->state, sizeof(leaf->state));
    return ms_span_sub(all, 0, ms_span_find(all, 0));
}

static void add_hash(struct ms_buf *out, const char *name, const char *start, bool has,
                     const struct ms_sha256 *hash)
{
    (void)ms_buf_addf(out, ",\"%s\":", name);
    if (!has) {
        (void)ms_buf_add_str(out, "null");
        return;
    }
    (void)ms_buf_addf(out, "\"%s", start);
    (void)ms_buf_add_hex(out, ms_span_of(hash->b, sizeof(hash->b)));
    (void)ms_buf_add_byte(out, '"');
}

enum ms_err leaf_print(const struct leaf *leaf, struct ms_buf *out)
{
    if (leaf->n == 0 || leaf->n > INT64_MAX || leaf->time_s < 0 || !is_state(state_of(leaf)))
        return MS_ERR_ARGUMENT;
    (void)ms_buf_addf(out, "{\"v\":1,\"n\":%" PRIu64 ",\"t\":%" PRId64, leaf->n, leaf->time_s);
    add_hash(out, "spec", "", true, &leaf->spec);
    if (leaf->level == SPEC_LEVEL_NONE)
        (void)ms_buf_add_str(out, ",\"level\":null");
    else
        (void)ms_buf_addf(out, ",\"level\":\"%s\"", spec_level_name(leaf->level));
    (void)ms_buf_addf(out, ",\"state\":\"%s\",\"seq\":", leaf->state);
    if (leaf->has_sequence)
        (void)ms_buf_addf(out, "%" PRIu64, leaf->sequence);
    else
        (void)ms_buf_add_str(out, "null");
    add_hash(out, "commit", "0x", leaf->has_commitment, &leaf->commitment);
    add_hash(out, "result", "", true, &leaf->result);
    add_hash(out, "evidence", "", leaf->has_evidence, &leaf->evidence);
    add_hash(out, "policy", "", leaf->has_policy, &leaf->policy);
    add_hash(out, "prev", "", leaf->has_prev, &leaf->prev);
    return ms_buf_add_byte(out, '}');
}

struct cursor { /* stays failed */
    struct ms_span rest;
    bool failed;
};

static bool skip(struct cursor *c, const char *text)
{
    if (c->failed || !ms_span_starts(c->rest, text))
        return false;
    c->rest = ms_span_sub(c->rest, strlen(text), c->rest.len);
    return true;
}

static void expect(struct cursor *c, const char *text)
{
    c->failed = !skip(c, text);
}

static uint64_t read_number(struct cursor *c)
{
    uint64_t value = 0;
    size_t n = 0;

    while (n < c->rest.len && c->rest.ptr[n] >= '0' && c->rest.ptr[n] <= '9')
        n++;
    if (!ms_span_u64(ms_span_sub(c->rest, 0, n), &value))
        c->failed = true;
    c->rest = ms_span_sub(c->rest, n, c->rest.len);
    return value;
}

/* Up to the next quote. */
static struct ms_span read_word(struct cursor *c)
{
    struct ms_span word = {0}, rest = {0};

    expect(c, "\"");
    if (c->failed || !ms_span_cut(c->rest, '"', &word, &rest))
        c->failed = true;
    c->rest = rest;
    return word;
}

static bool read_hash(struct cursor *c, const char *name, const char *start, bool nullable,
                      struct ms_sha256 *ret_hash)
{
    expect(c, ",\"");
    expect(c, name);
    expect(c, "\":");
    if (nullable && skip(c, "null"))
        return false;
    struct ms_span word = read_word(c);
    if (!ms_span_starts(word, start))
        c->failed = true;
    word = ms_span_sub(word, strlen(start), word.len);
    for (size_t i = 0; i < word.len; i++)
        if (word.ptr[i] >= 'A' && word.ptr[i] <= 'F')
            c->failed = true; /* a second spelling */
    if (ms_hex_decode(word, ret_hash->b, sizeof(ret_hash->b)) != MS_OK)
        c->failed = true;
    return true;
}

static void read_level(struct cursor *c, struct leaf *leaf)
{
    expect(c, ",\"level\":");
    if (skip(c, "null"))
        return;
    leaf->level = spec_level_parse(read_word(c));
    if (leaf->level == SPEC_LEVEL_NONE)
        c->failed = true;
}

static void read_state(struct cursor *c, struct leaf *leaf)
{
    expect(c, ",\"state\":");
    struct ms_span word = read_word(c);
    if (is_state(word))
        memcpy(leaf->state, word.ptr, word.len);
    else
        c->failed = true;
}

enum ms_err leaf_parse(struct ms_span text, struct leaf *ret_leaf)
{
    struct cursor c = {.rest = text, .failed = text.len > LEAF_MAX_BYTES};
    struct leaf leaf = {0};

    expect(&c, "{\"v\":1,\"n\":");
    leaf.n = read_number(&c);
    expect(&c, ",\"t\":");
    uint64_t time_s = read_number(&c);
    (void)read_hash(&c, "spec", "", false, &leaf.spec);
    read_level(&c, &leaf);
    read_state(&c, &leaf);
    expect(&c, ",\"seq\":");
    leaf.has_sequence = !skip(&c, "null");
    if (leaf.has_sequence)
        leaf.sequence = read_number(&c);
    leaf.has_commitment = read_hash(&c, "commit", "0x", true, &leaf.commitment);
    (void)read_hash(&c, "result", "", false, &leaf.result);
    leaf.has_evidence = read_hash(&c, "evidence", "", true, &leaf.evidence);
    leaf.has_policy = read_hash(&c, "policy", "", true, &leaf.policy);
    leaf.has_prev = read_hash(&c, "prev", "", true, &leaf.prev);
    expect(&c, "}");
    if (c.failed || c.rest.len != 0 || leaf.n == 0 || leaf.n > INT64_MAX || time_s > INT64_MAX)
        return MS_ERR_SYNTAX;
    leaf.time_s = (int64_t)time_s;
    *ret_leaf = leaf;
    return MS_OK;
}
