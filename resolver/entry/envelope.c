/* resolver/entry/envelope.c - rendering the envelope. */
#include "resolver/entry/envelope.h"

#include "base/hex.h"

#include <stdio.h>

#define OLD_FINALITY "old-finality"

void envelope_trust(const struct source_result *result, char out[32])
{
    switch (result->trust) {
    case SOURCE_TRUST_NONE:
        (void)snprintf(out, 32, "none");
        return;
    case SOURCE_TRUST_SELF:
        (void)snprintf(out, 32, "self");
        return;
    case SOURCE_TRUST_TLS:
        (void)snprintf(out, 32, "tls");
        return;
    case SOURCE_TRUST_SINGLE:
        (void)snprintf(out, 32, "single");
        return;
    case SOURCE_TRUST_QUORUM:
        (void)snprintf(out, 32, "quorum %u/%u", result->trust_k, result->trust_n);
        return;
    case SOURCE_TRUST_PROOF:
        (void)snprintf(out, 32, "proof");
        return;
    case SOURCE_TRUST_SIGNERS:
        (void)snprintf(out, 32, "signers %u/%u", result->trust_k, result->trust_n);
        return;
    }
    (void)snprintf(out, 32, "none");
}

static const struct source_block *block_of(const struct source_result *result,
                                           const struct source_block *later)
{
    return later != NULL ? later : &result->block;
}

static int64_t chain_time(const struct source_result *result, const struct source_block *later,
                          const struct entry *entry, struct ms_now now)
{
    return entry_chain_time(entry, block_of(result, later)->time_s, now);
}

static void sooner(int64_t *next_s, int64_t candidate_s, int64_t now_s)
{
    if (candidate_s > now_s && (*next_s == 0 || candidate_s < *next_s))
        *next_s = candidate_s;
}

size_t envelope_in_force(const struct source_result *result, const struct source_block *block,
                         const struct entry *entry, struct ms_now now,
                         const struct rec_set **ret_sets, size_t *ret_index, int64_t *ret_next_s)
{
    int64_t chain_s = chain_time(result, block, entry, now), next_s = 0;
    size_t n = 0;

    for (size_t i = 0; i < result->n_releases; i++) {
        const struct source_release *release = &result->releases[i];
        sooner(&next_s, release->not_before_s, now.wall_s);
        sooner(&next_s, release->not_after_s, now.wall_s);
        if (entry_release_window(release, chain_s, now.wall_s) != ENTRY_WINDOW_IN_FORCE)
            continue;
        if (ret_index != NULL)
            ret_index[n] = i;
        ret_sets[n++] = release->set;
    }
    if (ret_next_s != NULL)
        *ret_next_s = next_s;
    return n;
}

static bool nothing_in_force(const struct envelope_input *in)
{
    int64_t chain_s = chain_time(in->result, in->block, in->entry, in->now);

    for (size_t i = 0; i < in->result->n_releases; i++) {
        const struct source_release *release = &in->result->releases[i];
        if (entry_release_window(release, chain_s, in->now.wall_s) == ENTRY_WINDOW_IN_FORCE &&
            release->set->n_records + release->set->n_predicates > 0)
            return false;
    }
    return true;
}

enum entry_state envelope_state(const struct envelope_input *in)
{
    if (in->view.serve && in->result != NULL && nothing_in_force(in))
        return ENTRY_REVOKED;
    return in->view.state;
}

uint64_t envelope_sequence(const struct source_result *result, const struct entry *entry)
{
    return result->has_sequence ? result->sequence : entry->floor_sequence;
}

static json_t *prefixed(const char *prefix, const uint8_t *bytes, size_t len)
{
    char text[8 + 2 * 32 + 1];
    size_t n = strlen(prefix);

    memcpy(text, prefix, n);
    ms_hex_encode(ms_span_of(bytes, len), text + n);
    return json_string(text);
}

static const char *window_name(enum entry_window window)
{
    switch (window) {
    case ENTRY_WINDOW_EXPIRED:
        return "expired";
    case ENTRY_WINDOW_PENDING:
        return "pending";
    case ENTRY_WINDOW_IN_FORCE:
        return "in-force";
    }
    return "expired";
}

static json_t *releases_json(const struct envelope_input *in)
{
    json_t *list = json_array();

    for (size_t i = 0; list != NULL && i < in->result->n_releases; i++) {
        const struct source_release *r = &in->result->releases[i];
        int64_t chain_s = chain_time(in->result, in->block, in->entry, in->now);
        enum entry_window window = entry_release_window(r, chain_s, in->now.wall_s);
        json_t *one =
            json_pack("{s:I, s:s, s:I, s:I, s:s, s:o, s:o}", "id", (json_int_t)r->id, "version",
                      r->version, "not_before", (json_int_t)r->not_before_s, "not_after",
                      (json_int_t)r->not_after_s, "status", window_name(window), "records",
                      rec_records_json(r->set), "predicates", rec_predicates_json(r->set));
        if (one == NULL || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *source_json(const struct source_result *result, const struct source_block *later)
{
    const struct source_block *block = block_of(result, later);

    if (result->level == SPEC_LEVEL_NONE)
        return json_object();
    return json_pack("{s:I, s:I, s:o, s:I, s:s, s:s}", "chain", (json_int_t)block->chain, "block",
                     (json_int_t)block->number, "block_hash",
                     prefixed("0x", block->hash.b, ETH_HASH_BYTES), "block_time",
                     (json_int_t)block->time_s, "level", spec_level_name(result->level), "hash_by",
                     result->hash_by);
}

static int add_warning(json_t *list, const char *code, const char *text)
{
    return json_array_append_new(list, json_pack("{s:s, s:s}", "code", code, "text", text));
}

/* As of now, and of the last block in which it still stood: not as of when the result was read. */
static int add_finality(json_t *list, const struct envelope_input *in)
{
    int64_t age_s = in->now.wall_s - in->entry->evidence_time_s;
    char text[64];

    if (!entry_evidence_old(in->entry, in->now))
        return 0;
    (void)snprintf(text, sizeof(text), "the finalized block is %lld minutes old",
                   (long long)(age_s / 60));
    return add_warning(list, OLD_FINALITY, text);
}

static json_t *warnings_json(const struct envelope_input *in)
{
    json_t *list = json_array();
    int bad = list == NULL;

    for (size_t i = 0; !bad && in->result != NULL && i < in->result->n_warnings; i++)
        if (strcmp(in->result->warnings[i].code, OLD_FINALITY) != 0)
            bad = add_warning(list, in->result->warnings[i].code, in->result->warnings[i].text);
    if (!bad && in->result != NULL && in->view.serve)
        bad = add_finality(list, in);
    if (!bad && in->view.serve && in->view.state == ENTRY_SIE)
        bad = add_warning(list, "stale-if-error",
                          in->entry->last_err == MS_OK
                              ? entry_evidence_stale(in->entry, in->now)
                                    ? "the chain's finalized state has not moved for too long"
                                    : "the source has not answered since"
                              : ms_diag_text(&in->entry->last_diag, in->entry->last_err));
    if (!bad && in->view.serve && in->view.state == ENTRY_HOLD)
        bad = add_warning(list, "hold",
                          in->entry->hold
                              ? "the code behind the contract changed; the old set is held"
                              : ms_diag_text(&in->entry->last_diag, in->entry->last_err));
    if (bad) {
        json_decref(list);
        return NULL;
    }
    return list;
}

/* What only a good set can tell. */
static int add_good(json_t *root, const struct envelope_input *in)
{
    const struct source_result *r = in->result;
    char trust[32];
    int bad = 0;

    envelope_trust(r, trust);
    bad |= json_object_set_new(root, "trust", json_string(trust));
    bad |= json_object_set_new(root, "sequence",
                               json_integer((json_int_t)envelope_sequence(r, in->entry)));
    bad |=
        json_object_set_new(root, "set_hash", prefixed("sha256:", r->set_hash.b, MS_SHA256_BYTES));
    if (in->previous_set != NULL)
        bad |= json_object_set_new(root, "previous_set_hash",
                                   prefixed("sha256:", in->previous_set->b, MS_SHA256_BYTES));
    if (r->governance != NULL)
        bad |= json_object_set(root, "governance", r->governance);
    else
        bad |= json_object_set_new(root, "governance", json_object());
    bad |= json_object_set_new(root, "source", source_json(r, in->block));
    bad |= json_object_set_new(root, "fetched_at",
                               json_integer(entry_wall_s(in->entry->checked_boot_ms, in->now)));
    bad |= json_object_set_new(root, "fresh_until",
                               json_integer(entry_wall_s(in->view.soft_until_ms, in->now)));
    bad |= json_object_set_new(root, "valid_until",
                               json_integer(entry_wall_s(in->view.serve_until_ms, in->now)));
    return bad;
}

static int add_error(json_t *root, const struct envelope_input *in)
{
    enum ms_err err = in->view.err == MS_OK ? MS_ERR_UNAVAILABLE : in->view.err;
    const struct ms_diag *diag = in->entry->last_err != MS_OK ? &in->entry->last_diag : NULL;
    int bad = json_object_set_new(root, "releases", json_array());

    bad |= json_object_set_new(
        root, "error",
        json_pack("{s:s, s:s}", "code", ms_err_code(err), "text", ms_diag_text(diag, err)));
    return bad;
}

enum ms_err envelope_render(const struct envelope_input *in, struct ms_buf *out)
{
    json_t *root =
        json_pack("{s:i, s:s, s:o, s:s, s:s}", "v", 1, "specifier", in->spec->canonical, "key",
                  prefixed("", in->spec->key.b, MS_SHA256_BYTES), "kind",
                  spec_kind_name(in->spec->kind), "state", entry_state_name(envelope_state(in)));
    int bad = root == NULL;

    if (!bad && in->result != NULL && in->view.serve) {
        bad |= add_good(root, in);
        bad |= json_object_set_new(root, "releases", releases_json(in));
    } else if (!bad) {
        bad |= add_error(root, in);
    }
    if (!bad && in->evidence != NULL)
        bad |= json_object_set_new(root, "evidence",
                                   prefixed("sha256:", in->evidence->b, MS_SHA256_BYTES));
    if (!bad)
        bad |= json_object_set_new(root, "warnings", warnings_json(in));
    enum ms_err err = bad ? MS_ERR_MEMORY : ms_json_print(root, false, out);
    json_decref(root);
    return err;
}

enum ms_err envelope_spelling(const struct spec *spec, struct ms_buf *out)
{
    for (size_t i = 0; i < spec->n_warnings; i++) {
        (void)ms_buf_add_str(out, i == 0 ? "{\"code\":" : ",{\"code\":");
        (void)ms_json_add_string(out, ms_span_str(spec->warnings[i].code));
        (void)ms_buf_add_str(out, ",\"text\":");
        (void)ms_json_add_string(out, ms_span_str(spec->warnings[i].text));
        (void)ms_buf_add_byte(out, '}');
    }
    return ms_buf_err(out);
}

enum ms_err envelope_add_spelling(struct ms_span envelope, struct ms_span elements,
                                  struct ms_buf *out)
{
    static const char open[] = "\"warnings\":[";
    const size_t open_len = sizeof(open) - 1;
    size_t at = envelope.len;

    /* the last member: nothing but warnings and "]}" stands behind it */
    while (at > 0 && !ms_span_starts(ms_span_sub(envelope, at, envelope.len), open))
        at--;
    struct ms_span rest = ms_span_sub(envelope, at + open_len, envelope.len);
    (void)ms_buf_add(out, ms_span_sub(envelope, 0, at + open_len));
    (void)ms_buf_add(out, elements);
    if (elements.len > 0 && rest.len > 0 && rest.ptr[0] != ']')
        (void)ms_buf_add_byte(out, ',');
    return ms_buf_add(out, rest);
}
