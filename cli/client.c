/* cli/client.c - asking the daemon. */
#define _GNU_SOURCE /* struct sockaddr_un, geteuid */

#include "cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000L
#define JSON_DEPTH_MAX 64
#define JSON_VALUES_MAX 2000000 /* a thousand records of 24 registers of 64 values, and more */

/* ---- what is asked ---- */

static const char *maybe_alias(void *arg, struct ms_span name)
{
    (void)arg;
    (void)name;
    return ""; /* never looked at: the daemon resolves it */
}

int client_subject(const struct cli *cli, const char *arg, struct client_subject *ret_subject)
{
    static const struct spec_context context = {.alias = maybe_alias};
    struct ms_diag diag = {0};
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse_any(ms_span_str(arg), &context, &spec, &url, &diag);
    if (err == MS_OK) {
        cli_say_warnings(cli, &spec);
        *ret_subject = (struct client_subject){.text = arg, .is_url = url.host != NULL};
    }
    spec_done(&spec);
    if (err == MS_OK)
        return CLI_YES;
    return client_fail(cli, ms_err_code(err), ms_diag_text(&diag, err), cli_exit_of(err));
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

enum ms_err client_target(const char *path, const struct client_subject *subject,
                          struct ms_buf *out)
{
    (void)ms_buf_addf(out, "%s?%s=", path, subject->is_url ? "url" : "specifier");
    for (const char *c = subject->text; *c != '\0'; c++) {
        if (is_unreserved(*c))
            (void)ms_buf_add_byte(out, (uint8_t)*c);
        else
            (void)ms_buf_addf(out, "%%%02X", (unsigned char)*c);
    }
    return ms_buf_str(out) == NULL ? MS_ERR_MEMORY : ms_buf_err(out);
}

/* As the daemon chooses without a configuration (measured.conf(5), socket-dir). */
static enum ms_err socket_dir(const struct cli *cli, struct ms_buf *out)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (cli->socket_dir != NULL)
        return ms_buf_add_str(out, cli->socket_dir);
    if (geteuid() == 0)
        return ms_buf_add_str(out, "/run/measured");
    if (runtime != NULL && runtime[0] == '/')
        return ms_buf_addf(out, "%s/measured", runtime);
    return ms_buf_addf(out, "/run/user/%lu/measured", (unsigned long)geteuid());
}

static enum ms_err socket_path(const struct cli *cli, const char *name, struct ms_buf *out,
                               struct ms_diag *diag)
{
    (void)socket_dir(cli, out);
    (void)ms_buf_addf(out, "/%s", name);
    const char *path = ms_buf_str(out);
    if (path == NULL)
        return MS_ERR_MEMORY;
    if (out->len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return ms_diag_set(diag, MS_ERR_ARGUMENT,
                           "the name of the socket is too long for a socket: %s", path);
    return MS_OK;
}

/* ---- one connection ---- */

struct link {
    CURL *curl;
    struct curl_slist *headers;
    struct ms_buf path, url;
    struct ms_buf *body;        /* borrowed; where bytes go */
    struct client_reply *reply; /* borrowed; NULL: headers are not of interest */
    bool too_large;
};

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct link *link = arg;

    if (ms_buf_add(link->body, ms_span_of(bytes, one * n)) == MS_OK)
        return one * n;
    link->too_large = true;
    return 0;
}

static struct ms_span trim(struct ms_span text)
{
    while (text.len > 0 && text.ptr[0] == ' ')
        text = ms_span_sub(text, 1, text.len);
    while (text.len > 0 && strchr(" \r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    return text;
}

static size_t on_header(char *bytes, size_t one, size_t n, void *arg)
{
    struct client_reply *reply = ((struct link *)arg)->reply;
    struct ms_span name, value;

    if (reply == NULL || !ms_span_cut(ms_span_of(bytes, one * n), ':', &name, &value))
        return one * n;
    value = trim(value);
    if (ms_span_eq_str_nocase(name, "X-Measured-State") && value.len < sizeof(reply->state)) {
        memcpy(reply->state, value.ptr, value.len);
        reply->state[value.len] = '\0';
    } else if (ms_span_eq_str_nocase(name, "X-Measured-Warning")) {
        value = ms_span_sub(value, 0, sizeof(reply->warning) - 1);
        memcpy(reply->warning, value.ptr, value.len);
        reply->warning[value.len] = '\0';
    } else if (ms_span_eq_str_nocase(name, "X-Measured-Sequence")) {
        reply->has_sequence = ms_span_u64(value, &reply->sequence);
    } else if (ms_span_eq_str_nocase(name, "Content-Type")) {
        for (size_t i = 0; value.len < sizeof(reply->type) && i < value.len; i++)
            reply->type[i] = (char)(value.ptr[i] >= 'A' && value.ptr[i] <= 'Z' ? value.ptr[i] | 0x20
                                                                               : value.ptr[i]);
    }
    return one * n;
}

static void link_done(struct link *link)
{
    if (link->curl != NULL)
        curl_easy_cleanup(link->curl);
    curl_slist_free_all(link->headers);
    ms_buf_done(&link->url);
    ms_buf_done(&link->path);
}

static enum ms_err link_open(struct link *link, const struct cli *cli, const char *socket,
                             const char *target, struct ms_diag *diag)
{
    *link = (struct link){.path = MS_BUF_INIT(4096), .url = MS_BUF_INIT(4 * SPEC_URL_MAX)};
    enum ms_err err = socket_path(cli, socket, &link->path, diag);
    if (err != MS_OK)
        return err;
    (void)ms_buf_addf(&link->url, "http://localhost%s", target);
    link->curl = curl_easy_init();
    /* no "Expect: 100-continue": it costs a second */
    link->headers = curl_slist_append(NULL, "Expect:");
    if (link->curl == NULL || link->headers == NULL || ms_buf_str(&link->url) == NULL)
        return MS_ERR_MEMORY;
    (void)curl_easy_setopt(link->curl, CURLOPT_UNIX_SOCKET_PATH, ms_buf_str(&link->path));
    (void)curl_easy_setopt(link->curl, CURLOPT_URL, ms_buf_str(&link->url));
    (void)curl_easy_setopt(link->curl, CURLOPT_PROTOCOLS_STR, "http");
    (void)curl_easy_setopt(link->curl, CURLOPT_PROXY, "");
    (void)curl_easy_setopt(link->curl, CURLOPT_USERAGENT, "measuredctl");
    (void)curl_easy_setopt(link->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(link->curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(link->curl, CURLOPT_WRITEDATA, link);
    (void)curl_easy_setopt(link->curl, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(link->curl, CURLOPT_HEADERDATA, link);
    return MS_OK;
}

static enum ms_err link_error(struct link *link, CURLcode code, struct ms_diag *diag)
{
    const char *path = ms_buf_str(&link->path);
    long os_error = 0;

    (void)curl_easy_getinfo(link->curl, CURLINFO_OS_ERRNO, &os_error);
    if (link->too_large)
        return ms_diag_set(diag, MS_ERR_TOO_LARGE, "the daemon's answer exceeds the size limit");
    if (code == CURLE_OUT_OF_MEMORY)
        return MS_ERR_MEMORY;
    if (code == CURLE_COULDNT_CONNECT)
        return ms_diag_set(diag, MS_ERR_CONNECT, "no daemon answers on %s: %s", path,
                           strerror(os_error != 0 ? (int)os_error : ECONNREFUSED));
    if (code == CURLE_OPERATION_TIMEDOUT)
        return ms_diag_set(diag, MS_ERR_TIMEOUT, "no answer in time on %s", path);
    return ms_diag_set(diag, MS_ERR_IO, "no answer on %s: %s", path, curl_easy_strerror(code));
}

/* ---- one question ---- */

void client_reply_init(struct client_reply *reply)
{
    *reply = (struct client_reply){.body = MS_BUF_INIT(CLIENT_BODY_MAX_BYTES)};
}

void client_reply_done(struct client_reply *reply)
{
    ms_buf_done(&reply->body);
}

enum ms_err client_ask(const struct cli *cli, const struct client_ask *ask,
                       struct client_reply *reply, struct ms_diag *diag)
{
    struct link link;

    enum ms_err err = link_open(&link, cli, ask->socket, ask->target, diag);
    if (err != MS_OK)
        goto out;
    link.body = &reply->body;
    link.reply = reply;
    if (ask->post) {
        link.headers = curl_slist_append(link.headers, "Content-Type: application/json");
        (void)curl_easy_setopt(link.curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(link.curl, CURLOPT_POSTFIELDS, ask->body == NULL ? "" : ask->body);
    }
    (void)curl_easy_setopt(link.curl, CURLOPT_HTTPHEADER, link.headers);
    (void)curl_easy_setopt(link.curl, CURLOPT_TIMEOUT_MS, ask->timeout_ms);
    CURLcode code = curl_easy_perform(link.curl);
    if (code != CURLE_OK)
        err = link_error(&link, code, diag);
    else
        (void)curl_easy_getinfo(link.curl, CURLINFO_RESPONSE_CODE, &reply->status);
out:
    link_done(&link);
    return err;
}

/* ---- errors ---- */

static void copy_printable(struct ms_span text, char *out, size_t size)
{
    size_t n = text.len < size - 1 ? text.len : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e ? (char)text.ptr[i] : '?';
    out[n] = '\0';
}

void client_error_of(long status, struct ms_span body, struct client_error *ret_error)
{
    struct ms_span code = {NULL, 0}, text = {NULL, 0}, rest;
    json_t *root = NULL;

    if (ms_span_starts(body, "{") && client_json(body, &root, NULL) == MS_OK) {
        code = ms_json_member_str(root, "code");
        text = ms_json_member_str(root, "detail");
    } else if (ms_span_starts(body, "measured: ") &&
               ms_span_cut(ms_span_sub(body, 10, body.len), ':', &code, &rest)) {
        text = trim(rest);
    }
    if (code.len == 0 || text.len == 0) {
        (void)snprintf(ret_error->code, sizeof(ret_error->code), "http");
        (void)snprintf(ret_error->text, sizeof(ret_error->text),
                       "the daemon answered with status %ld", status);
    } else {
        copy_printable(code, ret_error->code, sizeof(ret_error->code));
        copy_printable(text, ret_error->text, sizeof(ret_error->text));
    }
    json_decref(root);
}

int client_exit_of(long status)
{
    return status == 400 || status == 404 || status == 413 || status == 414 ? CLI_NO : CLI_UNKNOWN;
}

int client_fail(const struct cli *cli, const char *error_code, const char *text, int code)
{
    cli_say(cli, "%s (%s)", text, error_code);
    if (!cli->json)
        return code;
    return cli_print_json(
        cli, json_pack("{s:{s:s,s:s}}", "error", "code", error_code, "text", text), code);
}

int client_fail_err(const struct cli *cli, enum ms_err err, const struct ms_diag *diag)
{
    return client_fail(cli, ms_err_code(err), ms_diag_text(diag, err), CLI_UNKNOWN);
}

int client_fail_reply(const struct cli *cli, const struct client_reply *reply)
{
    struct client_error error;

    client_error_of(reply->status, ms_buf_span(&reply->body), &error);
    return client_fail(cli, error.code, error.text, client_exit_of(reply->status));
}

enum ms_err client_json(struct ms_span text, json_t **ret_root, struct ms_diag *diag)
{
    static const struct ms_json_limits limits = {CLIENT_BODY_MAX_BYTES, JSON_DEPTH_MAX,
                                                 JSON_VALUES_MAX, 0};
    return ms_json_parse(text, &limits, ret_root, diag);
}

/* ---- a stream ---- */

struct client_stream {
    struct link link;
    CURLM *multi;
    struct ms_buf fresh; /* arrived since the last wait */
    bool ended;
};

enum ms_err client_stream_new(const struct cli *cli, const char *target,
                              struct client_stream **ret_stream, struct ms_diag *diag)
{
    struct client_stream *stream = calloc(1, sizeof(*stream));

    if (stream == NULL)
        return MS_ERR_MEMORY;
    stream->fresh.max = 2 * CLIENT_BODY_MAX_BYTES;
    enum ms_err err = link_open(&stream->link, cli, "api.sock", target, diag);
    if (err == MS_OK) {
        stream->link.body = &stream->fresh;
        stream->multi = curl_multi_init();
        if (stream->multi == NULL ||
            curl_multi_add_handle(stream->multi, stream->link.curl) != CURLM_OK)
            err = MS_ERR_MEMORY;
    }
    if (err == MS_OK)
        *ret_stream = stream;
    else
        client_stream_free(stream);
    return err;
}

void client_stream_free(struct client_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->multi != NULL) {
        (void)curl_multi_remove_handle(stream->multi, stream->link.curl);
        (void)curl_multi_cleanup(stream->multi);
    }
    link_done(&stream->link);
    ms_buf_done(&stream->fresh);
    free(stream);
}

/* Whether the transfer is over, and how. */
static void look_for_end(struct client_stream *stream, struct ms_diag *diag)
{
    int left = 0;

    for (CURLMsg *m = curl_multi_info_read(stream->multi, &left); m != NULL;
         m = curl_multi_info_read(stream->multi, &left)) {
        if (m->msg != CURLMSG_DONE)
            continue;
        stream->ended = true;
        if (m->data.result == CURLE_OK)
            (void)ms_diag_set(diag, MS_ERR_IO, "the daemon ended the stream");
        else
            (void)link_error(&stream->link, m->data.result, diag);
    }
}

enum ms_err client_stream_wait(struct client_stream *stream, int fd, int wait_ms,
                               struct ms_span *ret_bytes, bool *ret_ended, struct ms_diag *diag)
{
    struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
    int running = 0;

    ms_buf_reset(&stream->fresh);
    CURLMcode code = curl_multi_perform(stream->multi, &running);
    look_for_end(stream, diag);
    if (code == CURLM_OK && !stream->ended && stream->fresh.len == 0) {
        code = curl_multi_poll(stream->multi, &extra, 1, wait_ms, NULL);
        if (code == CURLM_OK)
            code = curl_multi_perform(stream->multi, &running);
        look_for_end(stream, diag);
    }
    if (code != CURLM_OK)
        return ms_diag_set(diag, MS_ERR_IO, "%s", curl_multi_strerror(code));
    *ret_bytes = ms_buf_span(&stream->fresh);
    *ret_ended = stream->ended;
    return MS_OK;
}

long client_stream_status(const struct client_stream *stream)
{
    long status = 0;

    (void)curl_easy_getinfo(stream->link.curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}
