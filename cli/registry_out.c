/* cli/registry_out.c - a call in the form that somebody can use. */
#include "cli/registry.h"

#include "base/hex.h"
#include "cli/safe_builder.h"
#include "contracts-abi/registry_abi.h"
#include "contracts-abi/safe_abi.h"
#include "sig/safe.h"

#include <inttypes.h>
#include <stdio.h>

#define CODE_MAX_BYTES 65536 /* EIP-170 allows 24576; chains may allow more */

/* ---- the endpoint ---- */
int registry_open(const struct cli *cli, struct registry_target *t, struct rpc *rpc)
{
    struct ms_diag diag = {0};
    uint64_t chain = 0;

    enum ms_err err = rpc_open(rpc, t->rpc_url, t->timeout_s, &diag);
    if (err == MS_ERR_URL || err == MS_ERR_SCHEME) {
        cli_say(cli, "%s", ms_diag_text(&diag, err));
        return CLI_USAGE;
    }
    if (err == MS_OK)
        err = rpc_ask_u64(rpc, "eth_chainId", json_array(), &chain, &diag);
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, CLI_UNKNOWN);
    if (t->has_chain && t->chain != chain) {
        cli_say(cli, "%s serves chain %" PRIu64 ", not %" PRIu64, rpc->where, chain, t->chain);
        return CLI_NO;
    }
    t->chain = chain;
    t->has_chain = true;
    return CLI_YES;
}

/* The one word that a view answers. MS_ERR_KIND with `what` there is none of at that address */
static enum ms_err ask_word(struct rpc *rpc, const struct eth_addr *to, const uint8_t selector[4],
                            const char *what, struct eth_word *ret_word, struct ms_diag *diag)
{
    struct ms_buf answer = MS_BUF_INIT(CALL_MAX_BYTES);
    json_t *latest = json_string("latest");

    enum ms_err err = rpc_call(rpc, NULL, to, ms_span_of(selector, 4), latest, &answer, diag);
    if (err == MS_OK && !eth_word_of_span(ms_buf_span(&answer), ret_word))
        err =
            ms_diag_set(diag, MS_ERR_KIND, "%s: there is no %s at this address", rpc->where, what);
    json_decref(latest);
    ms_buf_done(&answer);
    return err;
}

static enum ms_err ask_nonce(struct rpc *rpc, struct registry_target *t, struct ms_diag *diag)
{
    static const uint8_t selector[] = SAFE_CALL_NONCE;
    struct eth_word word;

    enum ms_err err = ask_word(rpc, &t->safe, selector, "Safe", &word, diag);
    return err == MS_OK && !eth_word_to_u64(&word, &t->nonce) ? MS_ERR_RANGE : err;
}

/* A call to an address without code does nothing and never fails, so it is looked at first. */
static int check_code(const struct cli *cli, const struct registry_target *t, struct rpc *rpc,
                      const struct registry_act *act)
{
    static const struct eth_hash want = REGISTRY_CODE_HASH;
    struct ms_buf code = MS_BUF_INIT(CODE_MAX_BYTES);
    char text[ETH_ADDR_TEXT + 1];
    struct ms_diag diag = {0};
    int exit_code = CLI_YES;

    eth_addr_text(&act->to, text);
    enum ms_err err =
        rpc_ask_data(rpc, "eth_getCode", json_pack("[s, s]", text, "latest"), &code, &diag);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&code));
    if (err != MS_OK) {
        exit_code = cli_print_error(cli, err, &diag, CLI_UNKNOWN);
    } else if (code.len == 0) {
        cli_say(cli, "there is no contract at %s on chain %" PRIu64, text, t->chain);
        exit_code = CLI_NO;
    } else if (!act->to_safe && !eth_hash_eq(&hash, &want)) {
        cli_say(cli, "warning: the contract at %s is not the reference registry", text);
    }
    ms_buf_done(&code);
    return exit_code;
}

/* Who would make the call. A creation and a Safe's execution are anybody's. */
static enum ms_err caller(struct rpc *rpc, const struct registry_target *t,
                          const struct registry_act *act, enum call_op op,
                          struct eth_addr *ret_from, struct ms_diag *diag)
{
    static const uint8_t owner[] = REGISTRY_CALL_OWNER, pending[] = REGISTRY_CALL_PENDING_OWNER;

    struct eth_word word;

    *ret_from = t->has_from ? t->from : t->safe;
    if (t->has_from || t->has_safe || op == CALL_NONE)
        return MS_OK;
    enum ms_err err = ask_word(rpc, &act->to, op == CALL_ACCEPT_OWNERSHIP ? pending : owner,
                               "registry", &word, diag);
    if (err == MS_OK)
        memcpy(ret_from->b, word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
    return err;
}

/* Ask the chain as it is now whether the call would work. */
static int try_it(const struct cli *cli, struct registry_target *t, struct rpc *rpc,
                  const struct registry_act *act, enum call_op op)
{
    struct ms_buf answer = MS_BUF_INIT(CALL_MAX_BYTES);
    json_t *latest = json_string("latest");
    char text[ETH_ADDR_TEXT + 1];
    struct ms_diag diag = {0};
    struct eth_addr from = {{0}};
    int code = CLI_YES;

    enum ms_err err = caller(rpc, t, act, op, &from, &diag);
    if (err == MS_OK)
        err =
            rpc_call(rpc, &from, act->creates ? NULL : &act->to, act->data, latest, &answer, &diag);
    eth_addr_text(&from, text);
    if (err == MS_ERR_REVERT) {
        cli_say(cli, "chain %" PRIu64 " would refuse it from %s: %s", t->chain, text,
                ms_diag_text(&diag, err));
        code = CLI_NO;
    } else if (err != MS_OK) {
        code = cli_print_error(cli, err, &diag, CLI_UNKNOWN);
    } else if (op != CALL_NONE || act->to_safe) {
        cli_say(cli, "tried on chain %" PRIu64 " from %s: it would work now", t->chain, text);
    }
    json_decref(latest);
    ms_buf_done(&answer);
    return code;
}

/* ---- forms ---- */
static int put_calldata(const struct cli *cli, const struct registry_target *t,
                        const struct registry_act *act)
{
    struct ms_buf text = MS_BUF_INIT(2 * act->data.len + 4);

    (void)ms_buf_add_str(&text, "0x");
    (void)ms_buf_add_hex(&text, act->data);
    enum ms_err err = ms_buf_add_byte(&text, '\n');
    int code = err == MS_OK ? registry_put(cli, ms_buf_span(&text), &t->out)
                            : cli_print_error(cli, err, NULL, CLI_UNKNOWN);
    ms_buf_done(&text);
    return code;
}

/* The transaction object of eth_sendTransaction, as JSON-RPC writes it. */
static json_t *tx_json(const struct registry_target *t, const struct registry_act *act)
{
    json_t *tx = json_object();
    char chain[24];

    (void)snprintf(chain, sizeof(chain), "0x%" PRIx64, t->chain);
    if ((act->creates || json_object_set_new(tx, "to", rpc_addr_json(&act->to)) == 0) &&
        json_object_set_new(tx, "value", json_string("0x0")) == 0 &&
        json_object_set_new(tx, "data", ms_json_hex(act->data)) == 0 &&
        json_object_set_new(tx, "chainId", json_string(chain)) == 0)
        return tx;
    json_decref(tx);
    return NULL;
}

static json_t *builder_json(const struct registry_target *t, const struct registry_act *act)
{
    struct builder_file file = {.chain_id = t->chain,
                                .safe = t->has_safe ? &t->safe : NULL,
                                .name = act->title,
                                .created_at_ms = release_now() * 1000};
    json_t *list = json_array();

    if (json_array_append_new(list, builder_transaction(&act->to, act->data)) != 0) {
        json_decref(list);
        return NULL;
    }
    return builder_new(&file, list);
}

static void say_hash(const struct cli *cli, const char *name, struct eth_hash hash)
{
    char text[2 * ETH_HASH_BYTES + 1];

    ms_hex_encode(eth_hash_span(&hash), text);
    cli_say(cli, "%s 0x%s", name, text);
}

static json_t *safe_tx_json(const struct cli *cli, const struct registry_target *t,
                            const struct registry_act *act)
{
    struct msig_safe_tx tx = {
        .chain_id = t->chain, .safe = t->safe, .to = act->to, .data = act->data, .nonce = t->nonce};
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(&t->safe, text);
    cli_say(cli, "transaction %" PRIu64 " of the Safe %s on chain %" PRIu64, t->nonce, text,
            t->chain);
    say_hash(cli, "domain hash ", msig_safe_domain(tx.chain_id, &tx.safe));
    say_hash(cli, "message hash", msig_safe_tx_struct(&tx));
    say_hash(cli, "safeTxHash  ", msig_safe_tx_digest(&tx));
    return msig_safe_tx_json(&tx);
}

static int put(const struct cli *cli, const struct registry_target *t,
               const struct registry_act *act)
{
    switch (t->format) {
    case REGISTRY_CALLDATA:
        return put_calldata(cli, t, act);
    case REGISTRY_TX:
        return registry_put_json(cli, tx_json(t, act), &t->out);
    case REGISTRY_SAFE_BUILDER:
        return registry_put_json(cli, builder_json(t, act), &t->out);
    case REGISTRY_SAFE_TX:
        return registry_put_json(cli, safe_tx_json(cli, t, act), &t->out);
    }
    return CLI_UNKNOWN;
}

static bool format_fits(const struct cli *cli, const struct registry_target *t,
                        const struct registry_act *act, enum call_op op)
{
    bool for_safe = t->format == REGISTRY_SAFE_BUILDER || t->format == REGISTRY_SAFE_TX;

    if (act->creates && for_safe)
        cli_say(cli, "a Safe calls contracts, it does not create them: anybody may send the "
                     "creation");
    else if (act->to_safe && for_safe)
        cli_say(cli, "execTransaction is sent by an account: --format calldata or tx, or --send");
    else if (op != CALL_NONE && !t->has_contract &&
             (t->format != REGISTRY_CALLDATA || t->rpc_url != NULL))
        cli_say(cli, "missing argument: --contract ADDRESS of the registry");
    else
        return true;
    return false;
}

int registry_give_out(const struct cli *cli, struct registry_target *t,
                      const struct registry_act *act, enum call_op op)
{
    struct ms_diag diag = {0};
    int code = CLI_YES;

    if (!format_fits(cli, t, act, op))
        return CLI_USAGE;
    if (!registry_may_put(cli, &t->out)) /* before something is sent that nobody is told of */
        return CLI_NO;
    if (t->rpc_url == NULL)
        return put(cli, t, act);
    struct rpc rpc;
    code = registry_open(cli, t, &rpc);
    if (code == CLI_YES && !act->creates)
        code = check_code(cli, t, &rpc, act);
    if (code == CLI_YES && t->send) {
        code = registry_send(cli, t, &rpc, act);
    } else if (code == CLI_YES) {
        code = try_it(cli, t, &rpc, act, op);
        if (code == CLI_YES && t->format == REGISTRY_SAFE_TX && !t->has_nonce) {
            enum ms_err err = ask_nonce(&rpc, t, &diag);
            if (err != MS_OK)
                code = cli_print_error(cli, err, &diag, CLI_UNKNOWN);
        }
        if (code == CLI_YES)
            code = put(cli, t, act);
    }
    rpc_close(&rpc);
    return code;
}
