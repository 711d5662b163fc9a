/* cli/audit_bundle.c - replaying one bundle, and telling what its verdict rests on. */
#include "cli/audit_bundle.h"

#include "base/hex.h"
#include "cli/auditor.h"
#include "cli/when.h"
#include "resolver/entry/envelope.h"
#include "resolver/entry/past_file.h"
#include "resolver/entry/summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct verified {
    struct past_file past; /* of a bundle alone it has the bundle's members and no operations */
    struct ms_sha256 name; /* of the file */
    json_t *operations;    /* of a past, as /v1/operations tells them */
    json_t *at;            /* of a past, when a moment is asked about */
    json_t *rests;         /* sentences */
    json_t *roots;         /* {"root","given","holds"} */
    bool all_hold;
};

static bool is_past(const struct verified *v)
{
    return v->past.n > 0;
}

/* ---- what rests on what ---- */

static void rest(struct verified *v, const char *fmt, ...) MS_PRINTF(2, 3);
static void rest(struct verified *v, const char *fmt, ...)
{
    struct ms_diag safe = {0};
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(&safe, MS_OK, fmt, args);
    va_end(args);
    (void)json_array_append_new(v->rests, json_string(safe.text));
}

static void add_groups(const struct bundle_about *about, struct ms_buf *out)
{
    for (size_t i = 0; i < about->n_groups; i++)
        (void)ms_buf_addf(out, "%s%s", i == 0 ? "" : ", ", about->groups[i]);
}

/* What is told beside the set: proofs are of the contract, not of who owns it, and show what a
 * mapping says of the values that were asked about, not which others there are. */
static void rest_governance(struct verified *v, const char *groups)
{
    const json_t *governance = v->past.result->governance;

    if (json_object_get(governance, "owner_kind") != NULL)
        rest(v,
             "on the word of %u of the groups %s, as this machine saw it: what the owner is (its "
             "kind, owners of its own, threshold, delays, what is pending)",
             v->past.about.quorum, groups);
    if (json_is_false(json_object_get(governance, "complete")))
        rest(v, "on the word of this machine: which values were asked about; there may be others");
    if (v->past.about.safe)
        rest(v, "not final: the block may have been a safe one only (nonfinality = safe)");
}

static void rest_contract(struct verified *v)
{
    const struct source_result *r = v->past.result;
    struct ms_buf groups = MS_BUF_INIT(2048);
    char hash[2 * ETH_HASH_BYTES + 1];

    add_groups(&v->past.about, &groups);
    const char *names = ms_buf_str(&groups);
    ms_hex_encode(eth_hash_span(&r->block.hash), hash);
    if (r->level >= SPEC_LEVEL_L3)
        rest(v, "proven: the state of the contract under block %llu, 0x%s",
             (unsigned long long)r->block.number, hash);
    else
        rest(v, "not proven: the state of the contract is what endpoints said of block %llu",
             (unsigned long long)r->block.number);
    if (strcmp(r->hash_by, "checkpoint") == 0)
        rest(v, "on the operator's word: the hash of that block (his checkpoint)");
    else if (r->level >= SPEC_LEVEL_L2)
        rest(v,
             "on the word of %u of the groups %s, as this machine saw it: that the chain has that "
             "block",
             v->past.about.quorum, names == NULL ? "?" : names);
    else
        rest(v, "on the word of one endpoint (of: %s): everything", names == NULL ? "?" : names);
    if (r->level >= SPEC_LEVEL_L2)
        rest_governance(v, names == NULL ? "?" : names);
    ms_buf_done(&groups);
}

static void rest_location(struct verified *v)
{
    rest(v,
         "what WE saw: the machine that made this bundle says that this host gave this list over "
         "TLS; a transcript of TLS cannot show others that the server said it");
    for (size_t i = 0; i < v->past.about.n_peers; i++)
        rest(v, "seen: a certificate with the SHA-256 %s", v->past.about.peers[i]);
}

static void rest_past(struct verified *v)
{
    rest(v,
         "proven: that these %zu operations, in this order and at these times, and no others led "
         "to that state",
         v->past.n);
    rest(v, "proven: each document here is the one that its release was approved with");
}

static void add_rests(struct verified *v)
{
    char trust[32];

    if (v->past.result == NULL) {
        rest(v,
             "evidence of a failure (%s): answers that were seen and contradict each other; it "
             "approves nothing",
             ms_err_code(v->past.about.error));
        return;
    }
    envelope_trust(v->past.result, trust);
    if (v->past.spec.kind == SPEC_INLINE || v->past.result->trust == SOURCE_TRUST_SELF)
        rest(v, "proven: the list stands in the specifier or hashes to it");
    else if (v->past.spec.kind == SPEC_CONTRACT)
        rest_contract(v);
    else if (v->past.result->trust == SOURCE_TRUST_SIGNERS)
        rest(v, "proven: %s of the specifier signed this set", trust);
    else
        rest_location(v);
    if (v->past.result->trust == SOURCE_TRUST_SIGNERS)
        rest(v,
             "on the word of this machine: that there was no newer set, root or revocation then");
    if (is_past(v))
        rest_past(v);
    rest(v, "on the word of this machine: when it was (Unix time %lld)",
         (long long)v->past.about.time_s);
}

/* ---- roots ---- */

static void root(struct verified *v, const char *name, const char *given, bool holds)
{
    if (given == NULL)
        return;
    v->all_hold = v->all_hold && holds;
    (void)json_array_append_new(
        v->roots, json_pack("{s:s, s:s, s:b}", "root", name, "given", given, "holds", (int)holds));
}

static struct ms_span without(const char *prefix, const char *text)
{
    struct ms_span span = ms_span_str(text);
    return ms_span_starts(span, prefix) ? ms_span_sub(span, strlen(prefix), span.len) : span;
}

static bool in_list(const char *list, const char *name)
{
    struct ms_span rest_of = ms_span_str(list), one;

    while (ms_span_cut(rest_of, ',', &one, &rest_of))
        if (ms_span_eq_str(one, name))
            return true;
    return ms_span_eq_str(rest_of, name);
}

/* Whether those that he believes are enough: everybody who was asked may have been who voted. */
static bool groups_hold(const struct verified *v, const char *list)
{
    bool ok = v->past.spec.kind == SPEC_CONTRACT && v->past.about.n_groups > 0;

    for (size_t i = 0; ok && i < v->past.about.n_groups; i++)
        ok = in_list(list, v->past.about.groups[i]);
    return ok;
}

/* Options tighten: what he asks for must hold of this answer too. */
static bool meets_options(const struct verified *v, const struct spec *asked)
{
    const struct source_result *r = v->past.result;
    bool ok = asked->level == SPEC_LEVEL_NONE || (r != NULL && r->level >= asked->level);

    if (asked->seq > 0)
        ok = ok && r != NULL && r->has_sequence && r->sequence >= asked->seq;
    return ok && (asked->tag != SPEC_TAG_FINALIZED || !v->past.about.safe);
}

static bool same_spec(const struct verified *v, const char *text)
{
    static const struct spec_context context = {0};
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    bool same = spec_parse_any(ms_span_str(text), &context, &spec, &url, NULL) == MS_OK &&
                ms_sha256_eq(&spec.key, &v->past.spec.key) && meets_options(v, &spec);
    spec_done(&spec);
    return same;
}

static void check_roots(struct verified *v, const struct audit_roots *roots)
{
    const struct source_result *r = v->past.result;
    struct ms_sha256 hash;
    struct eth_hash block;

    v->all_hold = true;
    root(v, "sha256", roots->sha256,
         roots->sha256 != NULL &&
             ms_hex_decode(without("sha256:", roots->sha256), hash.b, sizeof(hash.b)) == MS_OK &&
             (ms_sha256_eq(&hash, &v->name) || ms_sha256_eq(&hash, &v->past.bundle)));
    root(v, "spec", roots->spec, roots->spec != NULL && same_spec(v, roots->spec));
    root(v, "block", roots->block,
         roots->block != NULL && r != NULL && r->block.chain != 0 && r->level >= SPEC_LEVEL_L3 &&
             ms_hex_decode(without("0x", roots->block), block.b, sizeof(block.b)) == MS_OK &&
             memcmp(block.b, r->block.hash.b, sizeof(block.b)) == 0);
    root(v, "groups", roots->groups, roots->groups != NULL && groups_hold(v, roots->groups));
    uint64_t quorum = 0;
    root(v, "quorum", roots->quorum,
         roots->quorum != NULL && ms_span_u64(ms_span_str(roots->quorum), &quorum) && r != NULL &&
             r->level >= SPEC_LEVEL_L2 && v->past.about.quorum >= quorum);
    root(v, "level", roots->level,
         roots->level != NULL && r != NULL && r->level != SPEC_LEVEL_NONE &&
             r->level >= spec_level_parse(ms_span_str(roots->level)));
}

static bool roots_ok(const struct cli *cli, const struct audit_roots *roots)
{
    uint8_t bytes[32];

    if (roots->sha256 != NULL &&
        ms_hex_decode(without("sha256:", roots->sha256), bytes, sizeof(bytes)) != MS_OK) {
        cli_say(cli, "--sha256 %.80s: not 64 hexadecimal digits", roots->sha256);
        return false;
    }
    if (roots->block != NULL &&
        ms_hex_decode(without("0x", roots->block), bytes, sizeof(bytes)) != MS_OK) {
        cli_say(cli, "--block %.80s: not the hash of a block", roots->block);
        return false;
    }
    uint64_t quorum = 0;
    if (roots->quorum != NULL &&
        (!ms_span_u64(ms_span_str(roots->quorum), &quorum) || quorum == 0)) {
        cli_say(cli, "--quorum %.40s: not a number of groups", roots->quorum);
        return false;
    }
    if (roots->level != NULL && spec_level_parse(ms_span_str(roots->level)) == SPEC_LEVEL_NONE) {
        cli_say(cli, "--level %.40s: there are l0 to l4", roots->level);
        return false;
    }
    return true;
}

/* ---- telling ---- */

static json_t *hash_json(const struct ms_sha256 *hash)
{
    char text[7 + 2 * MS_SHA256_BYTES + 1] = "sha256:";

    ms_sha256_hex(hash, text + 7);
    return json_string(text);
}

static void add_result(json_t *out, const struct source_result *r)
{
    char trust[32];
    json_t *releases = json_array();

    envelope_trust(r, trust);
    (void)json_object_set_new(out, "trust", json_string(trust));
    if (r->level != SPEC_LEVEL_NONE)
        (void)json_object_set_new(out, "level", json_string(spec_level_name(r->level)));
    if (r->has_sequence)
        (void)json_object_set_new(out, "sequence", json_integer((json_int_t)r->sequence));
    (void)json_object_set_new(out, "set_hash", hash_json(&r->set_hash));
    if (r->block.chain != 0) {
        (void)json_object_set_new(out, "chain", json_integer((json_int_t)r->block.chain));
        (void)json_object_set_new(out, "block", json_integer((json_int_t)r->block.number));
        (void)json_object_set_new(out, "block_hash", ms_json_hex(eth_hash_span(&r->block.hash)));
    }
    for (size_t i = 0; i < r->n_releases; i++)
        (void)json_array_append_new(
            releases, json_pack("{s:I, s:s, s:I, s:I, s:o, s:o}", "id",
                                (json_int_t)r->releases[i].id, "version", r->releases[i].version,
                                "not_before", (json_int_t)r->releases[i].not_before_s, "not_after",
                                (json_int_t)r->releases[i].not_after_s, "records",
                                rec_records_json(r->releases[i].set), "predicates",
                                rec_predicates_json(r->releases[i].set)));
    (void)json_object_set_new(out, "releases", releases);
    if (r->governance != NULL)
        (void)json_object_set(out, "governance", r->governance);
}

static json_t *verified_json(const struct verified *v)
{
    json_t *out =
        json_pack("{s:i, s:s, s:o, s:s, s:I}", "v", 1, "verdict",
                  v->all_hold ? "verified" : "root-differs", "bundle", hash_json(&v->past.bundle),
                  "specifier", v->past.spec.canonical, "time", (json_int_t)v->past.about.time_s);

    if (out == NULL)
        return NULL;
    if (v->past.result != NULL)
        add_result(out, v->past.result);
    else
        (void)json_object_set_new(out, "error", json_string(ms_err_code(v->past.about.error)));
    if (is_past(v)) {
        (void)json_object_set_new(out, "file", hash_json(&v->name));
        if (v->operations != NULL)
            (void)json_object_set(out, "operations", v->operations);
    }
    if (v->at != NULL)
        (void)json_object_set(out, "at", v->at);
    (void)json_object_set(out, "rests_on", v->rests);
    (void)json_object_set(out, "roots", v->roots);
    return out;
}

static void print_printable(const char *text)
{
    for (const char *c = text == NULL ? "" : text; *c != '\0'; c++)
        (void)putchar((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e ? '?' : *c);
}

static void print_set(const struct source_result *r)
{
    char trust[32], hex[2 * MS_SHA256_BYTES + 1];

    envelope_trust(r, trust);
    ms_sha256_hex(&r->set_hash, hex);
    printf("set        sha256:%s\n", hex);
    if (r->has_sequence)
        printf("sequence   %llu\n", (unsigned long long)r->sequence);
    printf("trust      %s\n", trust);
    for (size_t i = 0; i < r->n_releases; i++) {
        const struct source_release *release = &r->releases[i];
        printf("release    %llu%s", (unsigned long long)release->id,
               release->version[0] == '\0' ? "" : " version ");
        print_printable(release->version);
        for (size_t k = 0; k < release->set->n_records; k++) {
            printf("%s", k == 0 ? ": " : ", ");
            print_printable(release->set->records[k].id);
        }
        printf("%s\n", release->set->n_predicates > 0 ? " (and predicates)" : "");
    }
}

static void print_operations(const struct verified *v)
{
    struct ms_buf out = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    size_t i;
    json_t *one;

    json_array_foreach(v->operations, i, one)
    {
        if (auditor_form_row(AUDITOR_TEXT, i == 0, one, &out) != MS_OK)
            break;
        (void)fwrite(out.ptr, 1, out.len, stdout);
        ms_buf_reset(&out);
    }
    ms_buf_done(&out);
}

static void print_at(const struct verified *v)
{
    struct ms_buf out = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    json_t *root =
        json_pack("{s:O, s:O, s:O, s:O*}", "time", json_object_get(v->at, "at"), "in_force",
                  json_object_get(v->at, "in_force"), "why", json_object_get(v->at, "why"),
                  "releases", json_object_get(v->at, "releases"));

    if (root != NULL && auditor_at_text(root, &out) == MS_OK)
        (void)fwrite(out.ptr, 1, out.len, stdout);
    json_decref(root);
    ms_buf_done(&out);
}

static void print_verified(const struct verified *v)
{
    char name[2 * MS_SHA256_BYTES + 1], when[WHEN_TEXT];
    size_t i;
    json_t *one;

    ms_sha256_hex(&v->name, name);
    when_text(v->past.about.time_s < 0 ? 0 : (uint64_t)v->past.about.time_s, when);
    printf("%s     sha256:%s\n", is_past(v) ? "past  " : "bundle", name);
    if (is_past(v)) {
        ms_sha256_hex(&v->past.bundle, name);
        printf("bundle     sha256:%s\n", name);
    }
    printf("specifier  %.200s\ntime       %s\n", v->past.spec.canonical, when);
    if (v->past.result != NULL)
        print_set(v->past.result);
    json_array_foreach(v->rests, i, one) printf("rests on   %s\n", json_string_value(one));
    if (json_array_size(v->roots) == 0)
        printf("roots      none named: it verifies by itself, and says what it says\n");
    json_array_foreach(v->roots, i, one)
        printf("root       %s %s\n", json_string_value(json_object_get(one, "root")),
               json_is_true(json_object_get(one, "holds")) ? "holds" : "DIFFERS");
    if (v->at != NULL)
        print_at(v);
    else
        print_operations(v);
}

static int show(struct cli *cli, const struct verified *v)
{
    bool yes = v->all_hold && (v->at == NULL || json_is_true(json_object_get(v->at, "in_force")));
    int code = yes ? CLI_YES : CLI_NO;

    if (cli->json)
        return cli_print_json(cli, verified_json(v), code);
    print_verified(v);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

/* ---- reading ---- */

static bool has_document(void *arg, const struct registry_release *release)
{
    const struct verified *v = arg;

    return past_file_has(&v->past, &release->payload_hash);
}

static enum ms_err tell_operations(struct verified *v)
{
    const struct operation_facts facts = {.has_document = has_document, .arg = v};
    struct history_past *past = calloc(1, sizeof(*past)); /* large */
    enum ms_err err = past == NULL ? MS_ERR_MEMORY : MS_OK;

    v->operations = json_array();
    for (size_t i = 0; err == MS_OK && i < v->past.n; i++) {
        struct history_operation operation;
        err = history_operation_read(&v->past.events[i], &v->past.arena, &operation);
        if (err == MS_OK &&
            json_array_append_new(v->operations, operation_json(&operation, past, &facts)) != 0)
            err = MS_ERR_MEMORY;
    }
    free(past);
    return err;
}

static enum ms_err read_past(struct verified *v, struct ms_span text, const char *at,
                             struct ms_diag *diag)
{
    uint64_t time_s = 0;

    enum ms_err err = past_file_read(text, &v->past, diag);
    if (err == MS_OK && at == NULL)
        err = tell_operations(v);
    if (err == MS_OK && at != NULL && when_parse(ms_span_str(at), &time_s) == MS_OK) {
        v->at = past_file_at(&v->past, (int64_t)time_s);
        err = v->at == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    return err;
}

static enum ms_err read_bundle(struct verified *v, struct ms_span text, const char *at,
                               struct ms_diag *diag)
{
    if (at != NULL)
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "a bundle is of one moment: --at is for the past of a registry "
                           "(evidence SPEC past)");
    v->past.bundle = v->name;
    return bundle_read(text, &v->past.spec, &v->past.result, &v->past.about, diag);
}

static bool at_ok(const struct cli *cli, const char *at)
{
    uint64_t time_s;

    if (at == NULL || (when_parse(ms_span_str(at), &time_s) == MS_OK && time_s <= INT64_MAX / 4))
        return true;
    cli_say(cli, "--at %.80s: no time such as 2026-03-03, 2026-03-03T12:00:00Z or Unix seconds",
            at);
    return false;
}

static int audit_text(struct cli *cli, struct verified *v, struct ms_span text,
                      const struct audit_roots *roots)
{
    struct ms_diag diag = {0};

    v->name = ms_sha256(text);
    enum ms_err err = past_file_is(text) ? read_past(v, text, roots->at, &diag)
                                         : read_bundle(v, text, roots->at, &diag);
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, cli_exit_of(err));
    add_rests(v);
    check_roots(v, roots);
    return show(cli, v);
}

int audit_bundle(struct cli *cli, const char *path, const struct audit_roots *roots)
{
    struct ms_buf text = MS_BUF_INIT(PAST_FILE_MAX_BYTES);
    struct verified v = {.rests = json_array(), .roots = json_array()};
    struct ms_diag diag = {0};
    int code = CLI_USAGE;

    past_file_init(&v.past);
    enum ms_err err = MS_OK;
    if (!roots_ok(cli, roots) || !at_ok(cli, roots->at))
        goto out;
    err = cli_read(path, &text);
    if (err != MS_OK) {
        (void)ms_diag_set(&diag, err, "%.200s: %s", path,
                          err == MS_ERR_IO ? strerror(errno) : ms_err_text(err));
        code = client_fail_err(cli, err, &diag);
        goto out;
    }
    code = audit_text(cli, &v, ms_buf_span(&text), roots);
out:
    past_file_done(&v.past);
    json_decref(v.operations);
    json_decref(v.at);
    json_decref(v.rests);
    json_decref(v.roots);
    ms_buf_done(&text);
    return code;
}
