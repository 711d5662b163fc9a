/* contracts-abi/registry_abi.h - constants of contracts-abi/MeasurementRegistry.json.
 * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */
#ifndef MS_CONTRACTS_REGISTRY_ABI_H
#define MS_CONTRACTS_REGISTRY_ABI_H

/* clang-format off */
/* keccak256 of the contract's code: 10247 bytes, the same on every chain */
#define REGISTRY_CODE_HASH \
    {{0x61, 0xbe, 0x32, 0xa6, 0x4c, 0x04, 0x24, 0x03, 0x14, 0x02, 0x89, 0x05, 0x0e, 0x9b, 0x36, \
        0xad, 0x27, 0x6a, 0x65, 0x03, 0x20, 0x02, 0x08, 0xde, 0x32, 0xea, 0xff, 0x64, 0x14, 0xd1, \
        0xbc, 0xd9}}
/* ERC-165 id of IMeasurementRegistry */
#define REGISTRY_INTERFACE_ID {0x16, 0x4d, 0x0c, 0xe9}

/* selectors: first 4 bytes of keccak256 of the text */
#define REGISTRY_CALL_TEXT_RELEASE_TYPEHASH "RELEASE_TYPEHASH()"
#define REGISTRY_CALL_RELEASE_TYPEHASH {0x09, 0x02, 0xdf, 0x91}
#define REGISTRY_CALL_TEXT_STATE_TYPEHASH "STATE_TYPEHASH()"
#define REGISTRY_CALL_STATE_TYPEHASH {0x92, 0x8d, 0x50, 0x6f}
#define REGISTRY_CALL_TEXT_ACCEPT_OWNERSHIP "acceptOwnership()"
#define REGISTRY_CALL_ACCEPT_OWNERSHIP {0x79, 0xba, 0x50, 0x97}
#define REGISTRY_CALL_TEXT_APPROVE \
    "approve((uint64,uint64,uint64,uint16,uint32,bytes32,string),bytes)"
#define REGISTRY_CALL_APPROVE {0xd8, 0x63, 0x0b, 0x0b}
#define REGISTRY_CALL_TEXT_COMMITMENT "commitment()"
#define REGISTRY_CALL_COMMITMENT {0x13, 0x03, 0xa4, 0x84}
#define REGISTRY_CALL_TEXT_HEARTBEAT "heartbeat(uint64)"
#define REGISTRY_CALL_HEARTBEAT {0x9b, 0xf6, 0xfa, 0x57}
#define REGISTRY_CALL_TEXT_IS_APPROVED "isApproved(bytes32)"
#define REGISTRY_CALL_IS_APPROVED {0x48, 0xae, 0xfc, 0x32}
#define REGISTRY_CALL_TEXT_OWNER "owner()"
#define REGISTRY_CALL_OWNER {0x8d, 0xa5, 0xcb, 0x5b}
#define REGISTRY_CALL_TEXT_PAYLOAD "payload(uint64)"
#define REGISTRY_CALL_PAYLOAD {0x1b, 0x8b, 0xc1, 0x46}
#define REGISTRY_CALL_TEXT_PENDING_OWNER "pendingOwner()"
#define REGISTRY_CALL_PENDING_OWNER {0xe3, 0x0c, 0x39, 0x78}
#define REGISTRY_CALL_TEXT_PRUNE "prune(uint64)"
#define REGISTRY_CALL_PRUNE {0x85, 0xe4, 0x71, 0xd5}
#define REGISTRY_CALL_TEXT_RAISE_MIN_DELAY "raiseMinDelay(uint64)"
#define REGISTRY_CALL_RAISE_MIN_DELAY {0xd9, 0xa1, 0x90, 0x60}
#define REGISTRY_CALL_TEXT_RELEASE "release(uint64)"
#define REGISTRY_CALL_RELEASE {0x41, 0xfb, 0xbc, 0x31}
#define REGISTRY_CALL_TEXT_RELEASE_COUNT "releaseCount()"
#define REGISTRY_CALL_RELEASE_COUNT {0xb8, 0xd0, 0x8d, 0xb2}
#define REGISTRY_CALL_TEXT_REVOKE "revoke(uint64,uint32)"
#define REGISTRY_CALL_REVOKE {0x10, 0x51, 0xc8, 0x99}
#define REGISTRY_CALL_TEXT_SEQUENCE "sequence()"
#define REGISTRY_CALL_SEQUENCE {0x52, 0x9d, 0x15, 0xcc}
#define REGISTRY_CALL_TEXT_SET_GUARDIAN "setGuardian(address)"
#define REGISTRY_CALL_SET_GUARDIAN {0x8a, 0x0d, 0xac, 0x4a}
#define REGISTRY_CALL_TEXT_SHORTEN "shorten(uint64,uint64)"
#define REGISTRY_CALL_SHORTEN {0xc2, 0x8e, 0x2f, 0x2b}
#define REGISTRY_CALL_TEXT_SNAPSHOT "snapshot()"
#define REGISTRY_CALL_SNAPSHOT {0x97, 0x11, 0x71, 0x5a}
#define REGISTRY_CALL_TEXT_SNAPSHOT_WITH_PAYLOADS "snapshotWithPayloads()"
#define REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS {0xc8, 0x20, 0xda, 0x22}
#define REGISTRY_CALL_TEXT_SUPPORTS_INTERFACE "supportsInterface(bytes4)"
#define REGISTRY_CALL_SUPPORTS_INTERFACE {0x01, 0xff, 0xc9, 0xa7}
#define REGISTRY_CALL_TEXT_TRANSFER_OWNERSHIP "transferOwnership(address)"
#define REGISTRY_CALL_TRANSFER_OWNERSHIP {0xf2, 0xfd, 0xe3, 0x8b}
#define REGISTRY_CALL_ALL(X) \
    X(RELEASE_TYPEHASH) \
    X(STATE_TYPEHASH) \
    X(ACCEPT_OWNERSHIP) \
    X(APPROVE) \
    X(COMMITMENT) \
    X(HEARTBEAT) \
    X(IS_APPROVED) \
    X(OWNER) \
    X(PAYLOAD) \
    X(PENDING_OWNER) \
    X(PRUNE) \
    X(RAISE_MIN_DELAY) \
    X(RELEASE) \
    X(RELEASE_COUNT) \
    X(REVOKE) \
    X(SEQUENCE) \
    X(SET_GUARDIAN) \
    X(SHORTEN) \
    X(SNAPSHOT) \
    X(SNAPSHOT_WITH_PAYLOADS) \
    X(SUPPORTS_INTERFACE) \
    X(TRANSFER_OWNERSHIP)

/* topic 0 of events */
#define REGISTRY_EVENT_TEXT_HISTORY_APPENDED \
    "HistoryAppended(uint64,uint8,uint64,uint64,uint64,bytes,bytes32)"
#define REGISTRY_EVENT_HISTORY_APPENDED \
    {{0x04, 0x43, 0xf9, 0xe5, 0x45, 0x4f, 0x9c, 0x43, 0x7e, 0x1d, 0x5a, 0xf9, 0xe9, 0x6c, 0xfd, \
        0xcb, 0x63, 0xfe, 0xb6, 0xec, 0x3f, 0xcb, 0x49, 0x41, 0xd2, 0xb1, 0x25, 0xb9, 0xe5, 0xf1, \
        0xfd, 0x05}}
#define REGISTRY_EVENT_TEXT_OWNERSHIP_TRANSFER_STARTED \
    "OwnershipTransferStarted(address,address)"
#define REGISTRY_EVENT_OWNERSHIP_TRANSFER_STARTED \
    {{0x38, 0xd1, 0x6b, 0x8c, 0xac, 0x22, 0xd9, 0x9f, 0xc7, 0xc1, 0x24, 0xb9, 0xcd, 0x0d, 0xe2, \
        0xd3, 0xfa, 0x1f, 0xae, 0xf4, 0x20, 0xbf, 0xe7, 0x91, 0xd8, 0xc3, 0x62, 0xd7, 0x65, 0xe2, \
        0x27, 0x00}}
#define REGISTRY_EVENT_TEXT_OWNERSHIP_TRANSFERRED "OwnershipTransferred(address,address)"
#define REGISTRY_EVENT_OWNERSHIP_TRANSFERRED \
    {{0x8b, 0xe0, 0x07, 0x9c, 0x53, 0x16, 0x59, 0x14, 0x13, 0x44, 0xcd, 0x1f, 0xd0, 0xa4, 0xf2, \
        0x84, 0x19, 0x49, 0x7f, 0x97, 0x22, 0xa3, 0xda, 0xaf, 0xe3, 0xb4, 0x18, 0x6f, 0x6b, 0x64, \
        0x57, 0xe0}}
#define REGISTRY_EVENT_TEXT_RELEASE_APPROVED \
    "ReleaseApproved(uint64,uint64,bytes32,(uint64,uint64,uint64,uint64,uint64,uint16,uin" \
    "t32,bytes32,string))"
#define REGISTRY_EVENT_RELEASE_APPROVED \
    {{0x2a, 0xf7, 0xcc, 0x73, 0x88, 0x1f, 0xce, 0xf5, 0xee, 0x3c, 0x52, 0x63, 0x9e, 0x78, 0xf4, \
        0x91, 0x33, 0x43, 0xe2, 0xe5, 0xe5, 0x29, 0x72, 0xd8, 0xd1, 0x94, 0xf4, 0xdb, 0x93, 0xf3, \
        0x39, 0xd1}}
#define REGISTRY_EVENT_TEXT_RELEASE_REVOKED "ReleaseRevoked(uint64,uint64,bytes32,uint32)"
#define REGISTRY_EVENT_RELEASE_REVOKED \
    {{0x07, 0xb1, 0x21, 0xf5, 0x32, 0x3a, 0x4e, 0x95, 0xc7, 0x76, 0xb8, 0x9c, 0xe0, 0xb5, 0x89, \
        0xe4, 0xd4, 0x71, 0x25, 0x7f, 0x78, 0x64, 0x1c, 0x9b, 0xe3, 0x17, 0x1b, 0xde, 0xee, 0x04, \
        0xdb, 0xd2}}
#define REGISTRY_EVENT_ALL(X) \
    X(HISTORY_APPENDED) \
    X(OWNERSHIP_TRANSFER_STARTED) \
    X(OWNERSHIP_TRANSFERRED) \
    X(RELEASE_APPROVED) \
    X(RELEASE_REVOKED)

/* selectors of errors */
#define REGISTRY_ERROR_TEXT_BAD_PAYLOAD "BadPayload(uint16,uint256)"
#define REGISTRY_ERROR_BAD_PAYLOAD {0x60, 0xd8, 0x91, 0x95}
#define REGISTRY_ERROR_TEXT_BAD_PAYLOAD_HASH "BadPayloadHash(bytes32,bytes32)"
#define REGISTRY_ERROR_BAD_PAYLOAD_HASH {0x61, 0x17, 0x81, 0x30}
#define REGISTRY_ERROR_TEXT_BAD_VALUE "BadValue(uint256)"
#define REGISTRY_ERROR_BAD_VALUE {0xc2, 0x74, 0x68, 0x09}
#define REGISTRY_ERROR_TEXT_BAD_WINDOW "BadWindow(uint64,uint64,uint64)"
#define REGISTRY_ERROR_BAD_WINDOW {0x96, 0x7b, 0x16, 0x91}
#define REGISTRY_ERROR_TEXT_NOT_AUTHORIZED "NotAuthorized(address)"
#define REGISTRY_ERROR_NOT_AUTHORIZED {0x4a, 0x0b, 0xfe, 0xc1}
#define REGISTRY_ERROR_TEXT_NOT_LIVE "NotLive(uint64)"
#define REGISTRY_ERROR_NOT_LIVE {0x07, 0x07, 0x9c, 0x96}
#define REGISTRY_ERROR_TEXT_TOO_MANY_LIVE "TooManyLive(uint256)"
#define REGISTRY_ERROR_TOO_MANY_LIVE {0x3b, 0x0d, 0x0b, 0xe6}
#define REGISTRY_ERROR_TEXT_UNKNOWN_RELEASE "UnknownRelease(uint64)"
#define REGISTRY_ERROR_UNKNOWN_RELEASE {0x63, 0x10, 0x67, 0x8d}
#define REGISTRY_ERROR_TEXT_VERSION_NOT_INCREASING "VersionNotIncreasing(uint64,uint64)"
#define REGISTRY_ERROR_VERSION_NOT_INCREASING {0x34, 0x0e, 0xff, 0xc1}
#define REGISTRY_ERROR_ALL(X) \
    X(BAD_PAYLOAD) \
    X(BAD_PAYLOAD_HASH) \
    X(BAD_VALUE) \
    X(BAD_WINDOW) \
    X(NOT_AUTHORIZED) \
    X(NOT_LIVE) \
    X(TOO_MANY_LIVE) \
    X(UNKNOWN_RELEASE) \
    X(VERSION_NOT_INCREASING)

/* EIP-712 types; frozen */
#define REGISTRY_TYPE_TEXT_STATE \
    "State(uint64 sequence,uint64 updatedAt,uint64 updatedBlock,uint64 validUntil,uint64 " \
    "minDelay,address owner,address guardian,bytes32 historyHash,bytes32 releasesHash)"
#define REGISTRY_TYPE_STATE \
    {{0x67, 0xd3, 0x13, 0x7b, 0x7c, 0x2b, 0x68, 0xa9, 0x74, 0xbd, 0xd4, 0x0f, 0x18, 0xea, 0xf6, \
        0x84, 0x94, 0x62, 0xf8, 0x92, 0xb8, 0xc2, 0xe4, 0x98, 0xe6, 0x81, 0x67, 0x85, 0x0b, 0x63, \
        0xf8, 0x5a}}
#define REGISTRY_TYPE_TEXT_RELEASE \
    "Release(uint64 id,uint64 version,uint64 notBefore,uint64 notAfter,uint64 approvedSeq" \
    ",uint16 payloadFormat,uint32 payloadSize,bytes32 payloadHash,string uri)"
#define REGISTRY_TYPE_RELEASE \
    {{0x0c, 0x61, 0x88, 0xf5, 0x46, 0xdf, 0x4d, 0x69, 0xd9, 0x62, 0x57, 0x53, 0xef, 0x43, 0x80, \
        0x29, 0x8a, 0x64, 0xec, 0xac, 0xde, 0x62, 0xb0, 0x3b, 0xf6, 0xe3, 0x50, 0xb6, 0x88, 0x77, \
        0x74, 0x28}}
#define REGISTRY_TYPE_ALL(X) \
    X(STATE) \
    X(RELEASE)

/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */
#define REGISTRY_ARGS_CONSTRUCTOR "address,address,uint64"
#define REGISTRY_ARGS_APPROVE "(uint64,uint64,uint64,uint16,uint32,bytes32,string),bytes"
#define REGISTRY_ARGS_HEARTBEAT "uint64"
#define REGISTRY_ARGS_PRUNE "uint64"
#define REGISTRY_ARGS_RAISE_MIN_DELAY "uint64"
#define REGISTRY_ARGS_REVOKE "uint64,uint32"
#define REGISTRY_ARGS_SET_GUARDIAN "address"
#define REGISTRY_ARGS_SHORTEN "uint64,uint64"
#define REGISTRY_ARGS_TRANSFER_OWNERSHIP "address"
#define REGISTRY_ARGS_ERROR_BAD_PAYLOAD "uint16,uint256"
#define REGISTRY_ARGS_ERROR_BAD_PAYLOAD_HASH "bytes32,bytes32"
#define REGISTRY_ARGS_ERROR_BAD_VALUE "uint256"
#define REGISTRY_ARGS_ERROR_BAD_WINDOW "uint64,uint64,uint64"
#define REGISTRY_ARGS_ERROR_NOT_AUTHORIZED "address"
#define REGISTRY_ARGS_ERROR_NOT_LIVE "uint64"
#define REGISTRY_ARGS_ERROR_TOO_MANY_LIVE "uint256"
#define REGISTRY_ARGS_ERROR_UNKNOWN_RELEASE "uint64"
#define REGISTRY_ARGS_ERROR_VERSION_NOT_INCREASING "uint64,uint64"
#define REGISTRY_RETURNS_SNAPSHOT \
    "(uint64,uint64,uint64,uint64,uint64,address,address,bytes32,bytes32),(uint64,uint64," \
    "uint64,uint64,uint64,uint16,uint32,bytes32,string)[]"
#define REGISTRY_RETURNS_SNAPSHOT_WITH_PAYLOADS \
    "(uint64,uint64,uint64,uint64,uint64,address,address,bytes32,bytes32),(uint64,uint64," \
    "uint64,uint64,uint64,uint16,uint32,bytes32,string)[],bytes[]"
#define REGISTRY_RETURNS_RELEASE \
    "(uint64,uint64,uint64,uint64,uint64,uint16,uint32,bytes32,string),(uint64,uint64,uin" \
    "t64,uint32,address)"
#define REGISTRY_LOG_DATA_HISTORY_APPENDED "uint64,uint64,bytes,bytes32"

#endif
