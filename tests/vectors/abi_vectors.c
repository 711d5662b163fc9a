/* ABI: encoding and decoding of published and generated values, selectors, refusal of the rest. */
#include "eth/abi.h"
#include "tests/support/vectors.h"

#include <gmp.h>
#include <stdlib.h>

#define ABI_MAX_BYTES ((size_t)4 << 20)

/* ---- JSON values to values ---- */
static bool to_value(const struct eth_abi_type *type, const json_t *json, struct ms_arena *arena,
                     struct eth_abi_value *out);

/* Decimal text, a minus sign, "0x.." or a JSON integer, modulo 2^256. */
static bool to_number(const json_t *json, struct eth_word *out)
{
    mpz_t z, modulus;
    size_t n = 0;
    uint8_t bytes[ETH_WORD_BYTES];
    bool ok = true;

    mpz_init(z);
    mpz_init(modulus);
    mpz_ui_pow_ui(modulus, 2, 256);
    if (json_is_integer(json))
        mpz_set_si(z, (long)json_integer_value(json));
    else
        ok = json_is_string(json) && mpz_set_str(z, json_string_value(json), 0) == 0;
    ok = ok && mpz_sizeinbase(z, 2) <= 256;
    mpz_mod(z, z, modulus);
    (void)mpz_export(bytes, &n, 1, 1, 1, 0, z);
    memset(out->b, 0, sizeof(out->b));
    memcpy(out->b + sizeof(out->b) - n, bytes, n);
    mpz_clear(z);
    mpz_clear(modulus);
    return ok;
}

static bool to_bytes(const json_t *json, struct ms_arena *arena, struct ms_span *out)
{
    struct ms_buf bytes = MS_BUF_INIT(ABI_MAX_BYTES);
    bool ok = json_is_string(json) && vec_hex(json_string_value(json), &bytes);
    uint8_t *copy = ok ? ms_arena_alloc(arena, bytes.len, 1) : NULL;

    if (copy != NULL && bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    *out = ms_span_of(copy, bytes.len);
    ms_buf_done(&bytes);
    return copy != NULL;
}

/* Hex, right or left aligned in a word. */
static bool to_aligned(const json_t *json, bool left, struct ms_arena *arena, struct eth_word *out)
{
    struct ms_span bytes;

    if (!to_bytes(json, arena, &bytes) || bytes.len > ETH_WORD_BYTES)
        return false;
    memset(out->b, 0, sizeof(out->b));
    memcpy(left ? out->b : out->b + ETH_WORD_BYTES - bytes.len, bytes.ptr, bytes.len);
    return true;
}

static bool to_items(const struct eth_abi_type *type, const json_t *json, struct ms_arena *arena,
                     struct eth_abi_value *out)
{
    out->n = json_array_size(json);
    out->items = ms_arena_alloc(arena, out->n, sizeof(*out->items));
    if (!json_is_array(json) || out->items == NULL)
        return false;
    if (type->kind != ETH_ABI_ARRAY && out->n != type->n)
        return false;
    for (size_t i = 0; i < out->n; i++)
        if (!to_value(type->kind == ETH_ABI_TUPLE ? type->members[i] : type->members[0],
                      json_array_get(json, i), arena, &out->items[i]))
            return false;
    return true;
}

static bool to_value(const struct eth_abi_type *type, const json_t *json, struct ms_arena *arena,
                     struct eth_abi_value *out)
{
    *out = (struct eth_abi_value){.kind = type->kind};
    switch (type->kind) {
    case ETH_ABI_UINT:
    case ETH_ABI_INT:
        return to_number(json, &out->word);
    case ETH_ABI_ADDRESS:
        return to_aligned(json, false, arena, &out->word);
    case ETH_ABI_BOOL:
        out->word = eth_word_u64(json_is_true(json) ? 1 : 0);
        return json_is_boolean(json);
    case ETH_ABI_FIXED_BYTES:
        return to_aligned(json, true, arena, &out->word);
    case ETH_ABI_BYTES:
        return to_bytes(json, arena, &out->bytes);
    case ETH_ABI_STRING:
        out->bytes = ms_span_of(json_string_value(json), json_string_length(json));
        return json_is_string(json);
    case ETH_ABI_ARRAY:
    case ETH_ABI_FIXED_ARRAY:
    case ETH_ABI_TUPLE:
        return to_items(type, json, arena, out);
    case ETH_ABI_NONE:
        break;
    }
    return false;
}

static bool value_eq(const struct eth_abi_value *a, const struct eth_abi_value *b)
{
    if (a->kind != b->kind || a->n != b->n || !eth_word_eq(&a->word, &b->word) ||
        !ms_span_eq(a->bytes, b->bytes))
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!value_eq(&a->items[i], &b->items[i]))
            return false;
    return true;
}

/* ---- types ---- */
static bool params_of(const json_t *types, struct ms_arena *arena, const struct eth_abi_type **ret)
{
    struct ms_buf text = MS_BUF_INIT(ETH_ABI_TYPE_MAX_BYTES);

    if (json_is_string(types)) {
        (void)ms_buf_add_str(&text, json_string_value(types));
    } else {
        for (size_t i = 0; i < json_array_size(types); i++) {
            (void)ms_buf_add_str(&text, i == 0 ? "" : ",");
            (void)ms_buf_add_str(&text, json_string_value(json_array_get(types, i)));
        }
    }
    bool ok =
        ms_buf_err(&text) == MS_OK && eth_abi_params_parse(ms_buf_span(&text), arena, ret) == MS_OK;
    ms_buf_done(&text);
    return ok;
}

/* Decode an exact heap copy, so that ASan sees one byte too far; then encode again. */
static bool decode_is(const struct eth_abi_type *type, struct ms_span data,
                      const struct eth_abi_value *want, struct ms_arena *arena)
{
    struct eth_abi_value got = {0};
    struct ms_buf again = MS_BUF_INIT(ABI_MAX_BYTES);
    uint8_t *copy = malloc(data.len == 0 ? 1 : data.len);

    if (copy == NULL)
        return false;
    if (data.len > 0)
        memcpy(copy, data.ptr, data.len);
    bool ok = eth_abi_decode(type, ms_span_of(copy, data.len), arena, &got, NULL) == MS_OK &&
              (want == NULL || value_eq(&got, want));
    ok = ok && eth_abi_encode(type, &got, &again) == MS_OK && ms_span_eq(ms_buf_span(&again), data);
    free(copy);
    ms_buf_done(&again);
    return ok;
}

/* No proper prefix and nothing longer decodes. */
static bool only_this_length(const struct eth_abi_type *type, struct ms_span data)
{
    struct ms_buf longer = MS_BUF_INIT(ABI_MAX_BYTES);
    bool ok = true;

    (void)ms_buf_add(&longer, data);
    for (size_t i = 0; i < 32; i++)
        (void)ms_buf_add_byte(&longer, 0);
    for (size_t n = 0; n <= data.len + 32; n += n < 64 || n + 64 > data.len ? 1 : 31) {
        struct ms_arena arena = MS_ARENA_INIT((size_t)16 << 20);
        struct eth_abi_value got;
        if (n != data.len)
            ok &= eth_abi_decode(type, ms_span_of(longer.ptr, n), &arena, &got, NULL) == MS_ERR_ABI;
        ms_arena_done(&arena);
    }
    ms_buf_done(&longer);
    return ok;
}

/* A flipped bit is refused or is another value that encodes to just these bytes. */
static bool flips_canonical(const struct eth_abi_type *type, struct ms_buf *data)
{
    for (size_t i = 0; i < data->len && i < 4096; i += 5) {
        struct ms_arena arena = MS_ARENA_INIT((size_t)16 << 20);
        struct eth_abi_value got;
        uint8_t mask = (uint8_t)(1u << (i % 8));
        data->ptr[i] ^= mask;
        bool ok = eth_abi_decode(type, ms_buf_span(data), &arena, &got, NULL) != MS_OK ||
                  decode_is(type, ms_buf_span(data), &got, &arena);
        data->ptr[i] ^= mask;
        ms_arena_done(&arena);
        if (!ok)
            return false;
    }
    return true;
}

static const char *both_ways(const json_t *types, const json_t *values, bool wrap, size_t skip,
                             struct ms_buf *data)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)64 << 20);
    struct ms_buf got = MS_BUF_INIT(ABI_MAX_BYTES);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;
    const char *fault = NULL;
    json_t *one = wrap ? json_pack("[O]", values) : json_incref((json_t *)(uintptr_t)values);
    struct ms_buf body = MS_BUF_INIT(ABI_MAX_BYTES);

    (void)ms_buf_add(&body, ms_span_sub(ms_buf_span(data), skip, data->len));
    if (!params_of(types, &arena, &type))
        fault = "a type does not parse";
    else if (!to_value(type, one, &arena, &value))
        fault = "a value does not fit";
    else if (eth_abi_encode(type, &value, &got) != MS_OK ||
             !ms_span_eq(ms_buf_span(&got), ms_buf_span(&body)))
        fault = "encodes to other bytes";
    else if (!decode_is(type, ms_buf_span(&body), &value, &arena))
        fault = "decodes to another value";
    else if (!only_this_length(type, ms_buf_span(&body)))
        fault = "a prefix or longer data decode";
    else if (!flips_canonical(type, &body))
        fault = "a flipped bit decodes to what encodes to other bytes";
    json_decref(one);
    ms_buf_done(&body);
    ms_buf_done(&got);
    ms_arena_done(&arena);
    return fault;
}

struct names {
    const char *types, *values, *data;
    bool wrap; /* one type, one value */
};

static bool values(const char *file, const struct names *names)
{
    struct vec_count count;
    struct ms_buf data = MS_BUF_INIT(ABI_MAX_BYTES);
    json_t *root = vec_load(&count, "abi", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *selector = vec_str(c, "selector"), *fault = "bad hex";
        if (vec_hex(vec_str(c, names->data), &data))
            fault = both_ways(json_object_get(c, names->types), json_object_get(c, names->values),
                              names->wrap, selector == NULL ? 0 : ETH_ABI_SELECTOR_BYTES, &data);
        if (fault == NULL && selector != NULL) {
            struct ms_buf want = MS_BUF_INIT(8);
            uint8_t got[ETH_ABI_SELECTOR_BYTES];
            eth_abi_selector(vec_str(c, "signature"), got);
            if (!vec_hex(selector, &want) ||
                !ms_span_eq(ms_buf_span(&want), ms_span_of(got, sizeof(got))) ||
                !ms_span_eq(ms_buf_span(&want), ms_span_sub(ms_buf_span(&data), 0, sizeof(got))))
                fault = "the selector differs";
            ms_buf_done(&want);
        }
        vec_check(&count, fault == NULL, vec_str(c, "id"), "%s", fault);
    }
    ms_buf_done(&data);
    json_decref(root);
    return vec_end(&count);
}

static bool malformed(const char *file)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "abi", file);
    size_t i;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 20);
        struct ms_buf data = MS_BUF_INIT(ABI_MAX_BYTES);
        const struct eth_abi_type *type = NULL;
        bool accept = strcmp(vec_str(c, "strict"), "accept") == 0;
        bool ok = params_of(json_object_get(c, "types"), &arena, &type);
        bool read = eth_data_parse(ms_json_member_str(c, "data"), &data) == MS_OK;
        bool got = ok && read && decode_is(type, ms_buf_span(&data), NULL, &arena);
        vec_check(&count, ok && got == accept, vec_str(c, "id"), "%s: %s", vec_str(c, "what"),
                  got ? "accepted" : "refused");
        ms_buf_done(&data);
        ms_arena_done(&arena);
    }
    json_decref(root);
    return vec_end(&count);
}

int main(void)
{
    static const struct names basic = {"types", "args", "result", false};
    static const struct names ethers = {"type", "value", "encoded", true};
    static const struct names encode = {"types", "values", "encoded", false};
    static const struct names calls = {"types", "values", "calldata", false};

    bool ok = values("ethereum_basic.json", &basic);
    ok &= values("ethers_abi.json", &ethers);
    ok &= values("abi_encode.json", &encode);
    ok &= values("abi_calls.json", &calls);
    ok &= malformed("abi_malformed.json");
    return ok ? 0 : 1;
}
