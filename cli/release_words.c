/* cli/release_words.c - a message as its signer compares it with the display of a device: the
 * members by the names and in the order of the struct, whatever they mean beside them. */
#include "cli/release.h"

#include "cli/version.h"
#include "cli/when.h"
#include "resolver/records/records.h"
#include "sig/secp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define IDS_SHOWN 6
#define NAME_COLUMNS 18

struct words {
    struct ms_buf *out;
    int indent;
};

static void row(const struct words *w, const char *name, const char *fmt, ...) MS_PRINTF(3, 4);

static void row(const struct words *w, const char *name, const char *fmt, ...)
{
    char value[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(value, sizeof(value), fmt, args);
    va_end(args);
    (void)ms_buf_addf(w->out, "%*s%-*s %s\n", w->indent, "", NAME_COLUMNS - w->indent, name, value);
}

enum ms_err release_quote(struct ms_span text, struct ms_buf *out)
{
    (void)ms_buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e || text.ptr[i] == '"' || text.ptr[i] == '\\')
            (void)ms_buf_addf(out, "\\x%02x", text.ptr[i]);
        else
            (void)ms_buf_add_byte(out, text.ptr[i]);
    return ms_buf_add_byte(out, '"');
}

static void text_row(const struct words *w, const char *name, struct ms_span text)
{
    struct ms_buf quoted = MS_BUF_INIT(4 * MSIG_APP_MAX_BYTES + 3);

    (void)release_quote(text, &quoted);
    const char *value = ms_buf_str(&quoted);
    row(w, name, "%s", value == NULL ? "?" : value);
    ms_buf_done(&quoted);
}

static void number_row(const struct words *w, const char *name, uint64_t value, const char *note)
{
    row(w, name, "%" PRIu64 "%s%s%s", value, note[0] == '\0' ? "" : "   (", note,
        note[0] == '\0' ? "" : ")");
}

static void time_row(const struct words *w, const char *name, uint64_t unix_s)
{
    char text[WHEN_TEXT];

    when_text(unix_s, text);
    number_row(w, name, unix_s, text);
}

static void hash_row(const struct words *w, const char *name, const uint8_t hash[32],
                     const char *note)
{
    (void)ms_buf_addf(w->out, "%*s%-*s 0x", w->indent, "", NAME_COLUMNS - w->indent, name);
    (void)ms_buf_add_hex(w->out, ms_span_of(hash, 32));
    (void)ms_buf_addf(w->out, "%s%s%s\n", note[0] == '\0' ? "" : "   (", note,
                      note[0] == '\0' ? "" : ")");
}

static bool is_zero(const uint8_t hash[32])
{
    static const uint8_t zero[32];
    return memcmp(hash, zero, sizeof(zero)) == 0;
}

static void addrs_rows(const struct words *w, const char *name, const struct msig_signers *list)
{
    char text[ETH_ADDR_TEXT + 1];

    if (list->n == 0)
        row(w, name, "(none)");
    for (size_t i = 0; i < list->n; i++) {
        eth_addr_text(&list->addrs[i], text);
        row(w, i == 0 ? name : "", "%s", text);
    }
}

/* ---- the messages ---- */
static const char *format_note(uint16_t format)
{
    const char *name = rec_payload_format_name(format);
    return name[0] == '\0' ? "unknown here" : name;
}

/* What is in the document that travels with the set, as far as we can read it. */
static void payload_rows(const struct words *w, const struct msig_release *release)
{
    struct ms_diag diag = {0};
    struct rec_set set;

    if (release->payload.ptr == NULL) {
        row(w, "payload", "not in this document; it is fetched from the uri");
        return;
    }
    row(w, "payload", "in this document, of that size and hash");
    if (release->payload_format != 1 && release->payload_format != 3 &&
        release->payload_format != 4)
        return;
    enum rec_mode mode = release->payload_format == 1   ? REC_MODE_DIALECTS
                         : release->payload_format == 3 ? REC_MODE_WORKLOAD_IDS
                                                        : REC_MODE_DSTACK;
    rec_set_init(&set);
    enum ms_err err = rec_parse(release->payload, mode, &set, &diag);
    if (err != MS_OK)
        row(w, "", "not readable: %s", ms_diag_text(&diag, err));
    else
        row(w, "", "%zu records, %zu predicates", set.n_records, set.n_predicates);
    for (size_t i = 0; err == MS_OK && i < set.n_records && i < IDS_SHOWN; i++) {
        struct ms_diag id = {0};
        (void)ms_diag_set(&id, MS_OK, "%.100s", set.records[i].id);
        row(w, "", "  %s, %s", id.text, rec_type_name(set.records[i].type));
    }
    if (err == MS_OK && set.n_records > IDS_SHOWN)
        row(w, "", "  and %zu more", set.n_records - IDS_SHOWN);
    rec_set_done(&set);
}

static void release_rows(const struct words *outer, const struct msig_release *release, size_t i)
{
    const struct words inner = {outer->out, outer->indent + 2}, *w = &inner;
    char note[VERSION_NOTE];

    row(outer, "releases", "[%zu]", i);
    number_row(w, "id", release->id, "");
    version_note(release->version, note);
    number_row(w, "version", release->version, note);
    time_row(w, "notBefore", release->not_before_s);
    if (release->not_after_s == 0)
        number_row(w, "notAfter", 0, "no end");
    else
        time_row(w, "notAfter", release->not_after_s);
    number_row(w, "approvedSeq", release->approved_seq, "the set that it came with");
    number_row(w, "payloadFormat", release->payload_format, format_note(release->payload_format));
    number_row(w, "payloadSize", release->payload_size, "bytes");
    hash_row(w, "payloadHash", release->payload_hash.b, "SHA-256");
    text_row(w, "uri", release->uri);
    payload_rows(w, release);
}

static void set_rows(const struct words *w, const struct msig_release_set *set)
{
    number_row(w, "sequence", set->sequence, "");
    time_row(w, "issuedAt", set->issued_at_s);
    time_row(w, "validUntil", set->valid_until_s);
    hash_row(w, "previous", set->previous.b, is_zero(set->previous.b) ? "none: the first set" : "");
    if (set->n_releases == 0)
        row(w, "releases", "(none: nothing is approved)");
    for (size_t i = 0; i < set->n_releases; i++)
        release_rows(w, &set->releases[i], i);
}

static void root_rows(const struct words *w, const struct msig_root *root)
{
    number_row(w, "epoch", root->epoch, "");
    number_row(w, "threshold", root->signers.threshold, "of the signers");
    addrs_rows(w, "signers", &root->signers);
    number_row(w, "freshThreshold", root->fresh.threshold, "");
    addrs_rows(w, "freshSigners", &root->fresh);
    addrs_rows(w, "revokers", &root->revokers);
    time_row(w, "validUntil", root->valid_until_s);
    hash_row(w, "previous", root->previous.b,
             is_zero(root->previous.b) ? "none: it follows the list in the specifier" : "");
}

static void freshness_rows(const struct words *w, const struct msig_freshness *freshness)
{
    number_row(w, "sequence", freshness->sequence, "");
    hash_row(w, "setHash", freshness->set_hash.b, "");
    time_row(w, "issuedAt", freshness->issued_at_s);
    time_row(w, "validUntil", freshness->valid_until_s);
}

static void revocation_rows(const struct words *w, const struct msig_revocation *revocation)
{
    number_row(w, "releaseId", revocation->release_id, "");
    hash_row(w, "payloadHash", revocation->payload_hash.b, "SHA-256");
    number_row(w, "reason", revocation->reason, "");
    time_row(w, "issuedAt", revocation->issued_at_s);
}

static void signature_rows(const struct words *w, const struct release_subject *s)
{
    const struct msig_signatures *all = s->signatures;

    if (all->n == 0)
        row(w, "signatures", "(none yet)");
    for (size_t i = 0; i < all->n; i++) {
        const struct msig_signature *one = &all->items[i];
        const char *name = i == 0 ? "signatures" : "";
        char text[ETH_ADDR_TEXT + 1];
        struct eth_addr signer;
        struct ms_diag diag = {0};
        eth_addr_text(&one->signer, text);
        if (one->scheme == MSIG_SCHEME_OTHER) {
            row(w, name, "of a scheme that is not known here");
        } else if (one->scheme == MSIG_SCHEME_EIP1271) {
            row(w, name, "%s, a contract: only its chain can tell", text);
        } else {
            enum ms_err err = msig_recover(&s->digest, one->bytes, &signer, &diag);
            if (err != MS_OK)
                row(w, name, "%s, BAD: %s", text, ms_diag_text(&diag, err));
            else
                row(w, name, "%s, %s", text,
                    eth_addr_eq(&signer, &one->signer)
                        ? "good"
                        : "BAD: of another key or of another document");
        }
    }
}

enum ms_err release_words(const struct release_subject *s, struct ms_buf *out)
{
    const struct words plain = {out, 0}, member = {out, 2};
    struct eth_hash domain = msig_domain(s->app), salt = eth_keccak256(s->app);

    (void)ms_buf_addf(out, "%s", release_kind_name(s->doc->kind));
    if (s->doc->kind == RELEASE_REVOCATIONS)
        (void)ms_buf_addf(out, ", entry %zu of %zu", s->entry + 1, s->doc->n_revocations);
    (void)ms_buf_add_byte(out, '\n');
    text_row(&member, "app", s->app);
    switch (s->doc->kind) {
    case RELEASE_SET:
        set_rows(&member, &s->doc->set.set);
        break;
    case RELEASE_ROOT:
        root_rows(&member, &s->doc->root.root);
        break;
    case RELEASE_FRESHNESS:
        freshness_rows(&member, &s->doc->freshness.freshness);
        break;
    case RELEASE_REVOCATIONS:
        revocation_rows(&member, &s->doc->revocations[s->entry].revocation);
        break;
    }
    (void)ms_buf_add_str(out, "domain\n");
    row(&member, "name", "%s", MSIG_DOMAIN_NAME);
    row(&member, "version", "%s", MSIG_DOMAIN_VERSION);
    hash_row(&member, "salt", salt.b, "Keccak-256 of app");
    hash_row(&plain, "domain hash", domain.b, "the domain separator");
    hash_row(&plain, "message hash", s->struct_hash.b,
             s->doc->kind == RELEASE_SET ? "the set hash" : "the struct hash");
    hash_row(&plain, "digest", s->digest.b, "what is signed");
    signature_rows(&plain, s);
    return ms_buf_err(out);
}
