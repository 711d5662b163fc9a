/* cli/registry.c - `measuredctl registry`: the table of its verbs. */
#include "cli/registry.h"

#include <stdio.h>

#define OUT_HELP                                                                                   \
    "  --format FORM         calldata (default): hex; tx: a transaction object; safe-builder: a\n" \
    "                        file for the Safe app's Transaction Builder; safe-tx: EIP-712 "       \
    "typed\n"                                                                                      \
    "                        data for the owners of --safe, at its --nonce\n"                      \
    "  --chain N             default 1, or that of the endpoint\n"                                 \
    "  --rpc URL             ask this endpoint first whether the call would work now\n"            \
    "  --from ADDRESS        ... from this account, instead of the owner\n"                        \
    "  --send --key-file KEY send it with --rpc, for test chains; --really for any other\n"        \
    "  --timeout S           for everything that is asked (default 30; 180 with --send)\n"         \
    "  -o FILE, --replace    write a file; replace it if it is there (default print)\n"
#define CALL_HELP                                                                                \
    "  --contract ADDRESS    the registry; also eip155:CHAIN:ADDRESS. Not needed for calldata\n" \
    "  --safe ADDRESS        the Safe that will make the call\n"                                 \
    "  --nonce N             of the Safe (default: asked with --rpc)\n" OUT_HELP

static int revoke(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_REVOKE);
}
static int shorten(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_SHORTEN);
}
static int prune(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_PRUNE);
}
static int heartbeat(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_HEARTBEAT);
}
static int raise_min_delay(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_RAISE_MIN_DELAY);
}
static int set_guardian(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_SET_GUARDIAN);
}
static int transfer_owner(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_TRANSFER_OWNERSHIP);
}
static int accept_owner(struct cli *cli, int argc, char **argv)
{
    return registry_operation(cli, argc, argv, CALL_ACCEPT_OWNERSHIP);
}

static const struct verb {
    const char *name;
    const char *args;
    const char *help; /* one line */
    const char *more; /* what --help says besides */
    int (*run)(struct cli *cli, int argc, char **argv);
} verbs[] = {
    {"deploy-data", "--owner ADDRESS [--guardian ADDRESS] [--min-delay DURATION]",
     "the transaction that creates a registry",
     "Anybody may send it. The guardian can only take releases away; the delay between approval\n"
     "and effect can only grow (default 0; choose an hour at least). With --send the address of\n"
     "the new contract is printed.\n\n" OUT_HELP,
     registry_deploy_data},
    {"approve",
     "--version V --not-before TIME [--not-after TIME] (--on-chain | --uri URL) MEASUREMENTS.json",
     "approve a release (owner)",
     "The document is linted first and approved byte for byte, by its SHA-256; a gzip file as\n"
     "gzip.\n\n"
     "  --version V           a number, or MAJOR.MINOR.PATCH; higher than every version before\n"
     "  --not-before TIME     first second in force: the time of the block or later, and by the\n"
     "                        minimum delay unless it is the first release\n"
     "  --not-after TIME      first second in which it is not any more (default no end)\n"
     "  --on-chain            keep the document as contract code, at most 24575 bytes\n"
     "  --uri URL             https, where the document is (as well)\n"
     "  --gzip                compress the document\n"
     "  --force RULE,...      approve although lint finds these errors\n" CALL_HELP,
     registry_approve},
    {"revoke", "--id N [--reason R]", "take a release away at once (owner or guardian)",
     "R is unspecified (default), vulnerability, compromise, superseded, mistake, expired, or a\n"
     "number of your own.\n\n" CALL_HELP,
     revoke},
    {"shorten", "--id N --not-after TIME", "bring a release's end forward (owner or guardian)",
     CALL_HELP, shorten},
    {"prune", "--id N", "take a release that has ended off the list (anyone)", CALL_HELP, prune},
    {"heartbeat", "--valid-until TIME|none",
     "until when the registry counts without another word (owner)", CALL_HELP, heartbeat},
    {"raise-min-delay", "--min-delay DURATION", "lengthen the minimum delay, for ever (owner)",
     CALL_HELP, raise_min_delay},
    {"set-guardian", "--guardian ADDRESS|none", "name who can only take away (owner)", CALL_HELP,
     set_guardian},
    {"transfer-owner", "--to ADDRESS", "offer the registry to another owner (owner)", CALL_HELP,
     transfer_owner},
    {"accept-owner", "", "become the owner (who was offered it)", CALL_HELP, accept_owner},
    {"batch", "[--safe ADDRESS] [--name NAME] FILE ...",
     "several safe-builder files as one, which is signed once",
     "  -o FILE, --replace    write a file; replace it if it is there (default print)\n",
     registry_batch},
    {"sign-safe-tx", "--key-file KEY|- SAFE-TX.json|-",
     "sign a Safe's transaction with a key from a file: for tests and CI",
     "Prints the signature, for safe-exec. KEY has the 64 hex digits of a secp256k1 key and mode\n"
     "0600. Owners with a wallet sign the same file with eth_signTypedData_v4.\n",
     registry_sign_safe_tx},
    {"safe-exec", "(--signature HEX | --signature-file FILE | --approved OWNER) ... SAFE-TX.json|-",
     "the transaction by which a Safe executes what its owners signed",
     "The signatures may come in any order. --approved is for an owner who called approveHash, or\n"
     "who sends the transaction.\n\n" OUT_HELP,
     registry_safe_exec},
    {"show", "--contract ADDRESS --rpc URL [--chain N] [--json]",
     "what one endpoint says of a registry",
     "Unproven: for operators before they act. The daemon proves what it serves.\n", registry_show},
};

static const struct verb *verb_of(const char *name)
{
    for (size_t i = 0; name != NULL && i < MS_ARRAY_LEN(verbs); i++)
        if (strcmp(name, verbs[i].name) == 0)
            return &verbs[i];
    return NULL;
}

static int print_help(void)
{
    printf("usage: measuredctl registry VERB [ARGUMENT ...]\n"
           "       measuredctl registry VERB --help\n\n"
           "The registry contract (docs/publish-with-a-safe.md): calls for it as hex, for a wallet "
           "or for\nthe owners of a Safe. No daemon is needed, and without --rpc no network.\n\n");
    for (size_t i = 0; i < MS_ARRAY_LEN(verbs); i++)
        printf("  %-16s %s\n", verbs[i].name, verbs[i].help);
    printf("\nTIME is Unix seconds, 2026-02-02T02:40:00Z, 2026-02-02, or +48h from now on.\n"
           "exit codes: 0 yes or done, 1 no, 2 bad usage, 3 could not find out\n");
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

int cli_registry(struct cli *cli, int argc, char **argv)
{
    char command[40];

    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return print_help();
    const struct verb *verb = verb_of(argc < 2 ? NULL : argv[1]);
    if (verb == NULL) {
        cli_say(cli, "no verb '%s'; measuredctl registry --help lists them",
                argc < 2 ? "" : argv[1]);
        return CLI_USAGE;
    }
    if (argc == 3 && strcmp(argv[2], "--help") == 0) {
        printf("usage: measuredctl registry %s %s\n%s\n\n%s", verb->name, verb->args, verb->help,
               verb->more);
        return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
    }
    (void)snprintf(command, sizeof(command), "registry %s", verb->name);
    const char *outer = cli->command;
    cli->command = command;
    int code = verb->run(cli, argc - 1, argv + 1);
    cli->command = outer;
    return code;
}
