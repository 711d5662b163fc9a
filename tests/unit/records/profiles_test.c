/* Every profile, held against who reads it (tests/support/consumers.h): over random sets and peers
 * a consumer accepts what the set approves and nothing else, and where nothing is approved it
 * refuses everybody. */
#include "resolver/records/records.h"
#include "tests/support/consumers.h"

#include "base/base64.h"
#include "base/hex.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SETS_MAX 3
#define ROUNDS 100
#define PEERS 40
#define POOL 3
#define OUT_MAX ((size_t)4 << 20)

static const char *const types[] = {"azure-tdx", "dcap-tdx", "gcp-tdx", "qemu-tdx"};
static const unsigned pcrs[] = {4, 9, 11};
/* Names as people give them, and as people who mean harm do. */
static const char *const ids[] = {"one",
                                  "one",
                                  "two",
                                  "",
                                  "a/b",
                                  "=cmd|' /C calc'!A0",
                                  " +1",
                                  "-2",
                                  "@x",
                                  "a|b`c<script>",
                                  "[l](http://x) \"q\"",
                                  "\xef\xbc\x9dwide",
                                  "\xe2\x80\xae turned",
                                  "three"};

/* ---- a random world ---- */

static char pool48[POOL][97], pool32[POOL][65];

static size_t below(size_t n)
{
    return (size_t)rand() % n;
}

static void fill_pools(void)
{
    for (size_t i = 0; i < POOL; i++) {
        for (size_t k = 0; k < 96; k++)
            pool48[i][k] = "0123456789abcdef"[below(16)];
        for (size_t k = 0; k < 64; k++)
            pool32[i][k] = "0123456789abcdef"[below(16)];
    }
    if (below(4) == 0) /* a register nothing was measured into */
        memset(pool48[0], '0', 96);
}

static void add_value(const char *hex, struct ms_buf *out)
{
    bool upper = below(3) == 0;

    (void)ms_buf_add_byte(out, '"');
    for (; *hex != '\0'; hex++)
        (void)ms_buf_add_byte(
            out, (uint8_t)(upper && *hex >= 'a' && *hex <= 'f' ? *hex - 'a' + 'A' : *hex));
    (void)ms_buf_add_byte(out, '"');
}

static void add_registers(bool azure, struct ms_buf *out)
{
    size_t n = azure ? 3 : 5, must = below(n);
    const char *comma = "";

    (void)ms_buf_add_str(out, "\"measurements\":{");
    for (size_t i = 0; i < n; i++) {
        if (i != must && below(2) == 0)
            continue;
        size_t values = below(3) == 0 ? 1 + below(POOL) : 1, first = below(POOL);
        (void)ms_buf_addf(out, "%s\"%u\":{\"expected_any\":[", comma,
                          azure ? pcrs[i] : (unsigned)i);
        for (size_t k = 0; k < values; k++) {
            (void)ms_buf_add_str(out, k == 0 ? "" : ",");
            add_value(azure ? pool32[(first + k) % POOL] : pool48[(first + k) % POOL], out);
        }
        (void)ms_buf_add_str(out, "]}");
        comma = ",";
    }
    (void)ms_buf_add_byte(out, '}');
}

static void add_record(struct ms_buf *out)
{
    size_t kind = below(12);
    const char *type = kind < 10    ? types[below(MS_ARRAY_LEN(types))]
                       : kind == 10 ? "sev"
                                    : "gcp-tdx";

    (void)ms_buf_add_str(out, "{\"measurement_id\":");
    (void)ms_json_add_string(out, ms_span_str(ids[below(MS_ARRAY_LEN(ids))]));
    (void)ms_buf_addf(out, ",\"attestation_type\":\"%s\",", type);
    if (kind == 11)
        (void)ms_buf_addf(out,
                          "\"dcap_image_hashes\":{\"uki_authenticode\":\"%s\","
                          "\"kernel_authenticode\":\"%s\",\"cmdline_hash\":\"%s\","
                          "\"initrd_hash\":\"%s\",\"gpt_disk_guid_hash\":\"%s\"}",
                          pool48[0], pool48[1], pool48[2], pool48[0], pool48[1]);
    else
        add_registers(strcmp(type, "azure-tdx") == 0, out);
    (void)ms_buf_add_byte(out, '}');
}

static void add_predicate(struct ms_buf *out)
{
    static const char *const kinds[] = {"dstack-compose-hash", "dstack-os-image"};

    (void)ms_buf_addf(out, "{\"predicate\":{\"kind\":\"%s\",\"value\":\"%s\"}}", kinds[below(2)],
                      pool32[below(POOL)]);
}

struct world {
    struct rec_set set[SETS_MAX];
    const struct rec_set *sets[SETS_MAX];
    size_t n;
};

static void world_done(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        rec_set_done(&w->set[i]);
    w->n = 0;
}

/* Some sets have records, some predicates, some both; one in ten has nothing. */
static void random_world(struct world *w)
{
    size_t want = 1 + below(SETS_MAX), records = below(3) == 0 ? 0 : 4, predicates = below(2) * 4;

    fill_pools();
    for (w->n = 0; w->n < want;) {
        struct ms_buf text = MS_BUF_INIT(65536);
        struct rec_set *set = &w->set[w->n];
        size_t n = below(10) == 0 ? 0 : below(records + predicates + 1);
        (void)ms_buf_add_byte(&text, '[');
        for (size_t i = 0; i < n; i++) {
            (void)ms_buf_add_str(&text, i == 0 ? "" : ",");
            if (below(records + predicates) < records)
                add_record(&text);
            else
                add_predicate(&text);
        }
        (void)ms_buf_add_byte(&text, ']');
        rec_set_init(set);
        /* refused: only types unknown here; another one is made then */
        if (rec_parse(ms_buf_span(&text), REC_MODE_DIALECTS, set, NULL) == MS_OK)
            w->sets[w->n++] = set;
        else
            rec_set_done(set);
        ms_buf_done(&text);
    }
}

/* ---- what peers show, and what the set says of it ---- */

struct shown {
    struct peer peer;
    enum rec_type type;
    uint8_t bytes[PEER_REGISTERS][48];
    struct rec_presented regs[PEER_REGISTERS];
    size_t n;
};

static void show(struct shown *s)
{
    bool azure = s->type == REC_TYPE_AZURE_TDX;

    s->peer.type = rec_type_name(s->type);
    s->n = 0;
    for (uint32_t i = 0; i < PEER_REGISTERS; i++) {
        size_t len = azure ? 32 : 48;
        if (s->peer.hex[i] == NULL)
            continue;
        assert_int_equal(ms_hex_decode(ms_span_str(s->peer.hex[i]), s->bytes[i], len), MS_OK);
        s->regs[s->n++] = (struct rec_presented){i, ms_span_of(s->bytes[i], len)};
    }
}

static const char *pool_hex(const struct rec_value *value)
{
    for (size_t i = 0; i < POOL; i++) {
        uint8_t b[48];
        if (ms_hex_decode(ms_span_str(value->len == 48 ? pool48[i] : pool32[i]), b, value->len) ==
                MS_OK &&
            memcmp(b, value->b, value->len) == 0)
            return value->len == 48 ? pool48[i] : pool32[i];
    }
    return NULL;
}

/* A peer that satisfies a record, in any spelling of its type; half of them with one register
 * wrong, or not shown. */
static void random_peer(const struct world *w, struct shown *s)
{
    const struct rec_set *set = w->sets[below(w->n)];
    bool azure;

    *s = (struct shown){.type = (enum rec_type)(REC_TYPE_AZURE_TDX + (int)below(4))};
    const struct rec_record *like =
        set->n_records == 0 ? NULL : &set->records[below(set->n_records)];
    if (like != NULL && like->type != REC_TYPE_UNKNOWN && below(4) != 0)
        s->type = like->type == REC_TYPE_AZURE_TDX
                      ? like->type
                      : (enum rec_type)(REC_TYPE_DCAP_TDX + (int)below(3));
    azure = s->type == REC_TYPE_AZURE_TDX;
    for (size_t i = 0; i < (azure ? 3 : 5); i++)
        s->peer.hex[azure ? pcrs[i] : i] = azure ? pool32[below(POOL)] : pool48[below(POOL)];
    for (size_t i = 0;
         like != NULL && rec_type_comparable(like->type, s->type) && i < like->n_registers; i++)
        s->peer.hex[like->registers[i].index] =
            pool_hex(&like->registers[i].values[below(like->registers[i].n_values)]);
    size_t at = azure ? pcrs[below(3)] : below(5);
    if (below(4) == 0)
        s->peer.hex[at] = azure ? pool32[below(POOL)] : pool48[below(POOL)];
    else if (below(10) == 0)
        s->peer.hex[at] = NULL;
    show(s);
}

static bool checks(const struct world *w, const struct shown *s)
{
    for (size_t i = 0; i < w->n; i++)
        if (rec_match(w->sets[i], s->type, s->regs, s->n) != NULL)
            return true;
    return false;
}

/* ---- renderings ---- */

struct rendering {
    enum ms_err err;
    struct ms_diag said;
    struct ms_buf text;
    json_t *json; /* NULL: the profile is no JSON */
};

static void rendering_done(struct rendering *r)
{
    json_decref(r->json);
    ms_buf_done(&r->text);
}

static void render(const struct world *w, const struct rec_options *options, struct rendering *r)
{
    *r = (struct rendering){.text = MS_BUF_INIT(OUT_MAX)};
    r->err = rec_render(w->sets, w->n, options, &r->text, &r->said);
    if (r->err != MS_OK) {
        assert_int_equal(r->text.len, 0);
        assert_string_not_equal(r->said.text, "");
        return;
    }
    assert_int_equal(r->text.ptr[r->text.len - 1], '\n');
    if (strcmp(rec_profile_media_type(options->profile), "application/json") != 0)
        return;
    r->json = json_loadb((const char *)r->text.ptr, r->text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(r->json);
}

/* What some record or predicate of the world is like. */
static size_t count(const struct world *w, bool (*is)(const struct rec_record *))
{
    size_t n = 0;

    for (size_t s = 0; s < w->n; s++)
        for (size_t i = 0; i < w->sets[s]->n_records; i++)
            n += is(&w->sets[s]->records[i]);
    return n;
}

static size_t predicates(const struct world *w)
{
    size_t n = 0;

    for (size_t s = 0; s < w->n; s++)
        n += w->sets[s]->n_predicates;
    return n;
}

static bool has_no_registers(const struct rec_record *record)
{
    return record->type == REC_TYPE_UNKNOWN || record->n_registers == 0;
}

static bool is_unknown(const struct rec_record *record)
{
    return record->type == REC_TYPE_UNKNOWN;
}

static bool is_no_dcap(const struct rec_record *record)
{
    return has_no_registers(record) || record->type == REC_TYPE_AZURE_TDX;
}

static bool is_no_name(const struct rec_record *record)
{
    return has_no_registers(record) || strchr(record->id, '/') != NULL;
}

/* ---- the proxies ---- */

static const struct {
    enum rec_profile profile;
    enum consumer (*reads)(const json_t *, const struct peer *);
    bool (*left_out)(const struct rec_record *);
} proxies[] = {
    {REC_PROFILE_SEED, consumer_atls_1, has_no_registers},
    {REC_PROFILE_SEED, consumer_atls_2, has_no_registers},
    {REC_PROFILE_ATLS_1, consumer_atls_1, has_no_registers},
    {REC_PROFILE_ATLS_1, consumer_atls_2, has_no_registers},
    {REC_PROFILE_ATLS_2, consumer_atls_2, is_unknown},
    {REC_PROFILE_CVM, consumer_cvm, has_no_registers},
};

/* Exactly what check accepts; each in every spelling of its type. */
static void hold_proxy(const struct world *w, size_t which, bool skip, const struct shown *peers,
                       size_t n_peers, size_t *hits)
{
    struct rec_options options = {.profile = proxies[which].profile, .skip_unsupported = skip};
    size_t left_out = count(w, proxies[which].left_out) + predicates(w);
    struct rendering r;

    render(w, &options, &r);
    if (options.profile == REC_PROFILE_CVM && !skip && left_out > 0) {
        assert_int_equal(r.err, MS_ERR_PROFILE);
    } else {
        assert_int_equal(r.err, MS_OK);
        assert_int_equal(r.said.text[0] != '\0', left_out > 0); /* never silently */
        for (size_t i = 0; i < n_peers; i++) {
            bool want = checks(w, &peers[i]);
            enum consumer got = proxies[which].reads(r.json, &peers[i].peer);
            *hits += want;
            if (got != (want ? CONSUMER_ACCEPTS : CONSUMER_REFUSES))
                fail_msg("%s, reader %zu, %s: %d and not %d: %s", rec_profile_name(options.profile),
                         which, peers[i].peer.type, got, want, ms_buf_str(&r.text));
        }
    }
    rendering_done(&r);
}

/* ---- BuilderHub ---- */

/* It compares types as texts, so it knows a peer only by the spelling of the record: of the records
 * that have it, and can be switched on. */
static bool hub_should(const struct world *w, const struct shown *s)
{
    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < w->sets[i]->n_records; k++) {
            struct rec_set one = {.n_records = 1, .records = &w->sets[i]->records[k]};
            if (!is_no_name(&one.records[0]) && one.records[0].type == s->type &&
                rec_match(&one, s->type, s->regs, s->n) != NULL)
                return true;
        }
    }
    return false;
}

static void hold_hub(const struct world *w, const struct shown *peers, size_t n_peers, size_t *hits)
{
    struct rec_options options = {.profile = REC_PROFILE_BUILDERHUB};
    struct rendering r;

    render(w, &options, &r);
    assert_int_equal(r.err, MS_OK);
    assert_int_equal(r.said.text[0] != '\0', count(w, is_no_name) + predicates(w) > 0);
    for (size_t i = 0; i < n_peers; i++) {
        bool want = hub_should(w, &peers[i]);
        enum consumer got = consumer_builderhub(r.json, &peers[i].peer);
        *hits += want;
        assert_true(!want || checks(w, &peers[i]));
        if (got != (want ? CONSUMER_ACCEPTS : CONSUMER_REFUSES))
            fail_msg("builderhub, %s: %d and not %d: %s", peers[i].peer.type, got, want,
                     ms_buf_str(&r.text));
    }
    rendering_done(&r);
}

/* ---- trustee ---- */

static const char *const rvps_names[] = {"mr_td", "rtmr_0", "rtmr_1", "rtmr_2", "rtmr_3"};

static bool different_registers(const struct world *w)
{
    const struct rec_record *first = NULL;

    for (size_t s = 0; s < w->n; s++) {
        for (size_t i = 0; i < w->sets[s]->n_records; i++) {
            const struct rec_record *record = &w->sets[s]->records[i];
            if (is_no_dcap(record))
                continue;
            first = first == NULL ? record : first;
            if (record->n_registers != first->n_registers)
                return true;
            for (size_t k = 0; k < first->n_registers; k++)
                if (record->registers[k].index != first->registers[k].index)
                    return true;
        }
    }
    return false;
}

/* Whether a record of the world has this value in this register. */
static bool in_lists(const struct world *w, size_t at, const struct shown *s)
{
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->sets[i]->n_records; k++) {
            const struct rec_record *record = &w->sets[i]->records[k];
            for (size_t v = 0; !is_no_dcap(record) && v < record->n_registers; v++)
                for (size_t x = 0;
                     record->registers[v].index == at && x < record->registers[v].n_values; x++)
                    if (memcmp(record->registers[v].values[x].b, s->bytes[at], 48) == 0)
                        return true;
        }
    return false;
}

static bool in_no_record(const struct world *w, size_t at)
{
    for (size_t i = 0; i < w->n; i++)
        for (size_t k = 0; k < w->sets[i]->n_records; k++)
            for (size_t v = 0;
                 !is_no_dcap(&w->sets[i]->records[k]) && v < w->sets[i]->records[k].n_registers;
                 v++)
                if (w->sets[i]->records[k].registers[v].index == at)
                    return false;
    return true;
}

/* Every combination of the pool's values. */
static void combination(size_t number, struct shown *s)
{
    *s = (struct shown){.type = REC_TYPE_DCAP_TDX};
    for (size_t i = 0; i < 5; i++, number /= POOL)
        s->peer.hex[i] = pool48[number % POOL];
    show(s);
}

/* Whether lists a register would accept what no record does: the only other reason to refuse. */
static bool lists_accept_more(const struct world *w)
{
    for (size_t c = 0; c < 243; c++) {
        struct shown s;
        bool lists = true;
        combination(c, &s);
        for (size_t i = 0; i < 5; i++)
            lists = lists && (in_no_record(w, i) || in_lists(w, i, &s));
        if (lists && !checks(w, &s))
            return true;
    }
    return false;
}

static void hold_rvps(const struct world *w, enum rec_profile profile, size_t *hits,
                      size_t *refused)
{
    struct rec_options options = {.profile = profile,
                                  .valid_until_s = 1 + (int64_t)below(4000000000)};
    struct rendering r;
    struct shown s;

    render(w, &options, &r);
    if (r.err != MS_OK) {
        assert_int_equal(r.err, MS_ERR_PROFILE);
        assert_true(different_registers(w) || lists_accept_more(w));
        ++*refused;
    }
    for (size_t c = 0; r.err == MS_OK && c < 243; c++) {
        combination(c, &s);
        bool want = checks(w, &s);
        enum consumer got = profile == REC_PROFILE_RVPS_SAMPLE
                                ? consumer_rvps_sample(r.json, NULL, &s.peer)
                                : consumer_rvps_localjson(r.json, &s.peer);
        *hits += want;
        if (got != (want ? CONSUMER_ACCEPTS : CONSUMER_REFUSES))
            fail_msg("%s: %d and not %d: %s", rec_profile_name(profile), got, want,
                     ms_buf_str(&r.text));
    }
    if (r.err == MS_OK && count(w, is_no_dcap) + predicates(w) > 0)
        assert_string_not_equal(r.said.text, "");
    rendering_done(&r);
}

/* ---- dstack ---- */

static const char app_hex[] = "00112233445566778899aabbccddeeff00112233";
static const char other_app[] = "10112233445566778899aabbccddeeff00112233";

static bool has_predicate(const struct rec_set *set, enum rec_predicate_kind kind, const char *hex)
{
    uint8_t value[32];

    assert_int_equal(ms_hex_decode(ms_span_str(hex), value, 32), MS_OK);
    for (size_t i = 0; i < set->n_predicates; i++)
        if (set->predicates[i].kind == kind && memcmp(set->predicates[i].value, value, 32) == 0)
            return true;
    return false;
}

/* check with two predicates: one release approves both. */
static bool pair_approved(const struct world *w, const char *compose, const char *image)
{
    for (size_t i = 0; i < w->n; i++)
        if (has_predicate(w->sets[i], REC_PREDICATE_DSTACK_COMPOSE_HASH, compose) &&
            has_predicate(w->sets[i], REC_PREDICATE_DSTACK_OS_IMAGE, image))
            return true;
    return false;
}

struct pairs {
    bool any, bare, mixed; /* a pair; a compose hash; two of pairs that are none */
};

static struct pairs pairs_of(const struct world *w)
{
    struct pairs p = {0};
    bool compose[POOL] = {0}, image[POOL] = {0};

    for (size_t c = 0; c < POOL; c++)
        for (size_t i = 0; i < POOL; i++) {
            bool ok = pair_approved(w, pool32[c], pool32[i]);
            p.any = p.any || ok;
            compose[c] = compose[c] || ok;
            image[i] = image[i] || ok;
        }
    for (size_t c = 0; c < POOL; c++) {
        for (size_t i = 0; i < POOL; i++)
            p.mixed =
                p.mixed || (compose[c] && image[i] && !pair_approved(w, pool32[c], pool32[i]));
        for (size_t s = 0; s < w->n; s++)
            p.bare =
                p.bare || has_predicate(w->sets[s], REC_PREDICATE_DSTACK_COMPOSE_HASH, pool32[c]);
    }
    return p;
}

static struct rec_dstack random_about(void)
{
    struct rec_dstack about = {.has_app = below(6) != 0,
                               .any_device = below(3) == 0,
                               .tcb_up_to_date = below(4) == 0,
                               .n_devices = below(3)};

    assert_true(rec_dstack_app_parse(ms_span_str(app_hex), about.app));
    for (size_t i = 0; i < about.n_devices; i++)
        assert_int_equal(ms_hex_decode(ms_span_str(pool32[i]), about.devices[i], 32), MS_OK);
    return about;
}

static struct boot random_boot(void)
{
    return (struct boot){.kms = below(5) == 0,
                         .app = below(4) == 0 ? other_app : app_hex,
                         .compose = pool32[below(POOL)],
                         .image = pool32[below(POOL)],
                         .device = pool32[below(POOL)],
                         .mr_aggregated = pool32[below(POOL)],
                         .tcb = below(3) == 0 ? "OutOfDate" : "UpToDate",
                         .advisory = below(4) == 0 ? "INTEL-SA-00001" : NULL};
}

/* What the app's contract would say (consumers.md 1.6: TCB, compose hash, device), of an image that
 * its KMS approves, as check tells it. auth-simple is stricter by nature: it wants UpToDate and no
 * advisories whether the app does or not. */
static bool app_should(const struct world *w, const struct rec_dstack *about,
                       const struct boot *boot, enum rec_profile profile)
{
    bool device = about->any_device, fit = strcmp(boot->tcb, "UpToDate") == 0;

    for (size_t i = 0; i < about->n_devices; i++)
        device = device || boot->device == pool32[i];
    if (profile == REC_PROFILE_AUTH_SIMPLE ? !fit || boot->advisory != NULL
                                           : about->tcb_up_to_date && !fit)
        return false;
    return !boot->kms && about->has_app && boot->app == app_hex && device &&
           pair_approved(w, boot->compose, boot->image);
}

static void hold_dstack(const struct world *w, enum rec_profile profile, size_t *hits,
                        size_t *refused)
{
    struct rec_dstack about = random_about();
    struct rec_options options = {.profile = profile, .dstack = &about};
    struct pairs pairs = pairs_of(w);
    struct rendering r;
    bool no_tcb = about.tcb_up_to_date && profile == REC_PROFILE_DSTACK_AUTH;

    render(w, &options, &r);
    enum ms_err want = !pairs.any && pairs.bare               ? MS_ERR_PROFILE
                       : pairs.any && !about.has_app          ? MS_ERR_ARGUMENT
                       : pairs.any && (no_tcb || pairs.mixed) ? MS_ERR_PROFILE
                                                              : MS_OK;
    if (r.err != want)
        fail_msg("%s: %s and not %s: %s", rec_profile_name(profile), ms_err_name(r.err),
                 ms_err_name(want), r.said.text);
    *refused += r.err != MS_OK;
    for (size_t i = 0; r.err == MS_OK && i < 3 * PEERS; i++) {
        struct boot boot = random_boot();
        bool should = app_should(w, &about, &boot, profile);
        enum consumer got = profile == REC_PROFILE_DSTACK_AUTH
                                ? consumer_dstack_auth(r.json, &boot)
                                : consumer_auth_simple(r.json, &boot);
        *hits += should;
        if (got != (should ? CONSUMER_ACCEPTS : CONSUMER_REFUSES))
            fail_msg("%s: %d and not %d: %s", rec_profile_name(profile), got, should,
                     ms_buf_str(&r.text));
    }
    rendering_done(&r);
}

/* ---- tables ---- */

/* RFC 4180, of which every cell is quoted here; returns the cells of a line, and where it ends. */
static size_t csv_line(const char **at, char cells[8][4096])
{
    size_t n = 0;

    for (;;) {
        size_t len = 0;
        assert_true(n < 8 && **at == '"');
        for (++*at; **at != '"' || (*at)[1] == '"'; ++*at) {
            assert_true(**at != '\0' && len < 4095);
            *at += **at == '"';
            cells[n][len++] = **at;
        }
        cells[n++][len] = '\0';
        ++*at;
        if (**at != ',')
            break;
        ++*at;
    }
    assert_int_equal(**at, '\n');
    ++*at;
    return n;
}

static size_t rows_of(const struct world *w)
{
    size_t n = predicates(w);

    for (size_t s = 0; s < w->n; s++)
        for (size_t i = 0; i < w->sets[s]->n_records; i++) {
            const struct rec_record *record = &w->sets[s]->records[i];
            n += json_object_size(record->raw) + json_object_size(record->image.hashes);
            for (size_t k = 0; k < record->n_registers; k++)
                n += record->registers[k].n_values;
        }
    return n;
}

/* No cell is a formula to a spreadsheet, and nothing turns the text around. */
static void hold_csv(const struct world *w)
{
    struct rec_options options = {.profile = REC_PROFILE_CSV};
    static char cells[8][4096];
    struct rendering r;
    size_t rows = 0;

    render(w, &options, &r);
    assert_int_equal(r.err, MS_OK);
    const char *at = ms_buf_str(&r.text);
    assert_null(strstr(at, "\xe2\x80\xae"));
    for (; *at != '\0'; rows++) {
        assert_int_equal(csv_line(&at, cells), 6);
        for (size_t i = 0; i < 6; i++) {
            const char *text = cells[i] + strspn(cells[i], " \t\r\n");
            assert_true(*text == '\0' || strchr("=+-@", *text) == NULL);
            assert_true(strncmp(text, "\xef\xbc\x9d", 3) != 0);
        }
    }
    assert_int_equal(rows, 1 + rows_of(w));
    rendering_done(&r);
}

/* Six cells a line whatever stands in them, and no sign in them that Markdown gives a meaning. */
static void hold_md(const struct world *w)
{
    struct rec_options options = {.profile = REC_PROFILE_MD};
    struct rendering r;
    size_t rows = 0, line = 0, pipes = 0;

    render(w, &options, &r);
    assert_int_equal(r.err, MS_OK);
    assert_null(strstr(ms_buf_str(&r.text), "\xe2\x80\xae"));
    for (const char *at = ms_buf_str(&r.text); *at != '\0'; at++) {
        if (*at == '\\') {
            assert_true(*++at != '\0');
            continue;
        }
        assert_true(line == 1 || strchr("`<>[]*_!\"", *at) == NULL);
        pipes += *at == '|';
        if (*at != '\n')
            continue;
        if (pipes > 0)
            assert_int_equal(pipes, 7);
        rows += pipes > 0;
        pipes = 0;
        line++;
    }
    assert_int_equal(rows, 2 + rows_of(w));
    rendering_done(&r);
}

/* ---- the tests ---- */

static void test_random(void **state)
{
    (void)state;
    static struct shown peers[PEERS];
    unsigned seed = 20261122;
    const char *other = getenv("MS_SEED");
    size_t hits[5] = {0}, refused[2] = {0};

    if (other != NULL)
        seed = (unsigned)strtoul(other, NULL, 10);
    print_message("seed %u\n", seed);
    srand(seed);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct world w;
        random_world(&w);
        for (size_t i = 0; i < PEERS; i++)
            random_peer(&w, &peers[i]);
        for (size_t i = 0; i < MS_ARRAY_LEN(proxies); i++)
            hold_proxy(&w, i, false, peers, PEERS, &hits[0]);
        hold_proxy(&w, MS_ARRAY_LEN(proxies) - 1, true, peers, PEERS, &hits[1]);
        hold_hub(&w, peers, PEERS, &hits[2]);
        hold_rvps(&w, REC_PROFILE_RVPS_LOCALJSON, &hits[3], &refused[0]);
        hold_rvps(&w, REC_PROFILE_RVPS_SAMPLE, &hits[3], &refused[0]);
        hold_dstack(&w, REC_PROFILE_DSTACK_AUTH, &hits[4], &refused[1]);
        hold_dstack(&w, REC_PROFILE_AUTH_SIMPLE, &hits[4], &refused[1]);
        hold_csv(&w);
        hold_md(&w);
        world_done(&w);
    }
    print_message("approved: proxies %zu, cvm with skips %zu, hub %zu, trustee %zu (%zu sets "
                  "refused), dstack %zu (%zu refused)\n",
                  hits[0], hits[1], hits[2], hits[3], refused[0], hits[4], refused[1]);
    for (size_t i = 0; i < MS_ARRAY_LEN(hits); i++)
        assert_true(hits[i] > 20); /* or the test asks nothing */
    assert_true(refused[0] > 10 && refused[0] < 2 * ROUNDS - 10);
    assert_true(refused[1] > 10 && refused[1] < 2 * ROUNDS - 10);
}

/* Whoever is asked, and whatever is shown: nobody. Machines that have only ones in their registers
 * are none. */
static void refuse_all(const struct world *w)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000"
                                "00000000000000000000000000000000";
    json_t *before = json_pack("{s:[s, s, s]}", "mr_td", pool48[0], pool48[1], pool48[2]);
    struct rec_dstack about = {.has_app = true, .any_device = true};

    for (enum rec_profile p = REC_PROFILE_SEED; p <= REC_PROFILE_RVPS_SAMPLE; p++) {
        struct rec_options options = {
            .profile = p, .dstack = below(2) == 0 ? NULL : &about, .skip_unsupported = true};
        struct rendering r;
        render(w, &options, &r);
        assert_int_equal(r.err, MS_OK);
        for (size_t i = 0; i < 50; i++) {
            struct shown s = {.type = (enum rec_type)(REC_TYPE_AZURE_TDX + (int)below(4))};
            struct boot boot = random_boot();
            enum consumer got = CONSUMER_BROKEN;
            bool azure = s.type == REC_TYPE_AZURE_TDX;
            for (size_t k = 0; k < (azure ? PEER_REGISTERS : 5u); k++)
                s.peer.hex[k] = below(4) == 0 ? zeros + (azure ? 32 : 0)
                                : azure       ? pool32[below(POOL)]
                                              : pool48[below(POOL)];
            show(&s);
            for (size_t k = 0; k < MS_ARRAY_LEN(proxies); k++)
                if (proxies[k].profile == p)
                    got = proxies[k].reads(r.json, &s.peer);
            if (p == REC_PROFILE_BUILDERHUB)
                got = consumer_builderhub(r.json, &s.peer);
            if (p == REC_PROFILE_DSTACK_AUTH)
                got = consumer_dstack_auth(r.json, &boot);
            if (p == REC_PROFILE_AUTH_SIMPLE)
                got = consumer_auth_simple(r.json, &boot);
            if (p == REC_PROFILE_RVPS_LOCALJSON)
                got = consumer_rvps_localjson(r.json, &s.peer);
            if (p == REC_PROFILE_RVPS_SAMPLE)
                got = consumer_rvps_sample(r.json, below(2) == 0 ? NULL : before, &s.peer);
            if (got != CONSUMER_REFUSES)
                fail_msg("%s: %d: %s", rec_profile_name(p), got, ms_buf_str(&r.text));
        }
        rendering_done(&r);
    }
    json_decref(before);
}

static void test_nothing(void **state)
{
    (void)state;
    struct world none = {0}, empty = {0};

    srand(20261122);
    fill_pools();
    refuse_all(&none);
    for (; empty.n < 2; empty.n++) {
        rec_set_init(&empty.set[empty.n]);
        empty.sets[empty.n] = &empty.set[empty.n];
    }
    refuse_all(&empty);
    world_done(&empty);
}

/* ---- what each profile looks like ---- */

#define A48                                                                                        \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaa"
#define B48                                                                                        \
    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" \
    "bbbb"
#define C32 "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define D32 "dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
#define F32 "0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define RECORD(id, type, regs)                                                                     \
    "{\"measurement_id\":\"" id "\",\"attestation_type\":\"" type "\",\"measurements\":{" regs "}" \
    "}"
#define AT(reg, value) "\"" reg "\":{\"expected\":\"" value "\"}"
#define HASH(kind, value) "{\"predicate\":{\"kind\":\"dstack-" kind "\",\"value\":\"" value "\"}}"
#define KMS \
    "\"kms\":{\"mrAggregated\":[\"" F32 "\"],\"devices\":[\"" F32 "\"],\"allowAnyDevice\":false}"

static const struct rec_dstack any = {.has_app = true, .any_device = true};
static const struct rec_dstack nowhere = {.has_app = true};
static const struct rec_dstack strict = {
    .has_app = true, .any_device = true, .tcb_up_to_date = true};

static const struct {
    const char *name, *text[2]; /* releases */
    struct rec_options options;
    enum ms_err err;
    const char *want; /* the rendering, or words of the sentence */
} rows[] = {
    /* sha256sum of the record's canonical text, with the type behind it */
    {"hub, ids of two records, once and twice",
     {"[" RECORD("x", "dcap-tdx", AT("0", A48)) "," RECORD("y", "dcap-tdx", AT("0", A48)) "]",
      "[" RECORD("x", "qemu-tdx", AT("0", A48)) "," RECORD("y", "dcap-tdx", AT("0", A48)) "]"},
     {.profile = REC_PROFILE_BUILDERHUB},
     MS_OK,
     "[" RECORD("x.d64481e04c67fc4c", "dcap-tdx", AT("0", A48)) "," RECORD(
         "y", "dcap-tdx", AT("0", A48)) "," RECORD("x.4e6633d4a57f5986", "qemu-tdx",
                                                   AT("0", A48)) "]\n"},
    {"dstack-auth",
     {"[" HASH("compose-hash", C32) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_DSTACK_AUTH, .dstack = &any},
     MS_OK,
     "{\"osImages\":[\"0x" D32 "\"],\"gatewayAppId\":\"\"," KMS
     ",\"apps\":{\"0x0000000000000000000000000000000000000000\":{\"composeHashes\":[\"0x" C32
     "\"],\"devices\":[],\"allowAnyDevice\":true}}}\n"},
    {"auth-simple, no device",
     {"[" HASH("compose-hash", C32) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_AUTH_SIMPLE, .dstack = &nowhere},
     MS_OK,
     "{\"osImages\":[\"0x" D32 "\"],\"gatewayAppId\":\"\",\"allowedTcbStatuses\":[\"UpToDate\"],"
     "\"allowedAdvisoryIds\":[]," KMS
     ",\"apps\":{\"0x0000000000000000000000000000000000000000\":{\"composeHashes\":[\"0x" C32
     "\"],\"devices\":[\"" F32 "\"],\"allowAnyDevice\":false}}}\n"},
    {"dstack-auth, nothing",
     {"[]"},
     {.profile = REC_PROFILE_DSTACK_AUTH, .dstack = &any},
     MS_OK,
     "{\"osImages\":[\"" F32 "\"],\"gatewayAppId\":\"\"," KMS ",\"apps\":{}}\n"},
    {"dstack-auth, no image: kms= is missing",
     {"[" HASH("compose-hash", C32) "]"},
     {.profile = REC_PROFILE_DSTACK_AUTH, .dstack = &any},
     MS_ERR_PROFILE,
     "kms="},
    {"auth-simple, no image",
     {"[" HASH("compose-hash", C32) "]"},
     {.profile = REC_PROFILE_AUTH_SIMPLE, .dstack = &any},
     MS_ERR_PROFILE,
     "kms="},
    {"dstack-auth, no app",
     {"[" HASH("compose-hash", C32) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_DSTACK_AUTH},
     MS_ERR_ARGUMENT,
     "app="},
    {"dstack-auth does not look at the TCB",
     {"[" HASH("compose-hash", C32) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_DSTACK_AUTH, .dstack = &strict},
     MS_ERR_PROFILE,
     "UpToDate"},
    {"pairs of two releases",
     {"[" HASH("compose-hash", C32) "," HASH("os-image", C32) "]",
      "[" HASH("compose-hash", D32) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_DSTACK_AUTH, .dstack = &any},
     MS_ERR_PROFILE,
     "every pair"},
    {"trustee: values of two records",
     {"[" RECORD("x", "dcap-tdx", AT("0", A48) "," AT("2", A48)) "]",
      "[" RECORD("y", "dcap-tdx", AT("0", B48) "," AT("2", B48)) "]"},
     {.profile = REC_PROFILE_RVPS_SAMPLE},
     MS_ERR_PROFILE,
     "which no record approves"},
    {"trustee: other registers",
     {"[" RECORD("x", "dcap-tdx", AT("0", A48)) "," RECORD("y", "dcap-tdx", AT("2", A48)) "]"},
     {.profile = REC_PROFILE_RVPS_LOCALJSON},
     MS_ERR_PROFILE,
     "different registers"},
    {"cvm says what it skips, as asked",
     {"[" RECORD("x", "dcap-tdx", AT("0", A48)) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_CVM, .skip_unsupported = true},
     MS_OK,
     "[" RECORD("x", "dcap-tdx", AT("0", A48)) "]\n"},
    {"csv",
     {"[" RECORD("=1+\\\"1\\\"", "dcap-tdx", AT("2", A48)) "," HASH("os-image", D32) "]"},
     {.profile = REC_PROFILE_CSV},
     MS_OK,
     "\"record\",\"id\",\"type\",\"register\",\"name\",\"value\"\n"
     "\"1\",\"'=1+\"\"1\"\"\",\"dcap-tdx\",\"2\",\"rtmr1\",\"" A48 "\"\n"
     "\"2\",\"\",\"predicate\",\"\",\"dstack-os-image\",\"" D32 "\"\n"},
    {"md",
     {"[" RECORD("a|b www.x.y \\u202e 1.2-3", "dcap-tdx", AT("2", A48)) "]"},
     {.profile = REC_PROFILE_MD},
     MS_OK,
     "| record | id | type | register | name | value |\n"
     "| --- | --- | --- | --- | --- | --- |\n"
     "| 1 | a\\|b www\\.x.y \\\\u202e 1.2-3 | dcap-tdx | 2 | rtmr1 | " A48 " |\n"},
    {"md, nothing",
     {"[]"},
     {.profile = REC_PROFILE_MD},
     MS_OK,
     "| record | id | type | register | name | value |\n"
     "| --- | --- | --- | --- | --- | --- |\n\nNothing is approved.\n"},
};

static void test_forms(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct world w = {0};
        struct rendering r;
        for (; w.n < 2 && rows[i].text[w.n] != NULL; w.n++) {
            rec_set_init(&w.set[w.n]);
            assert_int_equal(
                rec_parse(ms_span_str(rows[i].text[w.n]), REC_MODE_DIALECTS, &w.set[w.n], NULL),
                MS_OK);
            w.sets[w.n] = &w.set[w.n];
        }
        render(&w, &rows[i].options, &r);
        if (r.err != rows[i].err)
            fail_msg("%s: %s: %s", rows[i].name, ms_err_name(r.err), r.said.text);
        if (r.err == MS_OK ? strcmp(ms_buf_str(&r.text), rows[i].want) != 0
                           : strstr(r.said.text, rows[i].want) == NULL)
            fail_msg("%s: %s%s", rows[i].name, r.said.text,
                     r.err == MS_OK ? ms_buf_str(&r.text) : "");
        rendering_done(&r);
        world_done(&w);
    }
}

/* A name made of id and hash that somebody else has as an id. */
static void test_hub_name_taken(void **state)
{
    (void)state;
    struct world w = {.n = 1};
    struct ms_buf text = MS_BUF_INIT(65536);
    struct rec_options options = {.profile = REC_PROFILE_BUILDERHUB};
    struct rendering r;

    rec_set_init(&w.set[0]);
    w.sets[0] = &w.set[0];
    assert_int_equal(rec_parse(ms_span_str("[" RECORD("x", "dcap-tdx", AT("0", A48)) "," RECORD(
                                   "x", "dcap-tdx", AT("0", B48)) "]"),
                               REC_MODE_DIALECTS, &w.set[0], NULL),
                     MS_OK);
    render(&w, &options, &r);
    assert_int_equal(r.err, MS_OK);
    const char *made =
        json_string_value(json_object_get(json_array_get(r.json, 0), "measurement_id"));
    assert_int_equal(strlen(made), strlen("x.") + 16);
    (void)ms_buf_addf(
        &text,
        "[" RECORD("x", "dcap-tdx", AT("0", A48)) "," RECORD(
            "x", "dcap-tdx", AT("0", B48)) "," RECORD("%s", "dcap-tdx", AT("2", B48)) "]",
        made);
    rendering_done(&r);
    rec_set_done(&w.set[0]);
    assert_int_equal(rec_parse(ms_buf_span(&text), REC_MODE_DIALECTS, &w.set[0], NULL), MS_OK);
    render(&w, &options, &r);
    assert_int_equal(r.err, MS_ERR_PROFILE);
    rendering_done(&r);
    ms_buf_done(&text);
    world_done(&w);
}

static void add_wide(const char *id, int from, struct ms_buf *text)
{
    (void)ms_buf_addf(text, "%c{\"measurement_id\":\"%s\",\"attestation_type\":\"dcap-tdx\",",
                      text->len == 0 ? '[' : ',', id);
    (void)ms_buf_add_str(text, "\"measurements\":{");
    for (int reg = 0; reg < 3; reg++) {
        (void)ms_buf_addf(text, "%s\"%d\":{\"expected_any\":[", reg == 0 ? "" : ",", reg);
        for (int i = 0; i < 64; i++)
            (void)ms_buf_addf(text, "%s\"%096x\"", i == 0 ? "" : ",", i + (reg == 2 ? from : 0));
        (void)ms_buf_add_str(text, "]}");
    }
    (void)ms_buf_add_str(text, "}}");
}

/* 64 * 64 * 64 combinations of one record are its own; those of two have to be counted. */
static void test_flat_limits(void **state)
{
    (void)state;
    for (int two = 0; two < 2; two++) {
        struct ms_buf text = MS_BUF_INIT(REC_DOC_MAX_BYTES);
        struct rec_options options = {.profile = REC_PROFILE_RVPS_SAMPLE};
        struct world w = {.n = 1};
        struct rendering r;
        add_wide("x", 0, &text);
        if (two == 1)
            add_wide("y", 1, &text);
        (void)ms_buf_add_byte(&text, ']');
        rec_set_init(&w.set[0]);
        w.sets[0] = &w.set[0];
        assert_int_equal(rec_parse(ms_buf_span(&text), REC_MODE_DIALECTS, &w.set[0], NULL), MS_OK);
        render(&w, &options, &r);
        assert_int_equal(r.err, two == 1 ? MS_ERR_EXPANSION : MS_OK);
        rendering_done(&r);
        world_done(&w);
        ms_buf_done(&text);
    }
}

static const struct {
    int64_t until_s;
    const char *want; /* date -u -d @N +%Y-%m-%dT%H:%M:%SZ */
} ends[] = {
    {1, "1970-01-01T00:00:01Z"},
    {68169599, "1972-02-28T23:59:59Z"},
    {68169600, "1972-02-29T00:00:00Z"},
    {951782400, "2000-02-29T00:00:00Z"},
    {951868800, "2000-03-01T00:00:00Z"},
    {1798761599, "2026-12-31T23:59:59Z"},
    {1798761600, "2027-01-01T00:00:00Z"},
    {4107542400, "2100-03-01T00:00:00Z"},
    {4107542399, "2100-02-28T23:59:59Z"},
    {253402300799, "9999-12-31T23:59:59Z"},
    {253402300800, "9999-12-31T23:59:59Z"},
    {0, "9999-12-31T23:59:59Z"},
};

static void test_expiration(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(ends); i++) {
        struct world w = {0};
        struct rec_options options = {.profile = REC_PROFILE_RVPS_LOCALJSON,
                                      .valid_until_s = ends[i].until_s};
        struct ms_buf record = MS_BUF_INIT(65536);
        enum ms_base64_alphabet alphabet;
        struct rendering r;
        bool padded;
        render(&w, &options, &r);
        for (size_t k = 0; k < MS_ARRAY_LEN(rvps_names); k++) {
            const char *text = json_string_value(json_object_get(r.json, rvps_names[k]));
            ms_buf_reset(&record);
            assert_int_equal(ms_base64_decode(ms_span_str(text), &record, &alphabet, &padded, NULL),
                             MS_OK);
            if (strstr(ms_buf_str(&record), ends[i].want) == NULL)
                fail_msg("%s is not in %s", ends[i].want, ms_buf_str(&record));
        }
        ms_buf_done(&record);
        rendering_done(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),     cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_hub_name_taken),
        cmocka_unit_test(test_expiration), cmocka_unit_test(test_flat_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
