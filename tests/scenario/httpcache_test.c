/* httpcache/cache_tests.json (http-tests/cache-tests) against the daemon's own fetcher and core: a
 * small origin over TLS on loopback answers as each case says, libcurl asks it, the core decides
 * what is served; only the clock is a fake. tests/vectors/httpcache_vectors.c plays the same cases
 * against the pure rules.
 *
 * Each case is played twice. With location-min, -default, -swr and -sie at 0 nothing but the
 * origin's own words counts: there every MUST of the suite holds, or the test fails. With the
 * numbers of ethereum.md 6.2 a case may differ where one of those four explains it; it then counts
 * as skipped, and the reason is said. `cached` binds nobody: to ask again is allowed. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch.h"
#include "tests/support/core/world.h"
#include "tests/support/httpcache.h"
#include "tests/support/vectors.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "origin.test"
#define PAUSE_MS 3000 /* pause_after, as the suite's README says */
#define WAIT_MAX 2000 /* turns of the loop for one answer */

/* ---- the origin ---- */

struct origin {
    int fd;
    uint16_t port;
    SSL_CTX *ctx;
    char ca_path[64];
    pthread_t thread;
    pthread_mutex_t lock;
    struct ms_buf reply; /* as it goes over the wire; empty: the connection is closed */
    struct ms_buf reply_304;
    char request[4096]; /* the last one */
    atomic_int n;
};

static struct origin o;

static X509 *make_cert(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509V3_CTX ctx;
    static const struct {
        int nid;
        const char *value;
    } exts[] = {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_subject_alt_name, "DNS:" HOST}};

    assert_non_null(cert);
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)HOST, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    for (size_t i = 0; i < MS_ARRAY_LEN(exts); i++) {
        X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, exts[i].nid, exts[i].value);
        assert_int_equal(X509_add_ext(cert, ext, -1), 1);
        X509_EXTENSION_free(ext);
    }
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static void serve_one(int fd)
{
    SSL *ssl = SSL_new(o.ctx);
    size_t n = 0;

    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) == 1) {
        char text[sizeof(o.request)];
        while (n < sizeof(text) - 1) {
            int got = SSL_read(ssl, text + n, (int)(sizeof(text) - 1 - n));
            if (got <= 0)
                break;
            n += (size_t)got;
            text[n] = '\0';
            if (strstr(text, "\r\n\r\n") != NULL)
                break;
        }
        text[n] = '\0';
        (void)pthread_mutex_lock(&o.lock);
        memcpy(o.request, text, n + 1);
        bool conditional =
            strstr(text, "If-None-Match:") != NULL || strstr(text, "If-Modified-Since:") != NULL;
        const struct ms_buf *reply = conditional && o.reply_304.len > 0 ? &o.reply_304 : &o.reply;
        if (n > 0 && reply->len > 0)
            (void)SSL_write(ssl, reply->ptr, (int)reply->len);
        if (n > 0)
            atomic_fetch_add(&o.n, 1);
        (void)pthread_mutex_unlock(&o.lock);
        (void)SSL_shutdown(ssl);
    }
    SSL_free(ssl);
    (void)close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(o.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        serve_one(fd);
    }
}

static void origin_start(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = make_cert(key);
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(addr);

    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(o.ca_path, sizeof(o.ca_path), "/tmp/measured-origin-XXXXXX");
    FILE *f = fdopen(mkstemp(o.ca_path), "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    (void)fclose(f);
    o.ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(o.ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(o.ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    o.reply = (struct ms_buf)MS_BUF_INIT(65536);
    o.reply_304 = (struct ms_buf)MS_BUF_INIT(65536);
    o.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(o.fd >= 0 && bind(o.fd, (struct sockaddr *)&addr, len) == 0);
    assert_int_equal(listen(o.fd, 16), 0);
    assert_int_equal(getsockname(o.fd, (struct sockaddr *)&addr, &len), 0);
    o.port = ntohs(addr.sin_port);
    (void)pthread_mutex_init(&o.lock, NULL);
    assert_int_equal(pthread_create(&o.thread, NULL, serve, NULL), 0);
}

static void origin_stop(void)
{
    (void)shutdown(o.fd, SHUT_RDWR);
    (void)pthread_join(o.thread, NULL);
    (void)close(o.fd);
    (void)unlink(o.ca_path);
    SSL_CTX_free(o.ctx);
    ms_buf_done(&o.reply);
    ms_buf_done(&o.reply_304);
}

static void add_headers(struct ms_buf *out, const json_t *request, struct ms_arena *arena)
{
    size_t i;
    const json_t *header;

    json_array_foreach(json_object_get(request, "response_headers"), i, header)
    {
        const char *name = json_string_value(json_array_get(header, 0));
        const json_t *value = json_array_get(header, 1);
        const char *text = json_is_integer(value)
                               ? httpcache_date(w.now.wall_s + json_integer_value(value), arena)
                               : json_string_value(value);
        bool framing = ms_span_eq_str_nocase(ms_span_str(name), "content-length") ||
                       ms_span_eq_str_nocase(ms_span_str(name), "transfer-encoding");
        if (!framing)
            (void)ms_buf_addf(out, "%s: %s\r\n", name, text);
    }
}

/* What it will say to the next who asks. */
static void origin_says(const json_t *request)
{
    const json_t *status = json_object_get(request, "response_status");
    int code = status == NULL ? 200 : (int)json_integer_value(json_array_get(status, 0));
    struct ms_arena arena = MS_ARENA_INIT(65536);
    const char *type = vec_str(request, "expected_type");
    const char *body = chain_document(0xaa);

    (void)pthread_mutex_lock(&o.lock);
    ms_buf_reset(&o.reply);
    ms_buf_reset(&o.reply_304);
    if (!json_is_true(json_object_get(request, "disconnect"))) {
        (void)ms_buf_addf(&o.reply, "HTTP/1.1 %d X\r\nConnection: close\r\n", code);
        add_headers(&o.reply, request, &arena);
        if (code != 304 && code != 204)
            (void)ms_buf_addf(&o.reply, "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
        else
            (void)ms_buf_add_str(&o.reply, "\r\n");
        if (type != NULL && strstr(type, "_validated") != NULL) {
            (void)ms_buf_add_str(&o.reply_304, "HTTP/1.1 304 X\r\nConnection: close\r\n");
            add_headers(&o.reply_304, request, &arena);
            (void)ms_buf_add_str(&o.reply_304, "\r\n");
        }
    }
    (void)pthread_mutex_unlock(&o.lock);
    ms_arena_done(&arena);
}

/* ---- the daemon's side ---- */

static uv_loop_t loop;
static struct fetch *fetcher;

struct pending {
    size_t at; /* of w.out */
    bool done;
};

/* As upstream.c hands it to the core, at the fake clock's time. */
static void on_response(void *arg, const struct source_response *response)
{
    struct pending *p = arg;
    struct source_response r = *response;

    p->done = true;
    r.time_s = w.now.wall_s;
    respond(p->at, r);
}

static void fetch_all(void)
{
    while (w.n_out > 0) {
        const struct source_request *r = &w.out[0].request;
        struct fetch_request out = {.kind = FETCH_GUARDED,
                                    .id = r->id,
                                    .url = r->location->url,
                                    .if_none_match = r->if_none_match,
                                    .if_modified_since = r->if_modified_since,
                                    .max_bytes = r->max_bytes};
        struct pending p = {.at = 0};
        uint64_t id = 0;
        assert_int_equal(fetch_start(fetcher, &out, on_response, &p, &id), MS_OK);
        for (int k = 0; !p.done && k < WAIT_MAX; k++)
            (void)uv_run(&loop, UV_RUN_ONCE);
        assert_true(p.done);
    }
}

struct run {
    bool strict;
    const char *wrong; /* the first thing that broke an expectation */
    bool wrong_cached; /* something was served from memory */
    bool remembered;   /* a definite no was, and nothing served */
};

static void note(struct run *run, const char *what, bool cached)
{
    if (run->wrong != NULL)
        return;
    run->wrong = what;
    run->wrong_cached = cached;
}

static void step(struct run *run, const json_t *request, const char *spec)
{
    const char *type = vec_str(request, "expected_type");
    const json_t *status = json_object_get(request, "response_status");
    bool fails = json_is_true(json_object_get(request, "disconnect")) ||
                 (status != NULL && json_integer_value(json_array_get(status, 0)) >= 500);
    bool must_fail = json_is_null(json_object_get(request, "expected_status")) &&
                     json_object_get(request, "disconnect") != NULL;
    int before = atomic_load(&o.n);

    origin_says(request);
    struct caller *c = ask(spec);
    bool at_once = c->done, from_memory = c->done && c->serve;
    fetch_all();
    while (!c->done)
        tick_at(1000);
    bool asked = atomic_load(&o.n) != before;
    if (at_once && !c->serve && !asked)
        run->remembered = true;
    /* an old set although the origin was asked and failed is one from memory, too */
    bool cached = from_memory || (asked && fails && c->serve);
    if (must_fail && c->serve)
        note(run, "served although the origin is gone", true);
    if (type != NULL && (strcmp(type, "cached") == 0) != cached)
        note(run, cached ? "served from memory" : "asked again", cached);
    if (type != NULL && strcmp(type, "etag_validated") == 0 && asked && !cached &&
        strstr(o.request, "If-None-Match:") == NULL)
        note(run, "asked without If-None-Match", false);
    free(c);
    if (json_is_true(json_object_get(request, "pause_after")))
        tick_at(PAUSE_MS);
}

static struct run play(const json_t *one, bool strict)
{
    struct run run = {.strict = strict};
    char spec[300];
    size_t i;
    const json_t *request;

    assert_int_equal(world_setup(NULL), 0);
    if (strict) {
        w.options.policy.times.location_min = w.options.policy.times.location_default = 0;
        w.options.policy.times.location_swr = w.options.policy.times.location_sie = 0;
        core_set_options(w.core, &w.options);
    }
    (void)snprintf(spec, sizeof(spec), "url:https://" HOST ":%u/%s.json", o.port,
                   vec_str(one, "id"));
    json_array_foreach(json_object_get(one, "requests"), i, request) step(&run, request, spec);
    (void)world_teardown(NULL);
    return run;
}

static void judge(struct vec_count *count, const json_t *one)
{
    const char *id = vec_str(one, "id"), *kind = vec_str(one, "kind");
    const char *why = httpcache_not_ours(one);
    bool must = kind == NULL || strcmp(kind, "required") == 0;

    if (why != NULL) {
        vec_skip(count, id, why);
        return;
    }
    struct run strict = play(one, true), ours = play(one, false);
    if (strict.wrong != NULL && strict.wrong_cached)
        vec_check(count, false, id, "%s, although nothing local allows it", strict.wrong);
    else if (ours.wrong != NULL && ours.wrong_cached)
        vec_skip(count, id, "a local number of 6.2 (location-*); holds with them at 0");
    else if (ours.wrong == NULL)
        vec_check(count, true, id, "ok");
    else if (!must)
        vec_skip(count, id, "reuse is optional, we ask again");
    else if (ours.remembered)
        vec_skip(count, id, "a definite no is remembered (location-not-found); nothing is served");
    else
        vec_check(count, false, id, "%s", ours.wrong);
}

static void start_fetcher(struct ms_arena *arena)
{
    static struct net_pin pin;
    struct fetch_config config = fetch_config_default();
    struct ms_diag diag = {0};
    char text[64];

    (void)snprintf(text, sizeof(text), HOST ":%u:127.0.0.1", o.port);
    assert_int_equal(net_pin_parse(ms_span_str(text), arena, &pin, NULL), MS_OK);
    config.ca_file = o.ca_path;
    config.pins = &pin;
    config.n_pins = 1;
    assert_int_equal(uv_loop_init(&loop), 0);
    if (fetch_new(&loop, &config, &fetcher, &diag) != MS_OK)
        fail_msg("%s", diag.text);
}

static void test_cases(void **state)
{
    (void)state;
    struct vec_count count;
    struct ms_arena arena = MS_ARENA_INIT(65536);
    json_t *root = vec_load(&count, "httpcache", "cache_tests.json");
    size_t i;
    const json_t *one;

    if (root == NULL) {
        assert_int_equal(count.failed, 0);
        return;
    }
    origin_start();
    start_fetcher(&arena);
    json_array_foreach(vec_cases(root), i, one) judge(&count, one);
    json_decref(root);
    fetch_free(fetcher);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    origin_stop();
    ms_arena_done(&arena);
    assert_true(vec_end(&count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
