/* Block headers: raw and JSON, and that a changed field or bit changes the hash. */
#include "eth/header.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

static bool hash_member(const json_t *c, const char *name, struct eth_hash *ret_hash)
{
    return eth_json_fixed(c, name, ret_hash->b, sizeof(ret_hash->b), NULL) == MS_OK;
}

/* Every bit, on an exact heap copy. */
static bool flips_refused(struct ms_span rlp, const struct eth_hash *hash)
{
    bool ok = true;
    uint8_t *copy = malloc(rlp.len);

    if (copy == NULL)
        return false;
    memcpy(copy, rlp.ptr, rlp.len);
    for (size_t bit = 0; bit < 8 * rlp.len; bit++) {
        struct eth_header header;
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        ok &= eth_header_verify(ms_span_of(copy, rlp.len), hash, &header, NULL) != MS_OK;
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    free(copy);
    return ok;
}

static void raw_case(struct vec_count *count, const json_t *c, bool flips)
{
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    struct eth_hash hash, state_root;
    struct eth_header header = {0};
    struct ms_diag diag = {0};
    uint64_t number = 0, timestamp = 0;

    bool ok = vec_hex(vec_str(c, "header_rlp"), &rlp) && hash_member(c, "hash", &hash) &&
              hash_member(c, "stateRoot", &state_root) &&
              eth_json_u64(c, "number", &number, NULL) == MS_OK &&
              eth_json_u64(c, "timestamp", &timestamp, NULL) == MS_OK &&
              eth_header_verify(ms_buf_span(&rlp), &hash, &header, &diag) == MS_OK &&
              eth_hash_eq(&header.state_root, &state_root) && header.number == number &&
              header.timestamp_s == timestamp;
    vec_check(count, ok && (!flips || flips_refused(ms_buf_span(&rlp), &hash)), vec_str(c, "id"),
              "%s", ok ? "a flipped bit was accepted" : diag.text);
    ms_buf_done(&rlp);
}

static bool raw(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "headers", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c) raw_case(&count, c, i < 4);
    json_decref(root);
    return vec_end(&count);
}

/* Each member that is part of the header, changed in its last digit, must be noticed. */
static bool changes_refused(const json_t *header, size_t n_items)
{
    const char *name;
    json_t *value;
    size_t noticed = 0;

    json_object_foreach((json_t *)(uintptr_t)header, name, value)
    {
        struct ms_span text = ms_json_member_str(header, name);
        struct eth_header got;
        if (text.len < 3)
            continue;
        json_t *changed = json_deep_copy(header);
        char *digits = malloc(text.len + 1);
        if (digits == NULL || changed == NULL)
            abort();
        memcpy(digits, text.ptr, text.len);
        digits[text.len] = '\0';
        digits[text.len - 1] = digits[text.len - 1] == '1' ? '2' : '1';
        (void)json_object_set_new(changed, name, json_string(digits));
        noticed += eth_header_verify_json(changed, &got, NULL) != MS_OK;
        free(digits);
        json_decref(changed);
    }
    return noticed + 1 >= n_items; /* all items and `hash`; extraData may be "0x" */
}

static bool json(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "headers", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const json_t *header = json_object_get(c, "header");
        struct eth_header got = {0};
        struct eth_hash hash;
        struct ms_diag diag = {0};
        bool ok = eth_header_verify_json(header, &got, &diag) == MS_OK &&
                  hash_member(header, "hash", &hash) && eth_hash_eq(&hash, &got.hash);
        vec_check(&count, ok && changes_refused(header, got.n_items), vec_str(c, "id"), "%s",
                  ok ? "a changed member was accepted" : diag.text);
    }
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = raw("mainnet_headers_rlp.json");
    ok &= json("headers_json.json");
    return ok ? 0 : 1;
}
