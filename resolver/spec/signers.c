/* resolver/spec/signers.c - signer sets, "2of3:0x..,0x..,02..". */
#include "resolver/spec/internal.h"

#include "base/hex.h"
#include "sig/pubkey.h"

/* "2of3": both numbers in 1..16 without leading zero, m <= n. */
static bool threshold_parse(struct ms_span text, struct spec_signers *signers)
{
    uint64_t m = 0, n = 0;
    size_t at = spec_find_any(text, "o");

    if (!ms_span_starts(ms_span_sub(text, at, text.len), "of") ||
        !ms_span_u64(ms_span_sub(text, 0, at), &m) ||
        !ms_span_u64(ms_span_sub(text, at + 2, text.len), &n))
        return false;
    if (m < 1 || m > n || n > SPEC_SIGNERS_MAX)
        return false;
    signers->m = (uint32_t)m;
    signers->n = (uint32_t)n;
    return true;
}

static enum ms_err key_parse(struct ms_span text, struct eth_addr *ret_addr, struct ms_diag *diag)
{
    uint8_t key[MSIG_PUBKEY_COMPRESSED_BYTES];

    if (ms_hex_decode(text, key, sizeof(key)) != MS_OK)
        return ms_diag_set(
            diag, MS_ERR_SIGNERS,
            "a signer is an address (0x and 40 hex digits) or a compressed public key "
            "(02 or 03 and 64 hex digits)");
    enum ms_err err = msig_pubkey_addr(ms_span_of(key, sizeof(key)), ret_addr);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "a signer is not a compressed secp256k1 public key");
    return MS_OK;
}

static int by_bytes(const struct eth_addr *a, const struct eth_addr *b)
{
    return memcmp(a->b, b->b, ETH_ADDR_BYTES);
}

/* Put addr at its place among the first n; false when it is there already. */
static bool insert(struct spec_signers *signers, size_t n, const struct eth_addr *addr)
{
    size_t at = n;

    for (; at > 0; at--) {
        int order = by_bytes(&signers->addr[at - 1], addr);
        if (order == 0)
            return false;
        if (order < 0)
            break;
        signers->addr[at] = signers->addr[at - 1];
    }
    signers->addr[at] = *addr;
    return true;
}

/* b is NULL when EIP-55 is not to be judged. */
static enum ms_err signer_parse(struct spec_builder *b, struct ms_span text,
                                struct eth_addr *ret_addr, struct ms_diag *diag)
{
    enum eth_checksum ignored;
    enum ms_err err;

    if (!ms_span_starts_nocase(text, "0x"))
        err = key_parse(text, ret_addr, diag);
    else if (b != NULL)
        err = spec_address_read(b, text, "signer", ret_addr);
    else
        err = eth_addr_parse(text, ret_addr, &ignored, diag);
    if (err == MS_OK && eth_addr_is_zero(ret_addr))
        return ms_diag_set(diag, MS_ERR_SIGNERS, "the zero address cannot sign");
    return err;
}

static enum ms_err set_parse(struct spec_builder *b, struct ms_span text,
                             struct spec_signers *ret_signers, struct ms_diag *diag)
{
    struct spec_signers signers = {0};
    struct ms_span threshold, list, one;
    size_t n = 0;

    if (!ms_span_cut(text, ':', &threshold, &list) || !threshold_parse(threshold, &signers))
        return ms_diag_set(diag, MS_ERR_SIGNERS,
                           "a signer set starts with MofN: where 1 <= M <= N <= %u",
                           SPEC_SIGNERS_MAX);
    for (bool more = true; more; n++) {
        struct eth_addr addr;
        more = ms_span_cut(list, ',', &one, &list);
        if (n == signers.n)
            return ms_diag_set(diag, MS_ERR_SIGNERS, "more than the %u signers it speaks of",
                               signers.n);
        enum ms_err err = signer_parse(b, more ? one : list, &addr, diag);
        if (err != MS_OK)
            return err;
        if (!insert(&signers, n, &addr))
            return ms_diag_set(diag, MS_ERR_SIGNERS, "signer %zu is in the set already", n + 1);
    }
    if (n != signers.n)
        return ms_diag_set(diag, MS_ERR_SIGNERS, "%zu signers instead of %u", n, signers.n);
    *ret_signers = signers;
    return MS_OK;
}

enum ms_err spec_signers_read(struct spec_builder *b, struct ms_span text,
                              struct spec_signers *ret_signers)
{
    return set_parse(b, text, ret_signers, b->diag);
}

enum ms_err spec_signers_parse(struct ms_span text, struct spec_signers *ret_signers,
                               struct ms_diag *diag)
{
    return set_parse(NULL, text, ret_signers, diag);
}

enum ms_err spec_signers_text(const struct spec_signers *signers, bool eip55, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "%uof%u", signers->m, signers->n);
    for (size_t i = 0; i < signers->n; i++) {
        char text[ETH_ADDR_TEXT + 1] = "0x";
        if (eip55)
            eth_addr_text(&signers->addr[i], text);
        else
            ms_hex_encode(ms_span_of(signers->addr[i].b, ETH_ADDR_BYTES), text + 2);
        (void)ms_buf_addf(out, "%c%s", i == 0 ? ':' : ',', text);
    }
    return ms_buf_err(out);
}
