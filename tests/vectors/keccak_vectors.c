/* Keccak-256 and SHA-256: known answers in one piece, and Keccak in pieces of every small size. */
#include "base/digest.h"
#include "eth/keccak.h"
#include "tests/support/vectors.h"

#define MAX_BYTES ((size_t)1 << 24)

static bool hash_is(struct ms_span hash, const char *hex)
{
    struct ms_buf want = MS_BUF_INIT(64);
    bool same = vec_hex(hex, &want) && ms_span_eq(hash, ms_buf_span(&want));
    ms_buf_done(&want);
    return same;
}

static bool keccak_in_pieces(struct ms_span msg, const char *want)
{
    static const size_t sizes[] = {1, 7, 8, 9, 135, 136, 137, 1000};

    for (size_t s = 0; s < MS_ARRAY_LEN(sizes); s++) {
        struct eth_keccak k;
        eth_keccak_init(&k);
        for (size_t at = 0; at < msg.len; at += sizes[s])
            eth_keccak_add(&k, ms_span_sub(msg, at, sizes[s]));
        struct eth_hash hash = eth_keccak_end(&k);
        if (!hash_is(eth_hash_span(&hash), want))
            return false;
    }
    return true;
}

/* The message is hex under `name`, or `len` times `repeat_byte`. */
static bool message(const json_t *c, const char *name, struct ms_buf *out)
{
    const json_t *byte = json_object_get(c, "repeat_byte");

    if (byte == NULL)
        return vec_hex(vec_str(c, name), out);
    size_t len = (size_t)json_integer_value(json_object_get(c, "len"));
    ms_buf_reset(out);
    for (size_t i = 0; i < len; i++)
        (void)ms_buf_add_byte(out, (uint8_t)json_integer_value(byte));
    return ms_buf_err(out) == MS_OK;
}

static bool run(const char *file, const char *name)
{
    struct vec_count count;
    struct ms_buf msg = MS_BUF_INIT(MAX_BYTES);
    json_t *root = vec_load(&count, "keccak", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *want = vec_str(c, "keccak256"), *sha = vec_str(c, "sha256");
        bool ok = message(c, name, &msg);
        struct eth_hash hash = eth_keccak256(ms_buf_span(&msg));
        ok = ok && hash_is(eth_hash_span(&hash), want) && keccak_in_pieces(ms_buf_span(&msg), want);
        if (sha != NULL) {
            struct ms_sha256 sum = ms_sha256(ms_buf_span(&msg));
            ok = ok && hash_is(ms_span_of(sum.b, sizeof(sum.b)), sha);
        }
        vec_check(&count, ok, vec_str(c, "id"), "a hash differs");
    }
    ms_buf_done(&msg);
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = run("ethers_hashes.json", "data");
    ok &= run("keccak_lengths.json", "msg");
    return ok ? 0 : 1;
}
