/* cli/log.c - `measuredctl log`: the table of its verbs, and the short ones. */
#include "cli/log.h"

#include "cli/client.h"

#include <stdio.h>

static const struct verb {
    const char *name;
    const char *args;
    const char *help; /* one line */
    const char *more; /* what --help says besides */
    int (*run)(struct cli *cli, int argc, char **argv);
} verbs[] = {
    {"checkpoint", "[--db FILE | --from SOURCE] [--key VKEY] [--cosigned]",
     "the newest checkpoint of the log, verified",
     "  --db FILE             a database instead of the daemon\n"
     "  --from SOURCE         a folder that `log export` wrote, or the https URL of such a folder\n"
     "  --key VKEY            the key that must have signed it (default the log's own word)\n"
     "  --cosigned            the newest that a witness has cosigned\n",
     log_checkpoint},
    {"key", "[--db FILE | --from SOURCE]", "the key that verifies the log: give it to auditors", "",
     log_key},
    {"prove", "SPEC N | --leaf I [--db FILE | --from SOURCE] [--key VKEY] [--cosigned] [-o FILE]",
     "the proof that a change is in the log, for `log verify`",
     "N is the sequence of the source (registries, Safes, signed sets), or else the count of this\n"
     "specifier's entries from 1; row:N is entry N of the log. The newest that fits is taken. The\n"
     "proof (c2sp.org/tlog-proof) holds the entry and was verified before it is written.\n\n"
     "  --leaf I              leaf I of the tree, from 0, whatever its specifier\n"
     "  -o FILE               write a file (default print)\n",
     log_prove},
    {"verify",
     "FILE|SOURCE --key VKEY [--witness VKEY,... [--quorum K]] [--old FILE] [--entry FILE] "
     "[--evidence "
     "FILE] [--db FILE | --from SOURCE]",
     "check a proof, a checkpoint, that one continues another, or a whole log; offline",
     "FILE is a proof of `log prove`, a checkpoint, or a proof of growth (/v1/log/growth). A "
     "SOURCE,\n"
     "a folder that `log export` wrote or its URL, is checked as a whole: key, checkpoint, "
     "entries,\n"
     "tiles, and those bundles that are there.\n\n"
     "  --witness VKEY,...    witnesses of whom K must have cosigned\n"
     "  --quorum K            default all of them\n"
     "  --old FILE            an older checkpoint of the same log, which FILE must continue; with\n"
     "                        a checkpoint as FILE the log itself is asked for the proof\n"
     "  --entry FILE          the entry, when the proof does not hold it\n"
     "  --evidence FILE       the bundle that the entry must name\n",
     log_verify},
    {"compare",
     "--against SOURCE [--against-key VKEY] [--db FILE | --from SOURCE] [--key VKEY] [--keep DIR] "
     "[--window SECONDS]",
     "whether two daemons were told different things",
     "Exit 1 when the logs contradict each other: one sequence with two contents, or https lists\n"
     "that differ within the window and that the other did not see. The evidence of both sides is\n"
     "kept in DIR.\n\n"
     "  --against SOURCE      the other log\n"
     "  --keep DIR            default the current folder\n"
     "  --window SECONDS      default 600\n",
     log_compare},
    {"export", "DIR [--db FILE] [--evidence]",
     "write the log as files that any web server can serve",
     "  --evidence            the bundles that its entries name, too\n", log_export},
};

static int print_help(void)
{
    printf("usage: measuredctl log VERB [ARGUMENT ...]\n"
           "       measuredctl log VERB --help\n\n");
    for (size_t i = 0; i < MS_ARRAY_LEN(verbs); i++)
        printf("  %-12s %s\n", verbs[i].name, verbs[i].help);
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

int cli_log(struct cli *cli, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help();
    for (size_t i = 0; argc > 1 && i < MS_ARRAY_LEN(verbs); i++) {
        if (strcmp(argv[1], verbs[i].name) != 0)
            continue;
        if (argc == 3 && strcmp(argv[2], "--help") == 0) {
            printf("usage: measuredctl log %s %s\n%s\n\n%s", verbs[i].name, verbs[i].args,
                   verbs[i].help, verbs[i].more);
            return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
        }
        return verbs[i].run(cli, argc - 1, argv + 1);
    }
    cli_say(cli, "%s: checkpoint, key, prove, verify, compare, export",
            argc > 1 ? "no such verb; there are" : "a verb is missing");
    return CLI_USAGE;
}

int log_fail(const struct cli *cli, enum ms_err err, const struct ms_diag *diag)
{
    bool no = err == MS_ERR_PROOF || err == MS_ERR_SIGNATURE || err == MS_ERR_NOT_FOUND ||
              err == MS_ERR_SYNTAX || err == MS_ERR_HASH || err == MS_ERR_CONFLICT ||
              err == MS_ERR_QUORUM || err == MS_ERR_RANGE || err == MS_ERR_BASE64 ||
              err == MS_ERR_LIMIT || err == MS_ERR_HMAC || err == MS_ERR_EVIDENCE;

    return client_fail(cli, ms_err_code(err), ms_diag_text(diag, err), no ? CLI_NO : CLI_UNKNOWN);
}

enum ms_err log_witnesses(const char *list, struct msig_vkey *ret_keys, size_t *ret_n,
                          struct ms_diag *diag)
{
    struct ms_span rest = ms_span_str(list), one;

    *ret_n = 0;
    while (rest.len > 0) {
        one = rest;
        if (!ms_span_cut(rest, ',', &one, &rest))
            rest = (struct ms_span){0};
        if (*ret_n == LOG_WITNESSES_MAX)
            return ms_diag_set(diag, MS_ERR_LIMIT, "more than %u witnesses", LOG_WITNESSES_MAX);
        enum ms_err err = msig_vkey_parse(one, &ret_keys[*ret_n], diag);
        if (err == MS_OK && ret_keys[*ret_n].type != MSIG_NOTE_COSIGNATURE)
            err = ms_diag_set(diag, MS_ERR_SYNTAX, "%.100s is the key of a log, not of a witness",
                              ret_keys[*ret_n].name);
        if (err != MS_OK)
            return err;
        for (size_t i = 0; i < *ret_n; i++)
            if (memcmp(ret_keys[i].key, ret_keys[*ret_n].key, MSIG_NOTE_KEY_BYTES) == 0)
                return ms_diag_set(diag, MS_ERR_SYNTAX, "the witness %.100s stands there twice",
                                   ret_keys[i].name);
        (*ret_n)++;
    }
    return MS_OK;
}

static int print_checkpoint(const struct cli *cli, struct log_head *head)
{
    struct ms_buf vkey = MS_BUF_INIT(MSIG_NOTE_TEXT_KEY_MAX);
    char root[2 * MS_SHA256_BYTES + 1];

    if (!cli->json) {
        bool ok = fwrite(head->text.ptr, 1, head->text.len, stdout) == head->text.len;
        return fflush(stdout) == 0 && ok ? CLI_YES : CLI_UNKNOWN;
    }
    ms_sha256_hex(&head->checkpoint.root, root);
    (void)msig_vkey_print(&head->key, &vkey);
    const char *text = ms_buf_str(&head->text), *key = ms_buf_str(&vkey);
    json_t *out = json_pack("{s:s, s:I, s:s, s:s, s:s}", "origin", head->checkpoint.origin, "size",
                            (json_int_t)head->checkpoint.size, "root", root, "key",
                            key == NULL ? "" : key, "checkpoint", text == NULL ? "" : text);
    ms_buf_done(&vkey);
    return cli_print_json(cli, out, CLI_YES);
}

int log_checkpoint(struct cli *cli, int argc, char **argv)
{
    const char *db = NULL, *from = NULL, *key = NULL;
    bool cosigned = false;
    const struct cli_option options[] = {{"db", &db, NULL},
                                         {"from", &from, NULL},
                                         {"key", &key, NULL},
                                         {"cosigned", NULL, &cosigned}};
    struct log_source *source = NULL;
    struct log_head head = {0};
    struct ms_diag diag = {0};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    enum ms_err err = log_source_open(cli, db, from, &source, &diag);
    if (err == MS_OK)
        err = log_head_get(source, key, cosigned, &head, &diag);
    int code = err == MS_OK ? print_checkpoint(cli, &head) : log_fail(cli, err, &diag);
    log_head_done(&head);
    log_source_close(source);
    return code;
}

int log_key(struct cli *cli, int argc, char **argv)
{
    const char *db = NULL, *from = NULL;
    const struct cli_option options[] = {{"db", &db, NULL}, {"from", &from, NULL}};
    struct log_source *source = NULL;
    struct log_head head = {0};
    struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_TEXT_KEY_MAX);
    struct ms_diag diag = {0};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    enum ms_err err = log_source_open(cli, db, from, &source, &diag);
    if (err == MS_OK)
        err = log_head_get(source, NULL, false, &head, &diag);
    if (err == MS_OK)
        err = msig_vkey_print(&head.key, &text);
    const char *key = ms_buf_str(&text);
    int code = err != MS_OK ? log_fail(cli, err, &diag)
               : cli->json  ? cli_print_json(cli, json_pack("{s:s}", "key", key), CLI_YES)
                            : cli_print_line(cli, ms_buf_span(&text), CLI_YES);
    ms_buf_done(&text);
    log_head_done(&head);
    log_source_close(source);
    return code;
}
