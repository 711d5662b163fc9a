/* fuzz/fuzz_records.c - measurement documents in all modes, the linter, every profile.
 *
 * Beside not crashing: strict, and the readers of payloads, accept nothing that dialect mode
 * refuses, and read it as that does; a payload is of one kind; the canonical form of what
 * was read reads back to the same hash; no profile writes a record without registers, or of type
 * none. */
#include "resolver/records/records.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void count_finding(const struct rec_finding *finding, void *arg)
{
    size_t *n = arg;

    require(finding->text[0] != '\0');
    ++*n;
}

static void check_canonical(const struct rec_set *set)
{
    struct ms_buf text = MS_BUF_INIT(REC_ARENA_MAX_BYTES);
    struct ms_sha256 a, b;
    struct rec_set again;

    rec_set_init(&again);
    require(rec_set_canonical(set, &text) == MS_OK);
    /* The canonical form writes more than some dialects do, so it may exceed the limits of a
     * document. */
    if (rec_parse(ms_buf_span(&text), REC_MODE_DIALECTS, &again, NULL) == MS_OK) {
        require(rec_set_hash(set, &a) == MS_OK && rec_set_hash(&again, &b) == MS_OK);
        require(ms_sha256_eq(&a, &b));
    } else {
        require(text.len > REC_DOC_MAX_BYTES / 4);
    }
    rec_set_done(&again);
    ms_buf_done(&text);
}

static void check_list(const json_t *root, enum rec_profile profile)
{
    require(json_is_array(root));
    require(profile != REC_PROFILE_CVM || json_array_size(root) > 0);
    for (size_t i = 0; i < json_array_size(root); i++) {
        const json_t *record = json_array_get(root, i);
        require(rec_type_parse(ms_json_member_str(record, "attestation_type")) != REC_TYPE_UNKNOWN);
        require(json_object_size(json_object_get(record, "measurements")) > 0 ||
                (profile == REC_PROFILE_ATLS_2 &&
                 json_object_size(json_object_get(record, "dcap_image_hashes")) >= 5));
        require(profile != REC_PROFILE_BUILDERHUB ||
                ms_json_member_str(record, "measurement_id").len > 0);
    }
}

/* No list that a back-end could read as "any". */
static void check_dstack(const json_t *root)
{
    const json_t *kms = json_object_get(root, "kms");
    const char *name;
    json_t *app;

    require(json_array_size(json_object_get(root, "osImages")) > 0);
    require(json_array_size(json_object_get(kms, "devices")) > 0);
    require(json_is_false(json_object_get(kms, "allowAnyDevice")));
    require(json_is_object(json_object_get(root, "apps")));
    json_object_foreach(json_object_get(root, "apps"), name, app)
    {
        require(strlen(name) == 42 && json_array_size(json_object_get(app, "composeHashes")) > 0);
        require(json_is_true(json_object_get(app, "allowAnyDevice")));
    }
}

static void check_rendered(struct ms_span text, enum rec_profile profile)
{
    static const struct ms_json_limits limits = {(size_t)32 << 20, 16, (size_t)1 << 22, 0};
    json_t *root = NULL;

    require(text.len > 0 && text.ptr[text.len - 1] == '\n');
    if (strcmp(rec_profile_media_type(profile), "application/json") != 0)
        return;
    require(ms_json_parse(text, &limits, &root, NULL) == MS_OK);
    if (rec_profile_of_dstack(profile))
        check_dstack(root);
    else if (profile == REC_PROFILE_RVPS_LOCALJSON || profile == REC_PROFILE_RVPS_SAMPLE)
        require(json_object_size(root) > 0);
    else
        check_list(root, profile);
    json_decref(root);
}

/* Those of the others can write whatever was read. */
static bool may_refuse(enum rec_profile p)
{
    return p == REC_PROFILE_CVM || p == REC_PROFILE_BUILDERHUB || rec_profile_of_dstack(p) ||
           p == REC_PROFILE_RVPS_LOCALJSON || p == REC_PROFILE_RVPS_SAMPLE;
}

static void check_profiles(const struct rec_set *set)
{
    static const struct rec_dstack about = {.has_app = true, .any_device = true};
    const struct rec_set *sets[] = {set, set};

    for (enum rec_profile p = REC_PROFILE_SEED; p < REC_PROFILES; p++) {
        for (unsigned skip = 0; skip < 2; skip++) {
            struct ms_buf out = MS_BUF_INIT((size_t)32 << 20);
            struct ms_diag diag = {0};
            struct rec_options options = {
                .profile = p, .skip_unsupported = skip == 1, .dstack = &about};
            enum ms_err err = rec_render(sets, 1 + skip, &options, &out, &diag);
            if (err == MS_OK)
                check_rendered(ms_buf_span(&out), p);
            else
                require(may_refuse(p) && out.len == 0 && diag.text[0] != '\0');
            ms_buf_done(&out);
        }
    }
    json_decref(rec_records_json(set));
    json_decref(rec_predicates_json(set));
}

static void check_presented(struct ms_span text)
{
    static const struct ms_json_limits limits = {65536, 8, 4096, 0};
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct rec_presented regs[REC_REGISTERS_MAX];
    json_t *root = NULL;
    size_t n;

    if (ms_json_parse(text, &limits, &root, NULL) != MS_OK)
        return;
    for (enum rec_type type = REC_TYPE_UNKNOWN; type <= REC_TYPE_QEMU_TDX; type++)
        if (rec_presented_parse(root, type, &arena, regs, &n, NULL) == MS_OK)
            require(n > 0 && n <= REC_REGISTERS_MAX);
    json_decref(root);
    ms_arena_done(&arena);
}

/* Payloads of predicates: nothing else in them, and no document is of both kinds. */
static bool check_payload(struct ms_span text, enum rec_mode mode, const struct rec_set *loose)
{
    struct ms_sha256 a, b;
    struct rec_set set;

    rec_set_init(&set);
    bool ok = rec_parse(text, mode, &set, NULL) == MS_OK;
    require(!ok || (set.n_records == 0 && set.n_predicates > 0));
    for (size_t i = 0; i < set.n_predicates; i++)
        require((set.predicates[i].kind == REC_PREDICATE_TDX_WORKLOAD_ID) ==
                (mode == REC_MODE_WORKLOAD_IDS));
    if (ok) {
        require(rec_set_hash(&set, &a) == MS_OK && rec_set_hash(loose, &b) == MS_OK);
        require(ms_sha256_eq(&a, &b));
    }
    rec_set_done(&set);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_span text = ms_span_of(data, size);
    struct rec_set strict, loose;
    struct ms_diag diag = {0};
    size_t findings = 0;

    rec_set_init(&strict);
    rec_set_init(&loose);
    bool strict_ok = rec_parse(text, REC_MODE_STRICT, &strict, NULL) == MS_OK;
    bool loose_ok = rec_parse(text, REC_MODE_DIALECTS, &loose, &diag) == MS_OK;
    require(loose_ok || (!strict_ok && diag.text[0] != '\0'));
    if (loose_ok) {
        check_canonical(&loose);
        check_profiles(&loose);
    }
    bool workload = check_payload(text, REC_MODE_WORKLOAD_IDS, &loose);
    bool dstack = check_payload(text, REC_MODE_DSTACK, &loose);
    require((!workload && !dstack) || (loose_ok && workload != dstack));
    require(rec_lint(text, count_finding, &findings) == !loose_ok);
    require(loose_ok || findings == 1);
    check_presented(text);
    rec_set_done(&strict);
    rec_set_done(&loose);
    return 0;
}
