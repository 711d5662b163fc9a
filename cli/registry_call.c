/* cli/registry_call.c - call data. */
#include "cli/registry_call.h"

#include "base/hex.h"
#include "cli/when.h"
#include "contracts-abi/registry_abi.h"
#include "contracts-abi/registry_code.h"
#include "contracts-abi/safe_abi.h"
#include "eth/abi.h"
#include "sig/safe.h"

#include <inttypes.h>
#include <stdio.h>

#define ARENA_BYTES 65536
#define DRAFT_MEMBERS 7
#define ARGS_MAX 10 /* execTransaction */

static const struct {
    const char *name;
    uint8_t selector[ETH_ABI_SELECTOR_BYTES];
    const char *args;
} ops[] = {
    [CALL_NONE] = {"?", {0}, ""},
    [CALL_APPROVE] = {"approve", REGISTRY_CALL_APPROVE, REGISTRY_ARGS_APPROVE},
    [CALL_REVOKE] = {"revoke", REGISTRY_CALL_REVOKE, REGISTRY_ARGS_REVOKE},
    [CALL_SHORTEN] = {"shorten", REGISTRY_CALL_SHORTEN, REGISTRY_ARGS_SHORTEN},
    [CALL_PRUNE] = {"prune", REGISTRY_CALL_PRUNE, REGISTRY_ARGS_PRUNE},
    [CALL_HEARTBEAT] = {"heartbeat", REGISTRY_CALL_HEARTBEAT, REGISTRY_ARGS_HEARTBEAT},
    [CALL_RAISE_MIN_DELAY] = {"raiseMinDelay", REGISTRY_CALL_RAISE_MIN_DELAY,
                              REGISTRY_ARGS_RAISE_MIN_DELAY},
    [CALL_SET_GUARDIAN] = {"setGuardian", REGISTRY_CALL_SET_GUARDIAN, REGISTRY_ARGS_SET_GUARDIAN},
    [CALL_TRANSFER_OWNERSHIP] = {"transferOwnership", REGISTRY_CALL_TRANSFER_OWNERSHIP,
                                 REGISTRY_ARGS_TRANSFER_OWNERSHIP},
    [CALL_ACCEPT_OWNERSHIP] = {"acceptOwnership", REGISTRY_CALL_ACCEPT_OWNERSHIP, ""},
};

const char *call_name(enum call_op op)
{
    return ops[op].name;
}

static struct eth_abi_value address_value(const struct eth_addr *addr)
{
    struct eth_abi_value value = {.kind = ETH_ABI_ADDRESS};

    memcpy(value.word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, addr->b, ETH_ADDR_BYTES);
    return value;
}

static struct eth_abi_value bytes_value(enum eth_abi_kind kind, struct ms_span bytes)
{
    return (struct eth_abi_value){.kind = kind, .bytes = bytes};
}

static enum ms_err encode(const char *types, struct eth_abi_value *values, size_t n,
                          struct ms_buf *out)
{
    struct eth_abi_value all = {.kind = ETH_ABI_TUPLE, .n = n, .items = values};
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    const struct eth_abi_type *type = NULL;

    enum ms_err err = eth_abi_params_parse(ms_span_str(types), &arena, &type);
    if (err == MS_OK)
        err = eth_abi_encode(type, &all, out);
    ms_arena_done(&arena);
    return err;
}

/* Draft in its member order, and the bytes to be kept. */
static size_t approve_args(const struct call *call, struct eth_abi_value draft[DRAFT_MEMBERS],
                           struct eth_abi_value *args)
{
    struct ms_sha256 hash = ms_sha256(call->payload);
    struct eth_word word;
    size_t n = 0;

    memcpy(word.b, hash.b, ETH_WORD_BYTES);
    draft[n++] = eth_abi_u64(call->version);
    draft[n++] = eth_abi_u64(call->not_before_s);
    draft[n++] = eth_abi_u64(call->not_after_s);
    draft[n++] = eth_abi_u64(call->payload_format);
    draft[n++] = eth_abi_u64(call->payload.len);
    draft[n++] = eth_abi_bytes32(&word);
    draft[n++] = bytes_value(ETH_ABI_STRING, call->uri);
    args[0] = (struct eth_abi_value){.kind = ETH_ABI_TUPLE, .n = n, .items = draft};
    args[1] = bytes_value(ETH_ABI_BYTES, call->on_chain ? call->payload : (struct ms_span){0});
    return 2;
}

/* Returns how many arguments there are. */
static size_t args_of(const struct call *call, struct eth_abi_value draft[DRAFT_MEMBERS],
                      struct eth_abi_value args[ARGS_MAX])
{
    switch (call->op) {
    case CALL_APPROVE:
        return approve_args(call, draft, args);
    case CALL_REVOKE:
        args[0] = eth_abi_u64(call->id);
        args[1] = eth_abi_u64(call->reason);
        return 2;
    case CALL_SHORTEN:
        args[0] = eth_abi_u64(call->id);
        args[1] = eth_abi_u64(call->not_after_s);
        return 2;
    case CALL_PRUNE:
        args[0] = eth_abi_u64(call->id);
        return 1;
    case CALL_HEARTBEAT:
    case CALL_RAISE_MIN_DELAY:
        args[0] = eth_abi_u64(call->seconds);
        return 1;
    case CALL_SET_GUARDIAN:
    case CALL_TRANSFER_OWNERSHIP:
        args[0] = address_value(&call->addr);
        return 1;
    case CALL_ACCEPT_OWNERSHIP:
    case CALL_NONE:
        break;
    }
    return 0;
}

enum ms_err call_encode(const struct call *call, struct ms_buf *out)
{
    struct eth_abi_value draft[DRAFT_MEMBERS], args[ARGS_MAX];

    if (call->op == CALL_NONE)
        return MS_ERR_INTERNAL;
    size_t n = args_of(call, draft, args);
    (void)ms_buf_add(out, ms_span_of(ops[call->op].selector, ETH_ABI_SELECTOR_BYTES));
    return encode(ops[call->op].args, args, n, out);
}

enum ms_err call_deploy(const struct eth_addr *owner, const struct eth_addr *guardian,
                        uint64_t min_delay_s, struct ms_buf *out)
{
    struct eth_abi_value args[] = {address_value(owner), address_value(guardian),
                                   eth_abi_u64(min_delay_s)};
    uint8_t *room = ms_buf_room(out, REGISTRY_CREATION_BYTES);

    if (room == NULL)
        return ms_buf_err(out);
    enum ms_err err =
        ms_hex_decode(ms_span_str(REGISTRY_CREATION_CODE), room, REGISTRY_CREATION_BYTES);
    if (err != MS_OK)
        return err;
    out->len += REGISTRY_CREATION_BYTES;
    return encode(REGISTRY_ARGS_CONSTRUCTOR, args, MS_ARRAY_LEN(args), out);
}

enum ms_err call_safe_exec(const struct msig_safe_tx *tx, struct ms_span signatures,
                           struct ms_buf *out)
{
    static const uint8_t selector[] = SAFE_CALL_EXEC_TRANSACTION;
    struct eth_abi_value args[] = {
        address_value(&tx->to),
        eth_abi_u64(tx->value_wei),
        bytes_value(ETH_ABI_BYTES, tx->data),
        eth_abi_u64((uint64_t)tx->operation),
        eth_abi_u64(tx->safe_tx_gas),
        eth_abi_u64(tx->base_gas),
        eth_abi_u64(tx->gas_price_wei),
        address_value(&tx->gas_token),
        address_value(&tx->refund_receiver),
        bytes_value(ETH_ABI_BYTES, signatures),
    };

    (void)ms_buf_add(out, ms_span_of(selector, sizeof(selector)));
    return encode(SAFE_ARGS_EXEC_TRANSACTION, args, MS_ARRAY_LEN(args), out);
}

/* ---- errors ---- */
enum error {
    NOT_AUTHORIZED = 0,
    UNKNOWN_RELEASE,
    NOT_LIVE,
    TOO_MANY_LIVE,
    VERSION_NOT_INCREASING,
    BAD_WINDOW,
    BAD_PAYLOAD,
    BAD_PAYLOAD_HASH,
    BAD_VALUE,
    REQUIRE,
};

static const struct {
    uint8_t selector[ETH_ABI_SELECTOR_BYTES];
    const char *args;
} errors[] = {
    [NOT_AUTHORIZED] = {REGISTRY_ERROR_NOT_AUTHORIZED, REGISTRY_ARGS_ERROR_NOT_AUTHORIZED},
    [UNKNOWN_RELEASE] = {REGISTRY_ERROR_UNKNOWN_RELEASE, REGISTRY_ARGS_ERROR_UNKNOWN_RELEASE},
    [NOT_LIVE] = {REGISTRY_ERROR_NOT_LIVE, REGISTRY_ARGS_ERROR_NOT_LIVE},
    [TOO_MANY_LIVE] = {REGISTRY_ERROR_TOO_MANY_LIVE, REGISTRY_ARGS_ERROR_TOO_MANY_LIVE},
    [VERSION_NOT_INCREASING] = {REGISTRY_ERROR_VERSION_NOT_INCREASING,
                                REGISTRY_ARGS_ERROR_VERSION_NOT_INCREASING},
    [BAD_WINDOW] = {REGISTRY_ERROR_BAD_WINDOW, REGISTRY_ARGS_ERROR_BAD_WINDOW},
    [BAD_PAYLOAD] = {REGISTRY_ERROR_BAD_PAYLOAD, REGISTRY_ARGS_ERROR_BAD_PAYLOAD},
    [BAD_PAYLOAD_HASH] = {REGISTRY_ERROR_BAD_PAYLOAD_HASH, REGISTRY_ARGS_ERROR_BAD_PAYLOAD_HASH},
    [BAD_VALUE] = {REGISTRY_ERROR_BAD_VALUE, REGISTRY_ARGS_ERROR_BAD_VALUE},
    [REQUIRE] = {{0x08, 0xc3, 0x79, 0xa0}, "string"}, /* Error(string), Solidity documentation */
};

static uint64_t number(const struct eth_abi_value *value)
{
    uint64_t out = UINT64_MAX;

    (void)eth_word_to_u64(&value->word, &out);
    return out;
}

static void window_words(const struct eth_abi_value *args, char out[CALL_ERROR_TEXT])
{
    char from[WHEN_TEXT], to[WHEN_TEXT] = "no end", bound[WHEN_TEXT];

    when_text(number(&args[0]), from);
    if (number(&args[1]) != 0)
        when_text(number(&args[1]), to);
    when_text(number(&args[2]), bound);
    (void)snprintf(out, CALL_ERROR_TEXT,
                   "BadWindow: from %s to %s, bound %s: a release begins at the block's time plus "
                   "the minimum delay or later and ends behind that; an end only comes nearer",
                   from, to, bound);
}

/* A require's text, with what the Safe means by its own. */
static void require_words(struct ms_span text, char out[CALL_ERROR_TEXT])
{
    const char *means = "";
    char shown[80];
    size_t n = text.len < sizeof(shown) - 1 ? text.len : sizeof(shown) - 1;

    for (size_t i = 0; i < n; i++)
        shown[i] = text.ptr[i] < 0x20 || text.ptr[i] > 0x7e ? '?' : (char)text.ptr[i];
    shown[n] = '\0';
    for (int reason = MSIG_SAFE_GS001; reason <= MSIG_SAFE_GS026; reason++)
        if (strcmp(msig_safe_reason_code((enum msig_safe_reason)reason), shown) == 0)
            means = msig_safe_reason_text((enum msig_safe_reason)reason);
    if (strcmp(shown, "GS013") == 0)
        means =
            "the call that the Safe made failed: ask the registry with --rpc what it says to it";
    (void)snprintf(out, CALL_ERROR_TEXT, "%s%s%s", shown, means[0] == '\0' ? "" : ": ", means);
}

static void error_words(enum error error, const struct eth_abi_value *args,
                        char out[CALL_ERROR_TEXT])
{
    char addr_text[ETH_ADDR_TEXT + 1];
    struct eth_addr addr;

    switch (error) {
    case NOT_AUTHORIZED:
        memcpy(addr.b, args[0].word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
        eth_addr_text(&addr, addr_text);
        (void)snprintf(out, CALL_ERROR_TEXT, "NotAuthorized: %s may not do this", addr_text);
        return;
    case UNKNOWN_RELEASE:
        (void)snprintf(out, CALL_ERROR_TEXT, "UnknownRelease: there is no release %" PRIu64,
                       number(&args[0]));
        return;
    case NOT_LIVE:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "NotLive: release %" PRIu64 " was revoked or pruned already",
                       number(&args[0]));
        return;
    case TOO_MANY_LIVE:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "TooManyLive: %" PRIu64 " releases are live; revoke or prune one first",
                       number(&args[0]));
        return;
    case VERSION_NOT_INCREASING:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "VersionNotIncreasing: the last release has version %" PRIu64
                       ", this one %" PRIu64,
                       number(&args[0]), number(&args[1]));
        return;
    case BAD_WINDOW:
        window_words(args, out);
        return;
    case BAD_PAYLOAD:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "BadPayload: format %" PRIu64 ", %" PRIu64
                       " bytes: it needs a known format, "
                       "at most %d bytes on chain, and a URI when it is not there",
                       number(&args[0]), number(&args[1]), CALL_ON_CHAIN_MAX_BYTES);
        return;
    case BAD_PAYLOAD_HASH:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "BadPayloadHash: the payload is not the one that is named");
        return;
    case BAD_VALUE:
        (void)snprintf(out, CALL_ERROR_TEXT,
                       "BadValue: %" PRIu64 " is out of range: a delay only grows, to 30 days; a "
                       "heartbeat lies in the future",
                       number(&args[0]));
        return;
    case REQUIRE:
        require_words(args[0].bytes, out);
        return;
    }
}

bool call_error(struct ms_span data, char out[CALL_ERROR_TEXT])
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value args;
    bool known = false;

    for (size_t i = 0; !known && i < MS_ARRAY_LEN(errors); i++) {
        if (data.len < ETH_ABI_SELECTOR_BYTES ||
            memcmp(data.ptr, errors[i].selector, ETH_ABI_SELECTOR_BYTES) != 0)
            continue;
        known = eth_abi_params_parse(ms_span_str(errors[i].args), &arena, &type) == MS_OK &&
                eth_abi_decode(type, ms_span_sub(data, ETH_ABI_SELECTOR_BYTES, data.len), &arena,
                               &args, NULL) == MS_OK;
        if (known)
            error_words((enum error)i, args.items, out);
    }
    ms_arena_done(&arena);
    return known;
}

/* ---- reasons of a revocation ---- */
static const char *const reasons[] = {"unspecified", "vulnerability", "compromise",
                                      "superseded",  "mistake",       "expired"};

bool call_reason_parse(const char *text, uint32_t *ret_reason)
{
    uint64_t reason = 0;

    for (size_t i = 0; i < MS_ARRAY_LEN(reasons); i++)
        if (strcmp(text, reasons[i]) == 0) {
            *ret_reason = (uint32_t)i;
            return true;
        }
    if (!ms_span_u64(ms_span_str(text), &reason) || reason > UINT32_MAX)
        return false;
    *ret_reason = (uint32_t)reason;
    return true;
}

const char *call_reason_name(uint32_t reason)
{
    return reason < MS_ARRAY_LEN(reasons) ? reasons[reason] : NULL;
}
