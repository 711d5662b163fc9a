/* sig/typed_data.c - encodeType, encodeData and hashStruct of EIP-712. */
#include "sig/typed_data.h"

#define VALUES_MAX 65536
#define NAME_MAX_BYTES 128
#define TYPE_TEXT_MAX_BYTES 16384
#define DOMAIN_TYPE "EIP712Domain"
#define INTEGER_MAX ((json_int_t)1 << 53)

struct member {
    struct ms_span name, type; /* borrowed from the tree, which outlives the hashing */
    const char *key;           /* name as a C string */
};

struct type {
    struct ms_span name;
    size_t n;
    struct member *members;
    bool hashed;
    struct eth_hash hash; /* once hashed: messages have one struct many times */
};

struct ctx {
    struct ms_arena *arena;
    struct ms_diag *diag;
    size_t n;
    struct type types[MSIG_TYPED_TYPES_MAX + 1]; /* and the derived EIP712Domain */
};

static struct ms_span string_of(const json_t *value)
{
    return ms_span_of(json_string_value(value), json_string_length(value));
}

/* `what` is a name out of the document: cut here, and its bytes are escaped by the diag. */
static enum ms_err fault(const struct ctx *ctx, enum ms_err err, struct ms_span what,
                         const char *why)
{
    size_t shown = what.len < NAME_MAX_BYTES ? what.len : NAME_MAX_BYTES;
    return ms_diag_set(ctx->diag, err, "typed data: %.*s: %s", (int)shown,
                       what.len == 0 ? "" : (const char *)what.ptr, why);
}

/* ---- types ---- */
static bool is_identifier(struct ms_span name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return true;
}

static struct type *find_type(struct ctx *ctx, struct ms_span name)
{
    for (size_t i = 0; i < ctx->n; i++)
        if (ms_span_eq(ctx->types[i].name, name))
            return &ctx->types[i];
    return NULL;
}

/* "uint64" with prefix "uint": 64; 0 when it is no such type. EIP-712 has no bare uint and int. */
static unsigned number_behind(struct ms_span type, const char *prefix)
{
    uint64_t n = 0;

    if (!ms_span_starts(type, prefix) ||
        !ms_span_u64(ms_span_sub(type, strlen(prefix), type.len), &n) || n > 256)
        return 0;
    return (unsigned)n;
}

static unsigned integer_bits(struct ms_span type, const char *prefix)
{
    unsigned bits = number_behind(type, prefix);
    return bits % 8 == 0 ? bits : 0;
}

static unsigned fixed_bytes(struct ms_span type)
{
    unsigned n = number_behind(type, "bytes");
    return n <= 32 ? n : 0;
}

static bool is_atomic(struct ms_span type)
{
    return ms_span_eq_str(type, "bool") || ms_span_eq_str(type, "address") ||
           ms_span_eq_str(type, "string") || ms_span_eq_str(type, "bytes") ||
           fixed_bytes(type) != 0 || integer_bits(type, "uint") != 0 ||
           integer_bits(type, "int") != 0;
}

/* Take the last [] or [n] off a type: false when it has none. */
static bool take_array(struct ms_span *type, bool *ret_fixed, uint64_t *ret_n)
{
    size_t open = type->len;

    if (type->len == 0 || type->ptr[type->len - 1] != ']')
        return false;
    while (open > 0 && type->ptr[open - 1] != '[')
        open--;
    if (open == 0)
        return false;
    struct ms_span digits = ms_span_sub(*type, open, type->len - open - 1);
    *ret_fixed = digits.len > 0;
    if (*ret_fixed && (!ms_span_u64(digits, ret_n) || *ret_n == 0))
        return false;
    type->len = open - 1;
    return true;
}

static struct ms_span base_of(struct ms_span type)
{
    bool fixed;
    uint64_t n;

    while (take_array(&type, &fixed, &n))
        continue;
    return type;
}

static enum ms_err read_members(struct ctx *ctx, const json_t *array, struct type *out)
{
    size_t i;
    const json_t *entry;

    if (!json_is_array(array))
        return fault(ctx, MS_ERR_SYNTAX, out->name, "not an array of members");
    if (json_array_size(array) > MSIG_TYPED_MEMBERS_MAX)
        return fault(ctx, MS_ERR_LIMIT, out->name, "too many members");
    out->members = ms_arena_alloc(ctx->arena, json_array_size(array) + 1, sizeof(*out->members));
    if (out->members == NULL)
        return MS_ERR_MEMORY;
    json_array_foreach(array, i, entry)
    {
        struct member *m = &out->members[i];
        m->name = ms_json_member_str(entry, "name");
        m->type = ms_json_member_str(entry, "type");
        m->key = (const char *)m->name.ptr;
        if (!is_identifier(m->name) || m->type.len > NAME_MAX_BYTES)
            return fault(ctx, MS_ERR_SYNTAX, out->name, "a member without a proper name and type");
        for (size_t j = 0; j < i; j++)
            if (ms_span_eq(m->name, out->members[j].name))
                return fault(ctx, MS_ERR_SYNTAX, m->name, "a member twice in its type");
        out->n = i + 1;
    }
    return MS_OK;
}

static enum ms_err check_declared(struct ctx *ctx, const struct type *type)
{
    for (size_t i = 0; i < type->n; i++) {
        struct ms_span base = base_of(type->members[i].type);
        if (!is_atomic(base) && find_type(ctx, base) == NULL)
            return fault(ctx, MS_ERR_UNKNOWN, type->members[i].type, "no such type is declared");
    }
    return MS_OK;
}

static enum ms_err read_types(struct ctx *ctx, json_t *object)
{
    enum ms_err err = MS_OK;
    const char *name;
    json_t *members;

    if (!json_is_object(object))
        return fault(ctx, MS_ERR_SYNTAX, ms_span_str("types"), "missing or no object");
    if (json_object_size(object) > MSIG_TYPED_TYPES_MAX)
        return fault(ctx, MS_ERR_LIMIT, ms_span_str("types"), "too many of them");
    json_object_foreach(object, name, members)
    {
        struct type *type = &ctx->types[ctx->n];
        type->name = ms_span_str(name);
        if (!is_identifier(type->name) || is_atomic(type->name))
            return fault(ctx, MS_ERR_SYNTAX, type->name, "no name for a type");
        err = read_members(ctx, members, type);
        if (err != MS_OK)
            return err;
        ctx->n++;
    }
    for (size_t i = 0; i < ctx->n && err == MS_OK; i++)
        err = check_declared(ctx, &ctx->types[i]);
    return err;
}

/* The standard members, as many as the domain has, in the order of EIP-712. */
static enum ms_err derive_domain_type(struct ctx *ctx, const json_t *domain)
{
    static const char *const standard[][2] = {{"name", "string"},
                                              {"version", "string"},
                                              {"chainId", "uint256"},
                                              {"verifyingContract", "address"},
                                              {"salt", "bytes32"}};
    struct type *type = &ctx->types[ctx->n];

    *type = (struct type){.name = ms_span_str(DOMAIN_TYPE)};
    type->members = ms_arena_alloc(ctx->arena, MS_ARRAY_LEN(standard), sizeof(*type->members));
    if (type->members == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < MS_ARRAY_LEN(standard); i++)
        if (json_object_get(domain, standard[i][0]) != NULL)
            type->members[type->n++] = (struct member){ms_span_str(standard[i][0]),
                                                       ms_span_str(standard[i][1]), standard[i][0]};
    ctx->n++;
    return MS_OK;
}

/* ---- encodeType ---- */
/* Mark what `type` uses. Each type is entered once, so the recursion is bounded by their number. */
static void mark_used(struct ctx *ctx, const struct type *type, bool *used)
{
    for (size_t i = 0; i < type->n; i++) {
        const struct type *next = find_type(ctx, base_of(type->members[i].type));
        if (next == NULL || used[next - ctx->types])
            continue;
        used[next - ctx->types] = true;
        mark_used(ctx, next, used);
    }
}

static void add_type(const struct type *type, struct ms_buf *out)
{
    (void)ms_buf_add(out, type->name);
    (void)ms_buf_add_byte(out, '(');
    for (size_t i = 0; i < type->n; i++) {
        if (i > 0)
            (void)ms_buf_add_byte(out, ',');
        (void)ms_buf_add(out, type->members[i].type);
        (void)ms_buf_add_byte(out, ' ');
        (void)ms_buf_add(out, type->members[i].name);
    }
    (void)ms_buf_add_byte(out, ')');
}

/* The next used type by name, or NULL: it is taken out of `used`. */
static const struct type *take_least(const struct ctx *ctx, bool *used)
{
    const struct type *least = NULL;

    for (size_t i = 0; i < ctx->n; i++)
        if (used[i] && (least == NULL || ms_span_cmp(ctx->types[i].name, least->name) < 0))
            least = &ctx->types[i];
    if (least != NULL)
        used[least - ctx->types] = false;
    return least;
}

/* The type itself, then all that it uses, sorted by name. */
static enum ms_err encode_type(struct ctx *ctx, const struct type *type, struct ms_buf *out)
{
    bool used[MSIG_TYPED_TYPES_MAX + 1] = {false};
    const struct type *next;

    mark_used(ctx, type, used);
    used[type - ctx->types] = false;
    add_type(type, out);
    while ((next = take_least(ctx, used)) != NULL)
        add_type(next, out);
    return ms_buf_err(out);
}

static enum ms_err type_hash(struct ctx *ctx, struct type *type)
{
    struct ms_buf text = MS_BUF_INIT(TYPE_TEXT_MAX_BYTES);

    if (type->hashed)
        return MS_OK;
    enum ms_err err = encode_type(ctx, type, &text);
    if (err == MS_OK) {
        type->hash = eth_keccak256(ms_buf_span(&text));
        type->hashed = true;
    }
    ms_buf_done(&text);
    return err == MS_ERR_LIMIT ? fault(ctx, err, type->name, "its type text is too long") : err;
}

/* ---- integers ---- */
static unsigned bit_length(const struct eth_word *word)
{
    struct ms_span bytes = eth_word_minimal(word);
    unsigned bits = (unsigned)bytes.len * 8;

    for (unsigned top = 0x80; bytes.len > 0 && (bytes.ptr[0] & top) == 0; top >>= 1)
        bits--;
    return bits;
}

/* word * 10 + digit; false when that does not fit. */
static bool push_digit(struct eth_word *word, unsigned digit)
{
    for (size_t i = ETH_WORD_BYTES; i > 0; i--) {
        digit += word->b[i - 1] * 10u;
        word->b[i - 1] = (uint8_t)digit;
        digit >>= 8;
    }
    return digit == 0;
}

static enum ms_err read_decimal(struct ms_span text, struct eth_word *out)
{
    *out = (struct eth_word){{0}};
    if (text.len == 0 || (text.len > 1 && text.ptr[0] == '0'))
        return MS_ERR_SYNTAX;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return MS_ERR_SYNTAX;
        if (!push_digit(out, (unsigned)(text.ptr[i] - '0')))
            return MS_ERR_RANGE;
    }
    return MS_OK;
}

/* Sign and magnitude. */
static enum ms_err read_integer(const json_t *value, bool *ret_negative, struct eth_word *out)
{
    *ret_negative = false;
    if (json_is_integer(value)) {
        json_int_t n = json_integer_value(value);
        if (n > INTEGER_MAX || n < -INTEGER_MAX)
            return MS_ERR_RANGE;
        *ret_negative = n < 0;
        *out = eth_word_u64((uint64_t)(n < 0 ? -n : n));
        return MS_OK;
    }
    if (!json_is_string(value))
        return MS_ERR_SYNTAX;
    struct ms_span text = string_of(value);
    if (ms_span_starts(text, "0x"))
        return eth_quantity_parse(text, ETH_QUANTITY_LAX, out);
    *ret_negative = ms_span_starts(text, "-");
    return read_decimal(ms_span_sub(text, *ret_negative ? 1 : 0, text.len), out);
}

/* Two's complement of -magnitude, which is 1 or more: the inverse of magnitude - 1. */
static struct eth_word negate(const struct eth_word *magnitude)
{
    struct eth_word word = eth_word_dec(*magnitude);
    for (size_t i = 0; i < ETH_WORD_BYTES; i++)
        word.b[i] = (uint8_t)~word.b[i];
    return word;
}

static enum ms_err encode_integer(const json_t *value, bool is_signed, unsigned bits,
                                  struct eth_word *out)
{
    struct eth_word magnitude;
    bool negative;

    enum ms_err err = read_integer(value, &negative, &magnitude);
    if (err != MS_OK)
        return err;
    if (!negative) {
        *out = magnitude;
        return bit_length(&magnitude) <= bits - (is_signed ? 1 : 0) ? MS_OK : MS_ERR_RANGE;
    }
    if (!is_signed || eth_word_is_zero(&magnitude))
        return MS_ERR_RANGE;
    struct eth_word less = eth_word_dec(magnitude);
    *out = negate(&magnitude);
    return bit_length(&less) <= bits - 1 ? MS_OK : MS_ERR_RANGE;
}

/* ---- other atomic values ---- */
static enum ms_err encode_address(const json_t *value, struct eth_word *out)
{
    enum eth_checksum checksum;
    struct eth_addr addr;

    if (eth_addr_parse(string_of(value), &addr, &checksum, NULL) != MS_OK)
        return MS_ERR_ADDRESS;
    if (checksum == ETH_CHECKSUM_WRONG)
        return MS_ERR_EIP55;
    *out = (struct eth_word){{0}};
    memcpy(out->b + ETH_WORD_BYTES - ETH_ADDR_BYTES, addr.b, ETH_ADDR_BYTES);
    return MS_OK;
}

static enum ms_err encode_bytes(const json_t *value, struct eth_word *out)
{
    struct ms_buf bytes = MS_BUF_INIT(MSIG_TYPED_MAX_BYTES);

    enum ms_err err = eth_data_parse(string_of(value), &bytes);
    if (err == MS_OK) {
        struct eth_hash hash = eth_keccak256(ms_buf_span(&bytes));
        *out = eth_word_of_hash(&hash);
    }
    ms_buf_done(&bytes);
    return err;
}

static enum ms_err encode_text(const json_t *value, struct eth_word *out)
{
    if (!json_is_string(value))
        return MS_ERR_SYNTAX;
    struct eth_hash hash = eth_keccak256(string_of(value));
    *out = eth_word_of_hash(&hash);
    return MS_OK;
}

static enum ms_err encode_bool(const json_t *value, struct eth_word *out)
{
    if (!json_is_boolean(value))
        return MS_ERR_SYNTAX;
    *out = eth_word_u64(json_is_true(value) ? 1 : 0);
    return MS_OK;
}

static enum ms_err encode_atomic(struct ms_span type, const json_t *value, struct eth_word *out)
{
    unsigned n;

    *out = (struct eth_word){{0}};
    if (ms_span_eq_str(type, "bool"))
        return encode_bool(value, out);
    if (ms_span_eq_str(type, "address"))
        return encode_address(value, out);
    if (ms_span_eq_str(type, "string"))
        return encode_text(value, out);
    if (ms_span_eq_str(type, "bytes"))
        return encode_bytes(value, out);
    if ((n = fixed_bytes(type)) != 0)
        return eth_data_fixed(string_of(value), out->b, n); /* the zeros follow */
    if ((n = integer_bits(type, "uint")) != 0)
        return encode_integer(value, false, n, out);
    if ((n = integer_bits(type, "int")) != 0)
        return encode_integer(value, true, n, out);
    return MS_ERR_UNKNOWN;
}

/* ---- encodeData ---- */
static enum ms_err encode_value(struct ctx *ctx, struct ms_span type, const json_t *value,
                                struct eth_word *out);

static enum ms_err hash_struct(struct ctx *ctx, struct type *type, const json_t *object,
                               struct eth_hash *out)
{
    struct eth_keccak k;

    if (!json_is_object(object))
        return fault(ctx, MS_ERR_SYNTAX, type->name, "missing or no object");
    enum ms_err err = type_hash(ctx, type);
    if (err != MS_OK)
        return err;
    eth_keccak_init(&k);
    msig_enc_hash(&k, &type->hash);
    for (size_t i = 0; i < type->n; i++) {
        const struct member *m = &type->members[i];
        const json_t *value = json_object_get(object, m->key);
        struct eth_word word;
        if (value == NULL)
            return fault(ctx, MS_ERR_SYNTAX, m->name, "missing");
        err = encode_value(ctx, m->type, value, &word);
        if (err != MS_OK)
            return fault(ctx, err, m->name, "not a value of its type");
        eth_keccak_add(&k, eth_word_span(&word));
    }
    if (json_object_size(object) != type->n) /* all of its members are there: others too */
        return fault(ctx, MS_ERR_UNKNOWN, type->name, "a value has members that its type has not");
    *out = eth_keccak_end(&k);
    return MS_OK;
}

static enum ms_err hash_array(struct ctx *ctx, struct ms_span element, bool fixed, uint64_t n,
                              const json_t *array, struct eth_hash *out)
{
    struct eth_keccak k;
    const json_t *value;
    size_t i;

    if (!json_is_array(array))
        return MS_ERR_SYNTAX;
    if (fixed && json_array_size(array) != n)
        return MS_ERR_LENGTH;
    eth_keccak_init(&k);
    json_array_foreach(array, i, value)
    {
        struct eth_word word;
        enum ms_err err = encode_value(ctx, element, value, &word);
        if (err != MS_OK)
            return err;
        eth_keccak_add(&k, eth_word_span(&word));
    }
    *out = eth_keccak_end(&k);
    return MS_OK;
}

/* The recursion follows the value, whose depth the JSON parser has bounded. */
static enum ms_err encode_value(struct ctx *ctx, struct ms_span type, const json_t *value,
                                struct eth_word *out)
{
    struct eth_hash hash = {{0}};
    uint64_t n = 0;
    bool fixed;
    enum ms_err err;

    if (take_array(&type, &fixed, &n)) {
        err = hash_array(ctx, type, fixed, n, value, &hash);
    } else {
        struct type *of = find_type(ctx, type);
        if (of == NULL)
            return encode_atomic(type, value, out);
        err = hash_struct(ctx, of, value, &hash);
    }
    *out = eth_word_of_hash(&hash);
    return err;
}

/* ---- the document ---- */
static enum ms_err copy_type(struct ctx *ctx, const struct type *type, struct ms_span *ret_text)
{
    struct ms_buf text = MS_BUF_INIT(TYPE_TEXT_MAX_BYTES);
    enum ms_err err = encode_type(ctx, type, &text);

    if (err == MS_OK) {
        const char *copy = ms_arena_strdup(ctx->arena, ms_buf_span(&text));
        *ret_text = ms_span_of(copy, text.len);
        err = copy == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    ms_buf_done(&text);
    return err;
}

static enum ms_err hash_all(struct ctx *ctx, const json_t *document, struct msig_typed_data *out)
{
    const json_t *domain = json_object_get(document, "domain");
    struct ms_span primary = ms_json_member_str(document, "primaryType");
    struct ms_span domain_name = ms_span_str(DOMAIN_TYPE);

    enum ms_err err = read_types(ctx, json_object_get(document, "types"));
    if (err == MS_OK && find_type(ctx, domain_name) == NULL)
        err = derive_domain_type(ctx, domain);
    if (err != MS_OK)
        return err;
    struct type *type = find_type(ctx, primary);
    if (type == NULL || ms_span_eq(primary, domain_name))
        return fault(ctx, MS_ERR_UNKNOWN, ms_span_str("primaryType"), "not a declared type");
    err = hash_struct(ctx, find_type(ctx, domain_name), domain, &out->domain);
    if (err == MS_OK)
        err = hash_struct(ctx, type, json_object_get(document, "message"), &out->message);
    if (err == MS_OK)
        err = copy_type(ctx, type, &out->encoded_type);
    out->digest = msig_typed_digest(&out->domain, &out->message);
    return err;
}

enum ms_err msig_typed_data_hash(const json_t *document, struct ms_arena *arena,
                                 struct msig_typed_data *ret_data, struct ms_diag *diag)
{
    struct msig_typed_data data = {0};
    struct ctx *ctx = ms_arena_alloc(arena, 1, sizeof(*ctx));

    if (ctx == NULL)
        return MS_ERR_MEMORY;
    ctx->arena = arena;
    ctx->diag = diag;
    enum ms_err err = hash_all(ctx, document, &data);
    if (err == MS_OK)
        *ret_data = data;
    return err;
}

enum ms_err msig_typed_data_parse(struct ms_span text, struct ms_arena *arena,
                                  struct msig_typed_data *ret_data, struct ms_diag *diag)
{
    const struct ms_json_limits limits = {MSIG_TYPED_MAX_BYTES, MSIG_TYPED_DEPTH_MAX, VALUES_MAX,
                                          0};
    json_t *root = NULL;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err != MS_OK)
        return err;
    err = msig_typed_data_hash(root, arena, ret_data, diag);
    json_decref(root);
    return err;
}
