/* cli/eth_rpc.c - asking a JSON-RPC endpoint. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "cli/eth_rpc.h"

#include "cli/registry_call.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 20000 /* of one question */
#define REQUEST_MAX_BYTES ((size_t)1 << 20)

static int64_t now_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t rpc_left_ms(const struct rpc *rpc)
{
    return rpc->deadline_ms - now_ms();
}

/* ---- the URL ---- */
static bool is_loopback(const char *host)
{
    struct in_addr addr;

    /* curl looks `localhost` up nowhere */
    return strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &addr) == 1 && ntohl(addr.s_addr) >> 24 == 127);
}

/* Where it goes to, and whether it may. */
static enum ms_err judge_url(const char *url, char where[RPC_WHERE_BYTES], struct ms_diag *diag)
{
    char *scheme = NULL, *host = NULL, *port = NULL;
    enum ms_err err = MS_OK;
    CURLU *parts = curl_url();

    if (parts == NULL)
        return MS_ERR_MEMORY;
    if (curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK)
        err = ms_diag_set(diag, MS_ERR_URL, "--rpc: not an https URL without user");
    else if (strcmp(scheme, "https") != 0 && (strcmp(scheme, "http") != 0 || !is_loopback(host)))
        err = ms_diag_set(diag, MS_ERR_SCHEME,
                          "--rpc: https, or http to this machine (127.0.0.1) only");
    else
        (void)snprintf(where, RPC_WHERE_BYTES, "%.250s:%s", host, port);
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(parts);
    return err;
}

/* ---- the connection ---- */
static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct rpc *rpc = arg;
    return ms_buf_add(&rpc->body, ms_span_of(bytes, one * n)) == MS_OK ? one * n : 0;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(rpc->curl, option, value) == CURLE_OK)

static bool set_up(struct rpc *rpc, const char *url)
{
    bool ok = true;

    SET(CURLOPT_URL, url);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, "measuredctl");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_HTTPHEADER, rpc->headers);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, rpc);
    SET(CURLOPT_POST, 1L);
    return ok;
}

enum ms_err rpc_open(struct rpc *rpc, const char *url, uint64_t timeout_s, struct ms_diag *diag)
{
    const struct ms_buf body = MS_BUF_INIT(ETH_RPC_BODY_MAX_BYTES);

    *rpc = (struct rpc){.body = body, .deadline_ms = now_ms() + (int64_t)timeout_s * 1000};
    enum ms_err err = judge_url(url, rpc->where, diag);
    if (err != MS_OK)
        return err;
    rpc->headers = curl_slist_append(NULL, "Content-Type: application/json");
    rpc->curl = curl_easy_init();
    if (rpc->headers == NULL || rpc->curl == NULL || !set_up(rpc, url))
        return MS_ERR_MEMORY;
    return MS_OK;
}

void rpc_close(struct rpc *rpc)
{
    curl_slist_free_all(rpc->headers);
    curl_easy_cleanup(rpc->curl);
    ms_buf_done(&rpc->body);
    rpc->headers = NULL;
    rpc->curl = NULL;
}

static enum ms_err failed(const struct rpc *rpc, CURLcode code, struct ms_diag *diag)
{
    enum ms_err err = MS_ERR_CONNECT;

    if (ms_buf_err(&rpc->body) != MS_OK)
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s: an answer of more than %d bytes",
                           rpc->where, ETH_RPC_BODY_MAX_BYTES);
    if (code == CURLE_OPERATION_TIMEDOUT)
        err = MS_ERR_TIMEOUT;
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR)
        err = MS_ERR_TLS;
    return ms_diag_set(diag, err, "%s: %s", rpc->where, curl_easy_strerror(code));
}

/* POST, the answer into rpc->body. Some endpoints answer errors with another status than 200, so
 * the status counts only when the body is no answer. */
static enum ms_err post(struct rpc *rpc, struct ms_span request, struct ms_diag *diag)
{
    int64_t left_ms = rpc_left_ms(rpc);
    bool ok = true;

    if (left_ms <= 0)
        return ms_diag_set(diag, MS_ERR_TIMEOUT, "%s: not everything was answered in time",
                           rpc->where);
    ms_buf_reset(&rpc->body);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request.len);
    SET(CURLOPT_POSTFIELDS, (const char *)request.ptr);
    SET(CURLOPT_TIMEOUT_MS, (long)(left_ms < ANSWER_TIMEOUT_MS ? left_ms : ANSWER_TIMEOUT_MS));
    if (!ok)
        return MS_ERR_MEMORY;
    CURLcode code = curl_easy_perform(rpc->curl);
    return code == CURLE_OK ? MS_OK : failed(rpc, code, diag);
}

/* ---- questions ---- */
/* An error's data: "0x..", or nothing we know. */
static enum ms_err explain(const struct rpc *rpc, const char *method,
                           const struct eth_rpc_error *error, struct ms_diag *diag)
{
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES);
    char words[CALL_ERROR_TEXT];
    bool known =
        json_is_string(error->data) &&
        eth_data_parse(ms_span_of(json_string_value(error->data), json_string_length(error->data)),
                       &data) == MS_OK &&
        call_error(ms_buf_span(&data), words);

    ms_buf_done(&data);
    if (known)
        return ms_diag_set(diag, MS_ERR_REVERT, "%s", words);
    return ms_diag_set(diag, error->class == ETH_RPC_REVERT ? MS_ERR_REVERT : MS_ERR_RPC,
                       "%s: %s: %.*s (%" PRId64 ")", rpc->where, method,
                       (int)(error->message.len < 160 ? error->message.len : 160),
                       error->message.len == 0 ? "" : (const char *)error->message.ptr,
                       error->code);
}

static enum ms_err take(struct rpc *rpc, const char *method, json_t **ret_result,
                        struct ms_diag *diag)
{
    struct eth_rpc_reply reply;
    struct ms_diag cause = {0};
    long status = 0;

    (void)curl_easy_getinfo(rpc->curl, CURLINFO_RESPONSE_CODE, &status);
    enum ms_err err = eth_rpc_read(ms_buf_span(&rpc->body), ETH_RPC_BODY_MAX_BYTES, rpc->last_id, 1,
                                   false, &reply, &cause);
    if (err != MS_OK && status != 200)
        return ms_diag_set(diag, MS_ERR_HTTP, "%s: %s: status %ld", rpc->where, method, status);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "%s: %s: %s", rpc->where, method, ms_diag_text(&cause, err));
    if (reply.answers[0].result == NULL)
        err = explain(rpc, method, &reply.answers[0].error, diag);
    else
        *ret_result = json_deep_copy(reply.answers[0].result);
    eth_rpc_reply_done(&reply);
    return err;
}

enum ms_err rpc_ask(struct rpc *rpc, const char *method, json_t *params, json_t **ret_result,
                    struct ms_diag *diag)
{
    struct ms_buf request = MS_BUF_INIT(REQUEST_MAX_BYTES);

    /* a NULL for the parameters makes json_pack fail */
    json_t *message = json_pack("{s:s, s:I, s:s, s:o}", "jsonrpc", "2.0", "id",
                                (json_int_t)++rpc->last_id, "method", method, "params", params);
    enum ms_err err = message == NULL ? MS_ERR_MEMORY : ms_json_print(message, false, &request);
    if (err == MS_OK)
        err = post(rpc, ms_buf_span(&request), diag);
    if (err == MS_OK)
        err = take(rpc, method, ret_result, diag);
    json_decref(message);
    ms_buf_done(&request);
    return err;
}

enum ms_err rpc_ask_u64(struct rpc *rpc, const char *method, json_t *params, uint64_t *ret_value,
                        struct ms_diag *diag)
{
    json_t *result = NULL;

    enum ms_err err = rpc_ask(rpc, method, params, &result, diag);
    if (err == MS_OK)
        err = eth_rpc_result_u64(result, ret_value, diag);
    json_decref(result);
    return err;
}

enum ms_err rpc_ask_data(struct rpc *rpc, const char *method, json_t *params, struct ms_buf *out,
                         struct ms_diag *diag)
{
    json_t *result = NULL;

    enum ms_err err = rpc_ask(rpc, method, params, &result, diag);
    if (err == MS_OK)
        err = eth_rpc_result_data(result, out, diag);
    json_decref(result);
    return err;
}

json_t *rpc_addr_json(const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(addr, text);
    return json_string(text);
}

json_t *rpc_call_json(const struct eth_addr *from, const struct eth_addr *to, struct ms_span data)
{
    json_t *call = json_pack("{s:o}", "data", ms_json_hex(data));

    if ((from == NULL || json_object_set_new(call, "from", rpc_addr_json(from)) == 0) &&
        (to == NULL || json_object_set_new(call, "to", rpc_addr_json(to)) == 0))
        return call;
    json_decref(call);
    return NULL;
}

enum ms_err rpc_call(struct rpc *rpc, const struct eth_addr *from, const struct eth_addr *to,
                     struct ms_span data, json_t *block, struct ms_buf *out, struct ms_diag *diag)
{
    return rpc_ask_data(rpc, "eth_call", json_pack("[o, O]", rpc_call_json(from, to, data), block),
                        out, diag);
}
