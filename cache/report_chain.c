/* cache/report_chain.c - what a registry's own history proves of a moment: its operations, the
 * documents they name, and the bundle whose state they lead to. Nothing here rests on what was
 * accepted at that time. */
#include "cache/report_internal.h"

#include "resolver/entry/past_at.h"
#include "resolver/source/past_documents.h"

struct walk {
    struct past_at *past;
    struct ms_sha256 bundle; /* of the newest operation that counts */
    struct ms_diag why;
    enum ms_err err; /* a row is not to be believed, or breaks the chain */
};

static enum ms_err take_operation(void *arg, enum ms_err row, const struct cache_operation *o,
                                  const struct ms_diag *why)
{
    struct walk *walk = arg;

    if (walk->err != MS_OK)
        return MS_OK;
    if (row != MS_OK) {
        walk->err = ms_diag_set(&walk->why, row, "stored operation %llu: %s",
                                (unsigned long long)o->event.sequence, ms_diag_text(why, row));
        return MS_OK;
    }
    enum ms_err err = past_at_add(walk->past, &o->event, &o->before, &walk->why);
    if (err == MS_ERR_COMMITMENT)
        walk->err = err;
    else if (err != MS_OK)
        return err;
    if (past_at_newest(walk->past) == o->event.sequence)
        walk->bundle = o->bundle;
    return MS_OK;
}

/* ---- until when it is known ---- */

/* Later blocks in which the same state was confirmed, as the entry says. */
static void look_further(struct cache *cache, const struct report_chain *chain,
                         const struct source_result *result, int64_t *until_s)
{
    struct ms_arena arena =
        MS_ARENA_INIT(CACHE_TEXT_MAX_BYTES + 2 * CACHE_VALIDATOR_MAX_BYTES + 4096);
    struct cache_entry e = {0};
    bool found = false;

    if (cache_entry_get(cache, chain->key, result->level, &arena, &e, &found, NULL) == MS_OK &&
        found && e.has_sequence && e.sequence == result->sequence &&
        ms_sha256_eq(&e.commitment, &result->commitment) && e.evidence_time_s > *until_s)
        *until_s = e.evidence_time_s;
    ms_arena_done(&arena);
}

/* The state that the newest operation was checked against, from its evidence. */
static enum ms_err prove(struct cache *cache, struct report_chain *chain, const struct walk *walk,
                         struct ms_diag *why)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct source_result *result = NULL;
    struct operations_proof proof;
    bool found = false;
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = cache_blob_get(cache, &walk->bundle, &text, &found, why);
    if (err == MS_OK && !found)
        err = ms_diag_set(why, MS_ERR_EVIDENCE, "the evidence of its operations is missing");
    if (err == MS_OK)
        err = bundle_verify(ms_buf_span(&text), &spec, &result, why);
    if (err == MS_OK && (result == NULL || !ms_sha256_eq(&spec.key, chain->key)))
        err = ms_diag_set(why, MS_ERR_EVIDENCE,
                          "the evidence of its operations is of another "
                          "answer");
    if (err == MS_OK)
        err = operations_proof_of(result, &proof, why);
    if (err == MS_OK)
        err = past_at_prove(walk->past, &proof, why);
    if (err == MS_OK) {
        chain->evidence = walk->bundle;
        chain->level = result->level;
        chain->until_s = result->evidence_time_s;
        look_further(cache, chain, result, &chain->until_s);
    }
    source_result_free(result);
    spec_done(&spec);
    ms_buf_done(&text);
    return err;
}

/* ---- documents ---- */

enum ms_err report_document(struct cache *cache, const struct registry_release *release,
                            struct rec_set *set, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(release->payload_size);
    bool found = false;

    enum ms_err err = cache_blob_get(cache, &release->payload_hash, &text, &found, diag);
    if (err == MS_OK && !found)
        err = MS_ERR_NOT_FOUND;
    if (err == MS_OK && text.len != release->payload_size)
        err = ms_diag_set(diag, MS_ERR_HASH, "it has another size than was approved");
    if (err == MS_OK)
        err = past_document_read(release->payload_format, ms_buf_span(&text), set, diag);
    ms_buf_done(&text);
    return err;
}

static enum ms_err read_document(void *arg, const struct registry_release *release,
                                 struct rec_set *set, struct ms_diag *diag)
{
    return report_document(arg, release, set, diag);
}

/* ---- the answer ---- */

static json_t *unknown_json(const struct report_chain *chain)
{
    json_t *out = json_pack("{s:b, s:s}", "complete", 0, "why", chain->why.text);

    if (out != NULL && chain->until_s != 0)
        (void)json_object_set_new(out, "until", json_integer(chain->until_s));
    return out;
}

/* Why nothing is said of that moment; MS_OK: it is known. */
static enum ms_err covers(struct cache *cache, struct report_chain *chain, const struct walk *walk)
{
    uint64_t newest = past_at_newest(walk->past);

    if (walk->err != MS_OK)
        return ms_diag_set(&chain->why, walk->err, "%s", ms_diag_text(&walk->why, walk->err));
    if (newest == 0)
        return ms_diag_set(&chain->why, MS_ERR_NOT_FOUND,
                           "operations 1 to %llu are not stored: the back-fill is not done",
                           (unsigned long long)past_at_behind_gap(walk->past) - 1);
    enum ms_err err = prove(cache, chain, walk, &chain->why);
    if (err != MS_OK)
        return err;
    if (chain->time_s > chain->until_s)
        return ms_diag_set(&chain->why, MS_ERR_NOT_FOUND,
                           "its history is known until %lld, and not what came after operation "
                           "%llu later",
                           (long long)chain->until_s, (unsigned long long)newest);
    past_at_why(walk->past, &chain->why);
    return past_at_verdict(walk->past) == PAST_AT_UNKNOWN ? MS_ERR_UNSUPPORTED : MS_OK;
}

static json_t *known_json(struct cache *cache, const struct report_chain *chain,
                          const struct walk *walk)
{
    json_t *out = past_at_json(walk->past, read_document, cache);

    if (out == NULL)
        return NULL;
    int bad = json_object_set_new(out, "complete", json_true());
    bad |= json_object_set_new(out, "in_force", json_boolean(chain->counts));
    bad |= json_object_set_new(out, "why", json_string(chain->why.text));
    bad |= json_object_set_new(out, "until", json_integer(chain->until_s));
    bad |= json_object_set_new(out, "level", json_string(spec_level_name(chain->level)));
    bad |= json_object_set_new(out, "evidence", report_hash(&chain->evidence));
    if (bad != 0) {
        json_decref(out);
        return NULL;
    }
    return out;
}

enum ms_err report_chain_at(struct cache *cache, struct report_chain *chain, struct ms_diag *diag)
{
    struct walk walk = {0};

    chain->json = NULL;
    enum ms_err err = past_at_new(chain->time_s < 0 ? 0 : (uint64_t)chain->time_s, &walk.past);
    if (err == MS_OK)
        err = cache_operations_each(cache, chain->key, take_operation, &walk, diag);
    bool any = err == MS_OK && (walk.err != MS_OK || past_at_newest(walk.past) > 0 ||
                                past_at_behind_gap(walk.past) > 0);
    if (any) {
        chain->complete = covers(cache, chain, &walk) == MS_OK;
        chain->counts = chain->complete && past_at_verdict(walk.past) == PAST_AT_COUNTS;
        chain->json = chain->complete ? known_json(cache, chain, &walk) : unknown_json(chain);
        err = chain->json == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    past_at_free(walk.past);
    return err;
}
