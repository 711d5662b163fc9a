/* contracts-abi/timelock_abi.h - constants of contracts-abi/timelock.json.
 * For OpenZeppelin TimelockController.
 * Made by contracts-abi/generate.py; do not edit. X_ALL(X) lists the names of a section. */
#ifndef MS_CONTRACTS_TIMELOCK_ABI_H
#define MS_CONTRACTS_TIMELOCK_ABI_H

/* clang-format off */
/* selectors: first 4 bytes of keccak256 of the text */
#define TIMELOCK_CALL_TEXT_GET_MIN_DELAY "getMinDelay()"
#define TIMELOCK_CALL_GET_MIN_DELAY {0xf2, 0x7a, 0x0c, 0x92}
#define TIMELOCK_CALL_TEXT_GET_OPERATION_STATE "getOperationState(bytes32)"
#define TIMELOCK_CALL_GET_OPERATION_STATE {0x79, 0x58, 0x00, 0x4c}
#define TIMELOCK_CALL_TEXT_GET_TIMESTAMP "getTimestamp(bytes32)"
#define TIMELOCK_CALL_GET_TIMESTAMP {0xd4, 0x5c, 0x44, 0x35}
#define TIMELOCK_CALL_TEXT_HASH_OPERATION "hashOperation(address,uint256,bytes,bytes32,bytes32)"
#define TIMELOCK_CALL_HASH_OPERATION {0x80, 0x65, 0x65, 0x7f}
#define TIMELOCK_CALL_ALL(X) \
    X(GET_MIN_DELAY) \
    X(GET_OPERATION_STATE) \
    X(GET_TIMESTAMP) \
    X(HASH_OPERATION)

/* topic 0 of events */
#define TIMELOCK_EVENT_TEXT_CALL_EXECUTED "CallExecuted(bytes32,uint256,address,uint256,bytes)"
#define TIMELOCK_EVENT_CALL_EXECUTED \
    {{0xc2, 0x61, 0x7e, 0xfa, 0x69, 0xba, 0xb6, 0x67, 0x82, 0xfa, 0x21, 0x95, 0x43, 0x71, 0x43, \
        0x38, 0x48, 0x9c, 0x4e, 0x9e, 0x17, 0x82, 0x71, 0x56, 0x0a, 0x91, 0xb8, 0x2c, 0x3f, 0x61, \
        0x2b, 0x58}}
#define TIMELOCK_EVENT_TEXT_CALL_SCHEDULED \
    "CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)"
#define TIMELOCK_EVENT_CALL_SCHEDULED \
    {{0x4c, 0xf4, 0x41, 0x0c, 0xc5, 0x70, 0x40, 0xe4, 0x48, 0x62, 0xef, 0x0f, 0x45, 0xf3, 0xdd, \
        0x5a, 0x5e, 0x02, 0xdb, 0x8e, 0xb8, 0xad, 0xd6, 0x48, 0xd4, 0xb0, 0xe2, 0x36, 0xf1, 0xd0, \
        0x7d, 0xca}}
#define TIMELOCK_EVENT_TEXT_CANCELLED "Cancelled(bytes32)"
#define TIMELOCK_EVENT_CANCELLED \
    {{0xba, 0xa1, 0xeb, 0x22, 0xf2, 0xa4, 0x92, 0xba, 0x1a, 0x5f, 0xea, 0x61, 0xb8, 0xdf, 0x4d, \
        0x27, 0xc6, 0xc8, 0xb5, 0xf3, 0x97, 0x1e, 0x63, 0xbb, 0x58, 0xfa, 0x14, 0xff, 0x72, 0xee, \
        0xdb, 0x70}}
#define TIMELOCK_EVENT_TEXT_MIN_DELAY_CHANGE "MinDelayChange(uint256,uint256)"
#define TIMELOCK_EVENT_MIN_DELAY_CHANGE \
    {{0x11, 0xc2, 0x4f, 0x4e, 0xad, 0x16, 0x50, 0x7c, 0x69, 0xac, 0x46, 0x7f, 0xbd, 0x5e, 0x4e, \
        0xed, 0x5f, 0xb5, 0xc6, 0x99, 0x62, 0x6d, 0x2c, 0xc6, 0xd6, 0x64, 0x21, 0xdf, 0x25, 0x38, \
        0x86, 0xd5}}
#define TIMELOCK_EVENT_ALL(X) \
    X(CALL_EXECUTED) \
    X(CALL_SCHEDULED) \
    X(CANCELLED) \
    X(MIN_DELAY_CHANGE)

/* what calls take and return, and what is not indexed in an event, as ABI parameter lists */
#define TIMELOCK_RETURNS_GET_MIN_DELAY "uint256"
#define TIMELOCK_ARGS_GET_OPERATION_STATE "bytes32"
#define TIMELOCK_RETURNS_GET_OPERATION_STATE "uint8"
#define TIMELOCK_ARGS_GET_TIMESTAMP "bytes32"
#define TIMELOCK_RETURNS_GET_TIMESTAMP "uint256"
#define TIMELOCK_ARGS_HASH_OPERATION "address,uint256,bytes,bytes32,bytes32"
#define TIMELOCK_RETURNS_HASH_OPERATION "bytes32"
#define TIMELOCK_LOG_DATA_CALL_EXECUTED "address,uint256,bytes"
#define TIMELOCK_LOG_DATA_CALL_SCHEDULED "address,uint256,bytes,bytes32,uint256"
#define TIMELOCK_LOG_DATA_MIN_DELAY_CHANGE "uint256,uint256"

#endif
