/* JSON-RPC: recorded requests and answers of real clients. Each answer is read by our reader; where
 * the request is of a form we send, ours must equal it up to id and member order; results of the
 * methods we use are decoded, and proofs and headers verified. */
#include "eth/header.h"
#include "eth/jsonrpc.h"
#include "eth/proof.h"
#include "tests/support/vectors.h"

#include <stdlib.h>

#define TEXT_MAX_BYTES ((size_t)4 << 20)

static const struct ms_json_limits limits = {TEXT_MAX_BYTES, 64, (size_t)1 << 20,
                                             MS_JSON_ALLOW_NUL};

/* ---- requests: from theirs to ours ---- */
static bool to_data(const json_t *text, uint8_t *out, size_t len)
{
    return json_is_string(text) &&
           eth_data_fixed(ms_span_str(json_string_value(text)), out, len) == MS_OK;
}

static bool to_tag(const json_t *value, struct eth_block_ref *out)
{
    static const struct {
        const char *text;
        enum eth_block_form form;
    } tags[] = {
        {"latest", ETH_BLOCK_LATEST}, {"safe", ETH_BLOCK_SAFE}, {"finalized", ETH_BLOCK_FINALIZED}};
    const char *text = json_string_value(value);

    if (text == NULL)
        return false;
    for (size_t i = 0; i < MS_ARRAY_LEN(tags); i++)
        if (strcmp(text, tags[i].text) == 0) {
            out->form = tags[i].form;
            return true;
        }
    out->form = ETH_BLOCK_NUMBER;
    return eth_quantity_u64(ms_span_str(text), &out->number) == MS_OK;
}

static bool to_block(const json_t *value, struct eth_block_ref *out)
{
    if (to_data(value, out->hash.b, ETH_HASH_BYTES)) {
        out->form = ETH_BLOCK_HASH_BARE;
        return true;
    }
    if (!json_is_object(value))
        return to_tag(value, out);
    bool canonical = json_is_true(json_object_get(value, "requireCanonical"));
    out->form = canonical ? ETH_BLOCK_HASH_CANONICAL : ETH_BLOCK_HASH;
    return json_object_size(value) == (canonical ? 2u : 1u) &&
           to_data(json_object_get(value, "blockHash"), out->hash.b, ETH_HASH_BYTES);
}

static bool build_call(struct eth_rpc_writer *w, const json_t *params)
{
    const json_t *object = json_array_get(params, 0);
    struct ms_buf data = MS_BUF_INIT(TEXT_MAX_BYTES);
    struct eth_block_ref block = {0};
    struct eth_addr to;
    bool ok = json_object_size(object) == 2 && to_data(json_object_get(object, "to"), to.b, 20) &&
              vec_str(object, "data") != NULL && vec_hex(vec_str(object, "data"), &data) &&
              to_block(json_array_get(params, 1), &block);

    if (ok)
        (void)eth_rpc_call(w, &to, ms_buf_span(&data), &block);
    ms_buf_done(&data);
    return ok;
}

static bool build_proof(struct eth_rpc_writer *w, const json_t *params)
{
    const json_t *keys = json_array_get(params, 1);
    struct eth_word words[ETH_PROOF_KEYS_MAX];
    struct eth_block_ref block = {0};
    struct eth_addr address;
    size_t n = json_array_size(keys);

    if (!to_data(json_array_get(params, 0), address.b, 20) || !json_is_array(keys) ||
        n > ETH_PROOF_KEYS_MAX || !to_block(json_array_get(params, 2), &block))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!to_data(json_array_get(keys, i), words[i].b, ETH_WORD_BYTES))
            return false;
    (void)eth_rpc_get_proof(w, &address, words, n, &block);
    return true;
}

static bool build_logs(struct eth_rpc_writer *w, const json_t *params)
{
    const json_t *object = json_array_get(params, 0), *topics = json_object_get(object, "topics");
    struct eth_hash hashes[ETH_RPC_TOPICS_MAX];
    struct eth_log_filter filter = {.topics = hashes, .n_topics = json_array_size(topics)};
    const json_t *hash = json_object_get(object, "blockHash");

    if (filter.n_topics > ETH_RPC_TOPICS_MAX || (topics != NULL && filter.n_topics == 0))
        return false;
    for (size_t i = 0; i < filter.n_topics; i++)
        if (!to_data(json_array_get(topics, i), hashes[i].b, ETH_HASH_BYTES))
            return false;
    filter.has_address = to_data(json_object_get(object, "address"), filter.address.b, 20);
    size_t known = (filter.has_address ? 1u : 0u) + (topics != NULL ? 1u : 0u);
    if (hash != NULL) {
        if (!to_block(hash, &filter.from) || json_object_size(object) != known + 1)
            return false;
    } else if (!to_tag(json_object_get(object, "fromBlock"), &filter.from) ||
               !to_tag(json_object_get(object, "toBlock"), &filter.to) ||
               json_object_size(object) != known + 2) {
        return false;
    }
    (void)eth_rpc_get_logs(w, &filter);
    return true;
}

static bool build(struct eth_rpc_writer *w, const char *method, const json_t *params)
{
    struct eth_block_ref block = {0};
    struct eth_hash hash;
    struct eth_addr address;

    if (strcmp(method, "eth_chainId") == 0) {
        (void)eth_rpc_chain_id(w);
        return true;
    }
    if (strcmp(method, "eth_getBlockByNumber") == 0 && json_is_false(json_array_get(params, 1)) &&
        to_tag(json_array_get(params, 0), &block)) {
        (void)eth_rpc_block_by_number(w, &block);
        return true;
    }
    if (strcmp(method, "eth_getBlockByHash") == 0 && json_is_false(json_array_get(params, 1)) &&
        to_data(json_array_get(params, 0), hash.b, ETH_HASH_BYTES)) {
        (void)eth_rpc_block_by_hash(w, &hash);
        return true;
    }
    if (strcmp(method, "eth_getCode") == 0 && to_data(json_array_get(params, 0), address.b, 20) &&
        to_block(json_array_get(params, 1), &block)) {
        (void)eth_rpc_get_code(w, &address, &block);
        return true;
    }
    if (strcmp(method, "eth_call") == 0)
        return build_call(w, params);
    if (strcmp(method, "eth_getProof") == 0)
        return build_proof(w, params);
    if (strcmp(method, "eth_getLogs") == 0)
        return build_logs(w, params);
    return false;
}

/* Where a request is of a form we send, ours must be equal. */
static bool request_equal(const json_t *theirs, uint64_t id, size_t *built)
{
    struct ms_buf text = MS_BUF_INIT(TEXT_MAX_BYTES);
    struct eth_rpc_writer w;
    json_t *ours = NULL, *normal = json_deep_copy(theirs);
    bool ok = true;

    eth_rpc_begin(&w, &text, id, false);
    if (build(&w, vec_str(theirs, "method"), json_object_get(theirs, "params"))) {
        if (json_object_get(normal, "params") == NULL)
            (void)json_object_set_new(normal, "params", json_array());
        ok = eth_rpc_end(&w) == MS_OK &&
             ms_json_parse(ms_buf_span(&text), &limits, &ours, NULL) == MS_OK &&
             json_equal(ours, normal) == 1;
        (*built)++;
    }
    json_decref(ours);
    json_decref(normal);
    ms_buf_done(&text);
    return ok;
}

/* ---- results ---- */
static bool proof_verifies(const json_t *result, const json_t *params,
                           const struct eth_hash *state_root)
{
    const json_t *keys = json_array_get(params, 1);
    struct eth_word words[ETH_PROOF_KEYS_MAX], values[ETH_PROOF_KEYS_MAX];
    struct eth_account account;
    struct eth_addr address;

    if (!to_data(json_array_get(params, 0), address.b, 20) ||
        json_array_size(keys) > ETH_PROOF_KEYS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(keys); i++)
        if (eth_quantity_parse(ms_span_str(json_string_value(json_array_get(keys, i))),
                               ETH_QUANTITY_LAX, &words[i]) != MS_OK)
            return false;
    struct ms_diag diag = {0};
    enum ms_err err = eth_proof_verify(result, state_root, &address, words, json_array_size(keys),
                                       &account, values, &diag);
    if (err != MS_OK)
        printf("  %s\n", ms_diag_text(&diag, err));
    return err == MS_OK;
}

static bool logs_read(const json_t *result)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)1 << 22);
    struct eth_log *logs = NULL;
    size_t n = 0;
    bool ok = eth_rpc_result_logs(result, &arena, &logs, &n, NULL) == MS_OK &&
              n == json_array_size(result);

    ms_arena_done(&arena);
    return ok;
}

/* Decode the result of a method we use; others are only read. world is NULL for execution-apis. */
static bool result_read(const json_t *request, const json_t *result, const json_t *world)
{
    const char *method = vec_str(request, "method");
    const json_t *params = json_object_get(request, "params");
    struct ms_buf data = MS_BUF_INIT(TEXT_MAX_BYTES);
    struct eth_header header;
    struct eth_hash root;
    uint64_t value = 0;
    bool ok = true;

    if (strcmp(method, "eth_chainId") == 0)
        ok = eth_rpc_result_u64(result, &value, NULL) == MS_OK;
    else if (strcmp(method, "eth_call") == 0 || strcmp(method, "eth_getCode") == 0)
        ok = eth_rpc_result_data(result, &data, NULL) == MS_OK;
    else if (strcmp(method, "eth_getBlockByNumber") == 0 ||
             strcmp(method, "eth_getBlockByHash") == 0)
        ok = json_is_null(result) || eth_header_verify_json(result, &header, NULL) == MS_OK;
    else if (strcmp(method, "eth_getLogs") == 0)
        ok = logs_read(result);
    else if (strcmp(method, "eth_getProof") == 0 && world != NULL)
        ok = eth_json_fixed(json_object_get(world, "latest_block"), "stateRoot", root.b,
                            sizeof(root.b), NULL) == MS_OK &&
             proof_verifies(result, params, &root);
    ms_buf_done(&data);
    return ok;
}

static const char *exchange(const json_t *request, struct ms_span body, const json_t *world,
                            size_t *built)
{
    uint64_t id = (uint64_t)json_integer_value(json_object_get(request, "id"));
    struct eth_rpc_reply reply = {0};
    const char *fault = NULL;

    if (!request_equal(request, id, built))
        return "our request differs";
    if (eth_rpc_read(body, TEXT_MAX_BYTES, id, 1, false, &reply, NULL) != MS_OK)
        return "the answer is refused";
    struct eth_rpc_reply other = {0};
    if (eth_rpc_read(body, TEXT_MAX_BYTES, id + 1, 1, false, &other, NULL) == MS_OK)
        fault = "the answer is taken for that of another id";
    eth_rpc_reply_done(&other);
    const json_t *result = reply.answers[0].result;
    if (fault == NULL && result != NULL && !result_read(request, result, world))
        fault = "the result does not read";
    eth_rpc_reply_done(&reply);
    return fault;
}

static bool execution_apis(void)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "jsonrpc", "execution_apis.json");
    size_t i, k, built = 0;
    json_t *c, *e;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const char *fault = NULL;
        json_array_foreach(json_object_get(c, "exchanges"), k, e)
        {
            if (fault == NULL)
                fault = exchange(json_object_get(e, "request"),
                                 ms_json_member_str(e, "response_text"), NULL, &built);
        }
        vec_check(&count, fault == NULL, vec_str(c, "id"), "%s", fault);
    }
    printf("%zu requests rebuilt and equal\n", built);
    json_decref(root);
    return vec_end(&count);
}

/* ---- malformed requests, as text: what nodes answer to those ---- */
static bool ids_of(const json_t *request, uint64_t *ret_first, size_t *ret_n)
{
    size_t n = json_is_array(request) ? json_array_size(request) : 1;

    if (n == 0 || n > ETH_RPC_BATCH_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        const json_t *call = json_is_array(request) ? json_array_get(request, i) : request;
        const json_t *id = json_object_get(call, "id");
        if (!json_is_integer(id) || json_integer_value(id) < 0)
            return false;
        if (i == 0)
            *ret_first = (uint64_t)json_integer_value(id);
        if ((uint64_t)json_integer_value(id) != *ret_first + i)
            return false;
    }
    *ret_n = n;
    return true;
}

static const char *raw_exchange(struct ms_span request_text, struct ms_span body)
{
    struct eth_rpc_reply reply = {0};
    json_t *request = NULL, *answer = NULL;
    uint64_t first = 1;
    size_t n = 1;
    bool parsed = ms_json_parse(request_text, &limits, &request, NULL) == MS_OK;
    bool ours = parsed && ids_of(request, &first, &n);
    bool is_json = ms_json_parse(body, &limits, &answer, NULL) == MS_OK;
    bool batch = ours && json_is_array(request);
    enum ms_err err = eth_rpc_read(body, TEXT_MAX_BYTES, first, n, batch, &reply, NULL);
    const char *fault = NULL;

    if (ours && is_json && err != MS_OK)
        fault = "the answer is refused";
    if (!ours && err == MS_OK && reply.answers[0].result != NULL)
        fault = "a result is taken for one of ours";
    if (!is_json && err == MS_OK)
        fault = "no JSON, and taken";
    eth_rpc_reply_done(&reply);
    json_decref(request);
    json_decref(answer);
    return fault;
}

static const json_t *world_of(const json_t *root, const char *id)
{
    size_t i;
    json_t *world;

    json_array_foreach(json_object_get(root, "worlds"), i, world)
    {
        const char *node = vec_str(world, "node");
        if (strncmp(id, node, strlen(node)) == 0)
            return world;
    }
    return NULL;
}

static bool node_tape(void)
{
    struct vec_count count;
    json_t *root = vec_load(&count, "jsonrpc", "node_tape.json");
    size_t i, built = 0;
    json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c)
    {
        const json_t *request = json_object_get(c, "request");
        struct ms_span body = ms_json_member_str(c, "response_text");
        const char *id = vec_str(c, "id");
        const char *fault = request == NULL
                                ? raw_exchange(ms_json_member_str(c, "request_text"), body)
                                : exchange(request, body, world_of(root, id), &built);
        vec_check(&count, fault == NULL, id, "%s: %s", vec_str(c, "what"), fault);
    }
    printf("%zu requests rebuilt and equal\n", built);
    json_decref(root);
    return vec_end(&count);
}

/* The whole test chain: each header parses, and each is the parent of the next. */
static bool chain(void)
{
    struct vec_count count = {.topic = "jsonrpc", .file = "context/chain.rlp"};
    struct ms_buf bytes = MS_BUF_INIT((size_t)16 << 20);
    struct eth_hash parent = {0};
    size_t n = 0;

    if (!vec_exists("jsonrpc", "context/chain.rlp")) {
        printf("jsonrpc/context/chain.rlp: not there, skipped\n");
        return true;
    }
    bool ok = vec_read(vec_path("jsonrpc", "context/chain.rlp"), &bytes);
    for (struct ms_span rest = ms_buf_span(&bytes); ok && rest.len > 0; n++) {
        struct eth_rlp block, parts;
        struct eth_header header;
        ok = eth_rlp_next(&rest, &block) == MS_OK && eth_rlp_check(block.raw, 16) == MS_OK;
        struct ms_span inner = block.payload;
        ok = ok && eth_rlp_next(&inner, &parts) == MS_OK &&
             eth_header_parse(parts.raw, &header, NULL) == MS_OK &&
             (n == 0 || eth_hash_eq(&header.parent_hash, &parent));
        if (ok)
            parent = header.hash;
        char id[32];
        (void)snprintf(id, sizeof(id), "block %zu", n);
        vec_check(&count, ok, id, "not a block, or not the child of the one before");
    }
    vec_check(&count, n > 0, "file", "no blocks");
    ms_buf_done(&bytes);
    return vec_end(&count);
}

int main(void)
{
    bool ok = execution_apis();
    ok &= node_tape();
    ok &= chain();
    return ok ? 0 : 1;
}
