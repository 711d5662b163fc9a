/* eth/tx.c - transactions. */
#include "eth/tx.h"

#include "eth/rlp.h"

#define TYPE 0x02 /* EIP-1559 */
#define SIGNATURE_BYTES 65
#define V_FIRST 27             /* yParity 0 */
#define ENVELOPE_MAX_BYTES 512 /* everything but the data */

/* The members that are signed. */
static void add_members(const struct eth_tx *tx, struct ms_buf *out)
{
    const struct ms_span nothing = {0};

    (void)eth_rlp_add_u64(out, tx->chain_id);
    (void)eth_rlp_add_u64(out, tx->nonce);
    (void)eth_rlp_add_u64(out, tx->max_priority_fee_wei);
    (void)eth_rlp_add_u64(out, tx->max_fee_wei);
    (void)eth_rlp_add_u64(out, tx->gas);
    (void)eth_rlp_add_string(out, tx->creates ? nothing : ms_span_of(tx->to.b, ETH_ADDR_BYTES));
    (void)eth_rlp_add_u64(out, tx->value_wei);
    (void)eth_rlp_add_string(out, tx->data);
    (void)eth_rlp_add_list(out, nothing); /* no access list */
}

/* The typed envelope of EIP-2718; sig NULL: unsigned. */
static enum ms_err add_envelope(const struct eth_tx *tx, const uint8_t *sig, struct ms_buf *out)
{
    struct ms_buf members = MS_BUF_INIT(tx->data.len + ENVELOPE_MAX_BYTES);
    struct eth_word r, s;

    add_members(tx, &members);
    if (sig != NULL) {
        memcpy(r.b, sig, ETH_WORD_BYTES);
        memcpy(s.b, sig + ETH_WORD_BYTES, ETH_WORD_BYTES);
        (void)eth_rlp_add_u64(&members, (uint64_t)sig[SIGNATURE_BYTES - 1] - V_FIRST);
        (void)eth_rlp_add_word(&members, &r);
        (void)eth_rlp_add_word(&members, &s);
    }
    enum ms_err err = ms_buf_err(&members);
    if (err == MS_OK)
        err = ms_buf_add_byte(out, TYPE);
    if (err == MS_OK)
        err = eth_rlp_add_list(out, ms_buf_span(&members));
    ms_buf_done(&members);
    return err;
}

enum ms_err eth_tx_digest(const struct eth_tx *tx, struct eth_hash *ret_digest)
{
    struct ms_buf bytes = MS_BUF_INIT(tx->data.len + ENVELOPE_MAX_BYTES);

    enum ms_err err = add_envelope(tx, NULL, &bytes);
    if (err == MS_OK)
        *ret_digest = eth_keccak256(ms_buf_span(&bytes));
    ms_buf_done(&bytes);
    return err;
}

enum ms_err eth_tx_signed(const struct eth_tx *tx, const uint8_t sig[65], struct ms_buf *out)
{
    if (sig[SIGNATURE_BYTES - 1] < V_FIRST || sig[SIGNATURE_BYTES - 1] > V_FIRST + 1)
        return MS_ERR_RANGE;
    return add_envelope(tx, sig, out);
}

struct eth_addr eth_tx_created(const struct eth_addr *sender, uint64_t nonce)
{
    struct ms_buf members = MS_BUF_INIT(64), list = MS_BUF_INIT(64);
    struct eth_addr created = {{0}};

    (void)eth_rlp_add_string(&members, ms_span_of(sender->b, ETH_ADDR_BYTES));
    (void)eth_rlp_add_u64(&members, nonce);
    if (eth_rlp_add_list(&list, ms_buf_span(&members)) == MS_OK) {
        struct eth_hash hash = eth_keccak256(ms_buf_span(&list));
        memcpy(created.b, hash.b + ETH_HASH_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
    }
    ms_buf_done(&members);
    ms_buf_done(&list);
    return created;
}
