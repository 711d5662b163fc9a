/* eth/jsonrpc.c - requests written by hand (they are few and small), answers read through
 * base/json. */
#include "eth/jsonrpc.h"

#include <assert.h>

#define RPC_CODE_REVERT 3
#define RPC_CODE_PRUNED 4444
#define RPC_CODE_BAD_REQUEST (-32600)
#define RPC_CODE_NO_METHOD (-32601)
#define RPC_CODE_PARAMS (-32602)
#define RPC_CODE_INTERNAL (-32603)
#define RPC_CODE_SERVER (-32000)
#define RPC_CODE_NOT_FOUND (-32001)
#define RPC_CODE_UNSUPPORTED (-32004)
#define RPC_CODE_LIMIT (-32005)
#define RPC_CODE_NO_BLOCK (-39001)

/* ---- requests ---- */
void eth_rpc_begin(struct eth_rpc_writer *w, struct ms_buf *out, uint64_t first_id, bool batch)
{
    *w = (struct eth_rpc_writer){.out = out, .first_id = first_id, .batch = batch};
    if (batch)
        (void)ms_buf_add_byte(out, '[');
}

static uint64_t call_begin(struct eth_rpc_writer *w, const char *method)
{
    uint64_t id = w->first_id + w->n;

    assert(w->n < (w->batch ? ETH_RPC_BATCH_MAX : 1));
    (void)ms_buf_addf(w->out, "%s{\"jsonrpc\":\"2.0\",\"id\":%llu,\"method\":\"%s\",\"params\":[",
                      w->n > 0 ? "," : "", (unsigned long long)id, method);
    w->n++;
    return id;
}

static void call_end(struct eth_rpc_writer *w)
{
    (void)ms_buf_add_str(w->out, "]}");
}

static void add_hex(struct ms_buf *out, struct ms_span bytes)
{
    (void)ms_buf_add_str(out, "\"0x");
    (void)ms_buf_add_hex(out, bytes);
    (void)ms_buf_add_byte(out, '"');
}

static void add_addr(struct ms_buf *out, const struct eth_addr *addr)
{
    add_hex(out, ms_span_of(addr->b, ETH_ADDR_BYTES));
}

/* A caller's mistake sticks in the buffer like its own errors. */
static void misuse(struct ms_buf *out)
{
    if (ms_buf_err(out) == MS_OK)
        out->err = MS_ERR_ARGUMENT;
}

static void add_tag_or_number(struct ms_buf *out, const struct eth_block_ref *block)
{
    switch (block->form) {
    case ETH_BLOCK_LATEST:
        (void)ms_buf_add_str(out, "\"latest\"");
        return;
    case ETH_BLOCK_SAFE:
        (void)ms_buf_add_str(out, "\"safe\"");
        return;
    case ETH_BLOCK_FINALIZED:
        (void)ms_buf_add_str(out, "\"finalized\"");
        return;
    case ETH_BLOCK_NUMBER:
        (void)ms_buf_addf(out, "\"0x%llx\"", (unsigned long long)block->number);
        return;
    case ETH_BLOCK_NONE:
    case ETH_BLOCK_HASH:
    case ETH_BLOCK_HASH_CANONICAL:
    case ETH_BLOCK_HASH_BARE:
        misuse(out);
        return;
    }
}

static bool is_hash(const struct eth_block_ref *block)
{
    return block->form == ETH_BLOCK_HASH || block->form == ETH_BLOCK_HASH_CANONICAL ||
           block->form == ETH_BLOCK_HASH_BARE;
}

static void add_block(struct ms_buf *out, const struct eth_block_ref *block)
{
    if (!is_hash(block)) {
        add_tag_or_number(out, block);
        return;
    }
    bool bare = block->form == ETH_BLOCK_HASH_BARE;
    (void)ms_buf_add_str(out, bare ? "" : "{\"blockHash\":");
    add_hex(out, eth_hash_span(&block->hash));
    if (block->form == ETH_BLOCK_HASH_CANONICAL)
        (void)ms_buf_add_str(out, ",\"requireCanonical\":true");
    (void)ms_buf_add_str(out, bare ? "" : "}");
}

uint64_t eth_rpc_chain_id(struct eth_rpc_writer *w)
{
    uint64_t id = call_begin(w, "eth_chainId");
    call_end(w);
    return id;
}

uint64_t eth_rpc_block_by_number(struct eth_rpc_writer *w, const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "eth_getBlockByNumber");
    add_tag_or_number(w->out, block);
    (void)ms_buf_add_str(w->out, ",false");
    call_end(w);
    return id;
}

uint64_t eth_rpc_block_by_hash(struct eth_rpc_writer *w, const struct eth_hash *hash)
{
    uint64_t id = call_begin(w, "eth_getBlockByHash");
    add_hex(w->out, eth_hash_span(hash));
    (void)ms_buf_add_str(w->out, ",false");
    call_end(w);
    return id;
}

uint64_t eth_rpc_call(struct eth_rpc_writer *w, const struct eth_addr *to, struct ms_span data,
                      const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "eth_call");
    (void)ms_buf_add_str(w->out, "{\"to\":");
    add_addr(w->out, to);
    (void)ms_buf_add_str(w->out, ",\"data\":");
    add_hex(w->out, data);
    (void)ms_buf_add_str(w->out, "},");
    add_block(w->out, block);
    call_end(w);
    return id;
}

uint64_t eth_rpc_get_proof(struct eth_rpc_writer *w, const struct eth_addr *address,
                           const struct eth_word *keys, size_t n_keys,
                           const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "eth_getProof");
    add_addr(w->out, address);
    (void)ms_buf_add_str(w->out, ",[");
    for (size_t i = 0; i < n_keys; i++) {
        (void)ms_buf_add_str(w->out, i > 0 ? "," : "");
        add_hex(w->out, eth_word_span(&keys[i]));
    }
    (void)ms_buf_add_str(w->out, "],");
    add_block(w->out, block);
    call_end(w);
    return id;
}

uint64_t eth_rpc_get_code(struct eth_rpc_writer *w, const struct eth_addr *address,
                          const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "eth_getCode");
    add_addr(w->out, address);
    (void)ms_buf_add_byte(w->out, ',');
    add_block(w->out, block);
    call_end(w);
    return id;
}

static void add_range(struct ms_buf *out, const struct eth_log_filter *filter)
{
    if (is_hash(&filter->from)) {
        (void)ms_buf_add_str(out, "\"blockHash\":");
        add_hex(out, eth_hash_span(&filter->from.hash));
        return;
    }
    (void)ms_buf_add_str(out, "\"fromBlock\":");
    add_tag_or_number(out, &filter->from);
    (void)ms_buf_add_str(out, ",\"toBlock\":");
    add_tag_or_number(out, &filter->to);
}

static void add_hashes(struct ms_buf *out, const char *open, const struct eth_hash *hashes,
                       size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)ms_buf_add_str(out, i == 0 ? open : ",");
        add_hex(out, eth_hash_span(&hashes[i]));
    }
    (void)ms_buf_add_byte(out, ']');
}

uint64_t eth_rpc_get_logs(struct eth_rpc_writer *w, const struct eth_log_filter *filter)
{
    uint64_t id = call_begin(w, "eth_getLogs");
    (void)ms_buf_add_byte(w->out, '{');
    if (filter->has_address) {
        (void)ms_buf_add_str(w->out, filter->other != NULL ? "\"address\":[" : "\"address\":");
        add_addr(w->out, &filter->address);
        if (filter->other != NULL) {
            (void)ms_buf_add_byte(w->out, ',');
            add_addr(w->out, filter->other);
            (void)ms_buf_add_byte(w->out, ']');
        }
        (void)ms_buf_add_byte(w->out, ',');
    }
    add_range(w->out, filter);
    if (filter->n_topics > ETH_RPC_TOPICS_MAX || filter->n_any > ETH_RPC_ANY_MAX ||
        (filter->n_topics > 0 && filter->n_any > 0))
        misuse(w->out);
    if (filter->n_topics > 0)
        add_hashes(w->out, ",\"topics\":[", filter->topics, filter->n_topics);
    if (filter->n_any > 0) {
        add_hashes(w->out, ",\"topics\":[[", filter->any, filter->n_any);
        (void)ms_buf_add_byte(w->out, ']');
    }
    (void)ms_buf_add_byte(w->out, '}');
    call_end(w);
    return id;
}

uint64_t eth_rpc_get_receipts(struct eth_rpc_writer *w, const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "eth_getBlockReceipts");
    add_tag_or_number(w->out, block);
    call_end(w);
    return id;
}

uint64_t eth_rpc_raw_header(struct eth_rpc_writer *w, const struct eth_block_ref *block)
{
    uint64_t id = call_begin(w, "debug_getRawHeader");
    add_block(w->out, block);
    call_end(w);
    return id;
}

enum ms_err eth_rpc_end(struct eth_rpc_writer *w)
{
    if (w->n == 0)
        misuse(w->out);
    if (w->batch)
        (void)ms_buf_add_byte(w->out, ']');
    return ms_buf_err(w->out);
}

/* ---- errors ---- */
const char *eth_rpc_class_name(enum eth_rpc_class class)
{
    switch (class) {
    case ETH_RPC_FAULT:
        return "fault";
    case ETH_RPC_REVERT:
        return "revert";
    case ETH_RPC_PARAMS:
        return "params";
    case ETH_RPC_LIMITED:
        return "limited";
    case ETH_RPC_UNKNOWN_BLOCK:
        return "unknown-block";
    case ETH_RPC_PRUNED:
        return "pruned";
    case ETH_RPC_NO_METHOD:
        return "no-method";
    case ETH_RPC_BATCH:
        return "batch";
    }
    return "fault";
}

static bool contains(struct ms_span text, const char *needle)
{
    size_t n = strlen(needle);

    for (size_t i = 0; i + n <= text.len; i++)
        if (memcmp(text.ptr + i, needle, n) == 0)
            return true;
    return false;
}

/* ethereum.md 2.2. Servers share -32000 and -32603 among many causes, so there the words decide. */
static enum eth_rpc_class classify(int64_t code, struct ms_span message)
{
    switch (code) {
    case RPC_CODE_REVERT:
        return ETH_RPC_REVERT;
    case RPC_CODE_PARAMS:
        return ETH_RPC_PARAMS;
    case RPC_CODE_LIMIT:
        return ETH_RPC_LIMITED;
    case RPC_CODE_NOT_FOUND:
    case RPC_CODE_NO_BLOCK:
        return ETH_RPC_UNKNOWN_BLOCK;
    case RPC_CODE_PRUNED:
        return ETH_RPC_PRUNED;
    case RPC_CODE_NO_METHOD:
    case RPC_CODE_UNSUPPORTED:
        return ETH_RPC_NO_METHOD;
    case RPC_CODE_SERVER:
    case RPC_CODE_INTERNAL:
        if (contains(message, "header not found") ||
            contains(message, "header for hash not found") ||
            contains(message, "is not currently canonical"))
            return ETH_RPC_UNKNOWN_BLOCK;
        return ETH_RPC_FAULT;
    default: /* not an enum: any number may come */
        return ETH_RPC_FAULT;
    }
}

static enum ms_err shape(struct ms_diag *diag, const char *what)
{
    return ms_diag_set(diag, MS_ERR_RPC_SHAPE, "JSON-RPC: %s", what);
}

static enum ms_err read_error(const json_t *error, struct eth_rpc_error *ret_error,
                              struct ms_diag *diag)
{
    const json_t *code = json_object_get(error, "code");

    if (!json_is_object(error) || !json_is_integer(code))
        return shape(diag, "an error without a code");
    struct ms_span message = ms_json_member_str(error, "message");
    if (message.ptr == NULL)
        return shape(diag, "an error without a message");
    *ret_error = (struct eth_rpc_error){.class = classify(json_integer_value(code), message),
                                        .code = json_integer_value(code),
                                        .message = message,
                                        .data = json_object_get(error, "data")};
    return MS_OK;
}

/* ---- answers ---- */
/* "jsonrpc":"2.0" and exactly one of result and error; the id is the caller's to look at. */
static enum ms_err read_answer(const json_t *object, struct eth_rpc_answer *ret_answer,
                               struct ms_diag *diag)
{
    const json_t *error = json_object_get(object, "error");
    struct eth_rpc_answer answer = {.result = json_object_get(object, "result")};

    if (!json_is_object(object))
        return shape(diag, "an answer that is no object");
    if (!ms_span_eq_str(ms_json_member_str(object, "jsonrpc"), "2.0"))
        return shape(diag, "\"jsonrpc\" is not \"2.0\"");
    if ((answer.result == NULL) == (error == NULL))
        return shape(diag, "not exactly one of result and error");
    if (error != NULL) {
        enum ms_err err = read_error(error, &answer.error, diag);
        if (err != MS_OK)
            return err;
    }
    *ret_answer = answer;
    return MS_OK;
}

static bool read_id(const json_t *object, uint64_t *ret_id)
{
    const json_t *id = json_object_get(object, "id");

    if (!json_is_integer(id) || json_integer_value(id) < 0)
        return false;
    *ret_id = (uint64_t)json_integer_value(id);
    return true;
}

/* One error object for everything that was sent; its id may be null, as the server could not tell.
 */
static enum ms_err read_whole(const struct eth_rpc_answer *failed, uint64_t first_id,
                              struct eth_rpc_reply *reply)
{
    reply->whole_failed = true;
    for (size_t i = 0; i < reply->n; i++) {
        reply->answers[i] = *failed;
        reply->answers[i].id = first_id + i;
        if (failed->error.code == RPC_CODE_BAD_REQUEST)
            reply->answers[i].error.class = ETH_RPC_BATCH;
    }
    return MS_OK;
}

static enum ms_err read_single(const json_t *object, uint64_t first_id, struct eth_rpc_reply *reply,
                               struct ms_diag *diag)
{
    struct eth_rpc_answer *answer = &reply->answers[0];
    uint64_t id = 0;

    enum ms_err err = read_answer(object, answer, diag);
    if (err != MS_OK)
        return err;
    bool null_id = json_is_null(json_object_get(object, "id"));
    if (!(answer->result == NULL && null_id) && (!read_id(object, &id) || id != first_id))
        return shape(diag, "an answer with another id");
    answer->id = first_id;
    return MS_OK;
}

static enum ms_err read_batch(const json_t *array, uint64_t first_id, struct eth_rpc_reply *reply,
                              struct ms_diag *diag)
{
    bool seen[ETH_RPC_BATCH_MAX] = {false};

    if (json_array_size(array) != reply->n)
        return shape(diag, "not one answer for each call");
    for (size_t i = 0; i < reply->n; i++) {
        const json_t *object = json_array_get(array, i);
        struct eth_rpc_answer answer;
        uint64_t id = 0;
        enum ms_err err = read_answer(object, &answer, diag);
        if (err != MS_OK)
            return err;
        if (!read_id(object, &id) || id < first_id || id - first_id >= reply->n)
            return shape(diag, "an answer with another id");
        if (seen[id - first_id])
            return shape(diag, "two answers with one id");
        seen[id - first_id] = true;
        answer.id = id;
        reply->answers[id - first_id] = answer;
    }
    return MS_OK;
}

static enum ms_err read_root(const json_t *root, uint64_t first_id, bool batch,
                             struct eth_rpc_reply *reply, struct ms_diag *diag)
{
    struct eth_rpc_answer failed;

    if (!batch)
        return read_single(root, first_id, reply, diag);
    if (json_is_array(root))
        return read_batch(root, first_id, reply, diag);
    enum ms_err err = read_answer(root, &failed, diag);
    if (err != MS_OK)
        return err;
    if (failed.result != NULL)
        return shape(diag, "one result for a batch");
    return read_whole(&failed, first_id, reply);
}

enum ms_err eth_rpc_read(struct ms_span body, size_t max_bytes, uint64_t first_id, size_t n,
                         bool batch, struct eth_rpc_reply *ret_reply, struct ms_diag *diag)
{
    /* error messages quote revert data, so \u0000 does occur in them */
    const struct ms_json_limits limits = {
        max_bytes, ETH_RPC_DEPTH_MAX,
        max_bytes > ETH_RPC_BODY_MAX_BYTES ? ETH_RPC_LARGE_VALUES_MAX : ETH_RPC_VALUES_MAX,
        MS_JSON_ALLOW_NUL};
    struct eth_rpc_reply reply = {.n = n};

    if (n == 0 || n > ETH_RPC_BATCH_MAX || (!batch && n != 1))
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "JSON-RPC: %zu answers expected", n);
    enum ms_err err = ms_json_parse(body, &limits, &reply.root, diag);
    if (err == MS_OK)
        err = read_root(reply.root, first_id, batch, &reply, diag);
    if (err != MS_OK) {
        eth_rpc_reply_done(&reply);
        return err;
    }
    *ret_reply = reply;
    return MS_OK;
}

void eth_rpc_reply_done(struct eth_rpc_reply *reply)
{
    json_decref(reply->root);
    *reply = (struct eth_rpc_reply){0};
}

enum ms_err eth_rpc_result(const struct eth_rpc_answer *answer, const json_t **ret_result,
                           struct ms_diag *diag)
{
    if (answer->result != NULL) {
        *ret_result = answer->result;
        return MS_OK;
    }
    const struct eth_rpc_error *error = &answer->error;
    enum ms_err err = error->class == ETH_RPC_REVERT ? MS_ERR_REVERT : MS_ERR_RPC;
    return ms_diag_set(diag, err, "JSON-RPC error %lld (%s): %.*s", (long long)error->code,
                       eth_rpc_class_name(error->class),
                       (int)(error->message.len < 160 ? error->message.len : 160),
                       error->message.ptr == NULL ? "" : (const char *)error->message.ptr);
}

enum ms_err eth_rpc_result_u64(const json_t *result, uint64_t *ret_value, struct ms_diag *diag)
{
    if (!json_is_string(result) ||
        eth_quantity_u64(ms_span_of(json_string_value(result), json_string_length(result)),
                         ret_value) != MS_OK)
        return shape(diag, "a result that is no quantity of 64 bits");
    return MS_OK;
}

enum ms_err eth_rpc_result_data(const json_t *result, struct ms_buf *out, struct ms_diag *diag)
{
    if (!json_is_string(result))
        return shape(diag, "a result that is no data");
    enum ms_err err =
        eth_data_parse(ms_span_of(json_string_value(result), json_string_length(result)), out);
    if (err == MS_OK || err == MS_ERR_LIMIT || err == MS_ERR_MEMORY)
        return err;
    return shape(diag, "a result that is no data");
}

/* ---- logs ---- */
static enum ms_err read_topics(const json_t *array, struct eth_log *log, struct ms_diag *diag)
{
    log->n_topics = json_array_size(array);
    if (!json_is_array(array) || log->n_topics > ETH_RPC_TOPICS_MAX)
        return shape(diag, "a log with malformed topics");
    for (size_t i = 0; i < log->n_topics; i++) {
        const json_t *topic = json_array_get(array, i);
        if (!json_is_string(topic) ||
            eth_data_fixed(ms_span_of(json_string_value(topic), json_string_length(topic)),
                           log->topics[i].b, ETH_HASH_BYTES) != MS_OK)
            return shape(diag, "a log with malformed topics");
    }
    return MS_OK;
}

static enum ms_err read_log_data(const json_t *object, struct ms_arena *arena, struct eth_log *log,
                                 struct ms_diag *diag)
{
    struct ms_span text = ms_json_member_str(object, "data");

    if (text.len < 2 || text.len % 2 != 0)
        return shape(diag, "a log with malformed data");
    size_t len = (text.len - 2) / 2;
    uint8_t *bytes = ms_arena_alloc(arena, len, 1);
    if (bytes == NULL)
        return MS_ERR_MEMORY;
    if (eth_data_fixed(text, bytes, len) != MS_OK)
        return shape(diag, "a log with malformed data");
    log->data = ms_span_of(bytes, len);
    return MS_OK;
}

enum ms_err eth_rpc_log_content(const json_t *object, struct ms_arena *arena,
                                struct eth_log *ret_log, struct ms_diag *diag)
{
    enum ms_err err = eth_json_fixed(object, "address", ret_log->address.b, ETH_ADDR_BYTES, diag);
    if (err == MS_OK)
        err = read_topics(json_object_get(object, "topics"), ret_log, diag);
    if (err == MS_OK)
        err = read_log_data(object, arena, ret_log, diag);
    return err;
}

static enum ms_err read_log(const json_t *object, struct ms_arena *arena, struct eth_log *log,
                            struct ms_diag *diag)
{
    enum ms_err err = eth_rpc_log_content(object, arena, log, diag);
    if (err == MS_OK)
        err = eth_json_u64(object, "blockNumber", &log->block, diag);
    if (err == MS_OK)
        err = eth_json_fixed(object, "blockHash", log->block_hash.b, ETH_HASH_BYTES, diag);
    if (err == MS_OK)
        err = eth_json_u64(object, "logIndex", &log->index, diag);
    if (err == MS_OK && json_is_true(json_object_get(object, "removed")))
        err = shape(diag, "a log that is marked removed");
    return err;
}

enum ms_err eth_rpc_result_logs(const json_t *result, struct ms_arena *arena,
                                struct eth_log **ret_logs, size_t *ret_n, struct ms_diag *diag)
{
    size_t n = json_array_size(result);

    if (!json_is_array(result))
        return shape(diag, "logs that are no array");
    if (n > ETH_RPC_LOGS_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "JSON-RPC: %zu logs, the limit is %d", n,
                           ETH_RPC_LOGS_MAX);
    struct eth_log *logs = ms_arena_alloc(arena, n, sizeof(*logs));
    if (logs == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        enum ms_err err = read_log(json_array_get(result, i), arena, &logs[i], diag);
        if (err != MS_OK)
            return err;
    }
    *ret_logs = logs;
    *ret_n = n;
    return MS_OK;
}
