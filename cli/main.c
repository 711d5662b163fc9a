/* cli/main.c - measuredctl: the table of subcommands. */
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef MS_VERSION
#define MS_VERSION "unknown"
#endif

static const struct command {
    const char *name;
    const char *args;
    const char *help; /* one line */
    int (*run)(struct cli *cli, int argc, char **argv);
} commands[] = {
    {"explain", "SPEC|URL|-", "what a specifier means: kind, canonical form, key, host, warnings",
     cli_explain},
    {"url",
     "--host HOST[:PORT] --inline FILE | --location URL | --contract ADDRESS [--chain N] | "
     "--signers M:ADDRESS,... [--app NAME | --set FILE] [--at URL] [--chain N] "
     "[--option NAME=VALUE[;...]] [--strict]",
     "write the one safe URL of a specifier", cli_url},
    {"lint", "FILE|SPEC|URL|- [--cool-down HOURS] | --rules",
     "look for mistakes in what is approved, and in who approves it", cli_lint},
    {"release", "VERB [ARGUMENT ...]",
     "release sets that people sign: new, digest, sign, verify, ...", cli_release},
    {"registry", "VERB [ARGUMENT ...]",
     "calls for the registry contract: deploy-data, approve, revoke, show, ...", cli_registry},
    {"workload-id", "--quote FILE|- | --registers FILE|-",
     "the workload ids of a TDX guest, by both formulas", cli_workload_id},
    {"resolve", "SPEC|URL [--profile PROFILE] [--app ID] [--skip-unsupported]",
     "the approved measurements, in a profile", cli_resolve},
    {"check",
     "SPEC|URL --quote FILE|- | --type TYPE --registers FILE|- | --boot-info FILE|- | "
     "--compose-hash HASH | --os-image HASH | --workload-id HASH",
     "whether a measurement is approved", cli_check},
    {"watch",
     "SPEC|URL [--profile PROFILE] [--app ID] [--skip-unsupported] [--write FILE [--mode MODE] "
     "[--group GROUP]] [--exec COMMAND "
     "[--exec-timeout SECONDS]] [--signal NAME --pid-file FILE] [--on-exit deny|keep|remove] "
     "[--on-unknown deny|wait] [--on-write-error stop|keep] [--grace SECONDS -- PROXY "
     "[ARGUMENT ...]]",
     "follow the approved measurements, keep a file of them, and run who reads it", cli_watch},
    {"refresh", "SPEC|URL", "fetch now and wait for the result", cli_refresh},
    {"history", "SPEC|URL [--db FILE|DIR | --backfill] [--json | --jsonl | --csv | --md]",
     "what was approved when, and by whom", cli_history},
    {"diff", "SPEC|URL A B [--db FILE|DIR]", "what differs between two points of a history",
     cli_diff},
    {"at", "SPEC|URL TIME [--db FILE|DIR]", "what was in force at a moment", cli_at},
    {"evidence", "SPEC|URL N|past [--db FILE|DIR] [-o FILE]",
     "the evidence of one change, to be checked elsewhere", cli_evidence},
    {"audit",
     "[--db FILE|DIR] | --bundle FILE [--sha256 HEX] [--spec SPEC] [--block HASH] [--groups A,B] "
     "[--quorum N] "
     "[--level LEVEL] [--at TIME]",
     "check a database or one bundle from its evidence alone", cli_audit},
    {"compare", "SPEC|URL|FILE --against FILE [--type TYPE] [--all]",
     "whether rebuilt artifacts measure as what is approved", cli_compare},
    {"log", "VERB [ARGUMENT ...]",
     "the transparency log: checkpoint, key, prove, verify, compare, export", cli_log},
    {"backfill", "SPEC|URL",
     "have the daemon fetch the past of a contract or of signers, and wait for it", cli_backfill},
    {"status", "", "what the daemon holds and how it is doing", cli_status},
};

static const struct command *command_of(const char *name)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int print_help(void)
{
    printf("usage: measuredctl [--socket DIR] [--json] COMMAND [ARGUMENT ...]\n"
           "       measuredctl COMMAND --help\n"
           "       measuredctl --version\n\n");
    for (size_t i = 0; i < MS_ARRAY_LEN(commands); i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].help);
    printf("\nexit codes: 0 yes or done, 1 no, 2 bad usage, 3 could not find out\n");
    return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
}

static int run(struct cli *cli, const struct command *command, int argc, char **argv)
{
    cli->command = command->name;
    /* these have verbs, and help for each */
    if (command->run != cli_release && command->run != cli_registry && command->run != cli_log &&
        argc == 2 && strcmp(argv[1], "--help") == 0) {
        printf("usage: measuredctl %s %s\n%s\n", command->name, command->args, command->help);
        return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
    }
    return command->run(cli, argc, argv);
}

int main(int argc, char **argv)
{
    struct cli cli = {.socket_dir = getenv("MEASURED_SOCKET_DIR")};
    int at = 1;

    if (cli.socket_dir != NULL && cli.socket_dir[0] == '\0')
        cli.socket_dir = NULL;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--help") == 0)
            return print_help();
        if (strcmp(argv[at], "--version") == 0) {
            printf("measuredctl %s\n", MS_VERSION);
            return fflush(stdout) == 0 ? CLI_YES : CLI_UNKNOWN;
        }
        if (strcmp(argv[at], "--json") == 0) {
            cli.json = true;
        } else if (strcmp(argv[at], "--socket") == 0 && at + 1 < argc) {
            cli.socket_dir = argv[++at];
        } else if (strcmp(argv[at], "--socket") == 0) {
            cli_say(&cli, "--socket needs a folder");
            return CLI_USAGE;
        } else {
            cli_say(&cli, "unknown option %s", argv[at]);
            return CLI_USAGE;
        }
    }
    if (at == argc) {
        cli_say(&cli, "no command given; measuredctl --help lists them");
        return CLI_USAGE;
    }
    const struct command *command = command_of(argv[at]);
    if (command == NULL) {
        cli_say(&cli, "no command '%s'; measuredctl --help lists them", argv[at]);
        return CLI_USAGE;
    }
    return run(&cli, command, argc - at, argv + at);
}
