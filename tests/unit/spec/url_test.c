/* Whole URLs: rules E1 to E5 of ethereum.md 4.1. */
#include "tests/unit/spec/helper.h"

static const struct {
    const char *name, *text;
    enum ms_err want;
    const char *host; /* NULL on error */
    unsigned port;
    const char *path;
} cases[] = {
    {"plain", "https://" ADDRESS "@host.domain", MS_OK, "host.domain", 0, ""},
    {"everything", "hTTpS://" ADDRESS "@Host.Domain:8443/A?b#C", MS_OK, "host.domain", 8443,
     "/A?b#C"},
    {"query at once", "https://" ADDRESS "@host?x", MS_OK, "host", 0, "?x"},
    {"port 1", "https://" ADDRESS "@host:1", MS_OK, "host", 1, ""},
    {"IPv6", "https://" ADDRESS "@[2001:DB8:0:0::1]:443/", MS_OK, "[2001:db8::1]", 443, "/"},
    {"IPv4", "https://" ADDRESS "@127.0.0.1/", MS_OK, "127.0.0.1", 0, "/"},
    {"@ in the path", "https://" ADDRESS "@host.domain/x@evil.example", MS_OK, "host.domain", 0,
     "/x@evil.example"},
    {"@ in the query", "https://" ADDRESS "@host.domain?x@evil.example", MS_OK, "host.domain", 0,
     "?x@evil.example"},
    {"colon as a browser writes it", "https://eip155%3A1%3A" ADDRESS "%3Blevel%3Dl2@host", MS_OK,
     "host", 0, ""},
    {"colons as they are", "https://eip155:1:" ADDRESS ";level=l2@host", MS_OK, "host", 0, ""},
    {"two @", "https://" ADDRESS "@a@b", MS_ERR_URL, NULL, 0, NULL},
    {"two @, one encoded", "https://" ADDRESS "%40a@b", MS_ERR_SPEC, NULL, 0, NULL},
    {"encoded twice", "https://%2530x@b", MS_ERR_PCT, NULL, 0, NULL},
    {"%2540", "https://" ADDRESS "%2540@b", MS_ERR_PCT, NULL, 0, NULL},
    {"%00", "https://" ADDRESS "%00@b", MS_ERR_PCT, NULL, 0, NULL},
    {"%0a", "https://" ADDRESS "%0a@b", MS_ERR_PCT, NULL, 0, NULL},
    {"%zz", "https://" ADDRESS "%zz@b", MS_ERR_PCT, NULL, 0, NULL},
    {"% cut", "https://" ADDRESS "%4@b", MS_ERR_PCT, NULL, 0, NULL},
    {"high byte", "https://%d0%b0.eth@b", MS_ERR_PCT, NULL, 0, NULL},
    {"backslash", "https://" ADDRESS "\\@b", MS_ERR_URL, NULL, 0, NULL},
    {"backslash in the path", "https://" ADDRESS "@b/\\", MS_ERR_URL, NULL, 0, NULL},
    {"space", "https://" ADDRESS "@b/ ", MS_ERR_URL, NULL, 0, NULL},
    {"newline at the end", "https://" ADDRESS "@b/\n", MS_ERR_URL, NULL, 0, NULL},
    {"tab in the host", "https://" ADDRESS "@b\tc", MS_ERR_URL, NULL, 0, NULL},
    {"non-ASCII path", "https://" ADDRESS "@b/\xc3\xa9", MS_ERR_URL, NULL, 0, NULL},
    {"quote in userinfo", "https://\"@b", MS_ERR_URL, NULL, 0, NULL},
    {"no specifier", "https://host.domain/", MS_ERR_NO_SPEC, NULL, 0, NULL},
    {"empty userinfo", "https://@host.domain/", MS_ERR_NO_SPEC, NULL, 0, NULL},
    {"only a colon", "https://:@host.domain/", MS_ERR_CHAIN, NULL, 0, NULL},
    {"@ only in the path", "https://host.domain/a@b", MS_ERR_NO_SPEC, NULL, 0, NULL},
    {"http", "http://" ADDRESS "@host.domain", MS_ERR_SCHEME, NULL, 0, NULL},
    {"one slash", "https:/" ADDRESS "@host.domain", MS_ERR_URL, NULL, 0, NULL},
    {"no scheme", ADDRESS "@host.domain", MS_ERR_URL, NULL, 0, NULL},
    {"no host", "https://" ADDRESS "@", MS_ERR_URL, NULL, 0, NULL},
    {"no host but a path", "https://" ADDRESS "@/x", MS_ERR_URL, NULL, 0, NULL},
    {"no host but a port", "https://" ADDRESS "@:443", MS_ERR_URL, NULL, 0, NULL},
    {"port 0", "https://" ADDRESS "@host:0", MS_ERR_URL, NULL, 0, NULL},
    {"port 65536", "https://" ADDRESS "@host:65536", MS_ERR_URL, NULL, 0, NULL},
    {"port with leading zero", "https://" ADDRESS "@host:0443", MS_ERR_URL, NULL, 0, NULL},
    {"port empty", "https://" ADDRESS "@host:/", MS_ERR_URL, NULL, 0, NULL},
    {"port in words", "https://" ADDRESS "@host:https", MS_ERR_URL, NULL, 0, NULL},
    {"two ports", "https://" ADDRESS "@host:1:2", MS_ERR_URL, NULL, 0, NULL},
    {"dot at the end", "https://" ADDRESS "@host.domain.", MS_ERR_URL, NULL, 0, NULL},
    {"percent in the host", "https://" ADDRESS "@host%2edomain", MS_ERR_URL, NULL, 0, NULL},
    {"IPv4 in one number", "https://" ADDRESS "@2130706433", MS_ERR_URL, NULL, 0, NULL},
    {"IPv4 in hex", "https://" ADDRESS "@0x7f.1", MS_ERR_URL, NULL, 0, NULL},
    {"IPv4 with leading zero", "https://" ADDRESS "@127.0.0.01", MS_ERR_URL, NULL, 0, NULL},
    {"IPv4 of five", "https://" ADDRESS "@1.2.3.4.5", MS_ERR_URL, NULL, 0, NULL},
    {"IPv6 without brackets", "https://" ADDRESS "@::1", MS_ERR_URL, NULL, 0, NULL},
    {"IPv6 with a zone", "https://" ADDRESS "@[fe80::1%25eth0]", MS_ERR_URL, NULL, 0, NULL},
    {"IPv6, text behind", "https://" ADDRESS "@[::1]x", MS_ERR_URL, NULL, 0, NULL},
};

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct spec_url url = {0};
        struct ms_diag diag = {0};
        struct spec spec;
        spec_init(&spec);
        enum ms_err err = parse_url(cases[i].text, &spec, &url, &diag);
        if (err != cases[i].want)
            fail_msg("%s: got %s: %s", cases[i].name, ms_err_name(err), diag.text);
        if (err == MS_OK &&
            (strcmp(url.host, cases[i].host) != 0 || url.port != cases[i].port ||
             strcmp(url.path, cases[i].path) != 0 || !strstr(spec.canonical, ADDRESS)))
            fail_msg("%s: host %s port %u path %s", cases[i].name, url.host, url.port, url.path);
        if (err != MS_OK && (url.host != NULL || spec.kind != SPEC_NONE || diag.text[0] == '\0'))
            fail_msg("%s: something is left, or nothing is said", cases[i].name);
        spec_done(&spec);
    }
}

/* IPv6 texts; the answer is how WHATWG writes them, "" when refused. */
static const struct {
    const char *text, *want;
} addresses[] = {
    {"::", "::"},
    {"::1", "::1"},
    {"1::", "1::"},
    {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
    {"1:0:0:4:0:0:7:8", "1::4:0:0:7:8"},
    {"1:0:0:4:0:0:0:8", "1:0:0:4::8"},
    {"1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"},
    {"1:2:3::5:6:7:8", "1:2:3:0:5:6:7:8"},
    {"00AB::", "ab::"},
    {"::ffff:1.2.3.4", "::ffff:102:304"},
    {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
    {"1:2:3:4:5:6:7:1.2.3.4", ""},
    {"1:2:3:4:5:6:7:8:9", ""},
    {"1:2:3:4:5:6:7::8", ""},
    {"1:2:3:4:5:6:7", ""},
    {"1::2::3", ""},
    {":::", ""},
    {":1", ""},
    {"1:", ""},
    {"::1:", ""},
    {"12345::", ""},
    {"g::", ""},
    {"", ""},
    {"::1.2.3", ""},
    {"::1.2.3.256", ""},
    {"::1.2.3.04", ""},
    {"::1.2.3.4:5", ""},
};

static void test_ipv6(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(addresses); i++) {
        struct ms_buf text = MS_BUF_INIT(256);
        struct spec_url url = {0};
        struct spec spec;
        char want[64];
        spec_init(&spec);
        (void)ms_buf_addf(&text, "https://" ADDRESS "@[%s]/", addresses[i].text);
        enum ms_err err = parse_url(ms_buf_str(&text), &spec, &url, NULL);
        (void)snprintf(want, sizeof(want), "[%s]", addresses[i].want);
        bool refuse = addresses[i].want[0] == 0;
        if (refuse ? err != MS_ERR_URL : err != MS_OK || strcmp(url.host, want) != 0)
            fail_msg("%s: %s %s", addresses[i].text, ms_err_name(err), url.host);
        spec_done(&spec);
        ms_buf_done(&text);
    }
}

/* The raw form of E4: found when it is a document, no specifier when it is anything else. */
static const struct {
    const char *name, *before, *after; /* of the base64, in the whole URL */
    enum ms_err want;
} raw_forms[] = {
    {"host", "https://", "@host.domain", MS_OK},
    {"host, port and path", "HTTPS://", "@host.domain:8443/x?y@z", MS_OK},
    {"a name before it", "https://evil.com/", "@host.domain", MS_ERR_NO_SPEC},
    {"a colon behind it", "https://", ":@host.domain", MS_ERR_NO_SPEC},
    {"an option behind it", "https://", ";type=dcap-tdx@host.domain", MS_ERR_NO_SPEC},
    {"one more character", "https://", "A@host.domain", MS_ERR_NO_SPEC},
    {"two @", "https://", "@a@b", MS_ERR_URL},
    {"no host", "https://", "@/x", MS_ERR_URL},
};

static void test_raw_form(void **state)
{
    (void)state;
    /* an identifier of several bytes puts a slash into the base64 */
    static const char document[] =
        "[{\"measurement_id\":\"a???b\",\"attestation_type\":\"dcap-tdx\","
        "\"measurements\":{\"0\":{\"expected\":\"" HEX48 "\"}}}]";
    char *base64 = encoded("", ms_span_str(document), false, false);

    assert_non_null(strchr(base64, '/'));
    for (size_t i = 0; i < MS_ARRAY_LEN(raw_forms); i++) {
        struct ms_buf text = MS_BUF_INIT(4096);
        struct spec_url url = {0};
        struct spec spec;
        spec_init(&spec);
        (void)ms_buf_addf(&text, "%s%s%s", raw_forms[i].before, base64, raw_forms[i].after);
        enum ms_err err = parse_url(ms_buf_str(&text), &spec, &url, NULL);
        if (err != raw_forms[i].want)
            fail_msg("%s: got %s", raw_forms[i].name, ms_err_name(err));
        if (err == MS_OK && (!warns(&spec, "raw-slash") || strcmp(url.host, "host.domain") != 0 ||
                             strcmp(spec.text, base64) != 0))
            fail_msg("%s: host %s", raw_forms[i].name, url.host);
        spec_done(&spec);
        ms_buf_done(&text);
    }
    free(base64);
}

/* E4 wants whole groups of four: the raw form without its padding is no specifier. */
static void test_raw_form_padding(void **state)
{
    (void)state;
    static const char list[] = "[{\"measurement_id\":\"a???b\",\"attestation_type\":\"dcap-tdx\","
                               "\"measurements\":{\"0\":{\"expected\":\"" HEX48 "\"}}}]";
    size_t padded = 0;

    for (int spaces = 0; spaces < 3; spaces++) {
        struct ms_buf text = MS_BUF_INIT(4096);
        struct spec_url url;
        struct spec spec;
        char document[sizeof(list) + 3];
        (void)snprintf(document, sizeof(document), "%s%.*s", list, spaces, "  ");
        char *base64 = encoded("", ms_span_str(document), false, false);
        spec_init(&spec);
        (void)ms_buf_addf(&text, "https://%s@host", base64);
        assert_int_equal(parse_url(ms_buf_str(&text), &spec, &url, NULL), MS_OK);
        char *pad = strchr(base64, '=');
        if (pad != NULL) {
            *pad = '\0';
            padded++;
            ms_buf_reset(&text);
            (void)ms_buf_addf(&text, "https://%s@host", base64);
            assert_int_equal(parse_url(ms_buf_str(&text), &spec, &url, NULL), MS_ERR_NO_SPEC);
        }
        free(base64);
        spec_done(&spec);
        ms_buf_done(&text);
    }
    assert_int_equal(padded, 2);
}

static void test_lengths(void **state)
{
    (void)state;
    struct ms_buf text = MS_BUF_INIT(2 * SPEC_URL_MAX);
    struct spec_url url;
    struct spec spec;

    spec_init(&spec);
    (void)ms_buf_add_str(&text, "https://" ADDRESS "@host/");
    while (text.len < SPEC_URL_MAX)
        (void)ms_buf_add_byte(&text, 'p');
    assert_int_equal(spec_parse_url(ms_buf_span(&text), NULL, &spec, &url, NULL), MS_OK);
    assert_true(warns(&spec, "long"));
    (void)ms_buf_add_byte(&text, 'p');
    assert_int_equal(spec_parse_url(ms_buf_span(&text), NULL, &spec, &url, NULL), MS_ERR_LIMIT);

    ms_buf_reset(&text);
    (void)ms_buf_add_str(&text, ADDRESS ";x-");
    while (text.len < SPEC_TEXT_MAX)
        (void)ms_buf_add_byte(&text, 'a');
    assert_int_equal(spec_parse(ms_buf_span(&text), NULL, &spec, NULL), MS_OK);
    (void)ms_buf_add_byte(&text, 'a');
    assert_int_equal(spec_parse(ms_buf_span(&text), NULL, &spec, NULL), MS_ERR_LIMIT);
    spec_done(&spec);
    ms_buf_done(&text);
}

/* What a person types: a URL when it looks like one, else a specifier. */
static void test_any(void **state)
{
    (void)state;
    struct spec_url url = {.host = "left over"};
    struct spec spec;

    spec_init(&spec);
    assert_int_equal(spec_parse_any(ms_span_str(ADDRESS), NULL, &spec, &url, NULL), MS_OK);
    assert_null(url.host);
    assert_int_equal(url.port, 0);
    assert_string_equal(url.path, "");
    assert_int_equal(spec_parse_any(ms_span_str("HTTPS://" ADDRESS "@h"), NULL, &spec, &url, NULL),
                     MS_OK);
    assert_string_equal(url.host, "h");
    assert_int_equal(spec_parse_any(ms_span_str("ftp://" ADDRESS "@h"), NULL, &spec, &url, NULL),
                     MS_ERR_URL);
    spec_done(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),    cmocka_unit_test(test_ipv6),
        cmocka_unit_test(test_raw_form), cmocka_unit_test(test_raw_form_padding),
        cmocka_unit_test(test_lengths),  cmocka_unit_test(test_any),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
