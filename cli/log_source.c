/* cli/log_source.c - where a log is read from. */
#define _GNU_SOURCE
#include "cli/log.h"

#include "base/hex.h"
#include "cache/log.h"
#include "cli/client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_MS 5000L
#define ANSWER_TIMEOUT_MS 30000L
#define PATH_MAX_BYTES 4096
#define URL_MAX_BYTES 8192
#define LOG_PREFIX "v1/log/"
#define EVIDENCE_PREFIX "v1/evidence/"

struct log_source {
    const struct cli *cli;
    struct cache *cache; /* of a database */
    const char *dir;     /* a folder */
    CURL *curl;          /* a URL */
    const char *url;
    const char *name;
};

/* ---- a URL ---- */

static bool is_loopback(const char *host)
{
    struct in_addr addr;

    /* curl looks `localhost` up nowhere */
    return strcmp(host, "[::1]") == 0 || strcmp(host, "localhost") == 0 ||
           (inet_pton(AF_INET, host, &addr) == 1 && ntohl(addr.s_addr) >> 24 == 127);
}

static enum ms_err judge_url(const char *url, struct ms_diag *diag)
{
    char *scheme = NULL, *host = NULL, *query = NULL;
    enum ms_err err = MS_OK;
    CURLU *parts = curl_url();

    if (parts == NULL)
        return MS_ERR_MEMORY;
    if (curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(parts, CURLUPART_QUERY, &query, 0) != CURLUE_NO_QUERY)
        err = ms_diag_set(diag, MS_ERR_URL, "%s: not an https URL without user and query", url);
    else if (strcmp(scheme, "https") != 0 && (strcmp(scheme, "http") != 0 || !is_loopback(host)))
        err = ms_diag_set(diag, MS_ERR_SCHEME,
                          "%s: https, or http to this machine (127.0.0.1) only", url);
    curl_free(scheme);
    curl_free(host);
    curl_free(query);
    curl_url_cleanup(parts);
    return err;
}

struct sink {
    struct ms_buf *out;
    bool too_large;
};

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct sink *sink = arg;

    sink->too_large = ms_buf_add(sink->out, ms_span_of(bytes, one * n)) != MS_OK;
    return sink->too_large ? 0 : one * n;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(source->curl, option, value) == CURLE_OK)

static enum ms_err open_url(struct log_source *source, const char *url, struct ms_diag *diag)
{
    bool ok = true;

    enum ms_err err = judge_url(url, diag);
    if (err != MS_OK)
        return err;
    source->url = url;
    source->curl = curl_easy_init();
    if (source->curl == NULL)
        return MS_ERR_MEMORY;
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_USERAGENT, "measuredctl");
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TIMEOUT_MS, ANSWER_TIMEOUT_MS);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    return ok ? MS_OK : MS_ERR_MEMORY;
}

static enum ms_err get_url(struct log_source *source, const char *path, struct ms_buf *out,
                           struct ms_diag *diag)
{
    struct ms_buf url = MS_BUF_INIT(URL_MAX_BYTES);
    struct sink sink = {.out = out};
    size_t len = strlen(source->url), before = out->len;
    long status = 0;
    bool ok = true;
    enum ms_err err = MS_OK;

    while (len > 0 && source->url[len - 1] == '/')
        len--;
    (void)ms_buf_add(&url, ms_span_of(source->url, len));
    (void)ms_buf_addf(&url, "/%s", path);
    const char *text = ms_buf_str(&url);
    SET(CURLOPT_URL, text == NULL ? "" : text);
    SET(CURLOPT_WRITEDATA, &sink);
    if (text == NULL || !ok) {
        ms_buf_done(&url);
        return MS_ERR_MEMORY;
    }
    CURLcode code = curl_easy_perform(source->curl);
    (void)curl_easy_getinfo(source->curl, CURLINFO_RESPONSE_CODE, &status);
    if (sink.too_large)
        err = ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s: larger than it can be", text);
    else if (code != CURLE_OK)
        err = ms_diag_set(diag, MS_ERR_CONNECT, "%s: %s", text, curl_easy_strerror(code));
    else if (status == 404)
        err = ms_diag_set(diag, MS_ERR_NOT_FOUND, "%s: there is no such file", text);
    else if (status != 200)
        err = ms_diag_set(diag, MS_ERR_HTTP, "%s: status %ld", text, status);
    if (err != MS_OK && !sink.too_large)
        out->len = before; /* the page that told of the error */
    ms_buf_done(&url);
    return err;
}

/* ---- a folder ---- */

static enum ms_err get_file(struct log_source *source, const char *name, struct ms_buf *out,
                            struct ms_diag *diag)
{
    char path[PATH_MAX_BYTES];
    enum ms_err err = MS_OK;

    int n = snprintf(path, sizeof(path), "%s/%s", source->dir, name);
    if (n < 0 || n >= PATH_MAX_BYTES)
        return MS_ERR_ARGUMENT;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return ms_diag_set(diag, errno == ENOENT || errno == ENOTDIR ? MS_ERR_NOT_FOUND : MS_ERR_IO,
                           "%s: %s", path, strerror(errno));
    for (;;) {
        uint8_t piece[8192];
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = ms_diag_set(diag, MS_ERR_IO, "%s: %s", path, strerror(errno));
        if (got <= 0)
            break;
        if (ms_buf_add(out, ms_span_of(piece, (size_t)got)) != MS_OK) {
            err = ms_diag_set(diag, MS_ERR_TOO_LARGE, "%s: larger than it can be", path);
            break;
        }
    }
    (void)close(fd);
    return err;
}

/* ---- a database ---- */

static enum ms_err no_file(const struct log_source *source, const char *path, struct ms_diag *diag)
{
    return ms_diag_set(diag, MS_ERR_NOT_FOUND, "%s: %s: there is none", source->name, path);
}

static enum ms_err get_checkpoint(struct log_source *source, const char *path, bool cosigned,
                                  bool key, struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT((size_t)2 * MSIG_NOTE_MAX_BYTES);
    struct cache_checkpoint row = {0};
    bool found = false;

    enum ms_err err = cosigned
                          ? cache_checkpoint_cosigned(source->cache, &arena, &row, &found, diag)
                          : cache_checkpoint_last(source->cache, &arena, &row, &found, diag);
    if (err == MS_OK && !found)
        err = no_file(source, path, diag);
    if (err == MS_OK)
        err = ms_buf_add_str(out, key ? row.vkey : row.note);
    if (err == MS_OK && key)
        err = ms_buf_add_byte(out, '\n');
    ms_arena_done(&arena);
    return err;
}

static enum ms_err get_row(struct log_source *source, const char *path, struct ms_buf *out,
                           struct ms_diag *diag)
{
    struct ms_span name = ms_span_str(path);
    struct msig_tlog_tile tile;
    struct ms_sha256 hash;
    bool found = false;
    enum ms_err err = MS_OK;

    if (ms_span_starts(name, EVIDENCE_PREFIX)) {
        name = ms_span_sub(name, strlen(EVIDENCE_PREFIX), name.len);
        err = ms_hex_decode(name, hash.b, sizeof(hash.b));
        if (err == MS_OK)
            err = cache_blob_get(source->cache, &hash, out, &found, diag);
        return err == MS_OK && !found ? no_file(source, path, diag) : err;
    }
    name = ms_span_sub(name, strlen(LOG_PREFIX), name.len);
    if (ms_span_eq_str(name, "checkpoint") || ms_span_eq_str(name, "checkpoint?cosigned=1") ||
        ms_span_eq_str(name, "key"))
        return get_checkpoint(source, path, name.len > sizeof("checkpoint"),
                              ms_span_eq_str(name, "key"), out, diag);
    if (msig_tlog_tile_parse(name, &tile) == MS_OK)
        err = cache_log_tile(source->cache, &tile, out, &found, diag);
    return err == MS_OK && !found ? no_file(source, path, diag) : err;
}

/* ---- the daemon ---- */

static enum ms_err get_daemon(struct log_source *source, const char *path, struct ms_buf *out,
                              struct ms_diag *diag)
{
    struct client_reply reply;
    struct ms_buf target = MS_BUF_INIT(1024);
    struct client_error error;

    client_reply_init(&reply);
    reply.body.max = out->max;
    (void)ms_buf_addf(&target, "/%s", path);
    struct client_ask ask = {
        .socket = "api.sock", .target = ms_buf_str(&target), .timeout_ms = CLIENT_TIMEOUT_MS};
    enum ms_err err =
        ask.target == NULL ? MS_ERR_MEMORY : client_ask(source->cli, &ask, &reply, diag);
    if (err == MS_OK && reply.status != 200) {
        client_error_of(reply.status, ms_buf_span(&reply.body), &error);
        err = ms_diag_set(diag, reply.status == 404 ? MS_ERR_NOT_FOUND : MS_ERR_UNAVAILABLE,
                          "the daemon: %s", error.text);
    }
    if (err == MS_OK)
        err = ms_buf_add(out, ms_buf_span(&reply.body));
    client_reply_done(&reply);
    ms_buf_done(&target);
    return err;
}

/* ---- all of them ---- */

static bool is_url(const char *from)
{
    return ms_span_starts_nocase(ms_span_str(from), "https:") ||
           ms_span_starts_nocase(ms_span_str(from), "http:");
}

bool log_is_source(const char *path)
{
    struct stat st;
    return is_url(path) || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

enum ms_err log_source_open(const struct cli *cli, const char *db, const char *from,
                            struct log_source **ret_source, struct ms_diag *diag)
{
    struct log_source *source = calloc(1, sizeof(*source));
    enum ms_err err = MS_OK;

    if (source == NULL)
        return MS_ERR_MEMORY;
    source->cli = cli;
    source->name = db != NULL ? db : from != NULL ? from : "the daemon";
    if (db != NULL)
        err = cache_open_readonly(db, &source->cache, diag);
    else if (from != NULL && is_url(from))
        err = open_url(source, from, diag);
    else if (from != NULL)
        source->dir = from;
    if (err == MS_OK)
        *ret_source = source;
    else
        log_source_close(source);
    return err;
}

void log_source_close(struct log_source *source)
{
    if (source == NULL)
        return;
    cache_close(source->cache);
    if (source->curl != NULL)
        curl_easy_cleanup(source->curl);
    free(source);
}

const char *log_source_name(const struct log_source *source)
{
    return source->name;
}

enum ms_err log_source_get(struct log_source *source, const char *path, struct ms_buf *out,
                           struct ms_diag *diag)
{
    if (source->cache != NULL)
        return get_row(source, path, out, diag);
    if (source->dir != NULL)
        return get_file(source, path, out, diag);
    if (source->curl != NULL)
        return get_url(source, path, out, diag);
    return get_daemon(source, path, out, diag);
}

/* ---- the head ---- */

static enum ms_err own_key(struct log_source *source, struct msig_vkey *ret_key,
                           struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_TEXT_KEY_MAX + 1);

    enum ms_err err = log_source_get(source, LOG_PREFIX "key", &text, diag);
    struct ms_span line = ms_buf_span(&text);
    if (line.len > 0 && line.ptr[line.len - 1] == '\n')
        line.len--;
    if (err == MS_OK)
        err = msig_vkey_parse(line, ret_key, diag);
    ms_buf_done(&text);
    return err;
}

/* What a log has to have: without it nothing is found out about the log, neither yes nor no. */
static enum ms_err must_have(enum ms_err err)
{
    return err == MS_ERR_NOT_FOUND ? MS_ERR_UNAVAILABLE : err;
}

enum ms_err log_head_get(struct log_source *source, const char *key, bool cosigned,
                         struct log_head *ret_head, struct ms_diag *diag)
{
    struct msig_note *note = malloc(sizeof(*note));
    const struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES);
    const char *path = cosigned ? LOG_PREFIX "checkpoint?cosigned=1" : LOG_PREFIX "checkpoint";

    *ret_head = (struct log_head){.text = text};
    if (note == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = key == NULL ? must_have(own_key(source, &ret_head->key, diag))
                                  : msig_vkey_parse(ms_span_str(key), &ret_head->key, diag);
    if (err == MS_OK)
        err = must_have(log_source_get(source, path, &ret_head->text, diag));
    if (err == MS_OK)
        err = msig_checkpoint_open(ms_buf_span(&ret_head->text), &ret_head->key, note,
                                   &ret_head->checkpoint, diag);
    free(note);
    return err;
}

void log_head_done(struct log_head *head)
{
    ms_buf_done(&head->text);
}

/* ---- tiles ---- */

/* A part of a tile, or the whole tile when the part is not kept any more. */
static enum ms_err get_tile(struct log_source *source, struct msig_tlog_tile tile,
                            struct ms_buf *out, struct ms_diag *diag)
{
    struct ms_buf path = MS_BUF_INIT(128);
    struct ms_diag why = {0};
    enum ms_err err = MS_ERR_NOT_FOUND;

    for (int whole = 0; whole < 2 && err == MS_ERR_NOT_FOUND; whole++) {
        ms_buf_reset(&path);
        why = (struct ms_diag){0};
        if (whole == 1)
            tile.width = MSIG_TLOG_TILE_WIDTH;
        (void)ms_buf_add_str(&path, LOG_PREFIX);
        (void)msig_tlog_tile_path(&tile, &path);
        const char *text = ms_buf_str(&path);
        err = text == NULL ? MS_ERR_MEMORY : log_source_get(source, text, out, &why);
    }
    err = must_have(err);
    if (err != MS_OK)
        (void)ms_diag_set(diag, err, "%s", ms_diag_text(&why, err));
    ms_buf_done(&path);
    return err;
}

static enum ms_err read_tile(void *arg, unsigned level, uint64_t index, unsigned width,
                             uint8_t *out, struct ms_diag *diag)
{
    struct msig_tlog_tile tile = {.level = level, .index = index, .width = width};
    struct ms_buf bytes = MS_BUF_INIT(MSIG_TLOG_TILE_BYTES);
    size_t want = (size_t)width * MS_SHA256_BYTES;

    enum ms_err err = get_tile(arg, tile, &bytes, diag);
    if (err == MS_OK && bytes.len < want)
        err = ms_diag_set(diag, MS_ERR_PROOF, "a tile of the log is too short");
    if (err == MS_OK)
        memcpy(out, bytes.ptr, want);
    ms_buf_done(&bytes);
    return err;
}

void log_tree_init(struct msig_tlog_tree *tree, struct log_source *source, uint64_t size)
{
    tree->size = size;
    tree->read = read_tile;
    tree->arg = source;
    for (size_t i = 0; i < MSIG_TLOG_TILE_LEVELS; i++)
        tree->last[i].used = false;
}

/* ---- entries ---- */

static enum ms_err add_entry(struct log_entries *e, struct ms_span line, struct ms_diag *diag)
{
    if (leaf_parse(line, &e->leaves[e->n]) != MS_OK || e->leaves[e->n].n != e->n + 1)
        return ms_diag_set(diag, MS_ERR_PROOF, "entry %zu of the log is no entry of measured",
                           e->n + 1);
    e->hashes[e->n] = msig_tlog_leaf(line);
    e->at[e->n++] = e->text.len;
    (void)ms_buf_add(&e->text, line);
    return ms_buf_add_byte(&e->text, '\n');
}

static enum ms_err add_bundle(struct log_source *source, struct log_entries *e, uint64_t index,
                              unsigned width, struct ms_diag *diag)
{
    struct msig_tlog_tile tile = {.level = MSIG_TLOG_ENTRIES, .index = index, .width = width};
    struct ms_buf bundle = MS_BUF_INIT(MSIG_TLOG_TILE_WIDTH * (2 + (size_t)LEAF_MAX_BYTES));
    struct ms_span line;
    size_t at = 0;
    unsigned n = 0;

    enum ms_err err = get_tile(source, tile, &bundle, diag);
    while (err == MS_OK && n < width && msig_tlog_next_entry(ms_buf_span(&bundle), &at, &line)) {
        err = add_entry(e, line, diag);
        n++;
    }
    if (err == MS_OK && n < width)
        err = ms_diag_set(diag, MS_ERR_PROOF, "a bundle of entries is too short");
    ms_buf_done(&bundle);
    return err;
}

static enum ms_err check_root(const struct log_entries *e, const struct msig_checkpoint *checkpoint,
                              struct ms_diag *diag)
{
    struct msig_tlog_edge edge = {0};
    enum ms_err err = MS_OK;

    for (size_t i = 0; err == MS_OK && i < e->n; i++)
        err = msig_tlog_edge_add(&edge, 0, &e->hashes[i]);
    struct ms_sha256 root = msig_tlog_edge_root(&edge);
    if (err == MS_OK && !ms_sha256_eq(&root, &checkpoint->root))
        err =
            ms_diag_set(diag, MS_ERR_PROOF, "the entries of %.100s are not those that were signed",
                        checkpoint->origin);
    return err;
}

enum ms_err log_entries_get(struct log_source *source, const struct msig_checkpoint *checkpoint,
                            struct log_entries *ret_entries, struct ms_diag *diag)
{
    const struct ms_buf text = MS_BUF_INIT((size_t)LOG_ENTRIES_MAX * (LEAF_MAX_BYTES + 1) / 2);
    size_t size = (size_t)checkpoint->size;
    enum ms_err err = MS_OK;

    *ret_entries = (struct log_entries){.text = text};
    if (checkpoint->size > LOG_ENTRIES_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "a log of more than %u entries", LOG_ENTRIES_MAX);
    ret_entries->leaves = calloc(size + 1, sizeof(*ret_entries->leaves));
    ret_entries->hashes = calloc(size + 1, sizeof(*ret_entries->hashes));
    ret_entries->at = calloc(size + 1, sizeof(*ret_entries->at));
    if (ret_entries->leaves == NULL || ret_entries->hashes == NULL || ret_entries->at == NULL)
        return MS_ERR_MEMORY;
    for (uint64_t i = 0; err == MS_OK && i * MSIG_TLOG_TILE_WIDTH < size; i++)
        err = add_bundle(source, ret_entries, i, msig_tlog_tile_width(size, 0, i), diag);
    return err == MS_OK ? check_root(ret_entries, checkpoint, diag) : err;
}

void log_entries_done(struct log_entries *entries)
{
    free(entries->leaves);
    free(entries->hashes);
    free(entries->at);
    ms_buf_done(&entries->text);
}

struct ms_span log_entries_line(const struct log_entries *entries, size_t i)
{
    size_t end = i + 1 < entries->n ? entries->at[i + 1] : entries->text.len;
    return ms_span_of(entries->text.ptr + entries->at[i], end - entries->at[i] - 1);
}
