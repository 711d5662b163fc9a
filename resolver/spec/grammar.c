/* resolver/spec/grammar.c - the part of a specifier before its options (ethereum.md 4.2). */
#include "resolver/spec/internal.h"

#include "base/hex.h"

#define CHAIN_DIGITS_MAX 18u /* of eip155:N */
#define OWNER_MAX 39u
#define REPO_MAX 100u
#define ALIAS_MAX 64u

enum ms_err spec_address_read(struct spec_builder *b, struct ms_span text, const char *what,
                              struct eth_addr *ret_addr)
{
    enum eth_checksum checksum = ETH_CHECKSUM_WRONG;
    struct eth_addr addr;
    char right[ETH_ADDR_TEXT + 1];

    enum ms_err err = eth_addr_parse(text, &addr, &checksum, b->diag);
    if (err != MS_OK)
        return err;
    eth_addr_text(&addr, right);
    switch (checksum) {
    case ETH_CHECKSUM_WRONG:
        if (b->context->eip55_strict)
            return ms_diag_set(b->diag, MS_ERR_EIP55,
                               "the letter case of the %s does not match EIP-55, right is %s", what,
                               right);
        err = spec_warn(b, "eip55", "the letter case of the %s does not match EIP-55, right is %s",
                        what, right);
        break;
    case ETH_CHECKSUM_NONE:
        err =
            spec_warn(b, "eip55-none",
                      "the %s has letters of one case only, so a typo would not show; right is %s",
                      what, right);
        break;
    case ETH_CHECKSUM_RIGHT:
        break;
    }
    if (err == MS_OK)
        *ret_addr = addr;
    return err;
}

static bool all_of(struct ms_span text, size_t max, const char *also)
{
    if (text.len == 0 || text.len > max)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!spec_is_alnum(text.ptr[i]) && (text.ptr[i] == '\0' || !strchr(also, text.ptr[i])))
            return false;
    return true;
}

static bool has_upper(struct ms_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] >= 'A' && text.ptr[i] <= 'Z')
            return true;
    return false;
}

bool spec_alias_name_ok(struct ms_span name)
{
    return all_of(name, ALIAS_MAX, "-_") && !has_upper(name);
}

static enum ms_err contract_parse(struct spec_builder *b, uint64_t chain, struct ms_span text)
{
    enum ms_err err = spec_address_read(b, text, "address", &b->spec->address);
    if (err != MS_OK)
        return err;
    if (eth_addr_is_zero(&b->spec->address))
        return ms_diag_set(b->diag, MS_ERR_ADDRESS, "the zero address is no contract");
    b->spec->kind = SPEC_CONTRACT;
    b->spec->chain = chain;
    return MS_OK;
}

static enum ms_err ens_parse(struct spec_builder *b, uint64_t chain, struct ms_span text)
{
    struct ms_span rest = text, label = text;

    for (bool more = true; more;) {
        more = ms_span_cut(rest, '.', &label, &rest);
        if (!more)
            label = rest;
        if (!all_of(label, SPEC_LABEL_MAX, "-_") || has_upper(label))
            return ms_diag_set(b->diag, MS_ERR_ENS_CHARS,
                               "a label of an ENS name has 1 to 63 of a-z 0-9 - _ (lower case)");
    }
    if (text.len > SPEC_NAME_MAX)
        return ms_diag_set(b->diag, MS_ERR_SPEC, "the ENS name exceeds %u characters",
                           SPEC_NAME_MAX);
    if (!ms_span_eq_str(label, "eth"))
        return ms_diag_set(b->diag, MS_ERR_SPEC, "not a specifier: an ENS name ends in .eth");
    b->spec->kind = SPEC_ENS;
    b->spec->chain = chain;
    return spec_keep(b, text, &b->spec->name);
}

static enum ms_err on_chain_parse(struct spec_builder *b, uint64_t chain, struct ms_span text)
{
    if (!ms_span_starts_nocase(text, "0x") && ms_span_find(text, '.') != text.len)
        return ens_parse(b, chain, text);
    return contract_parse(b, chain, text);
}

static enum ms_err eip155_parse(struct spec_builder *b, struct ms_span text)
{
    struct ms_span number, rest;
    uint64_t chain = 0;

    if (!ms_span_cut(text, ':', &number, &rest) || number.len > CHAIN_DIGITS_MAX ||
        !ms_span_u64(number, &chain) || chain == 0)
        return ms_diag_set(
            b->diag, MS_ERR_CHAIN,
            "eip155: takes a chain number of 1 to %u digits without leading zero, then "
            "':' and an address",
            CHAIN_DIGITS_MAX);
    return on_chain_parse(b, chain, rest);
}

static enum ms_err github_parse(struct spec_builder *b, struct ms_span text)
{
    size_t at = spec_find_any(text, "~/");
    struct ms_span owner = ms_span_sub(text, 0, at);
    struct ms_span repo = ms_span_sub(text, at + 1, text.len);
    struct ms_buf name = MS_BUF_INIT(OWNER_MAX + REPO_MAX + 1);

    if (!all_of(owner, OWNER_MAX, "-") || !all_of(repo, REPO_MAX, "-_.") ||
        ms_span_eq_str(repo, ".") || ms_span_eq_str(repo, ".."))
        return ms_diag_set(b->diag, MS_ERR_SPEC, "not a repository: github:OWNER~REPO");
    (void)ms_buf_add(&name, owner);
    (void)ms_buf_add_byte(&name, '~');
    enum ms_err err = ms_buf_add(&name, repo);
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z')
            name.ptr[i] = (uint8_t)(name.ptr[i] + 32);
    if (err == MS_OK)
        err = spec_keep(b, ms_buf_span(&name), &b->spec->name);
    ms_buf_done(&name);
    b->spec->kind = SPEC_GITHUB;
    return err;
}

static enum ms_err sha256_parse(struct spec_builder *b, struct ms_span text)
{
    enum ms_err err = ms_hex_decode(text, b->spec->content.b, MS_SHA256_BYTES);
    if (err != MS_OK)
        return ms_diag_set(b->diag, err, "sha256: takes exactly 64 hex digits");
    b->spec->kind = SPEC_SHA256;
    return MS_OK;
}

static enum ms_err alias_parse(struct spec_builder *b, struct ms_span name)
{
    if (!spec_alias_name_ok(name))
        return ms_diag_set(b->diag, MS_ERR_ALIAS,
                           "an alias name has 1 to %u of a-z 0-9 - _ (lower case)", ALIAS_MAX);
    b->spec->kind = SPEC_ALIAS;
    return spec_keep(b, name, &b->spec->name);
}

/* "prefix:rest". */
static enum ms_err prefixed_parse(struct spec_builder *b, struct ms_span body,
                                  struct ms_span prefix, struct ms_span rest)
{
    if (ms_span_eq_str(prefix, "eip155"))
        return eip155_parse(b, rest);
    if (ms_span_eq_str(prefix, "url"))
        return spec_content_parse(b, SPEC_CONTENT_URL, rest);
    if (ms_span_eq_str(prefix, "inline"))
        return spec_content_parse(b, SPEC_CONTENT_INLINE, rest);
    if (ms_span_eq_str(prefix, "sha256"))
        return sha256_parse(b, rest);
    if (ms_span_eq_str(prefix, "github"))
        return github_parse(b, rest);
    if (ms_span_eq_str(prefix, "alias"))
        return alias_parse(b, rest);
    if (prefix.len > 0 && prefix.ptr[0] >= '0' && prefix.ptr[0] <= '9') {
        b->spec->kind = SPEC_SIGNERS;
        b->spec->chain = 1; /* unless chain= says otherwise */
        return spec_signers_read(b, body, &b->spec->signers);
    }
    uint64_t chain = spec_chain_by_name(prefix);
    if (chain == 0)
        return ms_diag_set(b->diag, MS_ERR_CHAIN,
                           "'%.*s' is no chain name known here; eip155:NUMBER: always is",
                           prefix.len > 32 ? 32 : (int)prefix.len, (const char *)prefix.ptr);
    return on_chain_parse(b, chain, rest);
}

static bool all_hex(struct ms_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (ms_hex_digit(text.ptr[i]) < 0)
            return false;
    return true;
}

/* What people write instead of a specifier; MS_OK when nothing of that kind is seen. */
static enum ms_err common_mistakes(struct spec_builder *b, struct ms_span body)
{
    struct ms_span digits =
        ms_span_starts_nocase(body, "0x") ? ms_span_sub(body, 2, body.len) : body;

    if (body.len == 0)
        return ms_diag_set(b->diag, MS_ERR_SPEC, "nothing stands before the first ';'");
    if (ms_span_find(body, '@') != body.len)
        return ms_diag_set(b->diag, MS_ERR_SPEC, "not a specifier; a URL starts with https://");
    if (all_hex(digits) && (digits.len == 66 || digits.len == 130))
        return ms_diag_set(
            b->diag, MS_ERR_SPEC,
            digits.len == 66 && digits.len == body.len
                ? "a public key alone is no specifier; for one signer write 1of1:KEY"
                : "a public key is no specifier; for one signer write 1of1:KEY with the "
                  "compressed key (02 or 03 and 64 hex digits)");
    if (ms_span_starts(body, "0X") || (all_hex(body) && body.len == 40))
        return ms_diag_set(b->diag, MS_ERR_ADDRESS, "an address starts with 0x");
    return MS_OK;
}

enum ms_err spec_body_parse(struct spec_builder *b, struct ms_span body)
{
    const struct spec_context *context = b->context;
    uint64_t chain = context->default_chain == 0 ? 1 : context->default_chain;
    struct ms_span prefix, rest;

    enum ms_err err = common_mistakes(b, body);
    if (err != MS_OK)
        return err;
    if (ms_span_starts(body, "0x"))
        return contract_parse(b, chain, body);
    if (ms_span_cut(body, ':', &prefix, &rest))
        return prefixed_parse(b, body, prefix, rest);
    if (ms_span_find(body, '.') != body.len)
        return ens_parse(b, chain, body);
    if (spec_alias_name_ok(body) && context->alias != NULL &&
        context->alias(context->alias_arg, body) != NULL)
        return alias_parse(b, body);
    return spec_content_parse(b, SPEC_CONTENT_LEGACY, body);
}
