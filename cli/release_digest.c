/* cli/release_digest.c - what a signer signs: in words, and as typed data for a wallet. */
#include "cli/release.h"

#include "sig/message_json.h"
#include "sig/safe.h"

#include <stdio.h>

#define WORDS_MAX_BYTES ((size_t)1 << 20)

struct wish {
    const char *safe_text, *entry;
    uint64_t chain;
    struct eth_addr safe; /* with safe_text */
};

static void add_hash(struct ms_buf *out, const char *name, struct eth_hash hash, const char *note)
{
    (void)ms_buf_addf(out, "%-18s 0x", name);
    (void)ms_buf_add_hex(out, eth_hash_span(&hash));
    (void)ms_buf_addf(out, "   (%s)\n", note);
}

/* The hashes that Safe's owners see; a hardware wallet shows only these two. */
static void add_safe(const struct wish *w, const struct release_subject *s, struct ms_buf *out)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(&w->safe, text);
    (void)ms_buf_addf(out, "for the owners of the Safe %s on chain %llu\n", text,
                      (unsigned long long)w->chain);
    add_hash(out, "  domain hash", msig_safe_domain(w->chain, &w->safe), "of the Safe");
    add_hash(out, "  message hash", msig_safe_message_struct(&s->digest),
             "SafeMessage of the digest");
    add_hash(out, "  digest", msig_safe_message(w->chain, &w->safe, &s->digest),
             "what an owner signs");
}

static int print_words(const struct cli *cli, const struct wish *w, const struct release_subject *s)
{
    struct ms_buf out = MS_BUF_INIT(WORDS_MAX_BYTES);
    int code = CLI_YES;

    (void)release_words(s, &out);
    if (w->safe_text != NULL)
        add_safe(w, s, &out);
    if (ms_buf_err(&out) != MS_OK)
        code = cli_print_error(cli, ms_buf_err(&out), NULL, CLI_UNKNOWN);
    else if (fwrite(out.ptr, 1, out.len, stdout) != out.len || fflush(stdout) != 0)
        code = CLI_UNKNOWN;
    ms_buf_done(&out);
    return code;
}

int release_digest(struct cli *cli, int argc, char **argv)
{
    struct wish w = {0};
    const struct cli_option options[] = {{"safe", &w.safe_text, NULL}, {"entry", &w.entry, NULL}};
    struct release_subject subject;
    struct release_doc doc;
    const char *path;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "FILE|-", &path, 1, 1) ||
        (w.safe_text != NULL && !release_safe(cli, "--safe", w.safe_text, &w.chain, &w.safe)))
        return CLI_USAGE;
    release_doc_init(&doc);
    int code = release_read(cli, path, &doc);
    if (code == CLI_YES)
        code = release_subject(cli, &doc, w.entry, &subject);
    if (code == CLI_YES && !cli->json)
        code = print_words(cli, &w, &subject);
    else if (code == CLI_YES && w.safe_text != NULL)
        code = cli_print_json(cli, msig_safe_typed_json(w.chain, &w.safe, &subject.digest), code);
    else if (code == CLI_YES)
        code = cli_print_json(cli, msig_typed_json(subject.type, release_message(&subject)), code);
    release_doc_done(&doc);
    return code;
}
