/* cli/registry_safe.c - what the owners of a Safe do with a transaction: sign it, put their
 * signatures together, several operations into one file. */
#include "cli/registry.h"

#include "base/hex.h"
#include "cli/key_file.h"
#include "cli/safe_builder.h"
#include "sig/safe.h"
#include "sig/secp_sign.h"
#include "sig/typed_data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES (MSIG_TYPED_ARENA_BYTES + MSIG_SAFE_TX_DATA_MAX_BYTES)
#define FILES_MAX BUILDER_TRANSACTIONS_MAX
#define HEX_TEXT_MAX_BYTES 1024

static int fail_at(const struct cli *cli, const char *path, enum ms_err err,
                   const struct ms_diag *cause)
{
    struct ms_diag diag = {0};

    (void)ms_diag_set(&diag, err, "%.100s: %s", path, ms_diag_text(cause, err));
    return cli_print_error(cli, err, &diag, cli_exit_of(err));
}

static int read_file(const struct cli *cli, const char *path, struct ms_buf *text)
{
    struct ms_diag diag = {0};

    errno = 0;
    enum ms_err err = cli_read(path, text);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(&diag, err, "%s", strerror(errno));
    return err == MS_OK ? CLI_YES : fail_at(cli, path, err, &diag);
}

static int read_safe_tx(const struct cli *cli, const char *path, struct ms_arena *arena,
                        struct msig_safe_tx *ret_tx)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_TYPED_MAX_BYTES);
    struct ms_diag diag = {0};

    int code = read_file(cli, path, &text);
    if (code == CLI_YES) {
        enum ms_err err = msig_safe_tx_parse(ms_buf_span(&text), arena, ret_tx, &diag);
        if (err != MS_OK)
            code = fail_at(cli, path, err, &diag);
    }
    ms_buf_done(&text);
    return code;
}

/* What a signer must see before he signs. */
static void say_tx(const struct cli *cli, const struct msig_safe_tx *tx)
{
    char safe[ETH_ADDR_TEXT + 1], to[ETH_ADDR_TEXT + 1], hex[2 * ETH_HASH_BYTES + 1];
    struct eth_hash digest = msig_safe_tx_digest(tx);

    eth_addr_text(&tx->safe, safe);
    eth_addr_text(&tx->to, to);
    cli_say(cli, "transaction %" PRIu64 " of the Safe %s on chain %" PRIu64, tx->nonce, safe,
            tx->chain_id);
    cli_say(cli, "calls %s with %zu bytes and %" PRIu64 " wei", to, tx->data.len, tx->value_wei);
    if (tx->operation == MSIG_SAFE_DELEGATECALL)
        cli_say(cli, "warning: DELEGATECALL: that contract's code can do whatever the Safe can");
    ms_hex_encode(eth_hash_span(&digest), hex);
    cli_say(cli, "safeTxHash 0x%s", hex);
}

/* ---- sign-safe-tx ---- */
static int sign_it(const struct cli *cli, const struct msig_safe_tx *tx, const char *key_path,
                   const struct release_out *out)
{
    uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
    struct eth_hash digest = msig_safe_tx_digest(tx);
    char hex[2 + 2 * MSIG_BYTES + 2] = "0x", addr[ETH_ADDR_TEXT + 1];
    struct ms_diag diag = {0};
    struct eth_addr signer;

    enum ms_err err = key_file_read(key_path, key, &diag);
    if (err == MS_OK)
        err = msig_sign(&digest, key, sig, &signer, &diag);
    ms_wipe(key, sizeof(key));
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, cli_exit_of(err));
    ms_hex_encode(ms_span_of(sig, sizeof(sig)), hex + 2);
    eth_addr_text(&signer, addr);
    cli_say(cli, "signed by %s", addr);
    if (cli->json)
        return registry_put_json(cli, json_pack("{s:s, s:s}", "signer", addr, "signature", hex),
                                 out);
    hex[2 + 2 * MSIG_BYTES] = '\n';
    return registry_put(cli, ms_span_of(hex, 2 + 2 * MSIG_BYTES + 1), out);
}

int registry_sign_safe_tx(struct cli *cli, int argc, char **argv)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    const char *path, *key_path = NULL;
    struct release_out out = {0};
    const struct cli_option options[] = {
        {"key-file", &key_path, NULL}, {"o", &out.path, NULL}, {"replace", NULL, &out.replace}};
    struct msig_safe_tx tx;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SAFE-TX.json|-", &path, 1, 1))
        return CLI_USAGE;
    if (key_path == NULL || (strcmp(key_path, "-") == 0 && strcmp(path, "-") == 0)) {
        cli_say(cli, key_path == NULL ? "missing argument: --key-file FILE|-"
                                      : "the key and the file cannot both be standard input");
        return CLI_USAGE;
    }
    int code = read_safe_tx(cli, path, &arena, &tx);
    if (code == CLI_YES) {
        say_tx(cli, &tx);
        code = sign_it(cli, &tx, key_path, &out);
    }
    ms_arena_done(&arena);
    return code;
}

/* ---- safe-exec ---- */
struct part {
    struct eth_addr owner;
    uint8_t bytes[MSIG_BYTES];
};

struct exec {
    struct registry_target target;
    const char *signatures[MSIG_SAFE_PARTS_MAX], *files[MSIG_SAFE_PARTS_MAX],
        *approved[MSIG_SAFE_PARTS_MAX];
    size_t n_signatures, n_files, n_approved, n;
    struct part parts[MSIG_SAFE_PARTS_MAX];
};

/* The owner whose signature of this transaction it is. */
static int add_part(const struct cli *cli, struct exec *x, const struct eth_hash *digest,
                    const char *name, const uint8_t bytes[MSIG_BYTES])
{
    struct msig_safe_check check = {.hash = *digest,
                                    .blob = ms_span_of(bytes, MSIG_BYTES),
                                    .threshold = 1,
                                    .owners_unknown = true};
    char text[ETH_ADDR_TEXT + 1];
    struct msig_safe_result result;

    if (x->n == MSIG_SAFE_PARTS_MAX) {
        cli_say(cli, "more than %d signatures", MSIG_SAFE_PARTS_MAX);
        return CLI_USAGE;
    }
    msig_safe_check(&check, &result);
    if (result.verdict == MSIG_SAFE_INVALID || result.parts[0].kind == MSIG_SAFE_CONTRACT) {
        cli_say(cli, "%.80s: no signature of an account: %s", name,
                result.verdict == MSIG_SAFE_INVALID ? msig_safe_reason_text(result.reason)
                                                    : "a contract's is not put together here");
        return CLI_NO;
    }
    struct part *part = &x->parts[x->n++];
    part->owner = result.parts[0].owner;
    memcpy(part->bytes, bytes, MSIG_BYTES);
    eth_addr_text(&part->owner, text);
    cli_say(cli, "%s %s",
            result.parts[0].kind == MSIG_SAFE_APPROVED ? "approved on chain by" : "signed by",
            text);
    return CLI_YES;
}

/* "0x" and 130 digits, white space around it. */
static int add_hex(const struct cli *cli, struct exec *x, const struct eth_hash *digest,
                   const char *name, struct ms_span text)
{
    uint8_t bytes[MSIG_BYTES];

    while (text.len > 0 && strchr(" \t\r\n\"", text.ptr[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t\r\n\"", text.ptr[0]) != NULL)
        text = ms_span_sub(text, 1, text.len);
    if (eth_data_fixed(text, bytes, sizeof(bytes)) != MS_OK) {
        cli_say(cli, "%.80s: not a signature: 0x and 130 hex digits", name);
        return CLI_NO;
    }
    return add_part(cli, x, digest, name, bytes);
}

static int add_file(const struct cli *cli, struct exec *x, const struct eth_hash *digest,
                    const char *path)
{
    struct ms_buf text = MS_BUF_INIT(HEX_TEXT_MAX_BYTES);

    int code = read_file(cli, path, &text);
    if (code == CLI_YES)
        code = add_hex(cli, x, digest, path, ms_buf_span(&text));
    ms_buf_done(&text);
    return code;
}

/* Who called approveHash, or sends the transaction himself: no bytes of his are needed. */
static int add_approved(const struct cli *cli, struct exec *x, const struct eth_hash *digest,
                        const char *text)
{
    uint8_t bytes[MSIG_BYTES] = {0};
    struct eth_addr owner;

    if (!release_addr(cli, "--approved", text, &owner))
        return CLI_USAGE;
    memcpy(bytes + ETH_WORD_BYTES - ETH_ADDR_BYTES, owner.b, ETH_ADDR_BYTES);
    bytes[MSIG_BYTES - 1] = 1; /* v */
    return add_part(cli, x, digest, "--approved", bytes);
}

static int by_owner(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return memcmp(x->owner.b, y->owner.b, ETH_ADDR_BYTES);
}

static int gather(const struct cli *cli, struct exec *x, const struct eth_hash *digest)
{
    char text[ETH_ADDR_TEXT + 1];
    int code = CLI_YES;

    for (size_t i = 0; code == CLI_YES && i < x->n_signatures; i++)
        code = add_hex(cli, x, digest, "--signature", ms_span_str(x->signatures[i]));
    for (size_t i = 0; code == CLI_YES && i < x->n_files; i++)
        code = add_file(cli, x, digest, x->files[i]);
    for (size_t i = 0; code == CLI_YES && i < x->n_approved; i++)
        code = add_approved(cli, x, digest, x->approved[i]);
    if (code != CLI_YES)
        return code;
    qsort(x->parts, x->n, sizeof(x->parts[0]), by_owner);
    for (size_t i = 1; i < x->n; i++)
        if (eth_addr_eq(&x->parts[i - 1].owner, &x->parts[i].owner)) {
            eth_addr_text(&x->parts[i].owner, text);
            cli_say(cli, "%s is there twice; an owner counts once", text);
            return CLI_NO;
        }
    return CLI_YES;
}

static int execute(const struct cli *cli, struct exec *x, const struct msig_safe_tx *tx)
{
    struct ms_buf blob = MS_BUF_INIT(MSIG_SAFE_PARTS_MAX * MSIG_BYTES);
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES + MSIG_SAFE_TX_DATA_MAX_BYTES);
    struct eth_hash digest = msig_safe_tx_digest(tx);

    say_tx(cli, tx);
    int code = gather(cli, x, &digest);
    for (size_t i = 0; i < x->n; i++)
        (void)ms_buf_add(&blob, ms_span_of(x->parts[i].bytes, MSIG_BYTES));
    if (code == CLI_YES && x->target.has_chain && x->target.chain != tx->chain_id) {
        cli_say(cli, "--chain: the file is of chain %" PRIu64, tx->chain_id);
        code = CLI_NO;
    }
    if (code == CLI_YES) {
        x->target.chain = tx->chain_id;
        x->target.has_chain = true;
        enum ms_err err = call_safe_exec(tx, ms_buf_span(&blob), &data);
        code = err != MS_OK ? cli_print_error(cli, err, NULL, CLI_UNKNOWN)
                            : registry_give_out(cli, &x->target,
                                                &(struct registry_act){.to_safe = true,
                                                                       .to = tx->safe,
                                                                       .data = ms_buf_span(&data),
                                                                       .title = "execTransaction"},
                                                CALL_NONE);
    }
    ms_buf_done(&blob);
    ms_buf_done(&data);
    return code;
}

int registry_safe_exec(struct cli *cli, int argc, char **argv)
{
    struct exec x = {0};
    const struct cli_option options[] = {REGISTRY_OUT_OPTIONS(&x.target)};
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct msig_safe_tx tx;
    const char *path;

    if (!release_repeated(cli, "signature", &argc, argv, x.signatures, MSIG_SAFE_PARTS_MAX,
                          &x.n_signatures) ||
        !release_repeated(cli, "signature-file", &argc, argv, x.files, MSIG_SAFE_PARTS_MAX,
                          &x.n_files) ||
        !release_repeated(cli, "approved", &argc, argv, x.approved, MSIG_SAFE_PARTS_MAX,
                          &x.n_approved) ||
        !cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "SAFE-TX.json|-", &path, 1, 1) ||
        !registry_target(cli, &x.target))
        return CLI_USAGE;
    if (x.n_signatures + x.n_files + x.n_approved == 0) {
        cli_say(cli,
                "missing argument: --signature HEX, --signature-file FILE or --approved OWNER");
        return CLI_USAGE;
    }
    int code = read_safe_tx(cli, path, &arena, &tx);
    if (code == CLI_YES)
        code = execute(cli, &x, &tx);
    ms_arena_done(&arena);
    return code;
}

/* ---- batch ---- */
static int read_builder(const struct cli *cli, const char *path, uint64_t *chain, json_t *all)
{
    struct ms_buf text = MS_BUF_INIT(BUILDER_MAX_BYTES);
    json_t *transactions = NULL;
    struct ms_diag diag = {0};
    uint64_t one = 0;

    int code = read_file(cli, path, &text);
    if (code == CLI_YES) {
        enum ms_err err = builder_parse(ms_buf_span(&text), &one, &transactions, &diag);
        if (err == MS_OK && *chain != 0 && *chain != one)
            err = ms_diag_set(&diag, MS_ERR_WRONG_CHAIN, "chain %" PRIu64 ", the others %" PRIu64,
                              one, *chain);
        if (err == MS_OK && json_array_extend(all, transactions) != 0)
            err = MS_ERR_MEMORY;
        if (err != MS_OK)
            code = fail_at(cli, path, err, &diag);
        *chain = one;
    }
    json_decref(transactions);
    ms_buf_done(&text);
    return code;
}

/* The app shows it, and JSON is UTF-8. */
static bool name_ok(const struct cli *cli, const char *name)
{
    for (const char *c = name; c != NULL && *c != '\0'; c++)
        if (*c < 0x20 || *c > 0x7e) {
            cli_say(cli, "--name: printable ASCII only");
            return false;
        }
    return true;
}

int registry_batch(struct cli *cli, int argc, char **argv)
{
    const char *files[FILES_MAX], *safe_text = NULL, *name = "measured registry";
    const char *name_text = NULL;
    struct release_out out = {0};
    const struct cli_option options[] = {{"safe", &safe_text, NULL},
                                         {"name", &name_text, NULL},
                                         {"o", &out.path, NULL},
                                         {"replace", NULL, &out.replace}};
    json_t *all = json_array();
    struct eth_addr safe;
    uint64_t chain = 0;
    int code = CLI_USAGE;

    if (cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE ...", files, 1,
                 FILES_MAX) &&
        (safe_text == NULL || release_addr(cli, "--safe", safe_text, &safe)) &&
        name_ok(cli, name_text)) {
        code = CLI_YES;
        for (size_t i = 0; code == CLI_YES && i < FILES_MAX && files[i] != NULL; i++)
            code = read_builder(cli, files[i], &chain, all);
    }
    if (code == CLI_YES && json_array_size(all) > BUILDER_TRANSACTIONS_MAX) {
        cli_say(cli, "%zu transactions, more than %d", json_array_size(all),
                BUILDER_TRANSACTIONS_MAX);
        code = CLI_NO;
    }
    if (code == CLI_YES) {
        struct builder_file file = {.chain_id = chain,
                                    .safe = safe_text == NULL ? NULL : &safe,
                                    .name = name_text == NULL ? name : name_text,
                                    .created_at_ms = release_now() * 1000};
        cli_say(cli, "%zu transactions on chain %" PRIu64, json_array_size(all), chain);
        code = registry_put_json(cli, builder_new(&file, json_incref(all)), &out);
    }
    json_decref(all);
    return code;
}
