/* url/: whole https://<specifier>@host texts, and the URL standard's own tests read through our
 * host and location parsers: we may refuse more, but never see another host. */
#include "base/hex.h"
#include "resolver/spec/spec.h"
#include "tests/support/vectors.h"

#include <stdio.h>

#define TEXT_MAX ((size_t)1 << 20)
#define CARRIER "https://0x02F17a55fdA5219EAc72779B5d985F323bEf0e15@"

/* Decisions of docs/specifiers.md where both verdicts are defensible, by the words of the case. */
static const struct {
    const char *what;
    bool accept;
} policies[] = {
    {"from the seed document, verbatim", true}, /* wrong EIP-55: a warning by default */
    {"inline, URL-safe base64", true},
    {"inline, percent-encoded base64", true},
    {"url specifier: \"http://127.0.0.1/v1\"", false},
    {"url specifier: \"https://x.example/#frag\"", false},
    {"url specifier: \"https://169.254.169.254/latest/meta-data\"", true}, /* the fetcher refuses */
    {"url specifier: \"https://10.0.0.1/\"", true},                        /* the fetcher refuses */
    {"url specifier: \"https://x.example/pppppppppppppppppppppppppppppppppppppppppp\"", false},
    {"contract: upper case digits", true},
    {"contract: no 0x", false},
    {"contract: percent-encoded x", true},
    {"public key, compressed", false},
    {"public key, uncompressed", false},
    {"no scheme", false},
    {"colon, empty password", false},
    {"address, then @ in the path", true},
    {"port empty", false},
    {"trailing dot", false},
};

/* Kind names of the vectors; NULL for those that are no kind of ours. */
static const char *kind_of(const json_t *c)
{
    const char *kind = vec_str(c, "kind");

    if (kind != NULL && strcmp(kind, "url") == 0)
        return "location";
    return kind;
}

enum want { WANT_ANY, WANT_ACCEPT, WANT_REJECT, WANT_REJECT_STRICT };

static enum want want_of(const json_t *c)
{
    const char *expect = vec_str(c, "expect"), *what = vec_str(c, "what");

    if (expect == NULL || what == NULL)
        return WANT_ANY;
    if (strcmp(expect, "accept") == 0)
        return WANT_ACCEPT;
    if (strcmp(expect, "reject") == 0)
        return strstr(what, "checksum wrong") != NULL ? WANT_REJECT_STRICT : WANT_REJECT;
    for (size_t i = 0; i < MS_ARRAY_LEN(policies); i++)
        if (strcmp(policies[i].what, what) == 0)
            return policies[i].accept ? WANT_ACCEPT : WANT_REJECT;
    return WANT_ANY;
}

static bool case_url(const json_t *c, struct ms_buf *out)
{
    const json_t *build = json_object_get(c, "url_build"), *url = json_object_get(c, "url");

    if (json_is_string(url))
        return ms_buf_add(out, ms_span_of(json_string_value(url), json_string_length(url))) ==
               MS_OK;
    if (!json_is_object(build))
        return false;
    (void)ms_buf_add_str(out, vec_str(build, "prefix"));
    for (json_int_t n = json_integer_value(json_object_get(build, "count")); n > 0; n--)
        (void)ms_buf_add_str(out, vec_str(build, "char"));
    return ms_buf_add_str(out, vec_str(build, "suffix")) == MS_OK;
}

/* D of the case, percent-decoded, is what we say D is. */
static bool same_specifier(const char *given, const char *got)
{
    for (; *given != '\0' && *got != '\0'; given++, got++) {
        uint8_t c = (uint8_t)*given;
        if (c == '%' &&
            ms_hex_decode(ms_span_of(given + 1, given[1] == '\0' || given[2] == '\0' ? 0 : 2), &c,
                          1) == MS_OK)
            given += 2;
        if ((char)c != *got)
            return false;
    }
    return *given == '\0' && *got == '\0';
}

static bool same_host(const char *want, const struct spec_url *url)
{
    char host[512];

    (void)snprintf(host, sizeof(host), url->port == 0 ? "%s" : "%s:%u", url->host, url->port);
    return want == NULL || strcmp(want, host) == 0;
}

static bool has_warning(const struct spec *spec, const char *code)
{
    for (size_t i = 0; i < spec->n_warnings; i++)
        if (strcmp(spec->warnings[i].code, code) == 0)
            return true;
    return false;
}

static bool as_wanted(const json_t *c, const struct spec *spec, const struct spec_url *url)
{
    const char *kind = kind_of(c), *specifier = vec_str(c, "specifier");

    return (kind == NULL || strcmp(kind, spec_kind_name(spec->kind)) == 0) &&
           (specifier == NULL || same_specifier(specifier, spec->text)) &&
           same_host(vec_str(c, "host"), url);
}

static void run_specifier_url(struct vec_count *count, const json_t *c)
{
    static const struct spec_context strict = {.eip55_strict = true};
    enum want want = want_of(c);
    struct ms_buf text = MS_BUF_INIT(TEXT_MAX);
    struct ms_diag diag = {0};
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    if (!case_url(c, &text)) {
        vec_skip(count, vec_str(c, "id"), "neither url nor url_build");
        goto out;
    }
    /* what a person types: a text without a scheme is a bare specifier */
    enum ms_err err = spec_parse_any(ms_buf_span(&text), NULL, &spec, &url, &diag);
    bool ok = want == WANT_ANY || (want == WANT_REJECT && err != MS_OK) ||
              (want != WANT_REJECT && err == MS_OK && as_wanted(c, &spec, &url));
    if (ok && want == WANT_REJECT_STRICT) {
        ok = has_warning(&spec, "eip55");
        err = spec_parse_any(ms_buf_span(&text), &strict, &spec, &url, NULL);
        ok = ok && err == MS_ERR_EIP55;
    }
    vec_check(count, ok, vec_str(c, "id"), "%s: %s: %s", vec_str(c, "what"), ms_err_name(err),
              ms_diag_text(&diag, err));
out:
    spec_done(&spec);
    ms_buf_done(&text);
}

/* The host our two readers see in `rest` (all of a URL behind its "//"); "" when refused. */
static void read_hosts(struct ms_span rest, char request[512], char location[512])
{
    struct ms_buf text = MS_BUF_INIT(TEXT_MAX);
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location where;
    struct spec_url url = {0};
    struct spec spec;

    spec_init(&spec);
    request[0] = location[0] = '\0';
    (void)ms_buf_add_str(&text, CARRIER);
    (void)ms_buf_add(&text, rest);
    if (spec_parse_url(ms_buf_span(&text), NULL, &spec, &url, NULL) == MS_OK)
        (void)snprintf(request, 512, "%s", url.host);
    ms_buf_reset(&text);
    (void)ms_buf_add_str(&text, "https://");
    (void)ms_buf_add(&text, rest);
    if (spec_location_parse(ms_buf_span(&text), &arena, &where, NULL) == MS_OK)
        (void)snprintf(location, 512, strchr(where.host, ':') != NULL ? "[%s]" : "%s", where.host);
    ms_arena_done(&arena);
    spec_done(&spec);
    ms_buf_done(&text);
}

/* "https://..." or "http://..." (same host rules; tells us more about hosts): what follows the
 * slashes. */
static bool behind_scheme(const json_t *input, struct ms_span *ret_rest)
{
    struct ms_span text = ms_span_of(json_string_value(input), json_string_length(input));
    struct ms_span scheme;

    return ms_span_cut(text, ':', &scheme, ret_rest) &&
           (ms_span_eq_str_nocase(scheme, "https") || ms_span_eq_str_nocase(scheme, "http")) &&
           ms_span_starts(*ret_rest, "//");
}

static void run_standard_url(struct vec_count *count, const json_t *c)
{
    const json_t *input = json_object_get(c, "input");
    const char *id = vec_str(c, "id"), *want = vec_str(c, "hostname");
    bool failure = json_is_true(json_object_get(c, "failure"));
    char request[512], location[512];
    struct ms_span rest;

    if (!json_is_string(input) || !behind_scheme(input, &rest)) {
        vec_skip(count, id, "no absolute https or http URL");
        return;
    }
    if (failure && json_is_string(json_object_get(c, "base"))) {
        vec_skip(count, id, "the base fails, not the input");
        return;
    }
    read_hosts(ms_span_sub(rest, 2, rest.len), request, location);
    if (failure)
        vec_check(count, request[0] == '\0' && location[0] == '\0', id, "accepted '%s' and '%s'",
                  request, location);
    else
        vec_check(count,
                  (request[0] == '\0' || strcmp(request, want) == 0) &&
                      (location[0] == '\0' || strcmp(location, want) == 0),
                  id, "host '%s' as a request, '%s' as a location, '%s' in the standard", request,
                  location, want == NULL ? "" : want);
}

static void run_toascii(struct vec_count *count, const json_t *c)
{
    const json_t *input = json_object_get(c, "input");
    const char *want = vec_str(c, "output");
    char request[512], location[512];

    if (!json_is_string(input)) {
        vec_skip(count, vec_str(c, "id"), "no member input");
        return;
    }
    read_hosts(ms_span_of(json_string_value(input), json_string_length(input)), request, location);
    /* IDNA is the writer's work: we take ASCII only, and refuse rather than rewrite */
    vec_check(count,
              (request[0] == '\0' || (want != NULL && strcmp(request, want) == 0)) &&
                  (location[0] == '\0' || (want != NULL && strcmp(location, want) == 0)),
              vec_str(c, "id"), "host '%s' and '%s' instead of '%s'", request, location,
              want == NULL ? "none" : want);
}

/* The characters themselves must be refused in a location; encoded as UTF-8 they stay as they are.
 */
static void run_percent(struct vec_count *count, const json_t *c)
{
    const json_t *input = json_object_get(c, "input");
    const char *utf8 = vec_str(json_object_get(c, "output"), "utf-8");
    struct ms_buf text = MS_BUF_INIT(TEXT_MAX);
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct spec_location where = {0};

    if (!json_is_string(input) || utf8 == NULL || strchr(utf8, '|') != NULL) {
        vec_skip(count, vec_str(c, "id"), "no UTF-8 form that a URL may hold ('|' is none)");
        return;
    }
    (void)ms_buf_add_str(&text, "https://x.example/");
    (void)ms_buf_add(&text, ms_span_of(json_string_value(input), json_string_length(input)));
    bool ok = spec_location_parse(ms_buf_span(&text), &arena, &where, NULL) == MS_ERR_URL;
    ms_buf_reset(&text);
    (void)ms_buf_addf(&text, "https://x.example/%s", utf8);
    ok = ok && spec_location_parse(ms_buf_span(&text), &arena, &where, NULL) == MS_OK &&
         ms_span_eq_str(ms_buf_span(&text), where.url);
    vec_check(count, ok, vec_str(c, "id"), "'%s' gives '%s'", utf8, where.url);
    ms_arena_done(&arena);
    ms_buf_done(&text);
}

int main(void)
{
    bool ok = vec_run("url", "specifier_urls.json", run_specifier_url);

    ok = vec_run("url", "urltestdata.json", run_standard_url) && ok;
    ok = vec_run("url", "toascii.json", run_toascii) && ok;
    return !(vec_run("url", "percent-encoding.json", run_percent) && ok);
}
