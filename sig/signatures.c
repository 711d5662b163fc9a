/* sig/signatures.c - reading and counting. */
#include "sig/signatures.h"

#include "sig/secp.h"

#define MSIG_CHAIN_MAX (INT64_C(1) << 53) /* what JSON numbers hold exactly */

static enum msig_scheme scheme_of(struct ms_span name)
{
    if (ms_span_eq_str(name, "eip712"))
        return MSIG_SCHEME_EIP712;
    if (ms_span_eq_str(name, "eip1271"))
        return MSIG_SCHEME_EIP1271;
    return MSIG_SCHEME_OTHER;
}

/* Hex into the arena. What is no hex is left empty: whether that matters depends on whose it is. */
static enum ms_err read_bytes(struct ms_span text, struct ms_arena *arena,
                              struct msig_signature *out)
{
    size_t len = text.len < 2 ? 0 : (text.len - 2) / 2;
    uint8_t *bytes = ms_arena_alloc(arena, len + 1, 1);

    if (bytes == NULL)
        return MS_ERR_MEMORY;
    out->malformed = eth_data_fixed(text, bytes, len) != MS_OK;
    out->bytes = ms_span_of(bytes, out->malformed ? 0 : len);
    return MS_OK;
}

/* Of a contract's signature only: beside others it is one of the members that are not known. */
static enum ms_err read_chain(const json_t *entry, size_t i, struct msig_signature *out,
                              struct ms_diag *diag)
{
    const json_t *chain = json_object_get(entry, "chain");
    json_int_t value = chain == NULL ? 1 : json_integer_value(chain);

    if (out->scheme != MSIG_SCHEME_EIP1271)
        return MS_OK;
    if (chain != NULL && !json_is_integer(chain))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "signature %zu: its chain is no integer", i + 1);
    if (value < 1 || value > MSIG_CHAIN_MAX)
        return ms_diag_set(diag, MS_ERR_RANGE, "signature %zu: its chain is not from 1 to 2^53",
                           i + 1);
    out->chain = (uint64_t)value;
    return MS_OK;
}

static enum ms_err read_one(const json_t *entry, size_t i, struct ms_arena *arena,
                            struct msig_signature *out, struct ms_diag *diag)
{
    struct ms_span signer = ms_json_member_str(entry, "signer");
    struct ms_span scheme = ms_json_member_str(entry, "scheme");
    struct ms_span text = ms_json_member_str(entry, "signature");
    enum eth_checksum checksum;

    if (signer.ptr == NULL || scheme.ptr == NULL || text.ptr == NULL)
        return ms_diag_set(diag, MS_ERR_SYNTAX,
                           "signature %zu: not an object with signer, scheme and signature", i + 1);
    out->scheme = scheme_of(scheme);
    if (out->scheme == MSIG_SCHEME_OTHER)
        return MS_OK;
    if (eth_addr_parse(signer, &out->signer, &checksum, NULL) != MS_OK)
        return ms_diag_set(diag, MS_ERR_ADDRESS, "signature %zu: its signer is no address", i + 1);
    enum ms_err err = read_chain(entry, i, out, diag);
    return err == MS_OK ? read_bytes(text, arena, out) : err;
}

enum ms_err msig_signatures_read(const json_t *array, struct ms_arena *arena,
                                 struct msig_signatures *ret_signatures, struct ms_diag *diag)
{
    struct msig_signatures signatures = {0};
    const json_t *entry;
    size_t i;

    if (array != NULL && !json_is_array(array))
        return ms_diag_set(diag, MS_ERR_SYNTAX, "signatures: no array");
    if (json_array_size(array) > MSIG_SIGNATURES_MAX)
        return ms_diag_set(diag, MS_ERR_LIMIT, "signatures: %zu of them, the limit is %d",
                           json_array_size(array), MSIG_SIGNATURES_MAX);
    json_array_foreach(array, i, entry)
    {
        enum ms_err err = read_one(entry, i, arena, &signatures.items[i], diag);
        if (err != MS_OK)
            return err;
        signatures.n = i + 1;
    }
    *ret_signatures = signatures;
    return MS_OK;
}

/* Place in the list, or n. */
static size_t place(const struct msig_signers *signers, const struct eth_addr *addr)
{
    size_t i = 0;
    while (i < signers->n && !eth_addr_eq(&signers->addrs[i], addr))
        i++;
    return i;
}

static enum ms_err refuse(struct ms_diag *diag, size_t i, const struct eth_addr *signer,
                          const char *why)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(signer, text);
    return ms_diag_set(diag, MS_ERR_SIGNATURE, "signature %zu, of %s: %s", i + 1, text, why);
}

enum ms_err msig_tally(const struct eth_hash *digest, const struct msig_signatures *signatures,
                       const struct msig_signers *signers, struct msig_tally *ret_tally,
                       struct ms_diag *diag)
{
    struct msig_tally tally = {0};
    bool seen[MSIG_SIGNERS_MAX] = {false};

    for (size_t i = 0; i < signatures->n; i++) {
        const struct msig_signature *one = &signatures->items[i];
        size_t at = place(signers, &one->signer);
        struct eth_addr signer;
        struct ms_diag cause = {0};
        if (one->scheme == MSIG_SCHEME_OTHER || at == signers->n)
            continue;
        if (seen[at])
            return refuse(diag, i, &one->signer, "this signer's second");
        seen[at] = true;
        if (one->malformed)
            return refuse(diag, i, &one->signer, "it is no hex");
        if (one->scheme == MSIG_SCHEME_EIP1271) {
            tally.unresolved[tally.n_unresolved++] = i;
            continue;
        }
        enum ms_err err = msig_recover(digest, one->bytes, &signer, &cause);
        if (err != MS_OK)
            return refuse(diag, i, &one->signer, ms_diag_text(&cause, err));
        if (!eth_addr_eq(&signer, &one->signer))
            return refuse(diag, i, &one->signer, "it is of another key or of another document");
        tally.counted[at] = true;
        tally.n_counted++;
    }
    *ret_tally = tally;
    return MS_OK;
}

void msig_count(struct msig_tally *tally, const struct msig_signature *signature,
                const struct msig_signers *signers)
{
    size_t at = place(signers, &signature->signer);

    if (at == signers->n || tally->counted[at])
        return;
    tally->counted[at] = true;
    tally->n_counted++;
}

enum msig_met msig_met(const struct msig_tally *tally, const struct msig_signers *signers)
{
    if (signers->threshold == 0)
        return MSIG_SHORT;
    if (tally->n_counted >= signers->threshold)
        return MSIG_MET;
    return tally->n_counted + tally->n_unresolved >= signers->threshold ? MSIG_PENDING : MSIG_SHORT;
}
