/* address/: addresses and public keys as specifiers. Addresses and keys by themselves are the
 * matter of address_vectors.c; here it is what a person may write in a URL. */
#include "resolver/spec/spec.h"
#include "tests/support/vectors.h"

#include <stdio.h>

static bool warns(const struct spec *spec, const char *code)
{
    for (size_t i = 0; i < spec->n_warnings; i++)
        if (strcmp(spec->warnings[i].code, code) == 0)
            return true;
    return false;
}

/* A contract: `reject` is the verdict with eip55=strict; wrong only in letter case, it is a warning
 * by default. The zero address is an address but no contract. */
static void run_address(struct vec_count *count, const json_t *c)
{
    static const struct spec_context strict = {.eip55_strict = true};
    const json_t *input = json_object_get(c, "input");
    const char *expect = vec_str(c, "expect"), *right = vec_str(c, "checksummed");
    struct spec spec;

    if (!json_is_string(input) || expect == NULL) {
        vec_skip(count, vec_str(c, "id"), "no input or no verdict");
        return;
    }
    struct ms_span text = ms_span_of(json_string_value(input), json_string_length(input));
    struct ms_span digits = ms_span_sub(text, 2, text.len);
    bool zero = digits.len == 40 && strspn((const char *)digits.ptr, "0") == 40;

    spec_init(&spec);
    enum ms_err err = spec_parse(text, &strict, &spec, NULL);
    bool ok = (err == MS_OK) == (strcmp(expect, "reject") != 0 && !zero);
    if (err == MS_OK) { /* as given and as it should be differ exactly when there was no checksum */
        const char *shown = spec.canonical + strlen("eip155:1:");
        ok = ok && (right == NULL || strcmp(shown, right) == 0) &&
             warns(&spec, "eip55-none") == !ms_span_eq_str(text, shown) &&
             (right == NULL ||
              warns(&spec, "eip55-none") == (strcmp(expect, "accept-unchecked") == 0));
    }
    if (err == MS_ERR_EIP55)
        ok = ok && spec_parse(text, NULL, &spec, NULL) == MS_OK && warns(&spec, "eip55");
    vec_check(count, ok, vec_str(c, "id"), "%s: %s", vec_str(c, "what"), ms_err_name(err));
    spec_done(&spec);
}

/* One signer: a compressed key means its address; every other form is refused. A key alone is no
 * specifier. */
static void run_key(struct vec_count *count, const json_t *c)
{
    const char *key = vec_str(c, "key"), *strict = vec_str(c, "strict");
    const char *address = vec_str(c, "address");
    struct ms_buf text = MS_BUF_INIT(4096);
    char got[ETH_ADDR_TEXT + 1] = "none";
    struct spec spec;

    if (key == NULL || strict == NULL) {
        vec_skip(count, vec_str(c, "id"), "no key or no verdict");
        return;
    }
    bool want = strcmp(strict, "accept") == 0 && strlen(key) == 66;
    spec_init(&spec);
    (void)ms_buf_addf(&text, "1of1:%s", key);
    enum ms_err err = spec_parse(ms_buf_span(&text), NULL, &spec, NULL);
    if (err == MS_OK)
        eth_addr_text(&spec.signers.addr[0], got);
    bool ok = (err == MS_OK) == want && (!want || (address != NULL && strcmp(address, got) == 0)) &&
              spec_parse(ms_span_str(key), NULL, &spec, NULL) != MS_OK;
    vec_check(count, ok, vec_str(c, "id"), "%s: %s, address %s", vec_str(c, "what"),
              ms_err_name(err), got);
    spec_done(&spec);
    ms_buf_done(&text);
}

int main(void)
{
    bool ok = vec_run("address", "eip55_generated.json", run_address);

    ok = vec_run("address", "erc55_examples.json", run_address) && ok;
    return !(vec_run("address", "pubkeys.json", run_key) && ok);
}
