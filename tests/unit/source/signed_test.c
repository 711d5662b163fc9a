/* Sets of signers on web servers: what counts, what each trick is called, and what survives it. */
#include "base/base64.h"
#include "base/hex.h"
#include "base/json.h"
#include "sig/release_set.h"
#include "tests/support/play.h"
#include "tests/support/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define NOW_S 1770000000
#define DAY_S 86400
#define FILES_MAX 32
#define A 0xa1
#define B 0xb2
#define C 0xc3
#define FRESH 0xd4
#define REVOKER 0xe5

/* ---- a web of folders ---- */
struct web_file {
    char url[256];
    struct ms_buf text;
    unsigned status; /* 0: 200 */
};

static struct web {
    size_t n;
    struct web_file files[FILES_MAX];
    size_t n_asked;
    char asked[64][256];
} web;

static struct web_file *file_at(const char *url)
{
    for (size_t i = 0; i < web.n; i++)
        if (strcmp(web.files[i].url, url) == 0)
            return &web.files[i];
    assert_true(web.n < FILES_MAX);
    struct web_file *file = &web.files[web.n++];
    *file = (struct web_file){.text = MS_BUF_INIT((size_t)1 << 20)};
    (void)snprintf(file->url, sizeof(file->url), "%s", url);
    return file;
}

#define HOST "https://one.example/.well-known/measured/"
#define OTHER "https://two.example/.well-known/measured/"

/* Takes the tree. */
static void put(const char *folder, const char *name, json_t *tree)
{
    char url[256];

    (void)snprintf(url, sizeof(url), "%s%s", folder, name);
    struct web_file *file = file_at(url);
    ms_buf_reset(&file->text);
    file->status = 0;
    assert_int_equal(ms_json_dump(tree, &file->text), MS_OK);
    json_decref(tree);
}

static void put_status(const char *folder, const char *name, unsigned status)
{
    char url[256];

    (void)snprintf(url, sizeof(url), "%s%s", folder, name);
    file_at(url)->status = status;
}

static void web_clear(void)
{
    for (size_t i = 0; i < web.n; i++)
        ms_buf_done(&web.files[i].text);
    web = (struct web){0};
}

static struct source_response serve(void *arg, const struct source_request *request)
{
    const char *url = request->location->url;

    (void)arg;
    if (web.n_asked < MS_ARRAY_LEN(web.asked))
        (void)snprintf(web.asked[web.n_asked++], sizeof(web.asked[0]), "%s", url);
    for (size_t i = 0; i < web.n; i++) {
        const struct web_file *file = &web.files[i];
        if (strcmp(file->url, url) != 0)
            continue;
        if (file->status == 1)
            return (struct source_response){.err = MS_ERR_CONNECT, .time_s = NOW_S};
        return (struct source_response){.status = file->status == 0 ? 200 : file->status,
                                        .body = ms_buf_span(&file->text),
                                        .time_s = NOW_S};
    }
    return (struct source_response){.status = 404, .time_s = NOW_S};
}

static bool was_asked(const char *url)
{
    for (size_t i = 0; i < web.n_asked; i++)
        if (strcmp(web.asked[i], url) == 0)
            return true;
    return false;
}

/* ---- documents ---- */
static json_t *hex_json(const void *bytes, size_t len)
{
    char text[2 + 2 * 65 + 1] = "0x";
    ms_hex_encode(ms_span_of(bytes, len), text + 2);
    return json_string(text);
}

static json_t *addr_json(const struct eth_addr *addr)
{
    return hex_json(addr->b, sizeof(addr->b));
}

/* `by` is a string of keys, "\xa1\xb2". */
static json_t *signatures(const struct eth_hash *digest, const char *by)
{
    json_t *out = json_array();

    for (; *by != '\0'; by++) {
        uint8_t sig[65];
        struct eth_addr addr = sign_addr((uint8_t)*by);
        sign_digest((uint8_t)*by, digest, sig);
        (void)json_array_append_new(out,
                                    json_pack("{s:o, s:s, s:o}", "signer", addr_json(&addr),
                                              "scheme", "eip712", "signature", hex_json(sig, 65)));
    }
    return out;
}

/* The record of a release is named by its letter. */
static void payload_of(char letter, char text[256])
{
    char value[97];

    memset(value, letter, sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    (void)snprintf(text, 256,
                   "[{\"measurement_id\":\"%c\",\"attestation_type\":\"dcap-tdx\","
                   "\"measurements\":{\"0\":{\"expected\":\"%s\"}}}]",
                   letter, value);
}

struct set { /* what a test says of a set; zero gives the usual */
    const char *app;
    uint64_t sequence; /* 0: 1 */
    int64_t issued_s, valid_until_s;
    struct eth_hash previous;
    const char *releases; /* a letter each; NULL: "a" */
    const char *by;       /* NULL: A and B */
};

static struct eth_hash set_hash_of(const struct set *in, struct msig_release_set *ret,
                                   struct msig_release *releases)
{
    const char *letters = in->releases == NULL ? "a" : in->releases;

    *ret = (struct msig_release_set){
        .app = ms_span_str(in->app == NULL ? "" : in->app),
        .sequence = in->sequence == 0 ? 1 : in->sequence,
        .issued_at_s = (uint64_t)(in->issued_s == 0 ? NOW_S - 60 : in->issued_s),
        .valid_until_s =
            (uint64_t)(in->valid_until_s == 0 ? NOW_S + 30 * DAY_S : in->valid_until_s),
        .previous = in->previous,
        .n_releases = strlen(letters),
        .releases = releases};
    for (size_t i = 0; letters[i] != '\0'; i++) {
        char text[256];
        payload_of(letters[i], text);
        releases[i] = (struct msig_release){.id = (uint64_t)letters[i],
                                            .version = (uint64_t)letters[i],
                                            .approved_seq = 1,
                                            .payload_format = 1,
                                            .payload_size = (uint32_t)strlen(text),
                                            .payload_hash = ms_sha256(ms_span_str(text))};
    }
    return msig_set_hash(ret);
}

static struct eth_hash hash_of(const struct set *in)
{
    struct msig_release_set set;
    struct msig_release releases[8];
    return set_hash_of(in, &set, releases);
}

static json_t *set_doc(const struct set *in)
{
    struct msig_release_set set;
    struct msig_release releases[8];

    (void)set_hash_of(in, &set, releases);
    json_t *list = json_array(), *payloads = json_object();
    for (size_t i = 0; i < set.n_releases; i++) {
        const struct msig_release *r = &set.releases[i];
        char text[256], name[67] = "0x";
        struct ms_buf encoded = MS_BUF_INIT(1024);
        (void)json_array_append_new(
            list, json_pack("{s:I, s:I, s:i, s:i, s:I, s:i, s:I, s:o, s:s}", "id",
                            (json_int_t)r->id, "version", (json_int_t)r->version, "notBefore", 0,
                            "notAfter", 0, "approvedSeq", (json_int_t)r->approved_seq,
                            "payloadFormat", 1, "payloadSize", (json_int_t)r->payload_size,
                            "payloadHash", hex_json(r->payload_hash.b, 32), "uri", ""));
        payload_of((char)r->id, text);
        assert_int_equal(ms_base64_encode(ms_span_str(text), &encoded), MS_OK);
        ms_sha256_hex(&r->payload_hash, name + 2);
        (void)json_object_set_new(payloads, name, json_string(ms_buf_str(&encoded)));
        ms_buf_done(&encoded);
    }
    struct eth_hash digest = msig_set_digest(&set);
    return json_pack("{s:s, s:{s:s, s:I, s:I, s:I, s:o, s:o}, s:o, s:o}", "type",
                     "measured-release-set/1", "set", "app", in->app == NULL ? "" : in->app,
                     "sequence", (json_int_t)set.sequence, "issuedAt", (json_int_t)set.issued_at_s,
                     "validUntil", (json_int_t)set.valid_until_s, "previous",
                     hex_json(set.previous.b, 32), "releases", list, "payloads", payloads,
                     "signatures", signatures(&digest, in->by == NULL ? "\xa1\xb2" : in->by));
}

struct root {
    uint64_t epoch;
    uint32_t threshold;
    const char *signers, *fresh, *revokers;
    struct eth_hash previous;
    int64_t valid_until_s;
    const char *by;
};

static void list_of(struct msig_signers *out, const char *keys, uint32_t threshold)
{
    *out = (struct msig_signers){.threshold = threshold};
    for (; keys != NULL && *keys != '\0'; keys++)
        out->addrs[out->n++] = sign_addr((uint8_t)*keys);
}

static struct msig_root root_of(const struct root *in)
{
    struct msig_root root = {
        .app = ms_span_str(""),
        .epoch = in->epoch,
        .valid_until_s =
            (uint64_t)(in->valid_until_s == 0 ? NOW_S + 365 * DAY_S : in->valid_until_s),
        .previous = in->previous};
    list_of(&root.signers, in->signers, in->threshold);
    list_of(&root.fresh, in->fresh, in->fresh == NULL ? 0 : 1);
    list_of(&root.revokers, in->revokers, 1);
    return root;
}

static json_t *list_json(const struct msig_signers *list)
{
    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        (void)json_array_append_new(out, addr_json(&list->addrs[i]));
    return out;
}

static json_t *root_doc(const struct root *in)
{
    struct msig_root root = root_of(in);
    struct eth_hash digest = msig_root_digest(&root);

    return json_pack("{s:s, s:{s:s, s:I, s:I, s:o, s:I, s:o, s:o, s:I, s:o}, s:o}", "type",
                     "measured-root/1", "root", "app", "", "epoch", (json_int_t)root.epoch,
                     "threshold", (json_int_t)root.signers.threshold, "signers",
                     list_json(&root.signers), "freshThreshold", (json_int_t)root.fresh.threshold,
                     "freshSigners", list_json(&root.fresh), "revokers", list_json(&root.revokers),
                     "validUntil", (json_int_t)root.valid_until_s, "previous",
                     hex_json(root.previous.b, 32), "signatures", signatures(&digest, in->by));
}

static struct eth_hash root_hash(const struct root *in)
{
    struct msig_root root = root_of(in);
    return msig_root_hash(&root);
}

static json_t *fresh_doc(const struct set *set, int64_t issued_s, int64_t life_s, const char *by)
{
    struct msig_freshness fresh = {.app = ms_span_str(""),
                                   .sequence = set->sequence == 0 ? 1 : set->sequence,
                                   .set_hash = hash_of(set),
                                   .issued_at_s = (uint64_t)issued_s,
                                   .valid_until_s = (uint64_t)(issued_s + life_s)};
    struct eth_hash digest = msig_freshness_digest(&fresh);

    return json_pack("{s:s, s:{s:s, s:I, s:o, s:I, s:I}, s:o}", "type", "measured-freshness/1",
                     "freshness", "app", "", "sequence", (json_int_t)fresh.sequence, "setHash",
                     hex_json(fresh.set_hash.b, 32), "issuedAt", (json_int_t)fresh.issued_at_s,
                     "validUntil", (json_int_t)fresh.valid_until_s, "signatures",
                     signatures(&digest, by));
}

static json_t *revocation_doc(char letter, const char *by)
{
    char text[256];
    payload_of(letter, text);
    struct msig_revocation revocation = {.app = ms_span_str(""),
                                         .release_id = (uint64_t)letter,
                                         .payload_hash = ms_sha256(ms_span_str(text)),
                                         .reason = 1,
                                         .issued_at_s = NOW_S};
    struct eth_hash digest = msig_revocation_digest(&revocation);

    return json_pack("{s:s, s:[{s:{s:s, s:I, s:o, s:i, s:i}, s:o}]}", "type",
                     "measured-revocations/1", "revocations", "revocation", "app", "", "releaseId",
                     (json_int_t)letter, "payloadHash", hex_json(revocation.payload_hash.b, 32),
                     "reason", 1, "issuedAt", NOW_S, "signatures", signatures(&digest, by));
}

/* ---- playing ---- */
static const char *two_of_three(const char *options)
{
    static char text[512];
    char addr[3][ETH_ADDR_TEXT + 1];
    const uint8_t fills[3] = {A, B, C};

    for (size_t i = 0; i < 3; i++) {
        struct eth_addr one = sign_addr(fills[i]);
        eth_addr_text(&one, addr[i]);
    }
    (void)snprintf(text, sizeof(text), "2of3:%s,%s,%s%s", addr[0], addr[1], addr[2], options);
    return text;
}

static struct play play;

static void begin(void)
{
    play = (struct play){.policy = play_policy(SPEC_LEVEL_L2, 2, 0),
                         .now = {.wall_s = NOW_S, .boot_ms = 1000},
                         .http = serve};
    play.spec = two_of_three("");
    play.previous.n_hosts = 1;
    (void)snprintf(play.previous.hosts[0], SOURCE_HOST_MAX_BYTES, "one.example");
}

static void two_hosts(void)
{
    play.previous.n_hosts = 2;
    (void)snprintf(play.previous.hosts[1], SOURCE_HOST_MAX_BYTES, "two.example");
}

static void expect(enum ms_err err, const char *word)
{
    play_run(&play);
    if (play.err != err || (word != NULL && strstr(play.diag.text, word) == NULL))
        fail_msg("got %s: %s", ms_err_name(play.err), play.diag.text);
}

static void end(void)
{
    play_done(&play);
    web_clear();
}

/* The attempt goes well; the letters of the releases in it. */
static void expect_releases(const char *letters)
{
    char got[16] = "";

    play_run(&play);
    if (play.err != MS_OK)
        fail_msg("got %s: %s", ms_err_name(play.err), play.diag.text);
    for (size_t i = 0; i < play.result->n_releases; i++) {
        const struct source_release *release = &play.result->releases[i];
        assert_int_equal(release->set->n_records, 1);
        got[i] = (char)release->id;
    }
    assert_string_equal(got, letters);
}

/* What the next attempt knows of this one. The play's result is given up. */
static json_t *carried;
static void next(void)
{
    struct source_result *r = play.result;
    struct source_previous previous = {.floor_epoch = r->epoch,
                                       .floor_sequence = r->sequence,
                                       .has_set = true,
                                       .n_hosts = play.previous.n_hosts};

    memcpy(previous.hosts, play.previous.hosts, sizeof(previous.hosts));
    memcpy(previous.set_hash.b, r->commitment.b, 32);
    json_decref(carried);
    carried = json_incref(r->carry);
    previous.carry = carried;
    play_done(&play);
    struct play again = {.policy = play_policy(SPEC_LEVEL_L2, 2, 0),
                         .now = {.wall_s = NOW_S, .boot_ms = 1000},
                         .http = serve,
                         .spec = play.spec};
    play = again;
    play.previous = previous;
    web.n_asked = 0;
}

static bool has_warning(const char *code)
{
    for (size_t i = 0; i < play.result->n_warnings; i++)
        if (strcmp(play.result->warnings[i].code, code) == 0)
            return true;
    return false;
}

/* ---- tests ---- */
static void test_good(void **state)
{
    (void)state;
    begin();
    put(HOST, "set.json", set_doc(&(struct set){.releases = "ab"}));
    expect_releases("ab");
    assert_int_equal(play.result->trust, SOURCE_TRUST_SIGNERS);
    assert_int_equal(play.result->trust_k, 2);
    assert_int_equal(play.result->trust_n, 3);
    assert_int_equal(play.result->sequence, 1);
    assert_int_equal(play.result->valid_until_s, NOW_S + 30 * DAY_S - 1);
    assert_true(play.result->life.ceiling_s >= 90 * DAY_S);
    assert_int_equal(play.result->evidence_time_s, NOW_S - 60);
    assert_true(was_asked(HOST "1.root.json"));
    assert_false(was_asked(HOST "freshness.json"));
    end();
}

static void test_where(void **state)
{
    (void)state;
    begin();
    play.previous.n_hosts = 0;
    expect(MS_ERR_UNAVAILABLE, "ask with the whole URL");
    end();

    begin(); /* at= with a slash is a folder */
    play.previous.n_hosts = 0;
    /* https://at.example/dir/ */
    play.spec = two_of_three(";at=aHR0cHM6Ly9hdC5leGFtcGxlL2Rpci8");
    put("https://at.example/dir/", "set.json", set_doc(&(struct set){0}));
    expect_releases("a");
    end();

    begin(); /* without, the document; hosts are not asked */
    /* https://at.example/dir/x.json */
    play.spec = two_of_three(";at=aHR0cHM6Ly9hdC5leGFtcGxlL2Rpci94Lmpzb24");
    put("https://at.example/dir/", "x.json", set_doc(&(struct set){0}));
    expect_releases("a");
    assert_true(was_asked("https://at.example/dir/1.root.json"));
    assert_int_equal(web.n_asked, 2);
    end();

    begin(); /* a host that is no host spoils nothing */
    two_hosts();
    (void)snprintf(play.previous.hosts[0], SOURCE_HOST_MAX_BYTES, "localhost:1");
    put(OTHER, "set.json", set_doc(&(struct set){0}));
    expect_releases("a");
    end();
}

/* Each refused by its own name. */
static void test_refused(void **state)
{
    static const struct {
        const char *name;
        struct set set;
        enum ms_err want;
        const char *word;
    } cases[] = {
        {"one of two", {.by = "\xa1"}, MS_ERR_SIGNATURE, "1 of the 2"},
        {"nobody", {.by = ""}, MS_ERR_SIGNATURE, "0 of the 2"},
        {"one signer twice", {.by = "\xa1\xa1"}, MS_ERR_SIGNATURE, NULL},
        {"another signer set", {.by = "\xd4\xe5"}, MS_ERR_SIGNATURE, "0 of the 2"},
        {"replayed to another app", {.app = "other"}, MS_ERR_SIGNERS, "another application"},
        {"expired", {.issued_s = NOW_S - 2 * DAY_S, .valid_until_s = NOW_S}, MS_ERR_STALE, NULL},
        {"future-dated", {.issued_s = NOW_S + 301}, MS_ERR_CLOCK, NULL},
        {"too long", {.valid_until_s = NOW_S + 91 * DAY_S}, MS_ERR_RANGE, NULL},
    };

    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        begin();
        put(HOST, "set.json", set_doc(&cases[i].set));
        play_run(&play);
        if (play.err != cases[i].want ||
            (cases[i].word != NULL && strstr(play.diag.text, cases[i].word) == NULL))
            fail_msg("%s: got %s: %s", cases[i].name, ms_err_name(play.err), play.diag.text);
        assert_non_null(strstr(play.diag.text, "one.example"));
        end();
    }
}

/* One bad signature of a listed signer refuses what two good ones would carry; one of a stranger
 * is nothing. */
static void test_bad_signature(void **state)
{
    (void)state;
    begin();
    json_t *doc = set_doc(&(struct set){.by = "\xa1\xb2\xc3"});
    json_t *third = json_array_get(json_object_get(doc, "signatures"), 2);
    uint8_t sig[65];
    assert_int_equal(
        ms_hex_decode(ms_span_sub(ms_json_member_str(third, "signature"), 2, 130), sig, 65), MS_OK);
    sign_malleate(sig);
    (void)json_object_set_new(third, "signature", hex_json(sig, 65));
    put(HOST, "set.json", doc);
    expect(MS_ERR_SIGNATURE, NULL);
    end();

    begin();
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xa1\xb2\xd4"}));
    expect_releases("a");
    end();
}

static void test_http(void **state)
{
    (void)state;
    begin();
    expect(MS_ERR_NOT_FOUND, NULL);
    assert_int_equal(play.negative_s, 60);
    end();

    begin();
    put(HOST, "set.json", set_doc(&(struct set){0}));
    put_status(HOST, "set.json", 500);
    expect(MS_ERR_HTTP, "500");
    assert_int_equal(play.negative_s, 0);
    end();

    begin(); /* whether there is another root must be known */
    put(HOST, "set.json", set_doc(&(struct set){0}));
    put_status(HOST, "1.root.json", 503);
    expect(MS_ERR_HTTP, "503");
    end();

    begin();
    put(HOST, "set.json", set_doc(&(struct set){0}));
    put_status(HOST, "1.root.json", 1);
    expect(MS_ERR_CONNECT, NULL);
    end();
}

static void test_order(void **state)
{
    struct set first = {.sequence = 5}, second = {.sequence = 6, .releases = "ab"};
    struct set third = {.sequence = 7, .releases = "abc"}, fourth = {.sequence = 8};

    (void)state;
    second.previous = hash_of(&first);
    third.previous = hash_of(&second);
    fourth.previous = hash_of(&third);

    begin();
    put(HOST, "set.json", set_doc(&first));
    expect_releases("a");
    next();
    put(HOST, "set.json", set_doc(&second));
    expect_releases("ab");
    assert_false(has_warning("gap"));
    next();
    put(HOST, "set.json", set_doc(&first)); /* rollback */
    expect(MS_ERR_ROLLBACK, NULL);
    play_done(&play);
    end();

    begin(); /* the next one names another one before it */
    put(HOST, "set.json", set_doc(&first));
    expect_releases("a");
    next();
    put(HOST, "set.json", set_doc(&(struct set){.sequence = 6}));
    expect(MS_ERR_ROLLBACK, "does not name the set before");
    end();

    begin(); /* a gap, closed by the sets between */
    put(HOST, "set.json", set_doc(&first));
    expect_releases("a");
    next();
    put(HOST, "set.json", set_doc(&fourth));
    put(HOST, "7.set.json", set_doc(&third));
    put(HOST, "6.set.json", set_doc(&second));
    expect_releases("a");
    assert_false(has_warning("gap"));
    assert_true(was_asked(HOST "6.set.json"));
    end();

    begin(); /* not closed: accepted, and said */
    put(HOST, "set.json", set_doc(&first));
    expect_releases("a");
    next();
    put(HOST, "set.json", set_doc(&fourth));
    put(HOST, "7.set.json", set_doc(&second));
    expect_releases("a");
    assert_true(has_warning("gap"));
    end();

    begin(); /* the chain leads to another set than the one that was verified */
    put(HOST, "set.json", set_doc(&(struct set){.sequence = 5, .releases = "c"}));
    expect_releases("c");
    next();
    put(HOST, "set.json", set_doc(&third));
    put(HOST, "6.set.json", set_doc(&second));
    expect(MS_ERR_ROLLBACK, "does not name the set before");
    end();
}

/* The result is given as it is: the entry sees one sequence with two hashes (entry_judge). */
static void test_same_sequence(void **state)
{
    struct ms_sha256 before;

    (void)state;
    begin();
    put(HOST, "set.json", set_doc(&(struct set){0}));
    expect_releases("a");
    before = play.result->commitment;
    next();
    put(HOST, "set.json", set_doc(&(struct set){.releases = "b"}));
    expect_releases("b");
    assert_int_equal(play.result->sequence, 1);
    assert_false(ms_sha256_eq(&play.result->commitment, &before));
    end();
}

static const struct root one = {
    .epoch = 1, .threshold = 1, .signers = "\xc3\xd4", .by = "\xa1\xb2\xc3"};

static void test_roots(void **state)
{
    struct root second = {.epoch = 2,
                          .threshold = 1,
                          .signers = "\xe5",
                          .previous = root_hash(&one),
                          .by = "\xd4\xe5"};

    (void)state;
    begin(); /* the new signers count, the old ones do not */
    put(HOST, "1.root.json", root_doc(&one));
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xd4", .sequence = 9}));
    expect_releases("a");
    assert_int_equal(play.result->epoch, 1);
    assert_true(was_asked(HOST "2.root.json"));
    next(); /* the root is known from now on, even if the server forgets it */
    web_clear();
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xa1\xb2", .sequence = 10}));
    expect(MS_ERR_SIGNATURE, NULL);
    assert_false(was_asked(HOST "1.root.json"));
    play_done(&play);
    begin();
    play.previous.carry = carried;
    play.previous.floor_epoch = 1;
    play.previous.floor_sequence = 9;
    /* a new epoch begins a new count */
    put(HOST, "2.root.json", root_doc(&second));
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xe5", .sequence = 1}));
    expect_releases("a");
    assert_int_equal(play.result->epoch, 2);
    end();

    begin(); /* too few of the old ones */
    put(HOST, "1.root.json",
        root_doc(&(struct root){.epoch = 1, .threshold = 1, .signers = "\xc3", .by = "\xc3"}));
    put(HOST, "set.json", set_doc(&(struct set){0}));
    expect(MS_ERR_SIGNATURE, "1.root.json");
    end();

    begin(); /* it skips one */
    put(HOST, "1.root.json", root_doc(&second));
    put(HOST, "set.json", set_doc(&(struct set){0}));
    expect(MS_ERR_SIGNERS, "1.root.json");
    end();

    begin(); /* the last one has expired: its signers say nothing any more */
    struct root old = one;
    old.valid_until_s = NOW_S;
    put(HOST, "1.root.json", root_doc(&old));
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xd4"}));
    expect(MS_ERR_STALE, NULL);
    end();

    begin(); /* one before the last may have */
    second.previous = root_hash(&old);
    put(HOST, "1.root.json", root_doc(&old));
    put(HOST, "2.root.json", root_doc(&second));
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xe5"}));
    expect_releases("a");
    end();

    begin(); /* what was carried was changed */
    json_t *forged = json_pack(
        "{s:[o], s:[]}", "roots",
        root_doc(&(struct root){.epoch = 1, .threshold = 1, .signers = "\xd4", .by = "\xd4"}),
        "revocations");
    play.previous.carry = forged;
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xd4"}));
    expect(MS_ERR_SIGNATURE, NULL);
    json_decref(forged);
    end();
}

static void test_freshness(void **state)
{
    struct root root = {
        .epoch = 1, .threshold = 1, .signers = "\xa1", .fresh = "\xd4", .by = "\xa1\xb2"};
    struct set set = {.by = "\xa1"}, newer = {.sequence = 2, .by = "\xa1"};

    (void)state;
    newer.previous = hash_of(&set);
    const struct {
        json_t *doc;
        enum ms_err want;
    } cases[] = {
        {fresh_doc(&set, NOW_S - 10, DAY_S, "\xd4"), MS_OK},
        {NULL, MS_ERR_STALE},                                         /* dropped */
        {fresh_doc(&newer, NOW_S - 10, DAY_S, "\xd4"), MS_ERR_STALE}, /* the set is withheld */
        {fresh_doc(&set, NOW_S - 10, DAY_S, "\xa1"), MS_ERR_SIGNATURE},
        {fresh_doc(&set, NOW_S - 2 * DAY_S, DAY_S, "\xd4"), MS_ERR_STALE},
        {fresh_doc(&set, NOW_S - 10, 8 * DAY_S, "\xd4"), MS_ERR_RANGE},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        begin();
        put(HOST, "1.root.json", root_doc(&root));
        put(HOST, "set.json", set_doc(&set));
        if (cases[i].doc != NULL)
            put(HOST, "freshness.json", cases[i].doc);
        if (cases[i].want == MS_OK) {
            expect_releases("a");
            assert_int_equal(play.result->valid_until_s, NOW_S - 10 + DAY_S - 1);
            assert_int_equal(play.result->evidence_time_s, NOW_S - 10);
        } else {
            expect(cases[i].want, NULL);
        }
        end();
    }
}

static void test_revocations(void **state)
{
    struct root root = {
        .epoch = 1, .threshold = 1, .signers = "\xa1", .revokers = "\xe5", .by = "\xa1\xb2"};
    struct set set = {.releases = "ab", .by = "\xa1"};
    struct ms_sha256 before;

    (void)state;
    begin();
    put(HOST, "1.root.json", root_doc(&root));
    put(HOST, "set.json", set_doc(&set));
    put(HOST, "revocations.json", revocation_doc('a', "\xa1")); /* no revoker */
    expect_releases("ab");
    before = play.result->overlay;
    next();
    put(HOST, "revocations.json", revocation_doc('a', "\xe5"));
    expect_releases("b");
    assert_false(ms_sha256_eq(&play.result->overlay, &before)); /* the entry sees a change */
    assert_true(has_warning("revoked"));
    next(); /* sticky: the server has forgotten it, and a new set lists the release again */
    put_status(HOST, "revocations.json", 404);
    struct set again = {.sequence = 2, .releases = "ab", .by = "\xa1", .previous = hash_of(&set)};
    put(HOST, "set.json", set_doc(&again));
    expect_releases("b");
    next(); /* until the root drops who revoked it */
    put(HOST, "2.root.json",
        root_doc(&(struct root){.epoch = 2,
                                .threshold = 1,
                                .signers = "\xa1",
                                .revokers = "\xc3",
                                .previous = root_hash(&root),
                                .by = "\xa1"}));
    expect_releases("ab");
    end();
}

static void test_two_hosts(void **state)
{
    struct set first = {.sequence = 5}, second = {.sequence = 6, .releases = "ab"};

    (void)state;
    second.previous = hash_of(&first);

    begin(); /* who withholds the newer set is outvoted by who has it */
    two_hosts();
    put(HOST, "set.json", set_doc(&first));
    put(OTHER, "set.json", set_doc(&second));
    expect_releases("ab");
    assert_true(has_warning("host-behind"));
    end();

    begin(); /* one is down */
    two_hosts();
    put_status(HOST, "1.root.json", 1);
    put(OTHER, "set.json", set_doc(&second));
    expect_releases("ab");
    assert_true(has_warning("host-failed"));
    end();

    begin(); /* two sets of one sequence, both properly signed */
    two_hosts();
    put(HOST, "set.json", set_doc(&first));
    put(OTHER, "set.json", set_doc(&(struct set){.sequence = 5, .releases = "b"}));
    expect(MS_ERR_CONFLICT, "5");
    end();

    begin(); /* one of which is known: the other one goes to the entry */
    put(HOST, "set.json", set_doc(&first));
    expect_releases("a");
    next();
    two_hosts();
    put(OTHER, "set.json", set_doc(&(struct set){.sequence = 5, .releases = "b"}));
    expect_releases("b");
    end();
}

/* A root is what its signatures make it: one folder's counts for all, and its own bad set, or
 * another folder's forgetting, takes it from nobody. So does a revocation. */
static void test_roots_of_all(void **state)
{
    struct root root = {
        .epoch = 1, .threshold = 1, .signers = "\xd4", .revokers = "\xe5", .by = "\xa1\xb2\xd4"};

    (void)state;
    begin();
    two_hosts();
    put(HOST, "1.root.json", root_doc(&root));
    put_status(HOST, "set.json", 503);
    put(OTHER, "set.json", set_doc(&(struct set){.by = "\xa1\xb2"})); /* signers of before */
    expect(MS_ERR_HTTP, NULL); /* the first host's cause; the second's is its signatures */
    end();

    begin();
    two_hosts();
    put(HOST, "1.root.json", root_doc(&root));
    put_status(HOST, "set.json", 503);
    put(HOST, "revocations.json", revocation_doc('a', "\xe5"));
    put(OTHER, "set.json", set_doc(&(struct set){.releases = "ab", .by = "\xd4"}));
    expect_releases("b");
    assert_int_equal(play.result->epoch, 1);
    end();
}

/* What a server writes beside a message is not carried on: it could make the next attempt fail. */
static void test_padded_root(void **state)
{
    (void)state;
    begin();
    json_t *doc = root_doc(&one), *padding = json_array();
    for (int i = 0; i < 3000; i++)
        (void)json_array_append_new(padding, json_real(0.1));
    (void)json_object_set_new(doc, "x", padding);
    put(HOST, "1.root.json", doc);
    put(HOST, "set.json", set_doc(&(struct set){.by = "\xd4"}));
    expect_releases("a");
    assert_null(
        json_object_get(json_array_get(json_object_get(play.result->carry, "roots"), 0), "x"));
    next();
    expect_releases("a");
    assert_int_equal(play.result->epoch, 1);
    end();
}

static void test_hosts_help_each_other(void **state)
{
    struct set set = {.sequence = 5};

    (void)state;
    begin(); /* one leaves out the payloads */
    two_hosts();
    json_t *doc = set_doc(&set);
    (void)json_object_del(doc, "payloads");
    put(HOST, "set.json", doc);
    put(OTHER, "set.json", set_doc(&set));
    expect_releases("a");
    end();

    begin(); /* two contradict each other about what a third has left behind */
    two_hosts();
    play.previous.n_hosts = 3;
    (void)snprintf(play.previous.hosts[2], SOURCE_HOST_MAX_BYTES, "three.example");
    put(HOST, "set.json", set_doc(&set));
    put(OTHER, "set.json", set_doc(&(struct set){.sequence = 5, .releases = "b"}));
    put("https://three.example/.well-known/measured/", "set.json",
        set_doc(&(struct set){.sequence = 6, .releases = "ab"}));
    expect_releases("ab");
    end();
}

/* One flipped bit anywhere in the message or the signatures, and nothing is approved. */
static void test_flipped_bits(void **state)
{
    struct ms_buf text = MS_BUF_INIT(65536);
    json_t *doc = set_doc(&(struct set){.releases = "a"});
    size_t from, refused = 0;

    (void)state;
    assert_int_equal(ms_json_dump(doc, &text), MS_OK);
    json_decref(doc);
    const char *whole = ms_buf_str(&text);
    from = (size_t)(strstr(whole, "\"set\":") - whole); /* behind it are only set and type */
    size_t sigs = (size_t)(strstr(whole, "\"signatures\":") - whole);
    for (size_t bit = 0; bit < 8 * text.len; bit += 3) {
        size_t at = bit / 8;
        bool counts = (at > from && strstr(whole + at, "\"type\":") != NULL) || at > sigs;
        if (!counts || strchr("{}[]\",: ", whole[at]) != NULL)
            continue;
        begin();
        put(HOST, "set.json", json_null());
        struct web_file *file = file_at(HOST "set.json");
        ms_buf_reset(&file->text);
        assert_int_equal(ms_buf_add(&file->text, ms_buf_span(&text)), MS_OK);
        file->text.ptr[at] ^= (uint8_t)(1u << bit % 8);
        play_run(&play);
        bool same_value = play.err == MS_OK; /* hexadecimal digits in the other case */
        if (same_value && (whole[at] ^ file->text.ptr[at]) != 0x20)
            fail_msg("byte %zu, %c to %c: accepted", at, whole[at], file->text.ptr[at]);
        refused += play.err != MS_OK;
        end();
    }
    assert_true(refused > 500);
    ms_buf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_where),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bad_signature),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_same_sequence),
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_freshness),
        cmocka_unit_test(test_revocations),
        cmocka_unit_test(test_two_hosts),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_roots_of_all),
        cmocka_unit_test(test_padded_root),
        cmocka_unit_test(test_hosts_help_each_other),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(carried);
    return failed;
}
