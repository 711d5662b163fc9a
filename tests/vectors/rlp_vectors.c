/* RLP: both directions of the good cases, refusal of the bad ones. */
#include "eth/rlp.h"
#include "tests/support/vectors.h"

#include <gmp.h>
#include <stdlib.h>

#define MAX_BYTES ((size_t)1 << 22)

/* ---- encoding of a JSON description ---- */
enum string_form {
    FORM_HEX, /* "0x.." is bytes */
    FORM_RAW, /* a string is its bytes, "#n" a decimal number */
};

static void add_decimal(struct ms_buf *out, const char *digits)
{
    uint8_t bytes[256];
    size_t n = 0;
    mpz_t z;

    if (mpz_init_set_str(z, digits, 10) == 0 && mpz_sizeinbase(z, 2) <= 8 * sizeof(bytes))
        (void)mpz_export(bytes, &n, 1, 1, 1, 0, z);
    mpz_clear(z);
    (void)eth_rlp_add_string(out, ms_span_of(bytes, n));
}

static void add_text(struct ms_buf *out, const json_t *value, enum string_form form)
{
    const char *text = json_string_value(value);
    struct ms_buf bytes = MS_BUF_INIT(MAX_BYTES);

    if (form == FORM_RAW && text[0] == '#') {
        add_decimal(out, text + 1);
    } else if (form == FORM_RAW) {
        (void)eth_rlp_add_string(out, ms_span_of(text, json_string_length(value)));
    } else if (vec_hex(text, &bytes)) {
        (void)eth_rlp_add_string(out, ms_buf_span(&bytes));
    } else {
        out->err = MS_ERR_HEX;
    }
    ms_buf_done(&bytes);
}

static void encode(struct ms_buf *out, const json_t *value, enum string_form form)
{
    if (json_is_integer(value)) {
        (void)eth_rlp_add_u64(out, (uint64_t)json_integer_value(value));
    } else if (json_is_string(value)) {
        add_text(out, value, form);
    } else {
        struct ms_buf payload = MS_BUF_INIT(MAX_BYTES);
        for (size_t i = 0; i < json_array_size(value); i++)
            encode(&payload, json_array_get(value, i), form);
        if (ms_buf_err(&payload) != MS_OK)
            out->err = ms_buf_err(&payload);
        (void)eth_rlp_add_list(out, ms_buf_span(&payload));
        ms_buf_done(&payload);
    }
}

/* ---- decoding, compared by encoding what was decoded ---- */
static enum ms_err recode(struct ms_span bytes, struct ms_buf *out, size_t depth)
{
    struct eth_rlp item;
    enum ms_err err = eth_rlp_one(bytes, &item);

    if (err != MS_OK)
        return err;
    if (item.kind == ETH_RLP_STRING)
        return eth_rlp_add_string(out, item.payload);
    struct ms_buf payload = MS_BUF_INIT(MAX_BYTES);
    for (struct ms_span rest = item.payload; rest.len > 0 && err == MS_OK;) {
        struct eth_rlp member;
        err = depth == 0 ? MS_ERR_DEPTH : eth_rlp_next(&rest, &member);
        if (err == MS_OK)
            err = recode(member.raw, &payload, depth - 1);
    }
    if (err == MS_OK)
        err = eth_rlp_add_list(out, ms_buf_span(&payload));
    ms_buf_done(&payload);
    return err;
}

/* An exact copy on the heap, so that ASan sees a read one byte too far. */
static enum ms_err check_copy(struct ms_span bytes)
{
    uint8_t *copy = malloc(bytes.len == 0 ? 1 : bytes.len);
    if (copy == NULL)
        return MS_ERR_MEMORY;
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    enum ms_err err = eth_rlp_check(ms_span_of(copy, bytes.len), ETH_RLP_DEPTH_MAX);
    free(copy);
    return err;
}

static bool good(const char *file, const char *decoded, const char *encoded, enum string_form form)
{
    struct vec_count count;
    struct ms_buf want = MS_BUF_INIT(MAX_BYTES), got = MS_BUF_INIT(MAX_BYTES),
                  again = MS_BUF_INIT(MAX_BYTES);
    json_t *root = vec_load(&count, "rlp", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *id = vec_str(c, "id");
        ms_buf_reset(&got);
        ms_buf_reset(&again);
        if (!vec_hex(vec_str(c, encoded), &want)) {
            vec_check(&count, false, id, "bad hex");
            continue;
        }
        encode(&got, json_object_get(c, decoded), form);
        bool same = ms_buf_err(&got) == MS_OK && ms_span_eq(ms_buf_span(&got), ms_buf_span(&want));
        bool back = check_copy(ms_buf_span(&want)) == MS_OK &&
                    recode(ms_buf_span(&want), &again, ETH_RLP_DEPTH_MAX) == MS_OK &&
                    ms_span_eq(ms_buf_span(&again), ms_buf_span(&want));
        bool prefix_refused = true;
        for (size_t n = 0; n < want.len && n < 300; n++)
            prefix_refused &= check_copy(ms_span_of(want.ptr, n)) == MS_ERR_RLP;
        vec_check(&count, same && back && prefix_refused, id, "encode %d decode %d prefixes %d",
                  same, back, prefix_refused);
    }
    ms_buf_done(&want);
    ms_buf_done(&got);
    ms_buf_done(&again);
    json_decref(root);
    return vec_end(&count);
}

static bool bad(const char *file, const char *member)
{
    struct vec_count count;
    struct ms_buf data = MS_BUF_INIT(MAX_BYTES);
    json_t *root = vec_load(&count, "rlp", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *strict = vec_str(c, "strict");
        bool accept = strict != NULL && strcmp(strict, "accept") == 0;
        /* text that is not hexadecimal (an odd digit) is refused before RLP is looked at */
        bool got = vec_hex(vec_str(c, member), &data) && check_copy(ms_buf_span(&data)) == MS_OK;
        vec_check(&count, got == accept, vec_str(c, "id"), "got %s", got ? "accepted" : "refused");
    }
    ms_buf_done(&data);
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    bool ok = good("ethereum_rlptest.json", "in", "out", FORM_RAW);
    ok &= bad("ethereum_invalid.json", "out");
    ok &= good("ethers_rlp.json", "decoded", "encoded", FORM_HEX);
    ok &= good("rlp_good.json", "decoded", "encoded", FORM_HEX);
    ok &= bad("rlp_bad.json", "data");
    return ok ? 0 : 1;
}
