/* Properties of every specifier: the safe text means the same, prefixes do not, host and path do
 * not count. */
#include "tests/unit/spec/helper.h"

#define A1 "0x3f661c4CFdb8bc14D5C7A8B9A6f21B2c726BA2b7"
#define K1 "02bf0241b30b9cb7db5f7fc41f9fb16dc220d0663c40de0924178ea4c25a8dea04"
#define AT "aHR0cHM6Ly94LmV4YW1wbGUv"

static const char *const samples[] = {
    ADDRESS,
    "0xde374479CEe0792F9c3fD389E5c28B8574b0a7DD",
    "sep:" ADDRESS ";kind=safe;at=" AT ";code=0x" HEX32,
    "eip155:8453:" ADDRESS ";level=l3;max-age=5;seq=9;tag=safe;from=1",
    ADDRESS ";id=a/b?c#d[e]@\"<>\\^`{|};x-y=%;x-z",
    ADDRESS ";app=a!$&'()*+,=:~;kms=" A1 ";type=dcap-tdx;keys=1of2:" K1 "," ADDRESS,
    "releases.example.eth",
    "sep:a.eth;auditors=1of1:" A1,
    "2of3:" ADDRESS "," A1 ",0x00000000000000000000000000000000000000AA",
    "1of1:" K1 ";app=a;at=" AT,
    "github:Owner/Repo;keys=1of1:" K1,
    "sha256:" HEX32 ";at=" AT,
    "alias:buildernet",
    "url:aHR0cHM6Ly94LmV4YW1wbGUvYQ",
    "aHR0cHM6Ly9YLmV4YW1wbGUvYS8uLi9iP3E=",
    "aHR0cHM6Ly94LmV4YW1wbGUvCg==;id=b",
};

/* Call fn for each sample that parses, and for documents. */
static void for_samples(void (*fn)(const struct spec *spec))
{
    struct spec spec;

    spec_init(&spec);
    for (size_t i = 0; i < MS_ARRAY_LEN(samples); i++) {
        char text[1024];
        struct ms_diag diag = {0};
        (void)snprintf(text, sizeof(text), "%s", samples[i]);
        char *percent =
            strchr(text, '%'); /* cannot stand in D; here it marks a place for any byte */
        if (percent != NULL)
            *percent = '/';
        if (parse_text(text, &spec, &diag) != MS_OK)
            fail_msg("%s: %s", text, diag.text);
        fn(&spec);
    }
    for (unsigned form = 0; form < 8; form++) {
        char *text =
            encoded("", ms_span_str(form & 4 ? DOCUMENT : "\n " DOCUMENT), form & 1, form & 2);
        assert_int_equal(parse_text(text, &spec, NULL), MS_OK);
        fn(&spec);
        free(text);
    }
    spec_done(&spec);
}

static void safe_url(const struct spec *spec, const char *behind, struct ms_buf *out)
{
    ms_buf_reset(out);
    (void)ms_buf_add_str(out, "https://");
    assert_int_equal(spec_safe_text(spec, out), MS_OK);
    (void)ms_buf_add_str(out, behind);
    assert_non_null(ms_buf_str(out));
}

static void check_safe(const struct spec *spec)
{
    const struct spec_context other = {.default_chain = 10, .eip55_strict = true};
    struct ms_buf text = MS_BUF_INIT(65536), again = MS_BUF_INIT(65536);
    struct spec_url url;
    struct spec got;

    spec_init(&got);
    safe_url(spec, "@h.example:8443/p?q#f", &text);
    assert_null(strpbrk((const char *)text.ptr + 8, "\\ "));
    assert_true(ms_span_find(ms_span_sub(ms_buf_span(&text), 8, text.len), '/') >
                ms_span_find(ms_span_sub(ms_buf_span(&text), 8, text.len), '@'));
    /* the same everywhere, also where another chain is the default and EIP-55 is strict */
    if (parse_url((const char *)text.ptr, &got, &url, NULL) != MS_OK ||
        strcmp(got.canonical, spec->canonical) != 0 || !ms_sha256_eq(&got.key, &spec->key))
        fail_msg("%s becomes %s", spec->text, (const char *)text.ptr);
    if (spec->n_options == 0) {
        assert_int_equal(spec_parse_url(ms_buf_span(&text), &other, &got, &url, NULL), MS_OK);
        assert_string_equal(got.canonical, spec->canonical);
        assert_false(warns(&got, "eip55") || warns(&got, "raw-slash") || warns(&got, "no-padding"));
    }
    assert_string_equal(url.host, "h.example");
    assert_int_equal(got.n_options, spec->n_options);
    safe_url(&got, "@h.example:8443/p?q#f", &again); /* the safe text is its own safe text */
    assert_true(ms_span_eq(ms_buf_span(&text), ms_buf_span(&again)));
    spec_done(&got);
    ms_buf_done(&again);
    ms_buf_done(&text);
}

static void test_safe_text(void **state)
{
    (void)state;
    for_samples(check_safe);
}

/* Whatever is cut off the end of the safe text of a specifier without options, it is another or
 * none. */
static void check_prefixes(const struct spec *spec)
{
    struct ms_buf text = MS_BUF_INIT(65536);
    struct spec got;

    spec_init(&got);
    if (spec->n_options == 0) {
        assert_int_equal(spec_safe_text(spec, &text), MS_OK);
        for (size_t n = 0; n < text.len; n++) {
            struct ms_span prefix = ms_span_of(text.ptr, n);
            if (parse_bytes(prefix, NULL, &got, NULL) == MS_OK &&
                ms_sha256_eq(&got.key, &spec->key))
                fail_msg("%.*s has the key of %s", (int)n, (const char *)text.ptr, spec->canonical);
        }
    }
    spec_done(&got);
    ms_buf_done(&text);
}

static void test_prefixes(void **state)
{
    (void)state;
    for_samples(check_prefixes);
}

static void check_host(const struct spec *spec)
{
    static const char *const behind[] = {"@a", "@evil.example:1/x@y", "@[::1]/", "@1.2.3.4?q"};
    struct ms_buf text = MS_BUF_INIT(65536);
    struct spec_url url;
    struct spec got;

    spec_init(&got);
    for (size_t i = 0; i < MS_ARRAY_LEN(behind); i++) {
        safe_url(spec, behind[i], &text);
        assert_int_equal(parse_url((const char *)text.ptr, &got, &url, NULL), MS_OK);
        assert_true(ms_sha256_eq(&got.key, &spec->key));
    }
    spec_done(&got);
    ms_buf_done(&text);
}

static void test_host(void **state)
{
    (void)state;
    for_samples(check_host);
}

/* One changed digit of an address is another contract. */
static void test_digits(void **state)
{
    (void)state;
    struct spec spec, other;
    char text[] = ADDRESS;

    spec_init(&spec);
    spec_init(&other);
    assert_int_equal(parse_text(ADDRESS, &spec, NULL), MS_OK);
    for (size_t i = 2; i < strlen(text); i++) {
        char kept = text[i];
        text[i] = kept == '9' ? 'a' : '9';
        assert_int_equal(parse_text(text, &other, NULL), MS_OK);
        assert_false(ms_sha256_eq(&spec.key, &other.key));
        text[i] = kept;
    }
    spec_done(&other);
    spec_done(&spec);
}

/* Random damage: no crash, nothing left behind, and what is accepted has a canonical text and one
 * key. */
static void test_damage(void **state)
{
    (void)state;
    static const char bytes[] = "0x9aF:;,=@/?#%[].~-_+ \\\n";
    unsigned seed = 20261122;
    struct spec_url url;
    struct spec spec;
    size_t accepted = 0;

    print_message("seed %u\n", seed);
    srand(seed);
    spec_init(&spec);
    for (size_t run = 0; run < 20000; run++) {
        char text[1200];
        int n = snprintf(text, sizeof(text), "https://%s@host.example:8443/p",
                         samples[(size_t)rand() % MS_ARRAY_LEN(samples)]);
        for (int hits = rand() % 3; hits >= 0; hits--) {
            unsigned byte = (unsigned)rand() % 255 + 1;
            if (rand() % 4 != 0)
                byte = (unsigned char)bytes[byte % (sizeof(bytes) - 1)];
            text[rand() % n] = (char)(byte & 0xff);
        }
        enum ms_err err = parse_url(text, &spec, &url, NULL);
        assert_true(err == MS_OK ? spec.kind != SPEC_NONE && spec.canonical != NULL
                                 : spec.kind == SPEC_NONE && spec.arena.used == 0);
        accepted += err == MS_OK;
    }
    assert_true(accepted > 100);
    spec_done(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_text), cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_host),      cmocka_unit_test(test_digits),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
