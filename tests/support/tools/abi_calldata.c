/* tests/support/tools/abi_calldata.c - what to send to any contract on a test chain, as hex on
 * stdout.
 *
 *   abi_calldata 'addComposeHash(bytes32)' 0x11..     a call: selector and arguments
 *   abi_calldata encode 'address,uint256' 0x.. 5      arguments alone
 *   abi_calldata deploy FILE.json [TYPES ARGS...]     creation code and the constructor's arguments
 *   abi_calldata code FILE.json                       the code a deployed contract has
 *   abi_calldata keccak 0x..                          Keccak-256 of bytes
 *   abi_calldata slot KEY POSITION                    where mapping[KEY] at POSITION is stored
 *
 * Arguments: numbers in decimal or 0x hexadecimal; addresses, bytes and bytesN as 0x..; `@FILE` is
 * the content of a file as bytes; true, false; strings as they are, in "..." inside of brackets;
 * arrays [a,b]; tuples (a,b). A string in "..." may hold anything but '"'.
 *
 * Exits 0, or 2 with a sentence on stderr. */
#include "eth/abi.h"
#include "eth/address.h"
#include "eth/slot.h"
#include "tests/support/tools/rigfile.h"

#include <stdio.h>
#include <string.h>

#define ARENA_MAX_BYTES ((size_t)16 << 20)

static struct ms_arena arena = MS_ARENA_INIT(ARENA_MAX_BYTES);

static void must(enum ms_err err, const char *what, struct ms_span text)
{
    char shown[80];

    if (err == MS_OK)
        return;
    (void)snprintf(shown, sizeof(shown), "%.*s", (int)(text.len < 60 ? text.len : 60), text.ptr);
    rig_die(shown, what);
}

/* The front item of a list without its brackets: up to a comma outside of brackets and quotes. */
static struct ms_span next_item(struct ms_span *rest)
{
    size_t depth = 0, i = 0;
    bool quoted = false;

    for (; i < rest->len; i++) {
        uint8_t c = rest->ptr[i];
        if (c == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (c == '(' || c == '[')
            depth++;
        else if ((c == ')' || c == ']') && depth > 0)
            depth--;
        else if (c == ',' && depth == 0)
            break;
    }
    struct ms_span item = ms_span_sub(*rest, 0, i);
    *rest = ms_span_sub(*rest, i < rest->len ? i + 1 : i, rest->len);
    return item;
}

/* The text between the brackets. */
static struct ms_span inside(struct ms_span text, char open, char close)
{
    if (text.len < 2 || text.ptr[0] != open || text.ptr[text.len - 1] != close)
        must(MS_ERR_SYNTAX, "a list in brackets is wanted", text);
    return ms_span_sub(text, 1, text.len - 2);
}

static struct ms_span bytes_of(struct ms_span text)
{
    struct ms_buf out = MS_BUF_INIT(RIG_FILE_MAX_BYTES + 65536);

    if (text.len > 0 && text.ptr[0] == '@') {
        char *path = ms_arena_strdup(&arena, ms_span_sub(text, 1, text.len));
        rig_read_file(path == NULL ? "" : path, &out);
    } else {
        must(eth_data_parse(text, &out), "bytes as 0x.. are wanted", text);
    }
    uint8_t *copy = ms_arena_alloc(&arena, 1, out.len + 1);
    if (copy == NULL)
        rig_die("argument", "too large");
    if (out.len > 0)
        memcpy(copy, out.ptr, out.len);
    struct ms_span bytes = ms_span_of(copy, out.len);
    ms_buf_done(&out);
    return bytes;
}

static struct eth_word number_of(struct ms_span text)
{
    struct eth_word word;
    uint64_t value = 0;

    if (ms_span_u64(text, &value))
        return eth_word_u64(value);
    must(eth_quantity_parse(text, ETH_QUANTITY_LAX, &word), "a number is wanted", text);
    return word;
}

static struct eth_word fixed_bytes_of(const struct eth_abi_type *type, struct ms_span text)
{
    struct eth_word word = {0};

    must(eth_data_fixed(text, word.b, type->bits / 8), "0x and as many bytes as the type has",
         text);
    return word;
}

static struct eth_abi_value value_of(const struct eth_abi_type *type, struct ms_span text);

static struct eth_abi_value list_of(const struct eth_abi_type *type, struct ms_span list)
{
    struct eth_abi_value value = {.kind = type->kind};
    struct ms_span rest = list;

    while (rest.len > 0) {
        (void)next_item(&rest);
        value.n++;
    }
    if (type->kind != ETH_ABI_ARRAY && value.n != type->n)
        must(MS_ERR_LENGTH, "not as many values as the type has", list);
    value.items = ms_arena_alloc(&arena, value.n + 1, sizeof(*value.items));
    if (value.items == NULL)
        rig_die("arguments", "too many");
    for (size_t i = 0; i < value.n; i++) {
        const struct eth_abi_type *item = type->members[type->kind == ETH_ABI_TUPLE ? i : 0];
        value.items[i] = value_of(item, next_item(&list));
    }
    return value;
}

static struct eth_abi_value value_of(const struct eth_abi_type *type, struct ms_span text)
{
    struct eth_abi_value value = {.kind = type->kind};

    switch (type->kind) {
    case ETH_ABI_UINT:
    case ETH_ABI_INT:
    case ETH_ABI_ADDRESS:
        value.word = number_of(text);
        break;
    case ETH_ABI_BOOL:
        value.word = eth_word_u64(ms_span_eq_str(text, "true"));
        if (!ms_span_eq_str(text, "true") && !ms_span_eq_str(text, "false"))
            must(MS_ERR_SYNTAX, "true or false is wanted", text);
        break;
    case ETH_ABI_FIXED_BYTES:
        value.word = fixed_bytes_of(type, text);
        break;
    case ETH_ABI_BYTES:
        value.bytes = bytes_of(text);
        break;
    case ETH_ABI_STRING:
        value.bytes = text.len > 0 && text.ptr[0] == '"' ? inside(text, '"', '"') : text;
        break;
    case ETH_ABI_ARRAY:
    case ETH_ABI_FIXED_ARRAY:
        return list_of(type, inside(text, '[', ']'));
    case ETH_ABI_TUPLE:
        return list_of(type, inside(text, '(', ')'));
    case ETH_ABI_NONE:
        rig_die("type", "unknown");
    }
    return value;
}

static void encode(struct ms_buf *out, struct ms_span types, int argc, char **argv)
{
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value list = {.kind = ETH_ABI_TUPLE, .n = (size_t)argc};

    must(eth_abi_params_parse(types, &arena, &type), "not a list of types", types);
    if (type->n != list.n)
        must(MS_ERR_LENGTH, "not as many arguments as types", types);
    list.items = ms_arena_alloc(&arena, list.n + 1, sizeof(*list.items));
    if (list.items == NULL)
        rig_die("arguments", "too many");
    for (size_t i = 0; i < list.n; i++)
        list.items[i] = value_of(type->members[i], ms_span_str(argv[i]));
    must(eth_abi_encode(type, &list, out), "a value does not fit its type", types);
}

static void call(struct ms_buf *out, const char *signature, int argc, char **argv)
{
    struct ms_span text = ms_span_str(signature), name, types;
    uint8_t selector[ETH_ABI_SELECTOR_BYTES];

    if (!ms_span_cut(text, '(', &name, &types) || types.len == 0 || types.ptr[types.len - 1] != ')')
        rig_die(signature, "not a signature");
    eth_abi_selector(signature, selector);
    (void)ms_buf_add(out, ms_span_of(selector, sizeof(selector)));
    encode(out, ms_span_sub(types, 0, types.len - 1), argc, argv);
}

static void slot(struct ms_buf *out, const char *key, const char *position)
{
    struct eth_word k = number_of(ms_span_str(key)), p = number_of(ms_span_str(position));
    struct eth_word at = eth_slot_mapping(&k, &p);
    (void)ms_buf_add(out, eth_word_span(&at));
}

static void make(struct ms_buf *out, int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";

    if (strchr(command, '(') != NULL) {
        call(out, command, argc - 2, argv + 2);
    } else if (strcmp(command, "encode") == 0 && argc >= 3) {
        encode(out, ms_span_str(argv[2]), argc - 3, argv + 3);
    } else if (strcmp(command, "deploy") == 0 && argc >= 3) {
        rig_add_code(out, argv[2], "bytecode");
        if (argc > 3)
            encode(out, ms_span_str(argv[3]), argc - 4, argv + 4);
    } else if (strcmp(command, "code") == 0 && argc == 3) {
        rig_add_code(out, argv[2], "deployedBytecode");
    } else if (strcmp(command, "keccak") == 0 && argc == 3) {
        struct eth_hash hash = eth_keccak256(bytes_of(ms_span_str(argv[2])));
        (void)ms_buf_add(out, eth_hash_span(&hash));
    } else if (strcmp(command, "slot") == 0 && argc == 4) {
        slot(out, argv[2], argv[3]);
    } else {
        rig_die("usage",
                "SIGNATURE|encode|deploy|code|keccak|slot ..., see the head of the source");
    }
}

int main(int argc, char **argv)
{
    struct ms_buf out = MS_BUF_INIT(2 * RIG_FILE_MAX_BYTES);

    make(&out, argc, argv);
    int status = rig_print_hex(&out);
    ms_buf_done(&out);
    ms_arena_done(&arena);
    return status;
}
