/* tests/support/tools/rpcliar_json.c - rpcliar's lies about what the chain says.
 *
 *   upstream URL             everything from another chain: a fake one that agrees with itself
 *   upstream-at N URL        only block N is that of the other chain
 *   call-from URL            eth_call answered by another chain, at its latest block
 *   proof-from URL           eth_getProof likewise
 *   call-back N              eth_call answered for the block N below the finalized one; proof-back
 * N likewise chain-id HEX header FIELD VALUE       a member of each block; its hash stays rehash
 * FIELD VALUE       a member of each block, and the hash is that of the changed header. Later calls
 * at that hash are answered for the true block shift SECONDS            the timestamp of each
 * block, rehashed finalized-back N         the finalized block is N lower; `finalized-ahead N` N
 * higher swap-heads               latest when asked for finalized, and the other way round null
 * METHOD              null instead of the result error METHOD CODE TEXT   an error instead of the
 * result (_ for a space) no-eip1898               -32602 to a block named by an object call HEX the
 * result of eth_call call-patch OLD NEW       HEX digits in the result of eth_call proof-address
 * ADDR       the proof of another account, named as the one asked for proof-key KEY            the
 * proof of another storage key, likewise proof-drop LIST          without its last node; LIST is
 * account or storage proof-repeat LIST        its last node twice proof-flip LIST K        a bit of
 * node K (from the root; counted from the end when K is last) proof-embed LIST         the child of
 * the root stands inside of it, whatever its length proof-claim FIELD VALUE  a member of the
 * answer, such as balance storage-value HEX        the value claimed for the storage key batch
 * reverse|partial|repeat|extra|error|refuse|413 answers out of order, one missing, one twice, one
 * too many, one error for all, -32600 to all, HTTP 413
 * code HEX                the result of eth_getCode
 * log-drop N log-flip N   of eth_getLogs, the log of a registry's operation N: missing, changed
 * logs-range N            -32602 to an eth_getLogs for more than N blocks
 * block-log-drop B I      of any contract: log I of block B is missing from eth_getLogs
 * block-log-forge B I     its data has another last digit
 * block-log-add B I       it is there, and once more under the index I + 100
 * receipt-log-drop B I    missing from eth_getBlockReceipts */
#define _POSIX_C_SOURCE 200809L

#include "tests/support/tools/rpcliar.h"

#include "base/hex.h"
#include "eth/header.h"

#include <stdio.h>
#include <stdlib.h>

#define MESSAGE_MAX ((size_t)4 << 20)
#define ALIASES_MAX 64

/* Blocks whose hash we made up, and what they are upstream. Two answers at once write the same
 * pairs, so a lost one only makes a test fail. */
static struct {
    char fake[67], real[67];
} aliases[ALIASES_MAX];
static size_t n_aliases;

static const char *str(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool is(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void set_str(json_t *object, const char *name, const char *value)
{
    (void)json_object_set_new(object, name, json_string(value));
}

static json_t *make_error(int code, const char *text)
{
    return json_pack("{s:{s:i, s:s}}", "error", "code", code, "message", text);
}

/* ---- upstream ---- */

/* The whole answer to one call. */
static json_t *ask(const char *url, const char *method, json_t *params)
{
    struct ms_buf body = MS_BUF_INIT(MESSAGE_MAX);
    json_t *call = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method", method,
                             "params", params);
    char *text = json_dumps(call, JSON_COMPACT);
    json_t *answer = NULL;

    json_decref(call);
    if (text != NULL && upstream_post(url, ms_span_str(text), &body))
        answer = json_loadb((const char *)body.ptr, body.len, 0, NULL);
    free(text);
    ms_buf_done(&body);
    return answer;
}

static uint64_t quantity(const char *hex)
{
    return hex == NULL ? 0 : strtoull(hex, NULL, 16);
}

static uint64_t height_of(const char *url, const char *tag)
{
    json_t *params = json_pack("[s, b]", tag, 0);
    json_t *answer = ask(url, "eth_getBlockByNumber", params);
    uint64_t n = quantity(str(json_object_get(answer, "result"), "number"));

    json_decref(params);
    json_decref(answer);
    return n;
}

/* ---- what is asked upstream ---- */

static void use_number(json_t *params, uint64_t number)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)number);
    (void)json_array_set_new(params, 0, json_string(text));
}

static void change_block(const struct control *c, const char *url, json_t *params)
{
    const char *tag = json_string_value(json_array_get(params, 0));
    const struct lie *lie;

    if (lie_find(c, "swap-heads") != NULL && (is(tag, "finalized") || is(tag, "latest"))) {
        (void)json_array_set_new(params, 0,
                                 json_string(is(tag, "latest") ? "finalized" : "latest"));
        return;
    }
    if (!is(tag, "finalized"))
        return;
    if ((lie = lie_find(c, "finalized-back")) != NULL)
        use_number(params, height_of(url, "finalized") - lie_number(lie, 0, 1));
    else if ((lie = lie_find(c, "finalized-ahead")) != NULL)
        use_number(params, height_of(url, "finalized") + lie_number(lie, 0, 1));
}

/* The true hash behind one of our own. */
static void resolve_alias(json_t *params, size_t at)
{
    json_t *block = json_array_get(params, at);
    const char *hash = json_is_object(block) ? str(block, "blockHash") : json_string_value(block);

    for (size_t i = 0; hash != NULL && i < n_aliases && i < ALIASES_MAX; i++)
        if (strcmp(aliases[i].fake, hash) == 0) {
            (void)json_array_set_new(params, at, json_pack("{s:s}", "blockHash", aliases[i].real));
            return;
        }
}

/* Other state than asked for: of the latest block of another chain, or of an older block. */
static void change_state(const struct control *c, const char *url, const char *what, json_t *params,
                         size_t at)
{
    char from[16], back[16], number[32];
    const struct lie *lie;

    (void)snprintf(from, sizeof(from), "%s-from", what);
    (void)snprintf(back, sizeof(back), "%s-back", what);
    resolve_alias(params, at);
    if (lie_find(c, from) != NULL)
        (void)json_array_set_new(params, at, json_string("latest"));
    if ((lie = lie_find(c, back)) != NULL) {
        uint64_t height = height_of(url, "finalized") - lie_number(lie, 0, 1);
        (void)snprintf(number, sizeof(number), "0x%llx", (unsigned long long)height);
        (void)json_array_set_new(params, at, json_string(number));
    }
}

static void change_params(const struct control *c, const char *url, const char *method,
                          json_t *params)
{
    const struct lie *lie;

    if (is(method, "eth_getBlockByNumber"))
        change_block(c, url, params);
    if (is(method, "eth_call"))
        change_state(c, url, "call", params, 1);
    if (is(method, "eth_getProof")) {
        change_state(c, url, "proof", params, 2);
        if ((lie = lie_find(c, "proof-address")) != NULL)
            (void)json_array_set_new(params, 0, json_string(lie->word[0]));
        if ((lie = lie_find(c, "proof-key")) != NULL)
            (void)json_array_set_new(params, 1, json_pack("[s]", lie->word[0]));
    }
}

static const char *choose_upstream(const struct control *c, const char *fallback,
                                   const char *method, json_t *params)
{
    const struct lie *all = lie_find(c, "upstream"), *at = lie_find(c, "upstream-at");
    const struct lie *call = lie_find(c, "call-from"), *proof = lie_find(c, "proof-from");
    const char *block = json_string_value(json_array_get(params, 0));

    if (call != NULL && is(method, "eth_call"))
        return call->word[0];
    if (proof != NULL && is(method, "eth_getProof"))
        return proof->word[0];
    if (at != NULL && is(method, "eth_getBlockByNumber") && block != NULL) {
        uint64_t asked = block[0] == '0' ? quantity(block) : height_of(fallback, block);
        if (asked == lie_number(at, 0, 0)) {
            use_number(params, asked); /* that chain's tags stand elsewhere */
            return at->word[1];
        }
    }
    return all != NULL ? all->word[0] : fallback;
}

/* ---- blocks ---- */

static void rehash(json_t *block)
{
    struct ms_buf rlp = MS_BUF_INIT(ETH_HEADER_RLP_MAX_BYTES);
    char text[2 + 2 * ETH_HASH_BYTES + 1] = "0x";
    const char *real = str(block, "hash");

    if (real != NULL && eth_header_encode_json(block, &rlp, NULL) == MS_OK) {
        struct eth_hash hash = eth_keccak256(ms_buf_span(&rlp));
        ms_hex_encode(eth_hash_span(&hash), text + 2);
        size_t i = n_aliases++ % ALIASES_MAX;
        (void)snprintf(aliases[i].real, sizeof(aliases[i].real), "%s", real);
        (void)snprintf(aliases[i].fake, sizeof(aliases[i].fake), "%s", text);
        set_str(block, "hash", text);
    }
    ms_buf_done(&rlp);
}

static void lie_about_block(const struct control *c, json_t *block)
{
    const struct lie *lie;
    char text[32];

    for (size_t i = 0; i < c->n; i++)
        if (is(c->lies[i].name, "header"))
            set_str(block, c->lies[i].word[0], c->lies[i].word[1]);
    if ((lie = lie_find(c, "rehash")) != NULL)
        set_str(block, lie->word[0], lie->word[1]);
    if ((lie = lie_find(c, "shift")) != NULL) {
        uint64_t at = quantity(str(block, "timestamp"));
        uint64_t by = lie_number(lie, 0, 0);
        (void)snprintf(text, sizeof(text), "0x%llx", (unsigned long long)(at + by));
        set_str(block, "timestamp", text);
    }
    if (lie_find(c, "rehash") != NULL || lie_find(c, "shift") != NULL)
        rehash(block);
}

/* ---- proofs ---- */

/* The nodes of the account's proof or of the first storage key's. */
static json_t *nodes_of(json_t *proof, const char *list)
{
    if (is(list, "account"))
        return json_object_get(proof, "accountProof");
    return json_object_get(json_array_get(json_object_get(proof, "storageProof"), 0), "proof");
}

static void flip(json_t *nodes, const struct lie *lie)
{
    size_t n = json_array_size(nodes);
    size_t k = is(lie->word[1], "last") ? n - 1 : (size_t)lie_number(lie, 1, 0);
    const char *old = json_string_value(json_array_get(nodes, k));
    if (old == NULL)
        die("no such node", lie->word[1]);
    char *text = strdup(old);
    if (text == NULL)
        die("memory", "node");
    char *digit = text + strlen(text) - 1;
    *digit = *digit == '0' ? '1' : '0';
    (void)json_array_set_new(nodes, k, json_string(text));
    free(text);
}

/* In the root's text the hash of its child becomes the child itself. The lengths around it stay: a
 * verifier must not come so far as to see them, since the root no longer hashes to what is
 * believed. */
static void embed(json_t *nodes)
{
    const char *root = json_string_value(json_array_get(nodes, 0));
    const char *child = json_string_value(json_array_get(nodes, 1));
    struct ms_buf text = MS_BUF_INIT(MESSAGE_MAX), raw = MS_BUF_INIT(MESSAGE_MAX);
    char hash[2 * ETH_HASH_BYTES + 1];

    if (root == NULL || child == NULL)
        die("embed", "the proof has one node only");
    size_t len = strlen(child) / 2 - 1;
    uint8_t *bytes = ms_buf_room(&raw, len);
    if (bytes == NULL || ms_hex_decode(ms_span_str(child + 2), bytes, len) != MS_OK)
        die("embed", child);
    struct eth_hash h = eth_keccak256(ms_span_of(bytes, len));
    ms_hex_encode(eth_hash_span(&h), hash);
    const char *at = strstr(root, hash);
    if (at == NULL)
        die("embed", "the root does not have the hash of its child");
    (void)ms_buf_add(&text, ms_span_of(root, (size_t)(at - root) - 2)); /* without the a0 */
    (void)ms_buf_add_str(&text, child + 2);
    (void)ms_buf_add_str(&text, at + 2 * (size_t)ETH_HASH_BYTES);
    (void)json_array_set_new(nodes, 0, json_string(ms_buf_str(&text)));
    (void)json_array_remove(nodes, 1);
    ms_buf_done(&text);
    ms_buf_done(&raw);
}

static void lie_about_nodes(const struct control *c, json_t *proof)
{
    const struct lie *lie;
    json_t *nodes;

    if ((lie = lie_find(c, "proof-drop")) != NULL) {
        nodes = nodes_of(proof, lie->word[0]);
        (void)json_array_remove(nodes, json_array_size(nodes) - 1);
    }
    if ((lie = lie_find(c, "proof-repeat")) != NULL) {
        nodes = nodes_of(proof, lie->word[0]);
        (void)json_array_append(nodes, json_array_get(nodes, json_array_size(nodes) - 1));
    }
    if ((lie = lie_find(c, "proof-flip")) != NULL)
        flip(nodes_of(proof, lie->word[0]), lie);
    if ((lie = lie_find(c, "proof-embed")) != NULL)
        embed(nodes_of(proof, lie->word[0]));
}

static void lie_about_proof(const struct control *c, const json_t *asked, json_t *proof)
{
    json_t *storage = json_array_get(json_object_get(proof, "storageProof"), 0);
    const struct lie *lie;

    if (lie_find(c, "proof-address") != NULL)
        (void)json_object_set(proof, "address", json_array_get(asked, 0));
    if (lie_find(c, "proof-key") != NULL)
        (void)json_object_set(storage, "key", json_array_get(json_array_get(asked, 1), 0));
    if ((lie = lie_find(c, "proof-claim")) != NULL)
        set_str(proof, lie->word[0], lie->word[1]);
    if ((lie = lie_find(c, "storage-value")) != NULL)
        set_str(storage, "value", lie->word[0]);
    lie_about_nodes(c, proof);
}

/* ---- calls ---- */

static void lie_about_call(const struct control *c, json_t *answer)
{
    const struct lie *lie;
    const char *result = str(answer, "result");

    if ((lie = lie_find(c, "call")) != NULL)
        set_str(answer, "result", lie->word[0]);
    if ((lie = lie_find(c, "call-patch")) == NULL || result == NULL)
        return;
    struct ms_buf text = MS_BUF_INIT(MESSAGE_MAX);
    const char *at = strstr(result, lie->word[0]);
    if (at == NULL)
        return; /* another call's answer: the daemon also asks who owns the contract */
    (void)ms_buf_add(&text, ms_span_of(result, (size_t)(at - result)));
    (void)ms_buf_add_str(&text, lie->word[1]);
    (void)ms_buf_add_str(&text, at + strlen(lie->word[0]));
    set_str(answer, "result", ms_buf_str(&text));
    ms_buf_done(&text);
}

/* The log whose second topic is this number: the operation of a registry. */
static void lie_about_logs(const struct control *c, json_t *logs)
{
    const struct lie *drop = lie_find(c, "log-drop"), *change = lie_find(c, "log-flip");

    for (size_t i = 0; i < json_array_size(logs); i++) {
        json_t *log = json_array_get(logs, i);
        const char *data = str(log, "data");
        uint64_t n = quantity(json_string_value(json_array_get(json_object_get(log, "topics"), 1)));
        if (drop != NULL && n == lie_number(drop, 0, 0)) {
            (void)json_array_remove(logs, i--);
        } else if (change != NULL && n == lie_number(change, 0, 0) && data != NULL) {
            char *copy = strdup(data);
            copy[2 + 127] = copy[2 + 127] == '1' ? '2' : '1'; /* the last digit of its time */
            set_str(log, "data", copy);
            free(copy);
        }
    }
}

static bool is_log(const json_t *log, const struct lie *lie)
{
    return lie != NULL && quantity(str(log, "blockNumber")) == lie_number(lie, 0, 0) &&
           quantity(str(log, "logIndex")) == lie_number(lie, 1, 0);
}

static void forge(json_t *log)
{
    char *copy = strdup(str(log, "data"));

    if (copy == NULL || strlen(copy) < 4)
        die("no data to forge", "block-log-forge");
    copy[strlen(copy) - 1] = copy[strlen(copy) - 1] == '1' ? '2' : '1';
    set_str(log, "data", copy);
    free(copy);
}

/* Logs of one block, whatever contract's. */
static void lie_about_block_logs(const struct control *c, json_t *logs)
{
    const struct lie *drop = lie_find(c, "block-log-drop"), *add = lie_find(c, "block-log-add");
    char index[32];

    for (size_t i = 0; i < json_array_size(logs); i++) {
        json_t *log = json_array_get(logs, i);
        if (is_log(log, lie_find(c, "block-log-forge")))
            forge(log);
        if (is_log(log, drop)) {
            (void)json_array_remove(logs, i--);
        } else if (is_log(log, add)) {
            json_t *copy = json_deep_copy(log);
            (void)snprintf(index, sizeof(index), "0x%llx",
                           (unsigned long long)lie_number(add, 1, 0) + 100);
            set_str(copy, "logIndex", index);
            (void)json_array_insert_new(logs, ++i, copy);
        }
    }
}

static void lie_about_receipts(const struct control *c, json_t *receipts)
{
    const struct lie *drop = lie_find(c, "receipt-log-drop");

    for (size_t i = 0; i < json_array_size(receipts); i++) {
        json_t *logs = json_object_get(json_array_get(receipts, i), "logs");
        for (size_t k = 0; k < json_array_size(logs); k++)
            if (is_log(json_array_get(logs, k), drop))
                (void)json_array_remove(logs, k--);
    }
}

static bool wants_too_much(const struct control *c, const char *method, const json_t *params)
{
    const struct lie *lie = lie_find(c, "logs-range");
    const json_t *filter = json_array_get(params, 0);

    return lie != NULL && is(method, "eth_getLogs") &&
           quantity(str(filter, "toBlock")) - quantity(str(filter, "fromBlock")) + 1 >
               lie_number(lie, 0, 1);
}

static void lie_about_result(const struct control *c, const char *method, const json_t *asked,
                             json_t *answer)
{
    json_t *result = json_object_get(answer, "result");
    const struct lie *lie;

    if (is(method, "eth_getLogs"))
        lie_about_logs(c, result);
    if (is(method, "eth_getLogs"))
        lie_about_block_logs(c, result);
    if (is(method, "eth_getBlockReceipts"))
        lie_about_receipts(c, result);
    if (is(method, "eth_chainId") && (lie = lie_find(c, "chain-id")) != NULL)
        set_str(answer, "result", lie->word[0]);
    if (is(method, "eth_getBlockByNumber") && json_is_object(result))
        lie_about_block(c, result);
    if (is(method, "eth_getProof") && json_is_object(result))
        lie_about_proof(c, asked, result);
    if (is(method, "eth_call"))
        lie_about_call(c, answer);
    if (is(method, "eth_getCode") && (lie = lie_find(c, "code")) != NULL)
        set_str(answer, "result", lie->word[0]);
}

static json_t *told_error(const struct lie *lie)
{
    char text[256];
    long code = lie->word[1] == NULL ? -32000 : strtol(lie->word[1], NULL, 10);

    (void)snprintf(text, sizeof(text), "%s", lie->word[2] == NULL ? "no" : lie->word[2]);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '_')
            *p = ' ';
    json_t *answer = make_error((int)code, text);
    if (code == 3)
        set_str(json_object_get(answer, "error"), "data", "0x");
    return answer;
}

static bool names_block_by_object(const json_t *params)
{
    size_t n = json_array_size(params);
    return n > 0 && json_object_get(json_array_get(params, n - 1), "blockHash") != NULL;
}

static json_t *answer_call(const struct control *c, const char *upstream, const json_t *call)
{
    const char *method = str(call, "method");
    const json_t *asked = json_object_get(call, "params");
    const struct lie *error = lie_find(c, "error"), *null = lie_find(c, "null");
    json_t *params = json_deep_copy(asked), *answer = NULL;

    if (error != NULL && is(error->word[0], method)) {
        answer = told_error(error);
    } else if (lie_find(c, "no-eip1898") != NULL && names_block_by_object(asked)) {
        answer = make_error(-32602, "invalid argument 1: json: cannot unmarshal object");
    } else if (wants_too_much(c, method, asked)) {
        answer = make_error(-32602, "block range too large");
    } else if (null != NULL && is(null->word[0], method)) {
        answer = json_pack("{s:n}", "result");
    } else {
        const char *from = choose_upstream(c, upstream, method, params);
        change_params(c, from, method, params);
        answer = ask(from, method, params);
        if (answer != NULL)
            lie_about_result(c, method, asked, answer);
    }
    json_decref(params);
    if (answer == NULL)
        return NULL;
    set_str(answer, "jsonrpc", "2.0");
    (void)json_object_set(answer, "id", json_object_get(call, "id"));
    return answer;
}

/* ---- batches ---- */

static json_t *reversed(json_t *answers)
{
    json_t *out = json_array();
    for (size_t i = json_array_size(answers); i > 0; i--)
        (void)json_array_append(out, json_array_get(answers, i - 1));
    json_decref(answers);
    return out;
}

static json_t *lie_about_batch(const char *how, json_t *answers)
{
    size_t last = json_array_size(answers) - 1;
    json_t *first_id = json_object_get(json_array_get(answers, 0), "id");
    json_t *copy;

    if (is(how, "reverse"))
        return reversed(answers);
    if (is(how, "partial"))
        (void)json_array_remove(answers, last);
    else if (is(how, "repeat"))
        (void)json_object_set(json_array_get(answers, last), "id", first_id);
    else if (is(how, "extra")) {
        copy = json_deep_copy(json_array_get(answers, 0));
        (void)json_object_set_new(copy, "id", json_integer(77));
        (void)json_array_append_new(answers, copy);
    } else if (is(how, "error") || is(how, "refuse")) {
        json_decref(answers);
        answers = make_error(is(how, "refuse") ? -32600 : -32000, "no batches here");
        set_str(answers, "jsonrpc", "2.0");
        (void)json_object_set_new(answers, "id", json_null());
    } else
        die("unknown lie about batches", how);
    return answers;
}

json_t *answer_message(const struct control *control, const char *upstream, const json_t *message)
{
    const struct lie *lie = lie_find(control, "batch");

    if (!json_is_array(message))
        return answer_call(control, upstream, message);
    json_t *answers = json_array();
    for (size_t i = 0; i < json_array_size(message); i++) {
        json_t *answer = answer_call(control, upstream, json_array_get(message, i));
        if (answer == NULL) {
            json_decref(answers);
            return NULL;
        }
        (void)json_array_append_new(answers, answer);
    }
    return lie == NULL ? answers : lie_about_batch(lie->word[0], answers);
}
