/* cli/registry.h - what the verbs of `measuredctl registry` share: the registry, the Safe and the
 * endpoint that are meant, and the forms in which a call is given out. Single-threaded. */
#ifndef MS_CLI_REGISTRY_H
#define MS_CLI_REGISTRY_H

#include "cli/eth_rpc.h"
#include "cli/registry_call.h"
#include "cli/release.h"

enum registry_format {
    REGISTRY_CALLDATA = 0, /* hex */
    REGISTRY_TX,           /* {"chainId","to","value","data"} */
    REGISTRY_SAFE_BUILDER, /* a file for Safe's Transaction Builder */
    REGISTRY_SAFE_TX,      /* EIP-712 SafeTx */
};

struct registry_target {
    /* the command line; NULL and false where nothing is said */
    const char *contract_text, *chain_text, *safe_text, *nonce_text, *format_text, *rpc_url,
        *from_text, *key_file, *timeout_text;
    bool send, really;
    struct release_out out;
    /* what registry_target makes of it */
    enum registry_format format;
    bool has_contract, has_chain, has_safe, has_nonce, has_from;
    struct eth_addr contract, safe, from;
    uint64_t chain, nonce, timeout_s;
};

/* Options of every verb that makes a call. */
#define REGISTRY_OUT_OPTIONS(t)                                                     \
    {"chain", &(t)->chain_text, NULL}, {"rpc", &(t)->rpc_url, NULL},                \
        {"timeout", &(t)->timeout_text, NULL}, {"format", &(t)->format_text, NULL}, \
        {"send", NULL, &(t)->send}, {"really", NULL, &(t)->really},                 \
        {"key-file", &(t)->key_file, NULL}, {"from", &(t)->from_text, NULL},        \
        {"o", &(t)->out.path, NULL},                                                \
    {                                                                               \
        "replace", NULL, &(t)->out.replace                                          \
    }
/* The same and those of a call of the registry itself. */
#define REGISTRY_CALL_OPTIONS(t)                                              \
    {"contract", &(t)->contract_text, NULL}, {"safe", &(t)->safe_text, NULL}, \
        {"nonce", &(t)->nonce_text, NULL}, REGISTRY_OUT_OPTIONS(t)

/* Read the options; false when it has said what is wrong. */
bool registry_target(const struct cli *cli, struct registry_target *target);

/* What is to be given out or sent. */
struct registry_act {
    bool creates; /* a contract; `to` is not looked at */
    bool to_safe; /* execTransaction: not one for a Safe's own transaction */
    struct eth_addr to;
    struct ms_span data;
    const char *title; /* "revoke release 3" */
};
/* Print it in the format, or send it; with --rpc the chain is asked first whether it would work.
 *   op  CALL_NONE for creations and for a Safe
 * Returns the exit code. */
int registry_give_out(const struct cli *cli, struct registry_target *target,
                      const struct registry_act *act, enum call_op op);
/* --send: sign, send, wait until it is in a block. The chain of the endpoint is known. */
int registry_send(const struct cli *cli, const struct registry_target *target, struct rpc *rpc,
                  const struct registry_act *act);
/* Open --rpc and compare its chain with --chain, or take it from there. CLI_YES, or the exit code
 * after the words; rpc_close it in any case. */
int registry_open(const struct cli *cli, struct registry_target *target, struct rpc *rpc);

/* "48h", "90m", "3600", "30d"; seconds. NULL leaves *ret_s as it is. */
bool registry_duration(const struct cli *cli, const char *option, const char *text,
                       uint64_t *ret_s);
/* A time, or "+48h" from now on. */
bool registry_time(const struct cli *cli, const char *option, const char *text, uint64_t *ret_s);

/* Whether -o may be written to: it is not there, or may be replaced. Says so when not. */
bool registry_may_put(const struct cli *cli, const struct release_out *out);
/* Text to stdout or to the file of -o. Returns the exit code. */
int registry_put(const struct cli *cli, struct ms_span text, const struct release_out *out);
int registry_put_json(const struct cli *cli, json_t *root, const struct release_out *out);

/* ---- verbs ---- */
int registry_deploy_data(struct cli *cli, int argc, char **argv);
int registry_approve(struct cli *cli, int argc, char **argv);
int registry_operation(struct cli *cli, int argc, char **argv, enum call_op op);
int registry_batch(struct cli *cli, int argc, char **argv);
int registry_sign_safe_tx(struct cli *cli, int argc, char **argv);
int registry_safe_exec(struct cli *cli, int argc, char **argv);
int registry_show(struct cli *cli, int argc, char **argv);

#endif
