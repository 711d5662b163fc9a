/* eth/address.h - 20-byte addresses and their EIP-55 text. Pure. */
#ifndef MS_ETH_ADDRESS_H
#define MS_ETH_ADDRESS_H

#include "base/err.h"
#include "base/span.h"

#define ETH_ADDR_BYTES 20
#define ETH_ADDR_TEXT 42 /* "0x" and 40 digits, without NUL */

struct eth_addr {
    uint8_t b[ETH_ADDR_BYTES];
};

enum eth_checksum {
    ETH_CHECKSUM_WRONG = 0, /* mixed case that is not EIP-55 */
    ETH_CHECKSUM_NONE,  /* letters of one case only, and not its EIP-55 form: nothing to check */
    ETH_CHECKSUM_RIGHT, /* exactly the EIP-55 form (also when there are no letters) */
};

/* "0x" (lower-case x) and exactly 40 digits of any case. A wrong checksum is not an error here: the
 * caller's policy decides. MS_ERR_ADDRESS otherwise, with the cause. */
MS_MUST_USE enum ms_err eth_addr_parse(struct ms_span text, struct eth_addr *ret_addr,
                                       enum eth_checksum *ret_checksum, struct ms_diag *diag);

/* EIP-55 text with NUL. */
void eth_addr_text(const struct eth_addr *addr, char out[ETH_ADDR_TEXT + 1]);

static inline bool eth_addr_eq(const struct eth_addr *a, const struct eth_addr *b)
{
    return memcmp(a->b, b->b, ETH_ADDR_BYTES) == 0;
}

bool eth_addr_is_zero(const struct eth_addr *addr);

#endif
