/* cli/safe_builder.c - files for Safe's Transaction Builder. */
#include "cli/safe_builder.h"

#include "base/hex.h"
#include "eth/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FORMAT "1.0"
#define BUILDER_VERSION "1.16.5" /* of the app whose files these are like */
#define DEPTH_MAX 16
#define VALUES_MAX 65536
#define MEMBERS_MAX 64 /* of one object */

/* ---- the checksum ---- */
static enum ms_err add_value(const json_t *value, const char *except, struct ms_buf *out);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct ms_span text_of(const json_t *string)
{
    return ms_span_of(json_string_value(string), json_string_length(string));
}

/* As JSON.stringify of ECMAScript writes it (ECMA-262, QuoteJSONString). */
static enum ms_err add_string(struct ms_buf *out, struct ms_span text)
{
    static const char plain[] = "\b\t\n\f\r\"\\", escaped[] = "btnfr\"\\";

    (void)ms_buf_add_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        const char *at = c == '\0' ? NULL : strchr(plain, c);
        if (at != NULL)
            (void)ms_buf_addf(out, "\\%c", escaped[at - plain]);
        else if (c < 0x20)
            (void)ms_buf_addf(out, "\\u%04x", c);
        else
            (void)ms_buf_add_byte(out, c);
    }
    return ms_buf_add_byte(out, '"');
}

/* An object is its sorted names as an array, then its values with a comma behind each. In the meta
 * data the name counts as null and the checksum not at all: `except` is "meta" one level above. */
static enum ms_err add_object(const json_t *object, const char *except, struct ms_buf *out)
{
    const char *names[MEMBERS_MAX];
    bool is_meta = strcmp(except, "meta") == 0;
    size_t n = 0;
    void *it;

    for (it = json_object_iter((json_t *)(uintptr_t)object); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
        if (is_meta && strcmp(json_object_iter_key(it), "checksum") == 0)
            continue;
        if (n == MEMBERS_MAX)
            return MS_ERR_LIMIT;
        names[n++] = json_object_iter_key(it);
    }
    qsort(names, n, sizeof(names[0]), by_name);
    (void)ms_buf_add_str(out, "{[");
    for (size_t i = 0; i < n; i++) {
        (void)ms_buf_add_str(out, i > 0 ? "," : "");
        (void)add_string(out, ms_span_str(names[i]));
    }
    (void)ms_buf_add_byte(out, ']');
    for (size_t i = 0; i < n; i++) {
        bool skipped = is_meta && strcmp(names[i], "name") == 0;
        enum ms_err err = skipped ? ms_buf_add_str(out, "null")
                                  : add_value(json_object_get(object, names[i]), names[i], out);
        if (err != MS_OK)
            return err;
        (void)ms_buf_add_byte(out, ',');
    }
    return ms_buf_add_byte(out, '}');
}

static enum ms_err add_array(const json_t *array, struct ms_buf *out)
{
    (void)ms_buf_add_byte(out, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        (void)ms_buf_add_str(out, i > 0 ? "," : "");
        enum ms_err err = add_value(json_array_get(array, i), "", out);
        if (err != MS_OK)
            return err;
    }
    return ms_buf_add_byte(out, ']');
}

static enum ms_err add_value(const json_t *value, const char *name, struct ms_buf *out)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return add_object(value, name, out);
    case JSON_ARRAY:
        return add_array(value, out);
    case JSON_STRING:
        return add_string(out, text_of(value));
    case JSON_INTEGER:
        return ms_buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    case JSON_REAL:
        return MS_ERR_SYNTAX;
    case JSON_TRUE:
        return ms_buf_add_str(out, "true");
    case JSON_FALSE:
        return ms_buf_add_str(out, "false");
    case JSON_NULL:
        return ms_buf_add_str(out, "null");
    }
    return MS_ERR_INTERNAL;
}

enum ms_err builder_checksum(const json_t *file, char out[BUILDER_CHECKSUM_TEXT])
{
    struct ms_buf text = MS_BUF_INIT(2 * BUILDER_MAX_BYTES);

    enum ms_err err = add_value(file, "", &text);
    if (err == MS_OK)
        err = ms_buf_err(&text);
    if (err == MS_OK) {
        struct eth_hash hash = eth_keccak256(ms_buf_span(&text));
        out[0] = '0';
        out[1] = 'x';
        ms_hex_encode(eth_hash_span(&hash), out + 2);
    }
    ms_buf_done(&text);
    return err;
}

/* ---- files ---- */
json_t *builder_transaction(const struct eth_addr *to, struct ms_span data)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(to, text);
    return json_pack("{s:s, s:s, s:o, s:n, s:n}", "to", text, "value", "0", "data",
                     ms_json_hex(data), "contractMethod", "contractInputsValues");
}

json_t *builder_new(const struct builder_file *file, json_t *transactions)
{
    char chain[24], safe[ETH_ADDR_TEXT + 1] = "", checksum[BUILDER_CHECKSUM_TEXT];

    (void)snprintf(chain, sizeof(chain), "%" PRIu64, file->chain_id);
    if (file->safe != NULL)
        eth_addr_text(file->safe, safe);
    json_t *root =
        json_pack("{s:s, s:s, s:I, s:{s:s, s:s, s:s, s:s, s:s}, s:o}", "version", FORMAT, "chainId",
                  chain, "createdAt", (json_int_t)file->created_at_ms, "meta", "name", file->name,
                  "description", "", "txBuilderVersion", BUILDER_VERSION, "createdFromSafeAddress",
                  safe, "createdFromOwnerAddress", "", "transactions", transactions);
    if (root == NULL)
        return NULL;
    if (builder_checksum(root, checksum) == MS_OK &&
        json_object_set_new(json_object_get(root, "meta"), "checksum", json_string(checksum)) == 0)
        return root;
    json_decref(root);
    return NULL;
}

static enum ms_err check_transaction(const json_t *transaction, size_t at, struct ms_diag *diag)
{
    struct ms_buf data = MS_BUF_INIT(BUILDER_MAX_BYTES);
    struct eth_addr to;
    enum eth_checksum checksum;

    enum ms_err err = eth_addr_parse(ms_json_member_str(transaction, "to"), &to, &checksum, diag);
    if (err == MS_OK && checksum == ETH_CHECKSUM_WRONG)
        err = MS_ERR_EIP55;
    if (err == MS_OK)
        err = eth_data_parse(ms_json_member_str(transaction, "data"), &data);
    ms_buf_done(&data);
    if (err == MS_OK)
        return err;
    struct ms_diag cause = {0};
    (void)ms_diag_set(&cause, err, "transaction %zu: no address `to` and hex `data`: %s", at + 1,
                      ms_err_text(err));
    if (diag != NULL)
        *diag = cause;
    return MS_ERR_SYNTAX;
}

static enum ms_err check_checksum(const json_t *root, struct ms_diag *diag)
{
    struct ms_span said = ms_json_member_str(json_object_get(root, "meta"), "checksum");
    char checksum[BUILDER_CHECKSUM_TEXT];

    if (said.ptr == NULL)
        return MS_OK;
    enum ms_err err = builder_checksum(root, checksum);
    if (err == MS_OK && !ms_span_eq_str(said, checksum))
        return ms_diag_set(diag, MS_ERR_HASH,
                           "its checksum is not that of its content: the file was changed");
    return err;
}

static enum ms_err check_file(const json_t *root, uint64_t *ret_chain, struct ms_diag *diag)
{
    const json_t *transactions = json_object_get(root, "transactions");
    size_t n = json_array_size(transactions);
    enum ms_err err = MS_OK;

    if (!ms_span_eq_str(ms_json_member_str(root, "version"), FORMAT) ||
        !ms_span_u64(ms_json_member_str(root, "chainId"), ret_chain) || n == 0)
        return ms_diag_set(diag, MS_ERR_SYNTAX,
                           "not a file of Safe's Transaction Builder, version %s", FORMAT);
    if (n > BUILDER_TRANSACTIONS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "%zu transactions, more than %d", n,
                           BUILDER_TRANSACTIONS_MAX);
    for (size_t i = 0; err == MS_OK && i < n; i++)
        err = check_transaction(json_array_get(transactions, i), i, diag);
    return err == MS_OK ? check_checksum(root, diag) : err;
}

enum ms_err builder_parse(struct ms_span text, uint64_t *ret_chain, json_t **ret_transactions,
                          struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {BUILDER_MAX_BYTES, DEPTH_MAX, VALUES_MAX, 0};
    json_t *root = NULL;
    uint64_t chain = 0;

    enum ms_err err = ms_json_parse(text, &limits, &root, diag);
    if (err == MS_OK)
        err = check_file(root, &chain, diag);
    if (err == MS_OK) {
        *ret_chain = chain;
        *ret_transactions = json_incref(json_object_get(root, "transactions"));
    }
    json_decref(root);
    return err;
}
