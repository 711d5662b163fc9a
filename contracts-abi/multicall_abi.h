/* contracts-abi/multicall_abi.h - constants of contracts-abi/multicall.json.
 * For Multicall3.
 * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */
#ifndef MS_CONTRACTS_MULTICALL_ABI_H
#define MS_CONTRACTS_MULTICALL_ABI_H

/* clang-format off */
/* selectors: first 4 bytes of keccak256 of the text */
#define MULTICALL_CALL_TEXT_AGGREGATE3 "aggregate3((address,bool,bytes)[])"
#define MULTICALL_CALL_AGGREGATE3 {0x82, 0xad, 0x56, 0xcb}
#define MULTICALL_CALL_TEXT_GET_BLOCK_HASH "getBlockHash(uint256)"
#define MULTICALL_CALL_GET_BLOCK_HASH {0xee, 0x82, 0xac, 0x5e}
#define MULTICALL_CALL_ALL(X) \
    X(AGGREGATE3) \
    X(GET_BLOCK_HASH)

/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */
#define MULTICALL_ARGS_AGGREGATE3 "(address,bool,bytes)[]"
#define MULTICALL_RETURNS_AGGREGATE3 "(bool,bytes)[]"
#define MULTICALL_ARGS_GET_BLOCK_HASH "uint256"
#define MULTICALL_RETURNS_GET_BLOCK_HASH "bytes32"

#endif
