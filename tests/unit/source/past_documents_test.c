/* Documents of the past, fetched from endpoints and hosts that are honest or not: what is found has
 * its hash, whoever gives another one is told by name, and one that nobody has does not keep the
 * others from being found. */
#include "resolver/source/past_documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define REGISTRY "0x5252525252525252525252525252525252525252"
#define DOCUMENT "[{\"measurement_id\":\"a\"}]"

enum lie {
    HONEST = 0,
    NO_CODE,
    OTHER_CODE,
    NO_PREFIX, /* the document without its leading STOP */
    LONGER,
    NOT_HEX,
    RPC_ERROR,
    DEAD,
    BUSY,
};

enum host {
    SERVES = 0,
    SERVES_OTHER,
    SERVES_MORE,
    GONE,
    NOT_FOUND,
    TOO_MUCH, /* what the fetcher says of an answer beyond the limit */
};

static struct {
    enum lie lie;
    size_t asked;
} nodes[2];
static enum host host;
static size_t host_asked;
static struct spec spec;
static struct source_policy policy;
static struct past_hosts hosts;
static const struct ms_now now = {.wall_s = 1800000000};

static struct past_document on_chain(uint64_t release)
{
    struct past_document d = {.hash = ms_sha256(ms_span_str(DOCUMENT)),
                              .size = sizeof(DOCUMENT) - 1,
                              .release = release,
                              .uri = ""};
    memset(d.pointer.b, 0x77, sizeof(d.pointer.b));
    return d;
}

static struct past_document elsewhere(uint64_t release, const char *uri)
{
    struct past_document d = on_chain(release);
    memset(d.pointer.b, 0, sizeof(d.pointer.b));
    d.uri = uri;
    return d;
}

static void code(enum lie lie, struct ms_buf *body)
{
    (void)ms_buf_add_str(body, "{\"jsonrpc\":\"2.0\",\"id\":1,");
    if (lie == RPC_ERROR) {
        (void)ms_buf_add_str(body,
                             "\"error\":{\"code\":-32000,\"message\":\"missing trie node\"}}");
        return;
    }
    (void)ms_buf_add_str(body, lie == NOT_HEX ? "\"result\":\"zz" : "\"result\":\"0x");
    if (lie == OTHER_CODE)
        (void)ms_buf_add_str(body, "006001600155");
    else if (lie != NO_CODE && lie != NOT_HEX)
        (void)ms_buf_add_str(body, lie == NO_PREFIX ? "" : "00");
    if (lie == HONEST || lie == NO_PREFIX || lie == LONGER)
        (void)ms_buf_add_hex(body, ms_span_str(DOCUMENT));
    (void)ms_buf_add_str(body, lie == LONGER ? "00\"}" : "\"}");
}

static void answer_rpc(const struct source_request *request, struct ms_buf *body,
                       struct source_response *ret)
{
    enum lie lie = nodes[request->provider].lie;
    char text[512];

    (void)snprintf(text, sizeof(text), "%.*s", (int)request->body.len,
                   (const char *)request->body.ptr);
    assert_non_null(strstr(text, "eth_getCode"));
    assert_non_null(strstr(text, "0x7777777777777777777777777777777777777777"));
    nodes[request->provider].asked++;
    if (lie == DEAD) {
        ret->err = MS_ERR_CONNECT;
        return;
    }
    if (lie == BUSY) {
        ret->status = 429;
        ret->header[SOURCE_HEADER_RETRY_AFTER] = "30";
        return;
    }
    code(lie, body);
}

static void answer_http(const struct source_request *request, struct ms_buf *body,
                        struct source_response *ret)
{
    host_asked++;
    assert_int_equal(request->max_bytes, sizeof(DOCUMENT) - 1);
    assert_non_null(request->sha256);
    if (host == GONE)
        ret->err = MS_ERR_CONNECT;
    else if (host == TOO_MUCH)
        ret->err = MS_ERR_TOO_LARGE;
    else if (host == NOT_FOUND)
        ret->status = 404;
    else
        (void)ms_buf_add_str(body, host == SERVES_OTHER  ? "[{\"measurement_id\":\"b\"}]"
                                   : host == SERVES_MORE ? DOCUMENT " "
                                                         : DOCUMENT);
}

/* One request is out at a time. */
static struct source *run(const struct past_document *wanted, size_t n, bool known_code,
                          enum source_state *ret_state)
{
    const struct past_documents in = {
        .n = n, .wanted = wanted, .known_code = known_code, .hosts = &hosts};
    struct ms_buf body = MS_BUF_INIT(65536);
    struct source_request request;
    struct source *s = NULL;
    struct ms_diag diag = {0};

    if (source_past_documents_new(&spec, &policy, &in, now, &s, &diag) != MS_OK)
        fail_msg("%s", diag.text);
    enum source_state state = source_step(s, NULL, now);
    while (state == SOURCE_WANTS) {
        assert_true(source_take_request(s, &request));
        struct source_response response = {.id = request.id, .status = 200, .time_s = now.wall_s};
        struct source_request second;
        assert_false(source_take_request(s, &second));
        ms_buf_reset(&body);
        if (request.kind == SOURCE_REQUEST_RPC)
            answer_rpc(&request, &body, &response);
        else
            answer_http(&request, &body, &response);
        response.body = ms_buf_span(&body);
        state = source_step(s, &response, now);
    }
    ms_buf_done(&body);
    *ret_state = state;
    return s;
}

static void set_up(enum lie first, enum lie second, enum host how)
{
    nodes[0].lie = first;
    nodes[1].lie = second;
    nodes[0].asked = nodes[1].asked = host_asked = 0;
    host = how;
    hosts = (struct past_hosts){0};
    policy = (struct source_policy){.level = SPEC_LEVEL_L2, .n_providers = 2};
    for (size_t i = 0; i < 2; i++)
        policy.providers[i] = (struct source_provider){
            .name = i == 0 ? "first" : "second", .group = i == 0 ? "a" : "b", .chain = 1};
}

static const struct {
    const char *name;
    enum lie first, second;
    bool known_code;
    const char *uri; /* NULL: on chain only */
    enum host host;
    const char *from;              /* NULL: not found */
    const char *why;               /* of one that is not found */
    const char *complaint, *about; /* whose, and a word of it; NULL: none */
    enum source_conduct conduct;   /* of the first */
} cases[] = {
    {"at the first", HONEST, HONEST, true, NULL, 0, "first", NULL, NULL, NULL, SOURCE_CONDUCT_GOOD},
    {"at the second, the first is behind", NO_CODE, HONEST, true, NULL, 0, "second", NULL, NULL,
     NULL, SOURCE_CONDUCT_GOOD},
    {"the first has dropped it", RPC_ERROR, HONEST, true, NULL, 0, "second", NULL, NULL, NULL,
     SOURCE_CONDUCT_GOOD},
    {"the first is dead", DEAD, HONEST, true, NULL, 0, "second", NULL, NULL, NULL,
     SOURCE_CONDUCT_FAULT},
    {"the first is busy", BUSY, HONEST, true, NULL, 0, "second", NULL, NULL, NULL,
     SOURCE_CONDUCT_BUSY},
    {"the first lies", OTHER_CODE, HONEST, true, NULL, 0, "second", NULL, "first", "release 5",
     SOURCE_CONDUCT_LIED},
    {"no leading zero", NO_PREFIX, HONEST, true, NULL, 0, "second", NULL, "first", "release 5",
     SOURCE_CONDUCT_LIED},
    {"a byte more", LONGER, HONEST, true, NULL, 0, "second", NULL, "first", "release 5",
     SOURCE_CONDUCT_LIED},
    {"a contract that points elsewhere", OTHER_CODE, OTHER_CODE, false, NULL, 0, NULL,
     "not the document", "first", "release 5", SOURCE_CONDUCT_GOOD},
    {"not hex", NOT_HEX, HONEST, true, NULL, 0, "second", NULL, NULL, NULL, SOURCE_CONDUCT_GOOD},
    {"nowhere on chain", NO_CODE, NO_CODE, true, NULL, 0, NULL, "no code at", NULL, NULL,
     SOURCE_CONDUCT_GOOD},
    {"at its uri, when the chain has it not", NO_CODE, NO_CODE, true, "https://h.example/5", SERVES,
     "https", NULL, NULL, NULL, SOURCE_CONDUCT_GOOD},
    {"another one at its uri", NO_CODE, NO_CODE, true, "https://h.example/5", SERVES_OTHER, NULL,
     "another document", "h.example", "release 5", SOURCE_CONDUCT_GOOD},
};

static void test_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct past_document wanted = on_chain(5);
        const struct past_complaint *complaints = NULL;
        enum source_state end;

        set_up(cases[i].first, cases[i].second, cases[i].host);
        wanted.uri = cases[i].uri == NULL ? "" : cases[i].uri;
        struct source *s = run(&wanted, 1, cases[i].known_code, &end);
        const struct past_document_outcome *o = source_past_document(s, 0);
        size_t n = source_past_complaints(s, &complaints);
        if (end != SOURCE_DONE || !o->ended || o->found != (cases[i].from != NULL) ||
            (o->found &&
             (strcmp(o->from, cases[i].from) != 0 || !ms_span_eq_str(o->bytes, DOCUMENT))) ||
            (!o->found && strstr(o->why.text, cases[i].why) == NULL))
            fail_msg("%s: ended %d, found %d, %s", cases[i].name, end, o->found, o->why.text);
        if ((n > 0) != (cases[i].complaint != NULL) ||
            (n > 0 && (strcmp(complaints[0].name, cases[i].complaint) != 0 ||
                       strstr(complaints[0].diag.text, cases[i].about) == NULL)))
            fail_msg("%s: %zu complaints: %s", cases[i].name, n,
                     n > 0 ? complaints[0].diag.text : "");
        if (source_conduct(s, 0) != cases[i].conduct)
            fail_msg("%s: conduct %d", cases[i].name, source_conduct(s, 0));
        source_free(s);
    }
}

static const struct {
    const char *name, *uri;
    enum host host;
    const char *why; /* NULL: found */
} uris[] = {
    {"served", "https://h.example/1", SERVES, NULL},
    {"none", "", SERVES, "neither on chain"},
    {"not https", "http://h.example/1", SERVES, "its uri"},
    {"no host of the world", "https://localhost/1", SERVES, "its uri"},
    {"gone", "https://h.example/1", GONE, "h.example"},
    {"404", "https://h.example/1", NOT_FOUND, "404"},
    {"another", "https://h.example/1", SERVES_OTHER, "another document"},
    {"more", "https://h.example/1", SERVES_MORE, "another document"},
    {"too much", "https://h.example/1", TOO_MUCH, "another document"},
};

static void test_uris(void **state)
{
    enum source_state end;
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(uris); i++) {
        struct past_document wanted[2] = {elsewhere(1, uris[i].uri), on_chain(2)};
        set_up(HONEST, HONEST, uris[i].host);
        struct source *s = run(wanted, 2, true, &end);
        const struct past_document_outcome *o = source_past_document(s, 0);
        if (end != SOURCE_DONE || !o->ended || o->found != (uris[i].why == NULL) ||
            (!o->found && strstr(o->why.text, uris[i].why) == NULL))
            fail_msg("%s: found %d, %s", uris[i].name, o->found, o->why.text);
        assert_true(source_past_document(s, 1)->found); /* whatever became of the first */
        source_free(s);
    }
    struct past_document sizes[2] = {on_chain(1), on_chain(2)};
    sizes[0].size = 0;
    sizes[1].size = SOURCE_BODY_MAX_BYTES + 1;
    struct source *s = run(sizes, 2, true, &end);
    assert_false(source_past_document(s, 0)->found || source_past_document(s, 1)->found);
    assert_non_null(strstr(source_past_document(s, 1)->why.text, "262145 bytes"));
    source_free(s);
}

/* A host that does not answer is asked three times, and then no more; others still are. */
static void test_gone_host(void **state)
{
    struct past_document wanted[PAST_DOCUMENTS_MAX];
    enum source_state end;
    (void)state;
    set_up(HONEST, HONEST, GONE);
    for (size_t i = 0; i < PAST_DOCUMENTS_MAX; i++)
        wanted[i] = elsewhere(i + 1, "https://gone.example/x");
    struct source *s = run(wanted, PAST_DOCUMENTS_MAX, true, &end);
    assert_int_equal(end, SOURCE_DONE);
    assert_int_equal(host_asked, 3);
    assert_non_null(strstr(source_past_document(s, 15)->why.text, "not asked any more"));
    source_free(s);
    host = SERVES;
    wanted[1].uri = "https://h.example/x";
    s = run(wanted, 2, true, &end); /* the next fetch of the same job */
    assert_false(source_past_document(s, 0)->found);
    assert_true(source_past_document(s, 1)->found);
    source_free(s);
    /* so many that are gone, and only those that answered before are asked */
    set_up(HONEST, HONEST, GONE);
    char names[PAST_HOSTS_MAX + 1][64];
    for (size_t i = 0; i <= PAST_HOSTS_MAX; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "https://h%zu.example/x", i);
        struct past_document one = elsewhere(1, names[i]);
        s = run(&one, 1, true, &end);
        source_free(s);
    }
    assert_int_equal(host_asked, PAST_HOSTS_MAX);
}

/* One that was approved twice is asked for once, wherever the second time it is said to be. */
static void test_again(void **state)
{
    struct past_document wanted[2] = {on_chain(1), elsewhere(2, "")};
    enum source_state end;
    (void)state;
    set_up(HONEST, HONEST, GONE);
    struct source *s = run(wanted, 2, true, &end);
    assert_true(source_past_document(s, 1)->found);
    assert_true(ms_span_eq_str(source_past_document(s, 1)->bytes, DOCUMENT));
    assert_int_equal(nodes[0].asked, 1);
    source_free(s);
}

/* When no endpoint can be asked the fetch fails, to be tried again; what was found before counts.
 */
static void test_nobody(void **state)
{
    struct past_document wanted[2] = {on_chain(1), on_chain(2)};
    enum source_state end;
    (void)state;
    set_up(DEAD, BUSY, SERVES);
    struct source *s = run(wanted, 2, true, &end);
    assert_int_equal(end, SOURCE_FAILED);
    assert_int_equal(source_error(s, NULL), MS_ERR_UNAVAILABLE);
    assert_false(source_past_document(s, 0)->ended);
    source_free(s);
    wanted[0] = elsewhere(1, "https://h.example/1");
    wanted[1].hash.b[0] ^= 1;
    set_up(DEAD, BUSY, SERVES);
    s = run(wanted, 2, true, &end);
    assert_int_equal(end, SOURCE_DONE);
    assert_true(source_past_document(s, 0)->found);
    assert_false(source_past_document(s, 1)->ended);
    source_free(s);
    set_up(HONEST, HONEST, SERVES);
    struct past_hosts none = {0};
    const struct past_documents in = {.n = 1, .wanted = wanted, .hosts = &none};
    policy.n_providers = 0;
    assert_int_equal(source_past_documents_new(&spec, &policy, &in, now, &s, NULL), MS_ERR_NO_RPC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),    cmocka_unit_test(test_uris),
        cmocka_unit_test(test_gone_host), cmocka_unit_test(test_again),
        cmocka_unit_test(test_nobody),
    };
    static const struct spec_context context;

    spec_init(&spec);
    if (spec_parse(ms_span_str("eip155:1:" REGISTRY), &context, &spec, NULL) != MS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    spec_done(&spec);
    return failed;
}
