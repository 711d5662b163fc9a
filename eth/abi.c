/* eth/abi.c - types, decoding, encoding. */
#include "eth/abi.h"

#include "base/utf8.h"

/* ---- types ---- */
struct type_parser {
    struct ms_span rest;
    struct ms_arena *arena;
};

static enum ms_err parse_type(struct type_parser *p, size_t depth, struct eth_abi_type **ret_type);

static bool take(struct type_parser *p, const char *text)
{
    if (!ms_span_starts(p->rest, text))
        return false;
    p->rest = ms_span_sub(p->rest, strlen(text), p->rest.len);
    return true;
}

/* Digits at the front, without a leading zero; the empty span when there are none. */
static struct ms_span take_digits(struct type_parser *p)
{
    size_t n = 0;

    while (n < p->rest.len && p->rest.ptr[n] >= '0' && p->rest.ptr[n] <= '9')
        n++;
    struct ms_span digits = ms_span_sub(p->rest, 0, n);
    p->rest = ms_span_sub(p->rest, n, p->rest.len);
    return digits;
}

static enum ms_err int_bits(struct type_parser *p, struct eth_abi_type *type)
{
    struct ms_span digits = take_digits(p);
    uint64_t bits = 256;

    if (digits.len > 0 && !ms_span_u64(digits, &bits))
        return MS_ERR_SYNTAX;
    if (bits == 0 || bits > 256 || bits % 8 != 0)
        return MS_ERR_SYNTAX;
    type->bits = (unsigned)bits;
    return MS_OK;
}

static enum ms_err bytes_kind(struct type_parser *p, struct eth_abi_type *type)
{
    struct ms_span digits = take_digits(p);
    uint64_t bytes = 0;

    if (digits.len == 0) {
        type->kind = ETH_ABI_BYTES;
        type->dynamic = true;
        return MS_OK;
    }
    if (!ms_span_u64(digits, &bytes) || bytes == 0 || bytes > ETH_WORD_BYTES)
        return MS_ERR_SYNTAX;
    type->kind = ETH_ABI_FIXED_BYTES;
    type->bits = (unsigned)bytes * 8;
    return MS_OK;
}

static enum ms_err parse_elementary(struct type_parser *p, struct eth_abi_type *type)
{
    type->head_bytes = ETH_WORD_BYTES;
    type->height = 1;
    if (take(p, "uint")) {
        type->kind = ETH_ABI_UINT;
        return int_bits(p, type);
    }
    if (take(p, "int")) {
        type->kind = ETH_ABI_INT;
        return int_bits(p, type);
    }
    if (take(p, "address")) {
        type->kind = ETH_ABI_ADDRESS;
        return MS_OK;
    }
    if (take(p, "bool")) {
        type->kind = ETH_ABI_BOOL;
        return MS_OK;
    }
    if (take(p, "string")) {
        type->kind = ETH_ABI_STRING;
        type->dynamic = true;
        return MS_OK;
    }
    if (take(p, "bytes"))
        return bytes_kind(p, type);
    return MS_ERR_SYNTAX;
}

/* Commas outside parentheses, plus one; an upper bound is all that is needed. */
static size_t count_members(struct ms_span text)
{
    size_t n = 1, depth = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '(')
            depth++;
        else if (text.ptr[i] == ')' && depth-- == 0)
            break;
        else if (text.ptr[i] == ',' && depth == 0)
            n++;
    }
    return n;
}

/* Members up to `end`, which is ")" or the end of the text (NULL). */
static enum ms_err parse_members(struct type_parser *p, const char *end, size_t depth,
                                 struct eth_abi_type *type)
{
    size_t max = count_members(p->rest), head = 0;

    type->kind = ETH_ABI_TUPLE;
    type->members = ms_arena_alloc(p->arena, max, sizeof(struct eth_abi_type *));
    if (type->members == NULL)
        return MS_ERR_MEMORY;
    for (;;) {
        if (type->n == max)
            return MS_ERR_SYNTAX;
        enum ms_err err = parse_type(p, depth, &type->members[type->n]);
        if (err != MS_OK)
            return err;
        const struct eth_abi_type *member = type->members[type->n++];
        type->dynamic |= member->dynamic;
        if (member->height >= type->height)
            type->height = member->height + 1;
        head +=
            member->head_bytes; /* each at most ETH_ABI_HEAD_MAX_BYTES, checked before the next */
        if (head > ETH_ABI_HEAD_MAX_BYTES)
            return MS_ERR_LIMIT;
        if (end != NULL ? take(p, end) : p->rest.len == 0)
            break;
        if (!take(p, ","))
            return MS_ERR_SYNTAX;
    }
    type->head_bytes = type->dynamic ? ETH_WORD_BYTES : head;
    return MS_OK;
}

/* "[]" or "[k]" behind an element. */
static enum ms_err parse_suffix(struct type_parser *p, struct eth_abi_type *element,
                                struct eth_abi_type *type)
{
    struct ms_span digits = take_digits(p);
    uint64_t n = 0;

    if (!take(p, "]"))
        return MS_ERR_SYNTAX;
    type->members = ms_arena_alloc(p->arena, 1, sizeof(struct eth_abi_type *));
    if (type->members == NULL)
        return MS_ERR_MEMORY;
    type->members[0] = element;
    type->height = element->height + 1;
    if (digits.len == 0) {
        type->kind = ETH_ABI_ARRAY;
        type->dynamic = true;
        type->head_bytes = ETH_WORD_BYTES;
        return MS_OK;
    }
    if (!ms_span_u64(digits, &n) || n == 0)
        return MS_ERR_SYNTAX;
    if (n > ETH_ABI_HEAD_MAX_BYTES / element->head_bytes)
        return MS_ERR_LIMIT;
    type->kind = ETH_ABI_FIXED_ARRAY;
    type->n = (size_t)n;
    type->dynamic = element->dynamic;
    type->head_bytes = type->dynamic ? ETH_WORD_BYTES : type->n * element->head_bytes;
    return MS_OK;
}

static enum ms_err parse_type(struct type_parser *p, size_t depth, struct eth_abi_type **ret_type)
{
    if (depth == 0)
        return MS_ERR_DEPTH;
    struct eth_abi_type *type = ms_arena_alloc(p->arena, 1, sizeof(*type));
    if (type == NULL)
        return MS_ERR_MEMORY;
    bool tuple = take(p, "(") || take(p, "tuple(");
    enum ms_err err = tuple ? parse_members(p, ")", depth - 1, type) : parse_elementary(p, type);
    while (err == MS_OK && take(p, "[")) {
        struct eth_abi_type *array = ms_arena_alloc(p->arena, 1, sizeof(*array));
        if (array == NULL)
            return MS_ERR_MEMORY;
        err = parse_suffix(p, type, array);
        type = array;
    }
    if (err == MS_OK && type->height > ETH_ABI_DEPTH_MAX)
        err = MS_ERR_DEPTH;
    if (err == MS_OK)
        *ret_type = type;
    return err;
}

enum ms_err eth_abi_type_parse(struct ms_span text, struct ms_arena *arena,
                               const struct eth_abi_type **ret_type)
{
    struct type_parser p = {.rest = text, .arena = arena};
    struct eth_abi_type *type = NULL;

    if (text.len > ETH_ABI_TYPE_MAX_BYTES)
        return MS_ERR_LIMIT;
    enum ms_err err = parse_type(&p, ETH_ABI_DEPTH_MAX, &type);
    if (err == MS_OK && p.rest.len != 0)
        err = MS_ERR_SYNTAX;
    if (err == MS_OK)
        *ret_type = type;
    return err;
}

enum ms_err eth_abi_params_parse(struct ms_span text, struct ms_arena *arena,
                                 const struct eth_abi_type **ret_type)
{
    struct type_parser p = {.rest = text, .arena = arena};

    if (text.len > ETH_ABI_TYPE_MAX_BYTES)
        return MS_ERR_LIMIT;
    struct eth_abi_type *type = ms_arena_alloc(arena, 1, sizeof(*type));
    if (type == NULL)
        return MS_ERR_MEMORY;
    type->kind = ETH_ABI_TUPLE;
    enum ms_err err = text.len == 0 ? MS_OK : parse_members(&p, NULL, ETH_ABI_DEPTH_MAX, type);
    if (err == MS_OK)
        *ret_type = type;
    return err;
}

/* ---- values of one word ---- */
static bool all_are(const uint8_t *bytes, size_t n, uint8_t value)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < n; i++)
        differs |= bytes[i] ^ value;
    return differs == 0;
}

static bool word_fits(const struct eth_abi_type *type, const struct eth_word *word)
{
    size_t bytes = type->bits / 8, pad = ETH_WORD_BYTES - bytes;

    switch (type->kind) {
    case ETH_ABI_UINT:
        return all_are(word->b, pad, 0);
    case ETH_ABI_INT:
        return all_are(word->b, pad, (word->b[pad] & 0x80) != 0 ? 0xff : 0);
    case ETH_ABI_ADDRESS:
        return all_are(word->b, ETH_WORD_BYTES - 20, 0);
    case ETH_ABI_BOOL:
        return all_are(word->b, ETH_WORD_BYTES - 1, 0) && word->b[ETH_WORD_BYTES - 1] <= 1;
    case ETH_ABI_FIXED_BYTES:
        return all_are(word->b + bytes, pad, 0);
    case ETH_ABI_NONE:
    case ETH_ABI_BYTES:
    case ETH_ABI_STRING:
    case ETH_ABI_ARRAY:
    case ETH_ABI_FIXED_ARRAY:
    case ETH_ABI_TUPLE:
        break;
    }
    return false;
}

/* ---- decoding ----
 * A sequence (members of a tuple, elements of an array) is a head and tails, at the front of `at`.
 * Every function below consumes from the front of what it is given; a dynamic member's offset must
 * be just what its sequence has consumed so far. */
struct decoder {
    struct ms_arena *arena;
    const char *fault;
};

static enum ms_err decode_value(struct decoder *d, const struct eth_abi_type *type,
                                struct ms_span *rest, struct eth_abi_value *ret_value);

static enum ms_err bad(struct decoder *d, const char *fault)
{
    d->fault = fault;
    return MS_ERR_ABI;
}

static enum ms_err take_word(struct decoder *d, struct ms_span *rest, struct eth_word *ret_word)
{
    if (rest->len < ETH_WORD_BYTES)
        return bad(d, "the data end too early");
    memcpy(ret_word->b, rest->ptr, ETH_WORD_BYTES);
    *rest = ms_span_sub(*rest, ETH_WORD_BYTES, rest->len);
    return MS_OK;
}

/* A length or an offset; nothing that does not fit a size_t can be right. */
static enum ms_err take_size(struct decoder *d, struct ms_span *rest, size_t *ret_size)
{
    struct eth_word word;
    uint64_t size = 0;

    enum ms_err err = take_word(d, rest, &word);
    if (err != MS_OK)
        return err;
    if (!eth_word_to_u64(&word, &size) || size > SIZE_MAX)
        return bad(d, "a length or offset beyond the data");
    *ret_size = (size_t)size;
    return MS_OK;
}

static enum ms_err decode_bytes(struct decoder *d, const struct eth_abi_type *type,
                                struct ms_span *rest, struct eth_abi_value *ret_value)
{
    size_t len = 0;

    enum ms_err err = take_size(d, rest, &len);
    if (err != MS_OK)
        return err;
    if (len > rest->len)
        return bad(d, "a length beyond the data");
    size_t pad = (ETH_WORD_BYTES - len % ETH_WORD_BYTES) % ETH_WORD_BYTES;
    if (pad > rest->len - len)
        return bad(d, "padding is missing");
    if (!all_are(rest->ptr + len, pad, 0))
        return bad(d, "padding that is not zero");
    ret_value->bytes = ms_span_sub(*rest, 0, len);
    if (type->kind == ETH_ABI_STRING && !ms_utf8_valid(ret_value->bytes))
        return bad(d, "a string that is not UTF-8");
    *rest = ms_span_sub(*rest, len + pad, rest->len);
    return MS_OK;
}

/* The type of item i of a sequence. */
static const struct eth_abi_type *item_type(const struct eth_abi_type *type, size_t i)
{
    return type->kind == ETH_ABI_TUPLE ? type->members[i] : type->members[0];
}

/* n items: first the heads, then the tails in the same order. */
static enum ms_err decode_items(struct decoder *d, const struct eth_abi_type *type, size_t n,
                                struct ms_span *rest, struct eth_abi_value *ret_value)
{
    size_t head = 0;

    for (size_t i = 0; i < n; i++) { /* no overflow: each head is at most 1 MiB, and checked here */
        head += item_type(type, i)->head_bytes;
        if (head > rest->len)
            return bad(d, "the data end too early");
    }
    ret_value->n = n;
    ret_value->items = ms_arena_alloc(d->arena, n, sizeof(struct eth_abi_value));
    if (ret_value->items == NULL)
        return MS_ERR_MEMORY;

    struct ms_span heads = ms_span_sub(*rest, 0, head), tails = ms_span_sub(*rest, head, rest->len);
    for (size_t i = 0; i < n; i++) {
        const struct eth_abi_type *item = item_type(type, i);
        size_t offset = 0;
        enum ms_err err = MS_OK;
        if (item->dynamic) {
            err = take_size(d, &heads, &offset);
            if (err == MS_OK && offset != rest->len - tails.len)
                err = bad(d, "an offset that is not the canonical one");
        }
        if (err == MS_OK)
            err = decode_value(d, item, item->dynamic ? &tails : &heads, &ret_value->items[i]);
        if (err != MS_OK)
            return err;
    }
    *rest = tails;
    return MS_OK;
}

static enum ms_err decode_array(struct decoder *d, const struct eth_abi_type *type,
                                struct ms_span *rest, struct eth_abi_value *ret_value)
{
    size_t n = 0;

    enum ms_err err = take_size(d, rest, &n);
    if (err != MS_OK)
        return err;
    if (n > rest->len / type->members[0]->head_bytes)
        return bad(d, "an array longer than the data");
    return decode_items(d, type, n, rest, ret_value);
}

static enum ms_err decode_word(struct decoder *d, const struct eth_abi_type *type,
                               struct ms_span *rest, struct eth_abi_value *ret_value)
{
    enum ms_err err = take_word(d, rest, &ret_value->word);

    if (err == MS_OK && !word_fits(type, &ret_value->word))
        err = bad(d, "a value out of the range of its type");
    return err;
}

static enum ms_err decode_value(struct decoder *d, const struct eth_abi_type *type,
                                struct ms_span *rest, struct eth_abi_value *ret_value)
{
    ret_value->kind = type->kind;
    switch (type->kind) {
    case ETH_ABI_UINT:
    case ETH_ABI_INT:
    case ETH_ABI_ADDRESS:
    case ETH_ABI_BOOL:
    case ETH_ABI_FIXED_BYTES:
        return decode_word(d, type, rest, ret_value);
    case ETH_ABI_BYTES:
    case ETH_ABI_STRING:
        return decode_bytes(d, type, rest, ret_value);
    case ETH_ABI_ARRAY:
        return decode_array(d, type, rest, ret_value);
    case ETH_ABI_FIXED_ARRAY:
    case ETH_ABI_TUPLE:
        return decode_items(d, type, type->n, rest, ret_value);
    case ETH_ABI_NONE:
        break;
    }
    return MS_ERR_INTERNAL;
}

enum ms_err eth_abi_decode(const struct eth_abi_type *type, struct ms_span data,
                           struct ms_arena *arena, struct eth_abi_value *ret_value,
                           struct ms_diag *diag)
{
    struct decoder d = {.arena = arena};
    struct eth_abi_value value = {.kind = type->kind};

    if (type->kind != ETH_ABI_TUPLE)
        return MS_ERR_INTERNAL;
    enum ms_err err = decode_items(&d, type, type->n, &data, &value);
    if (err == MS_OK && data.len != 0)
        err = bad(&d, "bytes behind the last value");
    if (err == MS_ERR_ABI)
        return ms_diag_set(diag, err, "ABI data: %s", d.fault);
    if (err == MS_OK)
        *ret_value = value;
    return err;
}

/* ---- encoding ---- */
static enum ms_err encode_value(const struct eth_abi_type *type, const struct eth_abi_value *value,
                                struct ms_buf *out);

static void put_size(struct ms_buf *out, size_t at, size_t size)
{
    struct eth_word word = eth_word_u64(size);
    memcpy(out->ptr + at, word.b, ETH_WORD_BYTES);
}

/* Heads are written in place while tails are appended. */
static enum ms_err encode_items(const struct eth_abi_type *type, const struct eth_abi_value *value,
                                struct ms_buf *out)
{
    static const struct eth_word zero;
    const size_t start = out->len;

    for (size_t i = 0; i < value->n; i++) {
        const struct eth_abi_type *item = item_type(type, i);
        enum ms_err err = item->dynamic ? ms_buf_add(out, eth_word_span(&zero))
                                        : encode_value(item, &value->items[i], out);
        if (err != MS_OK)
            return err;
    }
    size_t head = start;
    for (size_t i = 0; i < value->n; i++) {
        const struct eth_abi_type *item = item_type(type, i);
        if (item->dynamic) {
            put_size(out, head, out->len - start);
            enum ms_err err = encode_value(item, &value->items[i], out);
            if (err != MS_OK)
                return err;
        }
        head += item->head_bytes;
    }
    return MS_OK;
}

static enum ms_err encode_bytes(const struct eth_abi_type *type, const struct eth_abi_value *value,
                                struct ms_buf *out)
{
    static const struct eth_word zero;
    struct eth_word len = eth_word_u64(value->bytes.len);
    size_t pad = (ETH_WORD_BYTES - value->bytes.len % ETH_WORD_BYTES) % ETH_WORD_BYTES;

    if (type->kind == ETH_ABI_STRING && !ms_utf8_valid(value->bytes))
        return MS_ERR_ABI;
    (void)ms_buf_add(out, eth_word_span(&len));
    (void)ms_buf_add(out, value->bytes);
    return ms_buf_add(out, ms_span_of(zero.b, pad));
}

static enum ms_err encode_value(const struct eth_abi_type *type, const struct eth_abi_value *value,
                                struct ms_buf *out)
{
    struct eth_word len = eth_word_u64(value->n);

    if (value->kind != type->kind)
        return MS_ERR_ABI;
    switch (type->kind) {
    case ETH_ABI_UINT:
    case ETH_ABI_INT:
    case ETH_ABI_ADDRESS:
    case ETH_ABI_BOOL:
    case ETH_ABI_FIXED_BYTES:
        if (!word_fits(type, &value->word))
            return MS_ERR_ABI;
        return ms_buf_add(out, eth_word_span(&value->word));
    case ETH_ABI_BYTES:
    case ETH_ABI_STRING:
        return encode_bytes(type, value, out);
    case ETH_ABI_ARRAY:
        (void)ms_buf_add(out, eth_word_span(&len));
        if (ms_buf_err(out) != MS_OK)
            return ms_buf_err(out);
        return encode_items(type, value, out);
    case ETH_ABI_FIXED_ARRAY:
    case ETH_ABI_TUPLE:
        return value->n == type->n ? encode_items(type, value, out) : MS_ERR_ABI;
    case ETH_ABI_NONE:
        break;
    }
    return MS_ERR_INTERNAL;
}

enum ms_err eth_abi_encode(const struct eth_abi_type *type, const struct eth_abi_value *value,
                           struct ms_buf *out)
{
    if (type->kind != ETH_ABI_TUPLE)
        return MS_ERR_INTERNAL;
    return encode_value(type, value, out);
}

void eth_abi_selector(const char *signature, uint8_t ret_selector[ETH_ABI_SELECTOR_BYTES])
{
    struct eth_hash hash = eth_keccak256(ms_span_str(signature));
    memcpy(ret_selector, hash.b, ETH_ABI_SELECTOR_BYTES);
}

struct eth_abi_value eth_abi_uint(const struct eth_word *word)
{
    return (struct eth_abi_value){.kind = ETH_ABI_UINT, .word = *word};
}

struct eth_abi_value eth_abi_u64(uint64_t value)
{
    struct eth_word word = eth_word_u64(value);
    return eth_abi_uint(&word);
}

struct eth_abi_value eth_abi_bytes32(const struct eth_word *word)
{
    return (struct eth_abi_value){.kind = ETH_ABI_FIXED_BYTES, .word = *word};
}
