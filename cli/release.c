/* cli/release.c - `measuredctl release`: the table of its verbs. */
#include "cli/release.h"

#include <stdio.h>

static const struct verb {
    const char *name, *then; /* "root", "new" */
    const char *args;
    const char *help; /* one line */
    const char *more; /* what --help says besides */
    int (*run)(struct cli *cli, int argc, char **argv);
} verbs[] = {
    {"new", NULL, "[--previous SET] --version V [OPTION ...] MEASUREMENTS.json ...",
     "write an unsigned release set",
     "The documents, in any dialect that `measuredctl lint` reads, become the payload of one new\n"
     "release; one document is published byte for byte. They are linted first.\n\n"
     "  --previous SET        keep its releases; its set hash and next sequence go into the new\n"
     "                        set. Without documents the set is issued again\n"
     "  --drop ID             leave this release of SET out; as often as needed\n"
     "  --app NAME            application (default that of SET, else the empty name)\n"
     "  --version V           a number, or MAJOR.MINOR.PATCH; higher than every version before\n"
     "  --id N                of the release (default the highest of SET plus one, else 1)\n"
     "  --sequence N          of the set (default that of SET plus one, else 1)\n"
     "  --not-before TIME     when the release begins to count (default when the set is issued)\n"
     "  --not-after TIME      first second in which it does not any more (default no end)\n"
     "  --issued-at TIME      of the set (default now)\n"
     "  --valid-until TIME, --days N\n"
     "                        of the set: at most 90 days (default 30); sign again before\n"
     "  --uri URL             where the payload is as well\n"
     "  --embed, --no-embed   put the payload into the document (default) or not\n"
     "  --force RULE,...      publish although lint finds these errors\n"
     "  -o FILE, --replace    write a file; replace it if it is there (default print)\n",
     release_new},
    {"digest", NULL, "[--safe eip155:CHAIN:ADDRESS] [--entry N] [--json] FILE",
     "what a signer compares and signs",
     "Every member of the message as a device shows it, the domain, the digest and who has "
     "signed;\n"
     "with --json the EIP-712 typed data for eth_signTypedData_v4. With --safe what the owners of\n"
     "that Safe sign instead: SafeMessage of the digest.\n\n"
     "  --entry N             which of several revocations, from 1\n",
     release_digest},
    {"sign", NULL, "--key-file KEY|- [--entry N] [-o FILE [--replace]] FILE",
     "sign with a key from a file: for tests and CI",
     "KEY has the 64 hex digits of a secp256k1 key and mode 0600; - is standard input. The "
     "document\n"
     "with the signature is printed, or written to the file of -o, which may be the same.\n",
     release_sign},
    {"add-signature", NULL,
     "--signature HEX | --signature-file FILE|- [--signer ADDRESS | --safe SAFE] [--entry N] [-o "
     "FILE [--replace]] FILE",
     "add the signature that a wallet made",
     "65 bytes of eth_signTypedData_v4. The signer is recovered, and compared with --signer.\n"
     "With --safe the signatures of its owners one behind the other, by rising address. With\n"
     "eip155:CHAIN:ADDRESS they are looked at, with a bare ADDRESS they are taken as they are.\n",
     release_add_signature},
    {"verify", NULL,
     "--signers MofN:ADDRESS,... [--app NAME] [--root ROOT ...] [--freshness FILE] [--revocations "
     "FILE] [--floor EPOCH:SEQUENCE[:HASH]] [--now TIME] [--json] FILE",
     "check a document against its signers, offline",
     "Tells every step and exits 0 (valid), 1 (refused) or 3 (contracts have signed, and only\n"
     "their chain can tell). FILE is a set, a root, a freshness statement or revocations.\n\n"
     "  --signers LIST        who may sign: the list of the specifier, or the whole specifier or\n"
     "                        URL; one with options has an app, the empty one without app=\n"
     "  --app NAME            refuse another application\n"
     "  --root ROOT           1.root.json, 2.root.json ... in this order, as often as needed\n"
     "  --freshness FILE      required when the last root names freshSigners\n"
     "  --revocations FILE    which releases of the set are revoked\n"
     "  --floor E:S[:HASH]    the last set that was accepted: a lower one is refused\n"
     "  --now TIME            instead of the clock\n",
     release_verify},
    {"root", "new", "--signers MofN:ADDRESS,... [--app NAME] [OPTION ...]",
     "write the first root: signers that can be changed",
     "Signed by the list of the specifier and by its own list.\n\n"
     "  --fresh MofN:ADDRESS,...      who signs freshness statements (default nobody)\n"
     "  --revokers ADDRESS,...        each of whom may revoke a release (default nobody)\n"
     "  --valid-until TIME, --days N  default 365 days\n"
     "  -o FILE, --replace            write a file, 1.root.json\n",
     release_root_new},
    {"root", "rotate", "--previous ROOT [--signers MofN:ADDRESS,...] [OPTION ...]",
     "write the next root",
     "What is not given stays as it is in ROOT; `none` empties --fresh and --revokers. Signed by\n"
     "the list of ROOT and by its own. Options as for `root new`.\n",
     release_root_rotate},
    {"revoke", NULL,
     "--set SET --id N [--reason N] [--issued-at TIME] [--append FILE] [-o FILE [--replace]]",
     "write a revocation of a release",
     "Any one revoker of the root signs it. A revocation holds for ever: --append FILE keeps "
     "those\n"
     "that are there, and -o may name the same file.\n",
     release_revoke},
    {"freshness", NULL,
     "--set SET [--hours N | --valid-until TIME] [--issued-at TIME] [-o FILE [--replace]]",
     "write a statement that SET is the newest",
     "Signed by the freshSigners of the root; at most 7 days, default 24 hours.\n",
     release_freshness},
};

static const struct verb *verb_of(int argc, char **argv, int *ret_words)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(verbs); i++) {
        const struct verb *verb = &verbs[i];
        if (argc < 2 || strcmp(argv[1], verb->name) != 0)
            continue;
        *ret_words = verb->then == NULL ? 1 : 2;
        if (verb->then == NULL || (argc > 2 && strcmp(argv[2], verb->then) == 0))
            return verb;
    }
    return NULL;
}

static int print_help(void)
{
    printf("usage: measuredctl release VERB [ARGUMENT ...]\n"
           "       measuredctl release VERB --help\n\n"
           "Release sets that people sign (docs/signed-sets.md). No daemon and no network is "
           "needed.\n\n");
    for (size_t i = 0; i < MS_ARRAY_LEN(verbs); i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "%s%s%s", verbs[i].name,
                       verbs[i].then == NULL ? "" : " ",
                       verbs[i].then == NULL ? "" : verbs[i].then);
        printf("  %-14s %s\n", name, verbs[i].help);
    }
    printf("\nTIME is Unix seconds, 2026-02-02T02:40:00Z or 2026-02-02.\n"
           "exit codes: 0 yes or done, 1 no, 2 bad usage, 3 could not find out\n");
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

static int print_verb_help(const struct verb *verb)
{
    printf("usage: measuredctl release %s%s%s %s\n%s\n\n%s", verb->name,
           verb->then == NULL ? "" : " ", verb->then == NULL ? "" : verb->then, verb->args,
           verb->help, verb->more);
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

int cli_release(struct cli *cli, int argc, char **argv)
{
    char command[40];
    int words = 0;

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help();
    const struct verb *verb = verb_of(argc, argv, &words);
    if (verb == NULL) {
        cli_say(cli, "no verb '%s'; measuredctl release --help lists them",
                argc < 2 ? "" : argv[1]);
        return CLI_USAGE;
    }
    if (argc == words + 2 && strcmp(argv[words + 1], "--help") == 0)
        return print_verb_help(verb);
    (void)snprintf(command, sizeof(command), "release %s%s%s", verb->name,
                   verb->then == NULL ? "" : " ", verb->then == NULL ? "" : verb->then);
    const char *outer = cli->command;
    cli->command = command;
    int code = verb->run(cli, argc - words, argv + words);
    cli->command = outer;
    return code;
}
