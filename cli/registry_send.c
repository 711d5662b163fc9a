/* cli/registry_send.c - transactions of an account whose key is in a file: for test chains. */
#define _POSIX_C_SOURCE 200809L /* nanosleep */

#include "cli/registry.h"

#include "base/hex.h"
#include "cli/key_file.h"
#include "contracts-abi/safe_abi.h"
#include "eth/tx.h"
#include "sig/secp_sign.h"

#include <inttypes.h>
#include <time.h>

#define PRIORITY_FEE_WEI UINT64_C(1000000000) /* 1 gwei, where the endpoint has no opinion */
#define FEE_MAX_WEI UINT64_C(1000000000000)   /* a unit of gas: 1000 gwei is a fault somewhere */
#define POLL_MS 200

/* Chains that are made to be tested on: what a key in a file may sign for. Every other one is
 * taken for one where mistakes cost. chainlist.org */
static bool is_test_chain(uint64_t chain)
{
    static const uint64_t chains[] = {1337,     31337,            /* of developers' own nodes */
                                      11155111, 17000,    560048, /* Sepolia, Holesky, Hoodi */
                                      84532,    11155420, 421614, 1301, /* of rollups */
                                      300,      80002,    10200,  97};

    for (size_t i = 0; i < MS_ARRAY_LEN(chains); i++)
        if (chains[i] == chain)
            return true;
    return false;
}

/* ---- what the endpoint tells ---- */
static enum ms_err ask_fees(struct rpc *rpc, struct eth_tx *tx, struct ms_diag *diag)
{
    json_t *block = NULL;
    uint64_t base_wei = 0;

    enum ms_err err =
        rpc_ask(rpc, "eth_getBlockByNumber", json_pack("[s, b]", "latest", 0), &block, diag);
    if (err == MS_OK)
        err = eth_json_u64(block, "baseFeePerGas", &base_wei, diag);
    json_decref(block);
    if (err != MS_OK)
        return err;
    /* not every endpoint has an opinion */
    if (rpc_ask_u64(rpc, "eth_maxPriorityFeePerGas", json_array(), &tx->max_priority_fee_wei,
                    NULL) != MS_OK)
        tx->max_priority_fee_wei = PRIORITY_FEE_WEI;
    if (base_wei > FEE_MAX_WEI || tx->max_priority_fee_wei > FEE_MAX_WEI)
        return ms_diag_set(diag, MS_ERR_RANGE,
                           "%s: a unit of gas would cost more than 1000 gwei: not sent",
                           rpc->where);
    tx->max_fee_wei = 2 * base_wei + tx->max_priority_fee_wei;
    return MS_OK;
}

/* The gas it needs now and a quarter more. What would revert is refused here and costs nothing. */
static enum ms_err ask_gas(struct rpc *rpc, const struct eth_addr *from, struct eth_tx *tx,
                           struct ms_diag *diag)
{
    enum ms_err err =
        rpc_ask_u64(rpc, "eth_estimateGas",
                    json_pack("[o]", rpc_call_json(from, tx->creates ? NULL : &tx->to, tx->data)),
                    &tx->gas, diag);

    if (err == MS_OK && tx->gas > UINT32_MAX)
        err = ms_diag_set(diag, MS_ERR_RANGE, "%s: %" PRIu64 " gas?", rpc->where, tx->gas);
    if (err == MS_OK)
        tx->gas += tx->gas / 4;
    return err;
}

static enum ms_err prepare(struct rpc *rpc, const struct eth_addr *from, struct eth_tx *tx,
                           struct ms_diag *diag)
{
    enum ms_err err = ask_gas(rpc, from, tx, diag);
    if (err == MS_OK)
        err = rpc_ask_u64(rpc, "eth_getTransactionCount",
                          json_pack("[o, s]", rpc_addr_json(from), "pending"), &tx->nonce, diag);
    return err == MS_OK ? ask_fees(rpc, tx, diag) : err;
}

/* ---- sending ---- */
static enum ms_err sign(const struct eth_tx *tx, const uint8_t key[KEY_BYTES], struct ms_buf *out,
                        struct ms_diag *diag)
{
    uint8_t sig[MSIG_BYTES];
    struct eth_hash digest;

    enum ms_err err = eth_tx_digest(tx, &digest);
    if (err == MS_OK)
        err = msig_sign(&digest, key, sig, NULL, diag);
    return err == MS_OK ? eth_tx_signed(tx, sig, out) : err;
}

/* Until the transaction is in a block. */
static enum ms_err wait_receipt(struct rpc *rpc, const struct eth_hash *hash, json_t **ret_receipt,
                                struct ms_diag *diag)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

    while (rpc_left_ms(rpc) > 0) {
        json_t *receipt = NULL;
        enum ms_err err =
            rpc_ask(rpc, "eth_getTransactionReceipt",
                    json_pack("[o]", ms_json_hex(eth_hash_span(hash))), &receipt, diag);
        if (err != MS_OK || json_is_object(receipt)) {
            *ret_receipt = receipt;
            return err;
        }
        json_decref(receipt);
        (void)nanosleep(&pause, NULL);
    }
    return ms_diag_set(diag, MS_ERR_TIMEOUT,
                       "%s: sent, but in no block yet; look for it before you send again",
                       rpc->where);
}

static int put_result(const struct cli *cli, const struct registry_target *t,
                      const struct registry_act *act, const struct eth_hash *hash,
                      const struct eth_addr *created, uint64_t block)
{
    char text[2 + 2 * ETH_HASH_BYTES + 2] = "0x", addr[ETH_ADDR_TEXT + 2];

    ms_hex_encode(eth_hash_span(hash), text + 2);
    eth_addr_text(created, addr);
    if (cli->json) {
        json_t *json = json_pack("{s:s, s:I, s:I}", "transactionHash", text, "blockNumber",
                                 (json_int_t)block, "chainId", (json_int_t)t->chain);
        if (act->creates && json_object_set_new(json, "contractAddress", json_string(addr)) != 0) {
            json_decref(json);
            json = NULL;
        }
        return registry_put_json(cli, json, &t->out);
    }
    cli_say(cli, "transaction %s in block %" PRIu64, text, block);
    char *line = act->creates ? addr : text;
    size_t len = strlen(line);
    line[len] = '\n';
    return registry_put(cli, ms_span_of(line, len + 1), &t->out);
}

/* A Safe's transaction with gas or a price of its own can fail while the one around it does not. */
static bool safe_failed(const json_t *receipt)
{
    static const struct eth_hash failure = SAFE_EVENT_EXECUTION_FAILURE;
    const json_t *log, *logs = json_object_get(receipt, "logs");
    struct eth_hash topic;
    size_t i;

    json_array_foreach(logs, i, log)
    {
        const json_t *first = json_array_get(json_object_get(log, "topics"), 0);
        if (json_is_string(first) &&
            eth_data_fixed(ms_span_str(json_string_value(first)), topic.b, ETH_HASH_BYTES) ==
                MS_OK &&
            eth_hash_eq(&topic, &failure))
            return true;
    }
    return false;
}

static bool succeeded(const struct registry_act *act, const json_t *receipt)
{
    return ms_span_eq_str(ms_json_member_str(receipt, "status"), "0x1") &&
           !(act->to_safe && safe_failed(receipt));
}

static int send_signed(const struct cli *cli, const struct registry_target *t, struct rpc *rpc,
                       const struct registry_act *act, struct ms_span raw,
                       const struct eth_addr *created)
{
    struct eth_hash hash = eth_keccak256(raw), told;
    json_t *result = NULL, *receipt = NULL;
    char text[2 * ETH_HASH_BYTES + 1];
    struct ms_diag diag = {0};
    uint64_t block = 0;
    int code = CLI_UNKNOWN;

    enum ms_err err =
        rpc_ask(rpc, "eth_sendRawTransaction", json_pack("[o]", ms_json_hex(raw)), &result, &diag);
    if (err == MS_OK &&
        (!json_is_string(result) ||
         eth_data_fixed(ms_span_str(json_string_value(result)), told.b, ETH_HASH_BYTES) != MS_OK ||
         !eth_hash_eq(&told, &hash)))
        err = ms_diag_set(&diag, MS_ERR_RPC_SHAPE, "%s: it took another transaction", rpc->where);
    json_decref(result);
    if (err == MS_OK)
        err = wait_receipt(rpc, &hash, &receipt, &diag);
    if (err == MS_OK && succeeded(act, receipt))
        err = eth_json_u64(receipt, "blockNumber", &block, &diag);
    if (err != MS_OK) {
        ms_hex_encode(eth_hash_span(&hash), text);
        cli_say(cli, "transaction 0x%s", text);
        code = cli_print_error(cli, err, &diag, CLI_UNKNOWN);
    } else if (!succeeded(act, receipt)) {
        code = cli_print_error(cli, MS_ERR_REVERT, NULL, CLI_NO);
    } else {
        code = put_result(cli, t, act, &hash, created, block);
    }
    json_decref(receipt);
    return code;
}

static int send_with(const struct cli *cli, const struct registry_target *t, struct rpc *rpc,
                     const struct registry_act *act, const uint8_t key[KEY_BYTES])
{
    static const struct eth_hash nothing;
    struct eth_tx tx = {
        .chain_id = t->chain, .creates = act->creates, .to = act->to, .data = act->data};
    struct ms_buf raw = MS_BUF_INIT(2 * CALL_MAX_BYTES + MSIG_SAFE_TX_DATA_MAX_BYTES);
    uint8_t unused[MSIG_BYTES];
    struct ms_diag diag = {0};
    struct eth_addr from;
    char text[ETH_ADDR_TEXT + 1];
    int code;

    /* the key's own address */
    enum ms_err err = msig_sign(&nothing, key, unused, &from, &diag);
    if (err == MS_OK)
        err = prepare(rpc, &from, &tx, &diag);
    if (err == MS_OK)
        err = sign(&tx, key, &raw, &diag);
    if (err == MS_OK) {
        eth_addr_text(&from, text);
        cli_say(cli, "from %s to chain %" PRIu64 ", at most %" PRIu64 " gas", text, t->chain,
                tx.gas);
        struct eth_addr created = eth_tx_created(&from, tx.nonce);
        code = send_signed(cli, t, rpc, act, ms_buf_span(&raw), &created);
    } else {
        code = cli_print_error(cli, err, &diag, err == MS_ERR_REVERT ? CLI_NO : CLI_UNKNOWN);
    }
    ms_buf_done(&raw);
    return code;
}

int registry_send(const struct cli *cli, const struct registry_target *t, struct rpc *rpc,
                  const struct registry_act *act)
{
    uint8_t key[KEY_BYTES];
    struct ms_diag diag = {0};
    int code;

    if (!is_test_chain(t->chain) && !t->really) {
        cli_say(cli,
                "chain %" PRIu64 " is none of the test chains we know: a key in a file is no place "
                "for what counts. Without --send the call is for a wallet; --really sends it",
                t->chain);
        return CLI_NO;
    }
    enum ms_err err = key_file_read(t->key_file, key, &diag);
    code = err == MS_OK ? send_with(cli, t, rpc, act, key)
                        : cli_print_error(cli, err, &diag, cli_exit_of(err));
    ms_wipe(key, sizeof(key));
    return code;
}
