/* sig/release_set.c - parsing of signed documents, and the rules of time and order. */
#include "sig/release_set.h"

#include "base/base64.h"
#include "sig/fields.h"

#define DEPTH_MAX 8
#define VALUES_MAX 16384

/* ---- the object around the message ---- */
/* Strict JSON with this type; ret_root is the caller's to release. */
static enum ms_err open_doc(struct ms_span text, size_t max_bytes, const char *type,
                            json_t **ret_root, struct ms_diag *diag)
{
    const struct ms_json_limits limits = {max_bytes, DEPTH_MAX, VALUES_MAX, 0};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK)
        return err;
    if (!ms_span_eq_str(ms_json_member_str(root, "type"), type)) {
        json_decref(root);
        return ms_diag_set(diag, MS_ERR_SYNTAX, "type: not %s", type);
    }
    *ret_root = root;
    return MS_OK;
}

/* What stands beside every message, unless the message was bad; the document is gone afterwards. */
static enum ms_err close_doc(json_t *root, enum ms_err err, struct ms_arena *arena,
                             struct msig_signatures *ret_signatures, struct ms_diag *diag)
{
    if (err == MS_OK)
        err =
            msig_signatures_read(json_object_get(root, "signatures"), arena, ret_signatures, diag);
    json_decref(root);
    return err;
}

/* ---- release sets ---- */
static bool printable(struct ms_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
            return false;
    return true;
}

static enum ms_err fault(struct ms_diag *diag, enum ms_err err, uint64_t id, const char *what)
{
    return ms_diag_set(diag, err, "release %llu: %s", (unsigned long long)id, what);
}

static enum ms_err read_release(const json_t *object, struct ms_arena *arena,
                                struct msig_release *out, struct ms_diag *diag)
{
    struct msig_fields f;

    msig_fields_init(&f, object, "release", diag);
    out->id = msig_fields_u64(&f, "id", UINT64_MAX);
    out->version = msig_fields_u64(&f, "version", UINT64_MAX);
    out->not_before_s = msig_fields_u64(&f, "notBefore", UINT64_MAX);
    out->not_after_s = msig_fields_u64(&f, "notAfter", UINT64_MAX);
    out->approved_seq = msig_fields_u64(&f, "approvedSeq", UINT64_MAX);
    out->payload_format = (uint16_t)msig_fields_u64(&f, "payloadFormat", UINT16_MAX);
    out->payload_size = (uint32_t)msig_fields_u64(&f, "payloadSize", UINT32_MAX);
    msig_fields_bytes32(&f, "payloadHash", out->payload_hash.b);
    out->uri = msig_fields_text(&f, "uri", MSIG_URI_MAX_BYTES, arena);
    enum ms_err err = msig_fields_end(&f);
    if (err != MS_OK)
        return err;
    if (!printable(out->uri))
        return fault(diag, MS_ERR_SYNTAX, out->id, "its uri is not printable ASCII");
    if (out->not_after_s != 0 && out->not_after_s <= out->not_before_s)
        return fault(diag, MS_ERR_NONCANONICAL, out->id, "its window ends before it begins");
    return MS_OK;
}

static enum ms_err check_order(const struct msig_release_set *set, size_t i, struct ms_diag *diag)
{
    const struct msig_release *release = &set->releases[i];

    if (i > 0 && release->id <= release[-1].id)
        return fault(diag, MS_ERR_NONCANONICAL, release->id, "ids do not rise");
    if (i > 0 && release->version <= release[-1].version)
        return fault(diag, MS_ERR_NONCANONICAL, release->id, "versions do not rise");
    for (size_t j = 0; j < i; j++)
        if (ms_sha256_eq(&release->payload_hash, &set->releases[j].payload_hash))
            return fault(diag, MS_ERR_NONCANONICAL, release->id,
                         "its payload hash is that of another release");
    return MS_OK;
}

static enum ms_err read_releases(const json_t *array, struct ms_arena *arena,
                                 struct msig_release_set *out, struct ms_diag *diag)
{
    size_t n = json_array_size(array);

    if (n > MSIG_RELEASES_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "set: %zu releases, the limit is %d", n,
                           MSIG_RELEASES_MAX);
    out->releases = ms_arena_alloc(arena, n + 1, sizeof(*out->releases));
    if (out->releases == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum ms_err err = read_release(json_array_get(array, i), arena, &out->releases[i], diag);
        if (err == MS_OK)
            err = check_order(out, i, diag);
        if (err != MS_OK)
            return err;
    }
    out->n_releases = n;
    return MS_OK;
}

static enum ms_err read_set(const json_t *object, struct ms_arena *arena,
                            struct msig_release_set *out, struct ms_diag *diag)
{
    struct msig_fields f;

    msig_fields_init(&f, object, "set", diag);
    out->app = msig_fields_text(&f, "app", MSIG_APP_MAX_BYTES, arena);
    out->sequence = msig_fields_u64(&f, "sequence", UINT64_MAX);
    out->issued_at_s = msig_fields_u64(&f, "issuedAt", UINT64_MAX);
    out->valid_until_s = msig_fields_u64(&f, "validUntil", UINT64_MAX);
    msig_fields_bytes32(&f, "previous", out->previous.b);
    const json_t *releases = msig_fields_array(&f, "releases");
    enum ms_err err = msig_fields_end(&f);
    if (err != MS_OK)
        return err;
    if (out->valid_until_s <= out->issued_at_s)
        return ms_diag_set(diag, MS_ERR_NONCANONICAL, "set: its validity ends before it begins");
    return read_releases(releases, arena, out, diag);
}

/* ---- payloads ---- */
static struct msig_release *release_of(struct msig_release_set *set, struct ms_span key)
{
    struct ms_sha256 hash;

    if (eth_data_fixed(key, hash.b, sizeof(hash.b)) != MS_OK)
        return NULL;
    for (size_t i = 0; i < set->n_releases; i++)
        if (ms_sha256_eq(&hash, &set->releases[i].payload_hash))
            return &set->releases[i];
    return NULL;
}

static enum ms_err check_payload(struct ms_span payload, struct ms_arena *arena,
                                 struct msig_release *out, struct ms_diag *diag)
{
    if (payload.len != out->payload_size)
        return fault(diag, MS_ERR_HASH, out->id, "its payload has another size");
    struct ms_sha256 hash = ms_sha256(payload);
    if (!ms_sha256_eq(&hash, &out->payload_hash))
        return fault(diag, MS_ERR_HASH, out->id, "its payload has another SHA-256");
    const char *copy = ms_arena_strdup(arena, payload);
    if (copy == NULL)
        return MS_ERR_MEMORY;
    out->payload = ms_span_of(copy, payload.len);
    return MS_OK;
}

static enum ms_err read_payload(const json_t *value, struct ms_arena *arena,
                                struct msig_release *out, struct ms_diag *diag)
{
    struct ms_buf bytes = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);

    if (!json_is_string(value))
        return fault(diag, MS_ERR_SYNTAX, out->id, "its payload is no string");
    if (out->payload.ptr != NULL)
        return fault(diag, MS_ERR_NONCANONICAL, out->id, "its payload is there twice");
    enum ms_err err = ms_base64_decode(
        ms_span_of(json_string_value(value), json_string_length(value)), &bytes, NULL, NULL, diag);
    if (err == MS_OK)
        err = check_payload(ms_buf_span(&bytes), arena, out, diag);
    ms_buf_done(&bytes);
    return err;
}

static enum ms_err read_payloads(json_t *object, struct ms_arena *arena,
                                 struct msig_release_set *set, struct ms_diag *diag)
{
    enum ms_err err = MS_OK;
    const char *key;
    json_t *value;

    if (object == NULL)
        return MS_OK;
    if (!json_is_object(object))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "payloads: no object");
    json_object_foreach(object, key, value)
    {
        struct msig_release *release = release_of(set, ms_span_str(key));
        if (release != NULL && err == MS_OK)
            err = read_payload(value, arena, release, diag);
    }
    return err;
}

enum ms_err msig_set_parse(struct ms_span text, struct ms_arena *arena,
                           struct msig_set_doc *ret_doc, struct ms_diag *diag)
{
    struct msig_set_doc doc = {0};
    json_t *root = NULL;

    enum ms_err err = open_doc(text, MSIG_DOC_MAX_BYTES, "measured-release-set/1", &root, diag);
    if (err != MS_OK)
        return err;
    err = read_set(json_object_get(root, "set"), arena, &doc.set, diag);
    if (err == MS_OK)
        err = read_payloads(json_object_get(root, "payloads"), arena, &doc.set, diag);
    err = close_doc(root, err, arena, &doc.signatures, diag);
    if (err != MS_OK)
        return err;
    doc.set_hash = msig_set_hash(&doc.set);
    doc.digest = msig_set_digest(&doc.set);
    *ret_doc = doc;
    return MS_OK;
}

/* ---- roots ---- */
static bool can_be_met(const struct msig_signers *signers)
{
    return signers->threshold >= 1 && signers->threshold <= signers->n;
}

static enum ms_err read_root(const json_t *object, struct ms_arena *arena, struct msig_root *out,
                             struct ms_diag *diag)
{
    struct msig_fields f;

    msig_fields_init(&f, object, "root", diag);
    out->app = msig_fields_text(&f, "app", MSIG_APP_MAX_BYTES, arena);
    out->epoch = msig_fields_u64(&f, "epoch", UINT64_MAX);
    out->signers.threshold = (uint32_t)msig_fields_u64(&f, "threshold", UINT32_MAX);
    msig_fields_addrs(&f, "signers", &out->signers);
    out->fresh.threshold = (uint32_t)msig_fields_u64(&f, "freshThreshold", UINT32_MAX);
    msig_fields_addrs(&f, "freshSigners", &out->fresh);
    msig_fields_addrs(&f, "revokers", &out->revokers);
    out->revokers.threshold = 1;
    out->valid_until_s = msig_fields_u64(&f, "validUntil", UINT64_MAX);
    msig_fields_bytes32(&f, "previous", out->previous.b);
    enum ms_err err = msig_fields_end(&f);
    if (err != MS_OK)
        return err;
    if (out->epoch == 0)
        return ms_diag_set(diag, MS_ERR_SIGNERS, "root: epoch 0 is the specifier's own list");
    if (!can_be_met(&out->signers))
        return ms_diag_set(diag, MS_ERR_SIGNERS, "root: its threshold is zero or above its list");
    if (out->fresh.n == 0 ? out->fresh.threshold != 0 : !can_be_met(&out->fresh))
        return ms_diag_set(diag, MS_ERR_SIGNERS, "root: freshThreshold does not fit its list");
    return MS_OK;
}

enum ms_err msig_root_parse(struct ms_span text, struct ms_arena *arena,
                            struct msig_root_doc *ret_doc, struct ms_diag *diag)
{
    struct msig_root_doc doc = {0};
    json_t *root = NULL;

    enum ms_err err = open_doc(text, MSIG_ROOT_MAX_BYTES, "measured-root/1", &root, diag);
    if (err != MS_OK)
        return err;
    err = read_root(json_object_get(root, "root"), arena, &doc.root, diag);
    err = close_doc(root, err, arena, &doc.signatures, diag);
    if (err != MS_OK)
        return err;
    doc.root_hash = msig_root_hash(&doc.root);
    doc.digest = msig_root_digest(&doc.root);
    *ret_doc = doc;
    return MS_OK;
}

static enum ms_err enough(const struct msig_root_doc *doc, const struct msig_signers *signers,
                          const char *whose, struct ms_diag *diag)
{
    struct msig_tally tally;

    enum ms_err err = msig_tally(&doc->digest, &doc->signatures, signers, &tally, diag);
    if (err != MS_OK)
        return err;
    if (msig_met(&tally, signers) != MSIG_MET)
        return ms_diag_set(diag, MS_ERR_SIGNATURE, "root %llu: %zu of %lu signatures of %s",
                           (unsigned long long)doc->root.epoch, tally.n_counted,
                           (unsigned long)signers->threshold, whose);
    return MS_OK;
}

static enum ms_err out_of_line(const struct msig_root_doc *doc, const char *what,
                               struct ms_diag *diag)
{
    return ms_diag_set(diag, MS_ERR_SIGNERS, "root %llu: %s", (unsigned long long)doc->root.epoch,
                       what);
}

enum ms_err msig_root_follows(const struct msig_root_doc *doc, const struct msig_root *before,
                              struct ms_diag *diag)
{
    struct eth_hash previous = {{0}};

    if (before->epoch > 0)
        previous = msig_root_hash(before);
    if (!ms_span_eq(doc->root.app, before->app))
        return out_of_line(doc, "it is of another app", diag);
    if (before->epoch == UINT64_MAX || doc->root.epoch != before->epoch + 1)
        return out_of_line(doc, "its epoch does not follow", diag);
    if (!eth_hash_eq(&doc->root.previous, &previous))
        return out_of_line(doc, "its previous is not the root before", diag);
    enum ms_err err = enough(doc, &before->signers, "the signers before", diag);
    return err != MS_OK ? err : enough(doc, &doc->root.signers, "its own signers", diag);
}

/* ---- freshness ---- */
static enum ms_err read_freshness(const json_t *object, struct ms_arena *arena,
                                  struct msig_freshness *out, struct ms_diag *diag)
{
    struct msig_fields f;

    msig_fields_init(&f, object, "freshness", diag);
    out->app = msig_fields_text(&f, "app", MSIG_APP_MAX_BYTES, arena);
    out->sequence = msig_fields_u64(&f, "sequence", UINT64_MAX);
    msig_fields_bytes32(&f, "setHash", out->set_hash.b);
    out->issued_at_s = msig_fields_u64(&f, "issuedAt", UINT64_MAX);
    out->valid_until_s = msig_fields_u64(&f, "validUntil", UINT64_MAX);
    enum ms_err err = msig_fields_end(&f);
    if (err == MS_OK && out->valid_until_s <= out->issued_at_s)
        err =
            ms_diag_set(diag, MS_ERR_NONCANONICAL, "freshness: its validity ends before it begins");
    return err;
}

enum ms_err msig_freshness_parse(struct ms_span text, struct ms_arena *arena,
                                 struct msig_freshness_doc *ret_doc, struct ms_diag *diag)
{
    struct msig_freshness_doc doc = {0};
    json_t *root = NULL;

    enum ms_err err = open_doc(text, MSIG_DOC_MAX_BYTES, "measured-freshness/1", &root, diag);
    if (err != MS_OK)
        return err;
    err = read_freshness(json_object_get(root, "freshness"), arena, &doc.freshness, diag);
    err = close_doc(root, err, arena, &doc.signatures, diag);
    if (err != MS_OK)
        return err;
    doc.digest = msig_freshness_digest(&doc.freshness);
    *ret_doc = doc;
    return MS_OK;
}

/* ---- revocations ---- */
static enum ms_err read_revocation(const json_t *entry, struct ms_arena *arena,
                                   struct msig_revocation_doc *out, struct ms_diag *diag)
{
    struct msig_fields f;

    msig_fields_init(&f, json_object_get(entry, "revocation"), "revocation", diag);
    out->revocation.app = msig_fields_text(&f, "app", MSIG_APP_MAX_BYTES, arena);
    out->revocation.release_id = msig_fields_u64(&f, "releaseId", UINT64_MAX);
    msig_fields_bytes32(&f, "payloadHash", out->revocation.payload_hash.b);
    out->revocation.reason = (uint32_t)msig_fields_u64(&f, "reason", UINT32_MAX);
    out->revocation.issued_at_s = msig_fields_u64(&f, "issuedAt", UINT64_MAX);
    enum ms_err err = msig_fields_end(&f);
    if (err == MS_OK)
        err = msig_signatures_read(json_object_get(entry, "signatures"), arena, &out->signatures,
                                   diag);
    if (err == MS_OK)
        out->digest = msig_revocation_digest(&out->revocation);
    return err;
}

static enum ms_err read_revocations(const json_t *array, struct ms_arena *arena,
                                    struct msig_revocation_doc **ret_docs, size_t *ret_n,
                                    struct ms_diag *diag)
{
    size_t n = json_array_size(array);

    if (!json_is_array(array))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "revocations: missing or no array");
    if (n > MSIG_REVOCATIONS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "revocations: %zu of them, the limit is %d", n,
                           MSIG_REVOCATIONS_MAX);
    struct msig_revocation_doc *docs = ms_arena_alloc(arena, n + 1, sizeof(*docs));
    if (docs == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum ms_err err = read_revocation(json_array_get(array, i), arena, &docs[i], diag);
        if (err != MS_OK)
            return err;
    }
    *ret_docs = docs;
    *ret_n = n;
    return MS_OK;
}

enum ms_err msig_revocations_parse(struct ms_span text, struct ms_arena *arena,
                                   struct msig_revocation_doc **ret_docs, size_t *ret_n,
                                   struct ms_diag *diag)
{
    json_t *root = NULL;

    enum ms_err err = open_doc(text, MSIG_DOC_MAX_BYTES, "measured-revocations/1", &root, diag);
    if (err != MS_OK)
        return err;
    err = read_revocations(json_object_get(root, "revocations"), arena, ret_docs, ret_n, diag);
    json_decref(root);
    return err;
}

/* ---- time ---- */
static enum ms_err not_expired(uint64_t valid_until_s, int64_t now_s, const char *what,
                               struct ms_diag *diag)
{
    if (now_s < 0)
        return ms_diag_set(diag, MS_ERR_CLOCK, "the clock is before 1970");
    if ((uint64_t)now_s >= valid_until_s)
        return ms_diag_set(diag, MS_ERR_STALE, "%s: valid until %llu, now it is %lld", what,
                           (unsigned long long)valid_until_s, (long long)now_s);
    return MS_OK;
}

static enum ms_err in_time(uint64_t issued_at_s, uint64_t valid_until_s, uint64_t life_max_s,
                           int64_t now_s, const char *what, struct ms_diag *diag)
{
    enum ms_err err = not_expired(valid_until_s, now_s, what, diag);
    if (err != MS_OK)
        return err;
    if (issued_at_s > (uint64_t)now_s + MSIG_CLOCK_SKEW_S)
        return ms_diag_set(diag, MS_ERR_CLOCK, "%s: issued at %llu, now it is %lld", what,
                           (unsigned long long)issued_at_s, (long long)now_s);
    if (valid_until_s > issued_at_s && valid_until_s - issued_at_s > life_max_s)
        return ms_diag_set(diag, MS_ERR_RANGE, "%s: valid for %llu seconds, the limit is %llu",
                           what, (unsigned long long)(valid_until_s - issued_at_s),
                           (unsigned long long)life_max_s);
    return MS_OK;
}

enum ms_err msig_set_time(const struct msig_release_set *set, int64_t now_s, struct ms_diag *diag)
{
    return in_time(set->issued_at_s, set->valid_until_s, MSIG_SET_LIFE_MAX_S, now_s, "set", diag);
}

enum ms_err msig_freshness_time(const struct msig_freshness *freshness, int64_t now_s,
                                struct ms_diag *diag)
{
    return in_time(freshness->issued_at_s, freshness->valid_until_s, MSIG_FRESHNESS_LIFE_MAX_S,
                   now_s, "freshness", diag);
}

enum ms_err msig_root_time(const struct msig_root *root, int64_t now_s, struct ms_diag *diag)
{
    return not_expired(root->valid_until_s, now_s, "root", diag);
}

/* ---- order ---- */
enum msig_order msig_set_order(const struct msig_set_doc *doc, uint64_t epoch,
                               const struct msig_floor *floor)
{
    if (!floor->known || epoch > floor->epoch)
        return MSIG_ORDER_FIRST;
    if (epoch < floor->epoch || doc->set.sequence < floor->sequence)
        return MSIG_ORDER_ROLLBACK;
    if (doc->set.sequence == floor->sequence)
        return eth_hash_eq(&doc->set_hash, &floor->set_hash) ? MSIG_ORDER_SAME
                                                             : MSIG_ORDER_CONFLICT;
    if (doc->set.sequence - floor->sequence > 1)
        return MSIG_ORDER_GAP;
    return eth_hash_eq(&doc->set.previous, &floor->set_hash) ? MSIG_ORDER_NEXT : MSIG_ORDER_BROKEN;
}
