/* contracts-abi/common_abi.h - constants of contracts-abi/common.json.
 * For what several contracts share: ERC-165, ownership, ERC-1967 proxies.
 * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */
#ifndef MS_CONTRACTS_COMMON_ABI_H
#define MS_CONTRACTS_COMMON_ABI_H

/* clang-format off */
/* selectors: first 4 bytes of keccak256 of the text */
#define COMMON_CALL_TEXT_OWNER "owner()"
#define COMMON_CALL_OWNER {0x8d, 0xa5, 0xcb, 0x5b}
#define COMMON_CALL_TEXT_PENDING_OWNER "pendingOwner()"
#define COMMON_CALL_PENDING_OWNER {0xe3, 0x0c, 0x39, 0x78}
#define COMMON_CALL_TEXT_SUPPORTS_INTERFACE "supportsInterface(bytes4)"
#define COMMON_CALL_SUPPORTS_INTERFACE {0x01, 0xff, 0xc9, 0xa7}
#define COMMON_CALL_ALL(X) \
    X(OWNER) \
    X(PENDING_OWNER) \
    X(SUPPORTS_INTERFACE)

/* topic 0 of events */
#define COMMON_EVENT_TEXT_INITIALIZED "Initialized(uint64)"
#define COMMON_EVENT_INITIALIZED \
    {{0xc7, 0xf5, 0x05, 0xb2, 0xf3, 0x71, 0xae, 0x21, 0x75, 0xee, 0x49, 0x13, 0xf4, 0x49, 0x9e, \
        0x1f, 0x26, 0x33, 0xa7, 0xb5, 0x93, 0x63, 0x21, 0xee, 0xd1, 0xcd, 0xae, 0xb6, 0x11, 0x51, \
        0x81, 0xd2}}
#define COMMON_EVENT_TEXT_OWNERSHIP_TRANSFER_STARTED "OwnershipTransferStarted(address,address)"
#define COMMON_EVENT_OWNERSHIP_TRANSFER_STARTED \
    {{0x38, 0xd1, 0x6b, 0x8c, 0xac, 0x22, 0xd9, 0x9f, 0xc7, 0xc1, 0x24, 0xb9, 0xcd, 0x0d, 0xe2, \
        0xd3, 0xfa, 0x1f, 0xae, 0xf4, 0x20, 0xbf, 0xe7, 0x91, 0xd8, 0xc3, 0x62, 0xd7, 0x65, 0xe2, \
        0x27, 0x00}}
#define COMMON_EVENT_TEXT_OWNERSHIP_TRANSFERRED "OwnershipTransferred(address,address)"
#define COMMON_EVENT_OWNERSHIP_TRANSFERRED \
    {{0x8b, 0xe0, 0x07, 0x9c, 0x53, 0x16, 0x59, 0x14, 0x13, 0x44, 0xcd, 0x1f, 0xd0, 0xa4, 0xf2, \
        0x84, 0x19, 0x49, 0x7f, 0x97, 0x22, 0xa3, 0xda, 0xaf, 0xe3, 0xb4, 0x18, 0x6f, 0x6b, 0x64, \
        0x57, 0xe0}}
#define COMMON_EVENT_TEXT_UPGRADED "Upgraded(address)"
#define COMMON_EVENT_UPGRADED \
    {{0xbc, 0x7c, 0xd7, 0x5a, 0x20, 0xee, 0x27, 0xfd, 0x9a, 0xde, 0xba, 0xb3, 0x20, 0x41, 0xf7, \
        0x55, 0x21, 0x4d, 0xbc, 0x6b, 0xff, 0xa9, 0x0c, 0xc0, 0x22, 0x5b, 0x39, 0xda, 0x2e, 0x5c, \
        0x2d, 0x3b}}
#define COMMON_EVENT_ALL(X) \
    X(INITIALIZED) \
    X(OWNERSHIP_TRANSFER_STARTED) \
    X(OWNERSHIP_TRANSFERRED) \
    X(UPGRADED)

/* ERC-165 ids: the selectors of the functions, xored */
#define COMMON_INTERFACE_TEXT_ERC165 "supportsInterface(bytes4)"
#define COMMON_INTERFACE_ERC165 {0x01, 0xff, 0xc9, 0xa7}
#define COMMON_INTERFACE_ALL(X) \
    X(ERC165)

/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */
#define COMMON_RETURNS_OWNER "address"
#define COMMON_RETURNS_PENDING_OWNER "address"
#define COMMON_ARGS_SUPPORTS_INTERFACE "bytes4"
#define COMMON_RETURNS_SUPPORTS_INTERFACE "bool"
#define COMMON_LOG_DATA_INITIALIZED "uint64"

#endif
