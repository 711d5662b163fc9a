/* contracts-abi/flashtestations_abi.h - constants of contracts-abi/flashtestations.json.
 * For BlockBuilderPolicy and FlashtestationRegistry.
 * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */
#ifndef MS_CONTRACTS_FLASHTESTATIONS_ABI_H
#define MS_CONTRACTS_FLASHTESTATIONS_ABI_H

/* clang-format off */
/* selectors: first 4 bytes of keccak256 of the text */
#define FLASHTESTATIONS_CALL_TEXT_VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH \
    "VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH()"
#define FLASHTESTATIONS_CALL_VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH {0x73, 0x01, 0x69, 0x23}
#define FLASHTESTATIONS_CALL_TEXT_GET_REGISTRATION "getRegistration(address)"
#define FLASHTESTATIONS_CALL_GET_REGISTRATION {0x72, 0x73, 0x10, 0x62}
#define FLASHTESTATIONS_CALL_TEXT_GET_REGISTRATION_STATUS "getRegistrationStatus(address)"
#define FLASHTESTATIONS_CALL_GET_REGISTRATION_STATUS {0xa8, 0xaf, 0x4f, 0xf5}
#define FLASHTESTATIONS_CALL_TEXT_GET_WORKLOAD_METADATA "getWorkloadMetadata(bytes32)"
#define FLASHTESTATIONS_CALL_GET_WORKLOAD_METADATA {0xab, 0xd4, 0x5d, 0x21}
#define FLASHTESTATIONS_CALL_TEXT_IS_ALLOWED_POLICY "isAllowedPolicy(address)"
#define FLASHTESTATIONS_CALL_IS_ALLOWED_POLICY {0xd2, 0x75, 0x35, 0x61}
#define FLASHTESTATIONS_CALL_TEXT_OWNER "owner()"
#define FLASHTESTATIONS_CALL_OWNER {0x8d, 0xa5, 0xcb, 0x5b}
#define FLASHTESTATIONS_CALL_TEXT_REGISTRY "registry()"
#define FLASHTESTATIONS_CALL_REGISTRY {0x7b, 0x10, 0x39, 0x99}
#define FLASHTESTATIONS_CALL_TEXT_WORKLOAD_ID_FOR_TD_REGISTRATION \
    "workloadIdForTDRegistration((bool,bytes,(bytes16,bytes,bytes,bytes8,bytes8,bytes8,by" \
    "tes,bytes,bytes,bytes,bytes,bytes,bytes,bytes,bytes),bytes,bytes32))"
#define FLASHTESTATIONS_CALL_WORKLOAD_ID_FOR_TD_REGISTRATION {0x4d, 0x37, 0xfc, 0x7a}
#define FLASHTESTATIONS_CALL_ALL(X) \
    X(VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH) \
    X(GET_REGISTRATION) \
    X(GET_REGISTRATION_STATUS) \
    X(GET_WORKLOAD_METADATA) \
    X(IS_ALLOWED_POLICY) \
    X(OWNER) \
    X(REGISTRY) \
    X(WORKLOAD_ID_FOR_TD_REGISTRATION)

/* topic 0 of events */
#define FLASHTESTATIONS_EVENT_TEXT_INITIALIZED "Initialized(uint64)"
#define FLASHTESTATIONS_EVENT_INITIALIZED \
    {{0xc7, 0xf5, 0x05, 0xb2, 0xf3, 0x71, 0xae, 0x21, 0x75, 0xee, 0x49, 0x13, 0xf4, 0x49, 0x9e, \
        0x1f, 0x26, 0x33, 0xa7, 0xb5, 0x93, 0x63, 0x21, 0xee, 0xd1, 0xcd, 0xae, 0xb6, 0x11, 0x51, \
        0x81, 0xd2}}
#define FLASHTESTATIONS_EVENT_TEXT_OWNERSHIP_TRANSFER_STARTED \
    "OwnershipTransferStarted(address,address)"
#define FLASHTESTATIONS_EVENT_OWNERSHIP_TRANSFER_STARTED \
    {{0x38, 0xd1, 0x6b, 0x8c, 0xac, 0x22, 0xd9, 0x9f, 0xc7, 0xc1, 0x24, 0xb9, 0xcd, 0x0d, 0xe2, \
        0xd3, 0xfa, 0x1f, 0xae, 0xf4, 0x20, 0xbf, 0xe7, 0x91, 0xd8, 0xc3, 0x62, 0xd7, 0x65, 0xe2, \
        0x27, 0x00}}
#define FLASHTESTATIONS_EVENT_TEXT_OWNERSHIP_TRANSFERRED "OwnershipTransferred(address,address)"
#define FLASHTESTATIONS_EVENT_OWNERSHIP_TRANSFERRED \
    {{0x8b, 0xe0, 0x07, 0x9c, 0x53, 0x16, 0x59, 0x14, 0x13, 0x44, 0xcd, 0x1f, 0xd0, 0xa4, 0xf2, \
        0x84, 0x19, 0x49, 0x7f, 0x97, 0x22, 0xa3, 0xda, 0xaf, 0xe3, 0xb4, 0x18, 0x6f, 0x6b, 0x64, \
        0x57, 0xe0}}
#define FLASHTESTATIONS_EVENT_TEXT_REGISTRY_SET "RegistrySet(address)"
#define FLASHTESTATIONS_EVENT_REGISTRY_SET \
    {{0x27, 0xfe, 0x5f, 0x0c, 0x1c, 0x3b, 0x1e, 0xd4, 0x27, 0xcc, 0x63, 0xd0, 0xf0, 0x57, 0x59, \
        0xff, 0xde, 0xcf, 0x9a, 0xec, 0x9e, 0x18, 0xd3, 0x1e, 0xf3, 0x66, 0xfc, 0x8a, 0x6c, 0xb5, \
        0xdc, 0x3b}}
#define FLASHTESTATIONS_EVENT_TEXT_TEE_SERVICE_INVALIDATED "TEEServiceInvalidated(address)"
#define FLASHTESTATIONS_EVENT_TEE_SERVICE_INVALIDATED \
    {{0x5b, 0xb0, 0xbb, 0xb0, 0x99, 0x3a, 0x62, 0x3e, 0x10, 0xdd, 0x35, 0x79, 0xbf, 0x5b, 0x94, \
        0x03, 0xde, 0xba, 0x94, 0x3e, 0x0b, 0xfe, 0x95, 0x0b, 0x74, 0x0d, 0x60, 0x20, 0x9c, 0x91, \
        0x35, 0xef}}
#define FLASHTESTATIONS_EVENT_TEXT_TEE_SERVICE_REGISTERED \
    "TEEServiceRegistered(address,bytes,bool)"
#define FLASHTESTATIONS_EVENT_TEE_SERVICE_REGISTERED \
    {{0x20, 0x6f, 0xdb, 0x1a, 0x74, 0x85, 0x1a, 0x85, 0x42, 0x44, 0x7b, 0x8b, 0x67, 0x04, 0xdb, \
        0x24, 0xa3, 0x6b, 0x90, 0x6a, 0x72, 0x97, 0xcc, 0x23, 0xc2, 0xb9, 0x84, 0xdc, 0x35, 0x7b, \
        0x99, 0x78}}
#define FLASHTESTATIONS_EVENT_TEXT_UPGRADED "Upgraded(address)"
#define FLASHTESTATIONS_EVENT_UPGRADED \
    {{0xbc, 0x7c, 0xd7, 0x5a, 0x20, 0xee, 0x27, 0xfd, 0x9a, 0xde, 0xba, 0xb3, 0x20, 0x41, 0xf7, \
        0x55, 0x21, 0x4d, 0xbc, 0x6b, 0xff, 0xa9, 0x0c, 0xc0, 0x22, 0x5b, 0x39, 0xda, 0x2e, 0x5c, \
        0x2d, 0x3b}}
#define FLASHTESTATIONS_EVENT_TEXT_WORKLOAD_ADDED_TO_POLICY "WorkloadAddedToPolicy(bytes32)"
#define FLASHTESTATIONS_EVENT_WORKLOAD_ADDED_TO_POLICY \
    {{0xcb, 0xb9, 0x2e, 0x24, 0x1e, 0x19, 0x1f, 0xed, 0x6d, 0x0b, 0x0d, 0xa0, 0xa9, 0x18, 0xc7, \
        0xdc, 0xf5, 0x95, 0xe7, 0x7d, 0x86, 0x8e, 0x2e, 0x3b, 0xf9, 0xe6, 0xb0, 0xb9, 0x15, 0x89, \
        0xc7, 0xad}}
#define FLASHTESTATIONS_EVENT_TEXT_WORKLOAD_REMOVED_FROM_POLICY \
    "WorkloadRemovedFromPolicy(bytes32)"
#define FLASHTESTATIONS_EVENT_WORKLOAD_REMOVED_FROM_POLICY \
    {{0x56, 0xc3, 0x87, 0xa9, 0xbe, 0x1b, 0xf0, 0xe0, 0xe4, 0xf8, 0x52, 0xc5, 0x77, 0xa2, 0x25, \
        0xdb, 0x98, 0xe8, 0x25, 0x3a, 0xd4, 0x01, 0xd1, 0xb4, 0xea, 0x73, 0x92, 0x6f, 0x27, 0xd6, \
        0xaf, 0x09}}
#define FLASHTESTATIONS_EVENT_ALL(X) \
    X(INITIALIZED) \
    X(OWNERSHIP_TRANSFER_STARTED) \
    X(OWNERSHIP_TRANSFERRED) \
    X(REGISTRY_SET) \
    X(TEE_SERVICE_INVALIDATED) \
    X(TEE_SERVICE_REGISTERED) \
    X(UPGRADED) \
    X(WORKLOAD_ADDED_TO_POLICY) \
    X(WORKLOAD_REMOVED_FROM_POLICY)

/* keccak256 of the text */
#define FLASHTESTATIONS_HASH_TEXT_VERIFY_BLOCK_BUILDER_PROOF_TYPE \
    "VerifyBlockBuilderProof(uint8 version,bytes32 blockContentHash,uint256 nonce)"
#define FLASHTESTATIONS_HASH_VERIFY_BLOCK_BUILDER_PROOF_TYPE \
    {{0x93, 0xb3, 0xc1, 0x92, 0xde, 0x39, 0xa9, 0x3d, 0xa7, 0x1b, 0x94, 0xfb, 0x9f, 0xad, 0xb8, \
        0xe9, 0x13, 0xf7, 0x52, 0xa2, 0xe9, 0xea, 0x95, 0x0a, 0x33, 0x26, 0x6a, 0x81, 0xfc, 0xbf, \
        0x2f, 0xfc}}
#define FLASHTESTATIONS_HASH_ALL(X) \
    X(VERIFY_BLOCK_BUILDER_PROOF_TYPE)

/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */
#define FLASHTESTATIONS_RETURNS_VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH "bytes32"
#define FLASHTESTATIONS_ARGS_GET_REGISTRATION "address"
#define FLASHTESTATIONS_RETURNS_GET_REGISTRATION \
    "bool,(bool,bytes,(bytes16,bytes,bytes,bytes8,bytes8,bytes8,bytes,bytes,bytes,bytes,b" \
    "ytes,bytes,bytes,bytes,bytes),bytes,bytes32)"
#define FLASHTESTATIONS_ARGS_GET_REGISTRATION_STATUS "address"
#define FLASHTESTATIONS_RETURNS_GET_REGISTRATION_STATUS "bool,bytes32"
#define FLASHTESTATIONS_ARGS_GET_WORKLOAD_METADATA "bytes32"
#define FLASHTESTATIONS_RETURNS_GET_WORKLOAD_METADATA "(string,string[])"
#define FLASHTESTATIONS_ARGS_IS_ALLOWED_POLICY "address"
#define FLASHTESTATIONS_RETURNS_IS_ALLOWED_POLICY "bool,bytes32"
#define FLASHTESTATIONS_RETURNS_OWNER "address"
#define FLASHTESTATIONS_RETURNS_REGISTRY "address"
#define FLASHTESTATIONS_ARGS_WORKLOAD_ID_FOR_TD_REGISTRATION \
    "(bool,bytes,(bytes16,bytes,bytes,bytes8,bytes8,bytes8,bytes,bytes,bytes,bytes,bytes," \
    "bytes,bytes,bytes,bytes),bytes,bytes32)"
#define FLASHTESTATIONS_RETURNS_WORKLOAD_ID_FOR_TD_REGISTRATION "bytes32"
#define FLASHTESTATIONS_LOG_DATA_INITIALIZED "uint64"
#define FLASHTESTATIONS_LOG_DATA_TEE_SERVICE_REGISTERED "bytes,bool"

#endif
