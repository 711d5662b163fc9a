/* cli/audit_bundle.c - replaying one bundle, and telling what its verdict rests on. */
#include "cli/audit_bundle.h"

#include "base/hex.h"
#include "cli/client.h"
#include "cli/when.h"
#include "resolver/entry/envelope.h"
#include "resolver/entry/summary.h"

#include <errno.h>
#include <stdio.h>

struct verified {
    struct spec spec;
    struct source_result *result; /* NULL: evidence of a failure */
    struct bundle_about about;
    struct ms_sha256 name;
    json_t *rests; /* sentences */
    json_t *roots; /* {"root","given","holds"} */
    bool all_hold;
};

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

static void rest_contract(struct verified *v)
{
    const struct source_result *r = v->result;
    struct ms_buf groups = MS_BUF_INIT(2048);
    char hash[2 * ETH_HASH_BYTES + 1];

    add_groups(&v->about, &groups);
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
             v->about.quorum, names == NULL ? "?" : names);
    else
        rest(v, "on the word of one endpoint (of: %s): everything", names == NULL ? "?" : names);
    ms_buf_done(&groups);
}

static void rest_location(struct verified *v)
{
    rest(v,
         "what WE saw: the machine that made this bundle says that this host gave this list over "
         "TLS; a transcript of TLS cannot show others that the server said it");
    for (size_t i = 0; i < v->about.n_peers; i++)
        rest(v, "seen: a certificate with the SHA-256 %s", v->about.peers[i]);
}

static void add_rests(struct verified *v)
{
    char trust[32];

    if (v->result == NULL) {
        rest(v,
             "evidence of a failure (%s): answers that were seen and contradict each other; it "
             "approves nothing",
             ms_err_code(v->about.error));
        return;
    }
    envelope_trust(v->result, trust);
    if (v->spec.kind == SPEC_INLINE || v->result->trust == SOURCE_TRUST_SELF)
        rest(v, "proven: the list stands in the specifier or hashes to it");
    else if (v->spec.kind == SPEC_CONTRACT)
        rest_contract(v);
    else if (v->result->trust == SOURCE_TRUST_SIGNERS)
        rest(v, "proven: %s of the specifier signed this set", trust);
    else
        rest_location(v);
    if (v->result->trust == SOURCE_TRUST_SIGNERS)
        rest(v,
             "on the word of this machine: that there was no newer set, root or revocation then");
    rest(v, "on the word of this machine: when it was (Unix time %lld)",
         (long long)v->about.time_s);
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
    bool ok = v->spec.kind == SPEC_CONTRACT && v->about.n_groups > 0;

    for (size_t i = 0; ok && i < v->about.n_groups; i++)
        ok = in_list(list, v->about.groups[i]);
    return ok;
}

static bool same_spec(const struct verified *v, const char *text)
{
    static const struct spec_context context = {0};
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    bool same = spec_parse_any(ms_span_str(text), &context, &spec, &url, NULL) == MS_OK &&
                ms_sha256_eq(&spec.key, &v->spec.key);
    spec_done(&spec);
    return same;
}

static void check_roots(struct verified *v, const struct audit_roots *roots)
{
    const struct source_result *r = v->result;
    struct ms_sha256 hash;
    struct eth_hash block;

    v->all_hold = true;
    root(v, "sha256", roots->sha256,
         roots->sha256 != NULL &&
             ms_hex_decode(without("sha256:", roots->sha256), hash.b, sizeof(hash.b)) == MS_OK &&
             ms_sha256_eq(&hash, &v->name));
    root(v, "spec", roots->spec, roots->spec != NULL && same_spec(v, roots->spec));
    root(v, "block", roots->block,
         roots->block != NULL && r != NULL && r->block.chain != 0 && r->level >= SPEC_LEVEL_L3 &&
             ms_hex_decode(without("0x", roots->block), block.b, sizeof(block.b)) == MS_OK &&
             memcmp(block.b, r->block.hash.b, sizeof(block.b)) == 0);
    root(v, "groups", roots->groups, roots->groups != NULL && groups_hold(v, roots->groups));
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
                  v->all_hold ? "verified" : "root-differs", "bundle", hash_json(&v->name),
                  "specifier", v->spec.canonical, "time", (json_int_t)v->about.time_s);

    if (out == NULL)
        return NULL;
    if (v->result != NULL)
        add_result(out, v->result);
    else
        (void)json_object_set_new(out, "error", json_string(ms_err_code(v->about.error)));
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

static void print_verified(const struct verified *v)
{
    char name[2 * MS_SHA256_BYTES + 1], when[WHEN_TEXT];
    size_t i;
    json_t *one;

    ms_sha256_hex(&v->name, name);
    when_text(v->about.time_s < 0 ? 0 : (uint64_t)v->about.time_s, when);
    printf("bundle     sha256:%s\nspecifier  %.200s\ntime       %s\n", name, v->spec.canonical,
           when);
    if (v->result != NULL)
        print_set(v->result);
    json_array_foreach(v->rests, i, one) printf("rests on   %s\n", json_string_value(one));
    if (json_array_size(v->roots) == 0)
        printf("roots      none named: it verifies by itself, and says what it says\n");
    json_array_foreach(v->roots, i, one)
        printf("root       %s %s\n", json_string_value(json_object_get(one, "root")),
               json_is_true(json_object_get(one, "holds")) ? "holds" : "DIFFERS");
}

static int show(struct cli *cli, const struct verified *v)
{
    int code = v->all_hold ? CLI_YES : CLI_NO;

    if (cli->json)
        return cli_print_json(cli, verified_json(v), code);
    print_verified(v);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

int audit_bundle(struct cli *cli, const char *path, const struct audit_roots *roots)
{
    struct ms_buf text = MS_BUF_INIT(BUNDLE_MAX_BYTES);
    struct verified v = {.rests = json_array(), .roots = json_array()};
    struct ms_diag diag = {0};
    int code = CLI_USAGE;

    spec_init(&v.spec);
    enum ms_err err = MS_OK;
    if (!roots_ok(cli, roots))
        goto out;
    err = cli_read(path, &text);
    if (err != MS_OK) {
        (void)ms_diag_set(&diag, err, "%.200s: %s", path,
                          err == MS_ERR_IO ? strerror(errno) : ms_err_text(err));
        code = client_fail_err(cli, err, &diag);
        goto out;
    }
    v.name = ms_sha256(ms_buf_span(&text));
    err = bundle_verify(ms_buf_span(&text), &v.spec, &v.result, &diag);
    if (err == MS_OK)
        err = bundle_about(ms_buf_span(&text), &v.about, &diag);
    if (err != MS_OK) {
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
        goto out;
    }
    add_rests(&v);
    check_roots(&v, roots);
    code = show(cli, &v);
out:
    source_result_free(v.result);
    spec_done(&v.spec);
    json_decref(v.rests);
    json_decref(v.roots);
    ms_buf_done(&text);
    return code;
}
