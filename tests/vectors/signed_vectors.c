/* A signed release set: its hashes, both its signers, and that any change of the set, and the other
 * form of a signature, refuses it. */
#include "sig/release_set.h"
#include "tests/support/sign.h"
#include "tests/support/vectors.h"

/* what the set's README prints */
#define SET_HASH "0xd4daad0958bc5412af2ac8791b30a3d20699fa804f3a6cffd9e1720bd682e82c"
#define DIGEST "0x344878589ed774a7bb7438015f035623070c9d33ec80a56d6c2fa95db774d048"
#define HIGH_S                                                                             \
    "0xa848109343aa95f66a2df4890eb656f622203301d36fba8209e94f130ec59ce9914af9ca2d0a04e3ff" \
    "387333a16117fbb598c4e7572c1071c13b39b3e290765b1c"
static const uint8_t keys[] = {0xa1, 0xb2};

static bool hash_is(const char *hex, const struct eth_hash *got)
{
    struct eth_hash want;
    return eth_data_fixed(ms_span_str(hex), want.b, sizeof(want.b)) == MS_OK &&
           eth_hash_eq(&want, got);
}

static struct msig_signers both(void)
{
    struct msig_signers signers = {.threshold = 2, .n = MS_ARRAY_LEN(keys)};
    for (size_t i = 0; i < signers.n; i++)
        signers.addrs[i] = sign_addr(keys[i]);
    return signers;
}

/* Whether two of two have signed what the tree says; ret_doc may be NULL. */
static bool accepted(const json_t *root, struct ms_arena *arena, struct msig_set_doc *ret_doc)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_DOC_MAX_BYTES);
    struct msig_signers signers = both();
    struct msig_set_doc doc;
    struct msig_tally tally;

    bool ok = ms_json_dump(root, &text) == MS_OK &&
              msig_set_parse(ms_buf_span(&text), arena, &doc, NULL) == MS_OK &&
              msig_tally(&doc.digest, &doc.signatures, &signers, &tally, NULL) == MS_OK &&
              msig_met(&tally, &signers) == MSIG_MET;
    ms_buf_done(&text);
    if (ok && ret_doc != NULL)
        *ret_doc = doc;
    return ok;
}

/* Another value of the same kind. */
static json_t *other(const json_t *value)
{
    char text[512];
    size_t len = json_string_length(value);

    if (json_is_integer(value))
        return json_integer(json_integer_value(value) + 1);
    if (!json_is_string(value) || len == 0 || len >= sizeof(text))
        return json_null();
    memcpy(text, json_string_value(value), len + 1);
    text[len - 1] = text[len - 1] == '1' ? '2' : '1'; /* still a digit where digits are */
    return json_string(text);
}

static void each_value(struct vec_count *count, const json_t *root, json_t *object,
                       const char *where)
{
    const char *name;
    json_t *value;
    void *tmp;

    json_object_foreach_safe(object, tmp, name, value)
    {
        struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
        if (json_is_array(value))
            continue;
        json_t *kept = json_incref(value);
        (void)json_object_set_new(object, name, other(value));
        vec_check(count, !accepted(root, &arena, NULL), where, "another %s is accepted", name);
        (void)json_object_set_new(object, name, kept);
        ms_arena_done(&arena);
    }
}

static void run(struct vec_count *count, json_t *root)
{
    struct ms_arena arena = MS_ARENA_INIT(MSIG_DOC_ARENA_BYTES);
    struct msig_set_doc doc;
    json_t *set = json_object_get(root, "set"), *releases = json_object_get(set, "releases");
    json_t *first = json_array_get(json_object_get(root, "signatures"), 0);

    bool ok = accepted(root, &arena, &doc);
    vec_check(count, ok, "signers", "not accepted");
    if (ok) {
        vec_check(count, hash_is(SET_HASH, &doc.set_hash), "set hash", "another");
        vec_check(count, hash_is(DIGEST, &doc.digest), "digest", "another");
        vec_check(count, doc.set.releases[0].payload.len == 351, "payload", "missing");
    }
    each_value(count, root, set, "set");
    each_value(count, root, json_array_get(releases, 0), "release");
    vec_check(count, accepted(root, &arena, NULL), "put back", "not accepted");
    (void)json_object_set_new(first, "signature", json_string(HIGH_S));
    vec_check(count, !accepted(root, &arena, NULL), "high-s twin", "accepted");
    (void)json_array_clear(releases);
    vec_check(count, !accepted(root, &arena, NULL), "release left out", "accepted");
    ms_arena_done(&arena);
}

int main(void)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "registry", "signed-set.json");

    if (root == NULL)
        return count.failed == 0 ? 0 : 1;
    run(&count, root);
    json_decref(root);
    return vec_end(&count) ? 0 : 1;
}
