/* eth/address.c - EIP-55. */
#include "eth/address.h"

#include "base/hex.h"
#include "eth/keccak.h"

void eth_addr_text(const struct eth_addr *addr, char out[ETH_ADDR_TEXT + 1])
{
    char *digits = out + 2;

    out[0] = '0';
    out[1] = 'x';
    ms_hex_encode(ms_span_of(addr->b, ETH_ADDR_BYTES), digits);
    struct eth_hash hash = eth_keccak256(ms_span_of(digits, 40));
    for (size_t i = 0; i < 40; i++) {
        unsigned nibble = i % 2 == 0 ? hash.b[i / 2] >> 4 : hash.b[i / 2] & 15u;
        if (digits[i] >= 'a' && nibble >= 8)
            digits[i] = (char)(digits[i] - 32);
    }
}

static enum eth_checksum checksum_of(struct ms_span digits, const struct eth_addr *addr)
{
    char right[ETH_ADDR_TEXT + 1];
    bool lower = false, upper = false;

    eth_addr_text(addr, right);
    if (memcmp(right + 2, digits.ptr, 40) == 0)
        return ETH_CHECKSUM_RIGHT;
    for (size_t i = 0; i < digits.len; i++) {
        lower = lower || digits.ptr[i] >= 'a';
        upper = upper || (digits.ptr[i] >= 'A' && digits.ptr[i] <= 'F');
    }
    return lower && upper ? ETH_CHECKSUM_WRONG : ETH_CHECKSUM_NONE;
}

enum ms_err eth_addr_parse(struct ms_span text, struct eth_addr *ret_addr,
                           enum eth_checksum *ret_checksum, struct ms_diag *diag)
{
    struct eth_addr addr;

    if (!ms_span_starts(text, "0x"))
        return ms_diag_set(diag, MS_ERR_ADDRESS, "an address starts with 0x");
    struct ms_span digits = ms_span_sub(text, 2, text.len);
    enum ms_err err = ms_hex_decode(digits, addr.b, sizeof(addr.b));
    if (err == MS_ERR_LENGTH)
        return ms_diag_set(diag, MS_ERR_ADDRESS, "an address has 40 hex digits, this one has %zu",
                           digits.len);
    if (err != MS_OK)
        return ms_diag_set(diag, MS_ERR_ADDRESS,
                           "the address has a character that is no hex digit");
    *ret_addr = addr;
    *ret_checksum = checksum_of(digits, &addr);
    return MS_OK;
}

bool eth_addr_is_zero(const struct eth_addr *addr)
{
    static const struct eth_addr zero;
    return eth_addr_eq(addr, &zero);
}
