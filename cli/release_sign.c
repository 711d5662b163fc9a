/* cli/release_sign.c - signatures under a document: ours, and a wallet's. */
#include "cli/release.h"

#include "base/digest.h"
#include "base/hex.h"
#include "cli/key_file.h"
#include "sig/safe.h"
#include "sig/secp_sign.h"

#include <errno.h>
#include <stdlib.h>

#define BLOB_TEXT_MAX_BYTES (2 * MSIG_SAFE_BLOB_MAX_BYTES + 64)

/* A signer has one signature; a second one would refuse the whole document. */
static bool may_add(const struct cli *cli, const struct release_subject *s,
                    const struct eth_addr *signer)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(signer, text);
    for (size_t i = 0; i < s->signatures->n; i++) {
        const struct msig_signature *one = &s->signatures->items[i];
        if (one->scheme == MSIG_SCHEME_OTHER || !eth_addr_eq(&one->signer, signer))
            continue;
        cli_say(cli, "%s has signed this document already", text);
        return false;
    }
    if (s->signatures->n < MSIG_SIGNATURES_MAX)
        return true;
    cli_say(cli, "a document has at most %d signatures", MSIG_SIGNATURES_MAX);
    return false;
}

static json_t *entry_json(const char *signer, uint64_t chain, struct ms_span bytes)
{
    json_t *entry = json_pack("{s:s, s:s, s:o}", "signer", signer, "scheme",
                              chain == 0 ? "eip712" : "eip1271", "signature", ms_json_hex(bytes));
    if (entry != NULL && chain > 1) /* 1 is understood */
        (void)json_object_set_new(entry, "chain", json_integer((json_int_t)chain));
    return entry;
}

/* Append to the tree and write it. chain: that of a contract, 0 for a key. */
static int add(const struct cli *cli, const struct release_subject *s,
               const struct eth_addr *signer, uint64_t chain, struct ms_span bytes,
               const struct release_out *out)
{
    char text[ETH_ADDR_TEXT + 1];

    if (!may_add(cli, s, signer))
        return CLI_NO;
    eth_addr_text(signer, text);
    json_t *list = json_object_get(s->holder, "signatures");
    if (list == NULL && json_object_set_new(s->holder, "signatures", json_array()) == 0)
        list = json_object_get(s->holder, "signatures");
    if (json_array_append_new(list, entry_json(text, chain, bytes)) != 0)
        return cli_print_error(cli, MS_ERR_MEMORY, NULL, CLI_UNKNOWN);
    int code = release_write(cli, s->doc->tree, out, s->doc->path);
    if (code == CLI_YES)
        cli_say(cli, "signature of %s added, %zu in all", text, json_array_size(list));
    return code;
}

/* ---- sign ---- */
static int sign_with(const struct cli *cli, const struct release_subject *s, const char *key_path,
                     const struct release_out *out)
{
    uint8_t key[MSIG_KEY_BYTES], sig[MSIG_BYTES];
    struct ms_diag diag = {0};
    struct eth_addr signer;

    enum ms_err err = key_file_read(key_path, key, &diag);
    if (err == MS_OK)
        err = msig_sign(&s->digest, key, sig, &signer, &diag);
    ms_wipe(key, sizeof(key));
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, cli_exit_of(err));
    return add(cli, s, &signer, 0, ms_span_of(sig, sizeof(sig)), out);
}

int release_sign(struct cli *cli, int argc, char **argv)
{
    const char *path, *key_path = NULL, *entry = NULL;
    struct release_out out = {0};
    const struct cli_option options[] = {{"key-file", &key_path, NULL},
                                         {"entry", &entry, NULL},
                                         {"o", &out.path, NULL},
                                         {"replace", NULL, &out.replace}};
    struct release_subject subject;
    struct release_doc doc;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE|-", &path, 1, 1))
        return CLI_USAGE;
    if (key_path == NULL || (strcmp(key_path, "-") == 0 && strcmp(path, "-") == 0)) {
        cli_say(cli, key_path == NULL ? "missing argument: --key-file FILE|-"
                                      : "the key and the document cannot both be standard input");
        return CLI_USAGE;
    }
    release_doc_init(&doc);
    int code = release_read(cli, path, &doc);
    if (code == CLI_YES)
        code = release_subject(cli, &doc, entry, &subject);
    if (code == CLI_YES)
        code = sign_with(cli, &subject, key_path, &out);
    release_doc_done(&doc);
    return code;
}

/* ---- add-signature ---- */
struct addition {
    const char *signature, *file, *signer, *safe, *entry;
    struct release_out out;
    bool has_signer, has_safe;
    struct eth_addr signer_addr, safe_addr;
    uint64_t safe_chain; /* 0: --safe is a bare address */
};

/* Hex as wallets print it: "0x" or not, quotes and white space around it. */
static enum ms_err decode_hex(struct ms_span text, struct ms_buf *out)
{
    while (text.len > 0 && strchr(" \t\r\n\"", text.ptr[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t\r\n\"", text.ptr[0]) != NULL)
        text = ms_span_sub(text, 1, text.len);
    if (ms_span_starts(text, "0x"))
        text = ms_span_sub(text, 2, text.len);
    uint8_t *room = ms_buf_room(out, text.len / 2 + 1);
    if (room == NULL)
        return ms_buf_err(out);
    enum ms_err err = text.len % 2 != 0 ? MS_ERR_LENGTH : ms_hex_decode(text, room, text.len / 2);
    if (err == MS_OK)
        out->len += text.len / 2;
    return err;
}

static enum ms_err read_signature(const struct addition *a, struct ms_buf *out,
                                  struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(BLOB_TEXT_MAX_BYTES);

    errno = 0;
    enum ms_err err =
        a->file == NULL ? ms_buf_add_str(&text, a->signature) : cli_read(a->file, &text);
    if (err == MS_ERR_IO)
        (void)ms_diag_set(diag, err, "--signature-file %s: %s", a->file, strerror(errno));
    if (err == MS_OK) {
        err = decode_hex(ms_buf_span(&text), out);
        if (err != MS_OK)
            (void)ms_diag_set(diag, err, "the signature is not hex");
    }
    ms_buf_done(&text);
    return err;
}

/* Of a person's wallet: whoever it recovers to, in the one form that is taken. */
static int add_plain(const struct cli *cli, const struct addition *a,
                     const struct release_subject *s, struct ms_span bytes)
{
    char got[ETH_ADDR_TEXT + 1], want[ETH_ADDR_TEXT + 1];
    uint8_t sig[MSIG_BYTES];
    struct ms_diag diag = {0};
    struct eth_addr signer;

    enum ms_err err = msig_recover(&s->digest, bytes, &signer, &diag);
    if (err != MS_OK) {
        int code = cli_print_error(cli, err, &diag, cli_exit_of(err));
        if (err == MS_ERR_NONCANONICAL)
            cli_say(cli, "hint: wallets make the low form, so something changed it on its way; "
                         "s becomes n - s and v the other of 27 and 28, or sign again");
        return code;
    }
    eth_addr_text(&signer, got);
    if (a->has_signer && !eth_addr_eq(&signer, &a->signer_addr)) {
        eth_addr_text(&a->signer_addr, want);
        cli_say(cli,
                "it is not a signature of %s: for this document it is one of %s. Another key "
                "or another document was signed",
                want, got);
        return CLI_NO;
    }
    if (!a->has_signer)
        cli_say(cli,
                "it recovers to %s; any other document would give another address: compare it "
                "or give --signer",
                got);
    memcpy(sig, bytes.ptr, sizeof(sig));
    if (sig[MSIG_BYTES - 1] < 27)
        sig[MSIG_BYTES - 1] = (uint8_t)(sig[MSIG_BYTES - 1] + 27);
    return add(cli, s, &signer, 0, ms_span_of(sig, sizeof(sig)), &a->out);
}

/* Of a Safe's owners, one behind the other. Who the owners are and how many must sign only the
 * chain knows; what no chain can mend is refused here. */
static bool safe_blob_ok(const struct cli *cli, const struct addition *a,
                         const struct release_subject *s, struct ms_span blob)
{
    char text[ETH_ADDR_TEXT + 1];
    struct msig_safe_check check = {.hash =
                                        msig_safe_message(a->safe_chain, &a->safe_addr, &s->digest),
                                    .blob = blob,
                                    .threshold = 1,
                                    .owners_unknown = true,
                                    .low_s = true,
                                    .message = true};
    struct msig_safe_result result;

    if (blob.len == 0) {
        cli_say(cli, "no signatures: the Safe must have signed the message on chain (SignMsg)");
        return true;
    }
    /* as many parts as there are, the contracts' own signatures behind them aside */
    for (check.threshold = 0;
         check.threshold < blob.len / MSIG_BYTES && check.threshold < MSIG_SAFE_PARTS_MAX;
         check.threshold++)
        if (blob.ptr[check.threshold * MSIG_BYTES + MSIG_BYTES - 1] == 0)
            break; /* a contract's: what follows may be its data */
    if (check.threshold == 0)
        return true;
    msig_safe_check(&check, &result);
    if (result.verdict == MSIG_SAFE_INVALID) {
        cli_say(cli, "the Safe would refuse it: %s", msig_safe_reason_text(result.reason));
        return false;
    }
    for (size_t i = 0; i < result.n_parts; i++) {
        eth_addr_text(&result.parts[i].owner, text);
        cli_say(cli, "owner %zu: %s", i + 1, text);
    }
    return true;
}

static int add_one(const struct cli *cli, const struct addition *a, const struct release_subject *s)
{
    struct ms_buf bytes = MS_BUF_INIT(MSIG_SAFE_BLOB_MAX_BYTES + 1);
    struct ms_diag diag = {0};
    int code;

    enum ms_err err = read_signature(a, &bytes, &diag);
    if (err != MS_OK)
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
    else if (!a->has_safe)
        code = add_plain(cli, a, s, ms_buf_span(&bytes));
    else if (a->safe_chain != 0 && !safe_blob_ok(cli, a, s, ms_buf_span(&bytes)))
        code = CLI_NO;
    else
        code = add(cli, s, &a->safe_addr, a->safe_chain == 0 ? 1 : a->safe_chain,
                   ms_buf_span(&bytes), &a->out);
    ms_buf_done(&bytes);
    return code;
}

static bool addition_ok(const struct cli *cli, struct addition *a)
{
    if ((a->signature == NULL) == (a->file == NULL)) {
        cli_say(cli, "give one of --signature HEX and --signature-file FILE|-");
        return false;
    }
    if (a->signer != NULL && a->safe != NULL) {
        cli_say(cli, "--signer is a key's address, --safe a contract's: give one");
        return false;
    }
    a->has_signer = a->signer != NULL;
    a->has_safe = a->safe != NULL;
    if (a->has_signer && !release_addr(cli, "--signer", a->signer, &a->signer_addr))
        return false;
    if (a->has_safe && strncmp(a->safe, "0x", 2) == 0)
        return release_addr(cli, "--safe", a->safe, &a->safe_addr);
    return !a->has_safe || release_safe(cli, "--safe", a->safe, &a->safe_chain, &a->safe_addr);
}

int release_add_signature(struct cli *cli, int argc, char **argv)
{
    struct addition a = {0};
    const struct cli_option options[] = {
        {"signature", &a.signature, NULL}, {"signature-file", &a.file, NULL},
        {"signer", &a.signer, NULL},       {"safe", &a.safe, NULL},
        {"entry", &a.entry, NULL},         {"o", &a.out.path, NULL},
        {"replace", NULL, &a.out.replace}};
    struct release_subject subject;
    struct release_doc doc;
    const char *path;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE|-", &path, 1, 1) ||
        !addition_ok(cli, &a))
        return CLI_USAGE;
    release_doc_init(&doc);
    int code = release_read(cli, path, &doc);
    if (code == CLI_YES)
        code = release_subject(cli, &doc, a.entry, &subject);
    if (code == CLI_YES)
        code = add_one(cli, &a, &subject);
    release_doc_done(&doc);
    return code;
}
