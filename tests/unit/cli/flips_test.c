/* One byte changed in what an auditor was given - a bundle of any kind, an exported log, a proof -
 * and the command that checks it says so; or, of a bundle whose name nobody told it, says the same
 * of the set as before. The seed is printed; MS_SEED repeats a run. */
#define _GNU_SOURCE /* mkdtemp, nftw */

#include "cache/log.h"
#include "cli/audit_bundle.h"
#include "cli/log.h"
#include "tests/support/changes.h"
#include "tests/support/vectors.h"
#include "tests/unit/cache/cache_test_util.h"
#include "tests/unit/cli/capture.h"

#include <fcntl.h>
#include <ftw.h>
#include <time.h>

#define FLIPS 256 /* of each bundle, and of the log */
#define NOW_S (CHAIN_GENESIS_S + 12 * 180)
#define SIGNED_S 1770000060 /* a minute after the set of the vectors was issued */
#define ENTRIES 300         /* more than a tile, so that there is a level above */

static uint64_t state_of_random;

static uint64_t any(void)
{
    state_of_random = state_of_random * 6364136223846793005u + 1442695040888963407u;
    return state_of_random >> 24;
}

static void seed(void)
{
    const char *text = getenv("MS_SEED");

    if (text == NULL || !ms_span_u64(ms_span_str(text), &state_of_random))
        state_of_random = (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)state_of_random);
}

static void flip(const char *path, size_t at, uint8_t with)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= with;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    (void)close(fd);
}

/* ---- bundles ---- */

static struct chain chain;
static char document[512], inline_spec[600], sha256_spec[256];
static struct ms_buf signed_set;

static struct source_response serve_set(void *arg, const struct source_request *request)
{
    bool is_set = strstr(request->location->url, "/set.json") != NULL;

    (void)arg;
    return (struct source_response){.status = is_set ? 200 : 404,
                                    .body = is_set ? ms_buf_span(&signed_set) : ms_span_str(""),
                                    .time_s = SIGNED_S};
}

/* Those who signed tests/vectors/registry/signed-set.json. */
#define SIGNERS                                                                                  \
    "2of2:0x5d5c99EdF529335160FF180fA141Dd4967fc00D2,0x75E0De31eCa89159a26b09cc3b5eF4736A4f8969" \
    ";app=buildernet"

static const struct kind {
    const char *name, *spec;
    enum spec_level level;
    int64_t time_s;
    struct source_response (*http)(void *arg, const struct source_request *request);
} kinds[] = {
    {"inline", inline_spec, SPEC_LEVEL_L2, NOW_S, NULL},
    {"sha256", sha256_spec, SPEC_LEVEL_L2, NOW_S, changes_serve},
    {"location", "url:https://a.example/list.json", SPEC_LEVEL_L2, NOW_S, changes_serve},
    {"signed", SIGNERS, SPEC_LEVEL_L2, SIGNED_S, serve_set},
    {"registry l1", CHAIN_SPEC, SPEC_LEVEL_L1, NOW_S, NULL},
    {"registry l2", CHAIN_SPEC, SPEC_LEVEL_L2, NOW_S, NULL},
    {"registry l3", CHAIN_SPEC, SPEC_LEVEL_L3, NOW_S, NULL},
};

/* The bundle of a good run of this kind, as a file; ret_name gets its hash. */
static size_t write_bundle(const struct kind *kind, char ret_name[2 * MS_SHA256_BYTES + 1])
{
    struct node nodes[3];

    for (size_t i = 0; i < 3; i++)
        nodes[i] = (struct node){.chain = &chain, .final = 100, .head = 170};
    struct play p = {.spec = kind->spec,
                     .policy = play_policy(kind->level, kind->level == SPEC_LEVEL_L1 ? 1 : 2, 3),
                     .now = {kind->time_s, 77, 0},
                     .nodes = nodes,
                     .http = kind->http,
                     .arg = document};
    p.previous.n_hosts = 1;
    (void)snprintf(p.previous.hosts[0], SOURCE_HOST_MAX_BYTES, "one.example");
    play_run(&p);
    if (p.err != MS_OK)
        fail_msg("%s: %s", kind->name, p.diag.text);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&p.bundle));
    ms_sha256_hex(&hash, ret_name);
    FILE *f = fopen(in_dir("bundle"), "w");
    assert_non_null(f);
    size_t len = p.bundle.len;
    assert_int_equal(fwrite(p.bundle.ptr, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    play_done(&p);
    return len;
}

static int audit(const struct audit_roots *roots)
{
    const struct cli cli = {.command = "audit", .json = true};
    char path[128];

    (void)snprintf(path, sizeof(path), "%s", in_dir("bundle"));
    capture();
    int code = audit_bundle((struct cli *)(uintptr_t)&cli, path, roots);
    release();
    return code;
}

/* What the audit says that the evidence decides: specifier, set hash, sequence, trust, level,
 * block, releases; *ret_governance gets who governs. Not the name of the file, nor when it was made
 * and what it says itself to rest on somebody's word. */
static json_t *said(json_t **ret_governance)
{
    static const char *const words[] = {"bundle", "time", "rests_on", "roots"};
    json_t *root = json_load_file(in_dir("said"), 0, NULL);

    assert_non_null(root);
    for (size_t i = 0; i < MS_ARRAY_LEN(words); i++)
        assert_int_equal(json_object_del(root, words[i]), 0);
    const char *trust = json_string_value(json_object_get(root, "trust"));
    assert_non_null(trust);
    if (strcmp(trust, "quorum 2/3") == 0) /* a vote less, and still enough of them */
        assert_int_equal(json_object_set_new(root, "trust", json_string("quorum 3/3")), 0);
    *ret_governance = json_incref(json_object_get(root, "governance"));
    (void)json_object_del(root, "governance");
    return root;
}

/* Who governs may be told less of, when an answer about it counts no more, and nothing else. At L1
 * one endpoint said it. The newest block that was looked at can only have taken something away, and
 * then the set is another. */
static bool no_other(const struct kind *kind, const json_t *before, json_t *after)
{
    const char *name;
    json_t *value;

    json_object_foreach(after, name, value)
    {
        if (kind->level != SPEC_LEVEL_L1 && strcmp(name, "head") != 0 &&
            !json_equal(value, json_object_get(before, name)))
            return false;
    }
    return true;
}

/* How many of the flips were found without its name. */
static size_t flip_bundle(const struct kind *kind)
{
    char name[2 * MS_SHA256_BYTES + 1], path[128];
    size_t len = write_bundle(kind, name), n_found = 0;
    const struct audit_roots none = {0}, named = {.sha256 = name};

    (void)snprintf(path, sizeof(path), "%s", in_dir("bundle"));
    assert_int_equal(audit(&named), CLI_YES);
    assert_int_equal(audit(&none), CLI_YES);
    json_t *governance, *other, *before = said(&governance);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t at = any() % len;
        uint8_t with = (uint8_t)(i % 2 == 0 ? 1u << any() % 8 : 1 + any() % 255);
        flip(path, at, with);
        int code = audit(&named);
        if (code != CLI_NO)
            fail_msg("%s, byte %zu with %02x: exit %d, its name does not find it", kind->name, at,
                     with, code);
        code = audit(&none);
        if (code == CLI_NO) {
            n_found++;
        } else {
            json_t *after = said(&other);
            if (code != CLI_YES || !json_equal(before, after) || !no_other(kind, governance, other))
                fail_msg("%s, byte %zu with %02x: exit %d, another set: %s", kind->name, at, with,
                         code, json_dumps(after, JSON_SORT_KEYS));
            json_decref(after);
            json_decref(other);
        }
        flip(path, at, with);
    }
    assert_int_equal(audit(&named), CLI_YES);
    json_decref(before);
    json_decref(governance);
    return n_found;
}

static void test_bundles(void **state)
{
    (void)state;
    seed();
    for (size_t k = 0; k < MS_ARRAY_LEN(kinds); k++) {
        size_t found = flip_bundle(&kinds[k]);
        print_message("%s: %zu of %d found without the name, the others say the same\n",
                      kinds[k].name, found, FLIPS);
        assert_true(found > FLIPS / 4);
    }
}

/* ---- an exported log ---- */

static struct exported {
    size_t n;
    struct {
        char path[192];
        size_t len;
    } file[32];
} exported;

static int note_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    if (type != FTW_F)
        return 0;
    assert_true(exported.n < MS_ARRAY_LEN(exported.file) && st->st_size > 0);
    (void)snprintf(exported.file[exported.n].path, sizeof(exported.file[0].path), "%s", path);
    exported.file[exported.n++].len = (size_t)st->st_size;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Signed by the key of log.example/1, whose text ret_key gets. */
static void sign_log(struct cache *cache, char ret_key[MSIG_NOTE_TEXT_KEY_MAX + 1])
{
    static const uint8_t bytes[MSIG_NOTE_KEY_BYTES] = {5};
    struct msig_checkpoint c = {.origin = "log.example/1"};
    struct ms_buf note = MS_BUF_INIT(2000), body = MS_BUF_INIT(1000), vkey = MS_BUF_INIT(500);
    struct cache_log_head head;
    struct msig_skey key;

    assert_int_equal(cache_log_head(cache, &head, NULL), MS_OK);
    c.size = head.size;
    c.root = head.root;
    assert_int_equal(msig_skey_make(ms_span_str(c.origin), MSIG_NOTE_ED25519, bytes, &key), MS_OK);
    (void)msig_checkpoint_print(&c, &body);
    (void)ms_buf_add(&note, ms_buf_span(&body));
    (void)ms_buf_add_byte(&note, '\n');
    assert_int_equal(msig_note_sign(&key, ms_buf_span(&body), 0, &note), MS_OK);
    (void)msig_vkey_print(&key.public, &vkey);
    (void)snprintf(ret_key, MSIG_NOTE_TEXT_KEY_MAX + 1, "%s", ms_buf_str(&vkey));
    const struct cache_checkpoint row = {
        .size = head.size, .time_s = NOW_S, .vkey = ret_key, .note = ms_buf_str(&note)};
    assert_int_equal(cache_checkpoint_put(cache, &row, NULL), MS_OK);
    ms_buf_done(&note);
    ms_buf_done(&body);
    ms_buf_done(&vkey);
}

static void fill_log(char ret_key[MSIG_NOTE_TEXT_KEY_MAX + 1])
{
    struct cache_entry e = sample();
    struct cache_history h = sample_history();
    struct cache *cache = must_open();

    changes_location(cache, "url:https://a.example/list.json", document, NOW_S, 1);
    assert_int_equal(cache_group_begin(cache, NULL), MS_OK);
    for (unsigned i = 1; i < ENTRIES; i++) {
        h.sequence = e.sequence = i;
        e.floor_sequence = 0;
        must_commit(cache, &e, &h);
    }
    assert_int_equal(cache_group_end(cache, NULL), MS_OK);
    sign_log(cache, ret_key);
    cache_close(cache);
}

static void test_log(void **state)
{
    char key[MSIG_NOTE_TEXT_KEY_MAX + 1], dir[128], db[128], proof[128];
    size_t hit[MS_ARRAY_LEN(exported.file)] = {0};

    (void)state;
    seed();
    fill_log(key);
    (void)snprintf(db, sizeof(db), "%s", in_dir("measured.db"));
    (void)snprintf(dir, sizeof(dir), "%s", in_dir("log"));
    (void)snprintf(proof, sizeof(proof), "%s", in_dir("log/leaf.tlog-proof"));
    const char *const export[] = {"export", dir, "--db", db, "--evidence", NULL};
    const char *const prove[] = {"prove", "--leaf", "261", "--db", db, "-o", proof, NULL};
    const char *const verify[] = {"verify", dir, "--key", key, NULL};
    const char *const verify_proof[] = {"verify", proof, "--key", key, NULL};
    assert_int_equal(run(log_export, export), CLI_YES);
    assert_int_equal(run(log_prove, prove), CLI_YES);
    exported.n = 0;
    assert_int_equal(nftw(dir, note_file, 8, FTW_PHYS), 0);
    assert_int_equal(exported.n,
                     10); /* key, checkpoint, 2 + 1 tiles, 2 of entries, 2 bundles, proof */
    assert_int_equal(run(log_verify, verify), CLI_YES);
    assert_int_equal(run(log_verify, verify_proof), CLI_YES);
    for (size_t i = 0; i < FLIPS; i++) {
        size_t f = i % exported.n, at = any() % exported.file[f].len;
        const char *path = exported.file[f].path;
        uint8_t with = (uint8_t)(1u << any() % 8);
        flip(path, at, with);
        int code = run(log_verify, strcmp(path, proof) == 0 ? verify_proof : verify);
        if (code != CLI_NO)
            fail_msg("%s, byte %zu with %02x: exit %d", path, at, with, code);
        flip(path, at, with);
        hit[f]++;
    }
    for (size_t f = 0; f < exported.n; f++)
        assert_true(hit[f] >= FLIPS / exported.n);
    assert_int_equal(run(log_verify, verify), CLI_YES);
    assert_int_equal(run(log_verify, verify_proof), CLI_YES);
}

/* ---- all ---- */

static int setup(void **state)
{
    char hex[2 * MS_SHA256_BYTES + 1];

    if (fresh_dir(state) != 0)
        return -1;
    chain_init(&chain);
    (void)chain_approve(&chain, chain_document(0x11), NULL);
    (void)chain_approve(&chain, chain_document(0x22), NULL);
    (void)snprintf(document, sizeof(document), "%s", chain_document(0x33));
    struct ms_sha256 hash = ms_sha256(ms_span_str(document));
    ms_sha256_hex(&hash, hex);
    (void)snprintf(inline_spec, sizeof(inline_spec), "inline:%s", document);
    (void)snprintf(sha256_spec, sizeof(sha256_spec), "sha256:%s;at=https://a.example/x", hex);
    signed_set = (struct ms_buf)MS_BUF_INIT(262144);
    return vec_read("tests/vectors/registry/signed-set.json", &signed_set) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    chain_done(&chain);
    ms_buf_done(&signed_set);
    return nftw(state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bundles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
