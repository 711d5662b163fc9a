/* The generated constants of contracts-abi are the hashes of their own texts, every entry of an ABI
 * file has its constant, and those of contracts that are not ours have the values published for
 * them. The registry's code hash is that of the code in the JSON file. */
#include "contracts-abi/common_abi.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "contracts-abi/multicall_abi.h"
#include "contracts-abi/registry_abi.h"
#include "contracts-abi/registry_code.h"
#include "contracts-abi/safe_abi.h"
#include "contracts-abi/timelock_abi.h"
#include "eth/abi.h"
#include "eth/quantity.h"
#include "tests/support/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define JSON_MAX_BYTES ((size_t)4 << 20)

struct selector {
    const char *text;
    uint8_t want[ETH_ABI_SELECTOR_BYTES];
};

struct hashed {
    const char *text;
    struct eth_hash want;
};

/* clang-format off */
#define REGISTRY_CALL_ROW(name) {REGISTRY_CALL_TEXT_##name, REGISTRY_CALL_##name},
#define REGISTRY_ERROR_ROW(name) {REGISTRY_ERROR_TEXT_##name, REGISTRY_ERROR_##name},
#define REGISTRY_EVENT_ROW(name) {REGISTRY_EVENT_TEXT_##name, REGISTRY_EVENT_##name},
#define REGISTRY_TYPE_ROW(name) {REGISTRY_TYPE_TEXT_##name, REGISTRY_TYPE_##name},
#define COMMON_CALL_ROW(name) {COMMON_CALL_TEXT_##name, COMMON_CALL_##name},
#define COMMON_EVENT_ROW(name) {COMMON_EVENT_TEXT_##name, COMMON_EVENT_##name},
#define COMMON_INTERFACE_ROW(name) {COMMON_INTERFACE_TEXT_##name, COMMON_INTERFACE_##name},
#define DSTACK_CALL_ROW(name) {DSTACK_CALL_TEXT_##name, DSTACK_CALL_##name},
#define DSTACK_EVENT_ROW(name) {DSTACK_EVENT_TEXT_##name, DSTACK_EVENT_##name},
#define DSTACK_HASH_ROW(name) {DSTACK_HASH_TEXT_##name, DSTACK_HASH_##name},
#define DSTACK_INTERFACE_ROW(name) {DSTACK_INTERFACE_TEXT_##name, DSTACK_INTERFACE_##name},
#define FLASH_CALL_ROW(name) {FLASHTESTATIONS_CALL_TEXT_##name, FLASHTESTATIONS_CALL_##name},
#define FLASH_EVENT_ROW(name) {FLASHTESTATIONS_EVENT_TEXT_##name, FLASHTESTATIONS_EVENT_##name},
#define FLASH_HASH_ROW(name) {FLASHTESTATIONS_HASH_TEXT_##name, FLASHTESTATIONS_HASH_##name},
#define SAFE_CALL_ROW(name) {SAFE_CALL_TEXT_##name, SAFE_CALL_##name},
#define SAFE_EVENT_ROW(name) {SAFE_EVENT_TEXT_##name, SAFE_EVENT_##name},
#define SAFE_HASH_ROW(name) {SAFE_HASH_TEXT_##name, SAFE_HASH_##name},
#define TIMELOCK_CALL_ROW(name) {TIMELOCK_CALL_TEXT_##name, TIMELOCK_CALL_##name},
#define TIMELOCK_EVENT_ROW(name) {TIMELOCK_EVENT_TEXT_##name, TIMELOCK_EVENT_##name},
#define MULTICALL_CALL_ROW(name) {MULTICALL_CALL_TEXT_##name, MULTICALL_CALL_##name},

static const struct selector registry_selectors[] = {
    REGISTRY_CALL_ALL(REGISTRY_CALL_ROW) REGISTRY_ERROR_ALL(REGISTRY_ERROR_ROW)};
static const struct hashed registry_hashes[] = {
    REGISTRY_EVENT_ALL(REGISTRY_EVENT_ROW) REGISTRY_TYPE_ALL(REGISTRY_TYPE_ROW)};
static const struct selector common_selectors[] = {COMMON_CALL_ALL(COMMON_CALL_ROW)};
static const struct hashed common_hashes[] = {COMMON_EVENT_ALL(COMMON_EVENT_ROW)};
static const struct selector dstack_selectors[] = {DSTACK_CALL_ALL(DSTACK_CALL_ROW)};
static const struct hashed dstack_hashes[] = {
    DSTACK_EVENT_ALL(DSTACK_EVENT_ROW) DSTACK_HASH_ALL(DSTACK_HASH_ROW)};
static const struct selector flash_selectors[] = {FLASHTESTATIONS_CALL_ALL(FLASH_CALL_ROW)};
static const struct hashed flash_hashes[] = {
    FLASHTESTATIONS_EVENT_ALL(FLASH_EVENT_ROW) FLASHTESTATIONS_HASH_ALL(FLASH_HASH_ROW)};
static const struct selector safe_selectors[] = {SAFE_CALL_ALL(SAFE_CALL_ROW)};
static const struct hashed safe_hashes[] = {
    SAFE_EVENT_ALL(SAFE_EVENT_ROW) SAFE_HASH_ALL(SAFE_HASH_ROW)};
static const struct selector timelock_selectors[] = {TIMELOCK_CALL_ALL(TIMELOCK_CALL_ROW)};
static const struct hashed timelock_hashes[] = {TIMELOCK_EVENT_ALL(TIMELOCK_EVENT_ROW)};
static const struct selector multicall_selectors[] = {MULTICALL_CALL_ALL(MULTICALL_CALL_ROW)};

/* The text is the functions of the interface with blanks between. */
static const struct selector interfaces[] = {
    COMMON_INTERFACE_ALL(COMMON_INTERFACE_ROW) DSTACK_INTERFACE_ALL(DSTACK_INTERFACE_ROW)};

#define CONTRACT(name, file, other, published) \
    {file, name##_selectors, MS_ARRAY_LEN(name##_selectors), \
     name##_hashes, MS_ARRAY_LEN(name##_hashes), other, published}
static const struct contract {
    const char *file;
    const struct selector *selectors;
    size_t selectors_len;
    const struct hashed *hashes;
    size_t hashes_len;
    size_t other;   /* constants that are no entry of the ABI */
    bool published; /* the contract is not ours: its constants are in the table below */
} contracts[] = {
    CONTRACT(registry, "MeasurementRegistry.json", 2, false), /* EIP-712 types */
    CONTRACT(common, "common.json", 0, true),
    CONTRACT(dstack, "dstack.json", 13, true), /* keys of PolicyChanged */
    CONTRACT(flash, "flashtestations.json", 1, true), /* type of a proof */
    CONTRACT(safe, "safe.json", 5, true), /* EIP-712 types, two slots */
    CONTRACT(timelock, "timelock.json", 0, true),
    {"multicall.json", multicall_selectors, MS_ARRAY_LEN(multicall_selectors), NULL, 0, 0, true},
};

/* What the documentation and the deployed code of these contracts say. */
static const struct {
    const char *text, *want;
} published[] = {
    {"supportsInterface(bytes4)", "01ffc9a7"},
    {"pendingOwner()", "e30c3978"},
    {"owner()", "8da5cb5b"},
    {"OwnershipTransferred(address,address)", "8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0"},
    {"OwnershipTransferStarted(address,address)", "38d16b8cac22d99fc7c124b9cd0de2d3fa1faef420bfe791d8c362d765e22700"},
    {"Upgraded(address)", "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"},
    {"Initialized(uint64)", "c7f505b2f371ae2175ee4913f4499e1f2633a7b5936321eed1cdaeb6115181d2"},
    {"isAppAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,s"
     "tring[]))", "1e079198"},
    {"isKmsAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,s"
     "tring[]))", "e067ec9d"},
    {"allowedComposeHashes(bytes32)", "2f6622e5"},
    {"allowAnyDevice()", "3440a16a"},
    {"allowedDeviceIds(bytes32)", "bf8b211b"},
    {"requireTcbUpToDate()", "0aa58c83"},
    {"version()", "54fd4d50"},
    {"gatewayAppId()", "95f51931"},
    {"registeredApps(address)", "a6c4cce9"},
    {"kmsAllowedAggregatedMrs(bytes32)", "f6fe4f40"},
    {"kmsAllowedDeviceIds(bytes32)", "13eb9770"},
    {"allowedOsImages(bytes32)", "9a4e1d18"},
    {"appImplementation()", "25a992da"},
    {"ComposeHashAdded(bytes32)", "fecb34306dd9d8b785b54d65489d06afc8822a0893ddacedff40c50a4942d0af"},
    {"ComposeHashRemoved(bytes32)", "755b79bd4b0eeab344d032284a99003b2ddc018b646752ac72d681593a6e8947"},
    {"DeviceAdded(bytes32)", "67fc71ab96fe3fa3c6f78e9a00e635d591b7333ce611c0380bc577aac702243b"},
    {"DeviceRemoved(bytes32)", "e0862975ac517b0478d308012afabc4bc37c23874a18144d7f2dfb852ff95c2c"},
    {"AllowAnyDeviceSet(bool)", "bb2cdb6c7b362202d40373f87bc4788301cca658f91711ac1662e1ad2cba4a20"},
    {"RequireTcbUpToDateSet(bool)", "afae60561b2481a349b45b3a47357f70eef6ae67e5b6e1749d74de7f19a25aa1"},
    {"UpgradesDisabled()", "0e5daa943fcd7e7182d0e893d180695c2ea9f6f1b4a1c5432faf14cf17b774e8"},
    {"PolicyChanged(address,bytes32,bytes32,bool)", "341d3bc64e32172fc5bcf27b0f7f69dc5adc19af64b7aa1dee361e5883c32375"},
    {"OsImageHashAdded(bytes32)", "4911843506849c85a5ca6e6e2c01eed2d3ab86baba619517a2aad9d5ab2aeff2"},
    {"OsImageHashRemoved(bytes32)", "99b3cee95daf3138d0c982299cd0264f5b7a61aa629b42b92f3ec8966aa7f6fe"},
    {"KmsAggregatedMrAdded(bytes32)", "68615a0b92795750b3d180ff73429e1291d225e449eee954a567b91104fd9837"},
    {"KmsAggregatedMrRemoved(bytes32)", "54cd662e41eec7ddf0f32f034b2533e481b471dd3ea978222d609ec8fffb1bb0"},
    {"KmsDeviceAdded(bytes32)", "f2b290637b1193e12eb38ab32b986303639b1687cc2cd1e25f993e6eae2f4041"},
    {"KmsDeviceRemoved(bytes32)", "1a9888a45e3df8b7e6bb3090747d598d2a0d78e61388161a90799f54df8f4434"},
    {"AppRegistered(address)", "0d540ad8f39e07d19909687352b9fa017405d93c91a6760981fbae9cf28bfef7"},
    {"AppDeployedViaFactory(address,address)", "fd86d7f6962eba3b7a3bf9129c06c0b2f885e1c61ef2c9f0dbb856be0deefdee"},
    {"GatewayAppIdSet(string)", "5b2b64f770ea5266055ebd3ebf205ef06cbfa738e62684edf0e28356e34acf06"},
    {"AppImplementationSet(address)", "08bb433f12b5fd81d2d5e0deeb3b4d28371781ddbd80e9d053e7468d2b1aa82d"},
    {"compose-hash", "56bdf4352a9ceb1ba8f5c68066725c095e69c1d3f8a437290f0ac1da8fb4e19c"},
    {"device", "8e7eff7e4a57bd436b18f220111863326b17773a8b4460f9fabd87a334233046"},
    {"os-image", "bc0346dd2a1caffcfdf89515e8a3ad921515d32b39d8e28334b87bd5a1bdb6aa"},
    {"implementation-upgrade", "dd3079240d4e002c905dcbcaf6b06d77e782afb127bbb837120b8c7fc6703da3"},
    {"allow-any-device", "560720bbc77afadfad8faeab0a79cf66b13e5433c09dd9182d5d36413084a84e"},
    {"require-tcb-up-to-date", "eb206ee4e1c06549322091bfcf2a5ff8658edc40901aa7f3af6f571a159471fb"},
    {"upgrades-disabled", "f6943036509aad7f2319e01f7ed528873bcbdaaf6d25921b03e395124e6a46d3"},
    {"kms-device", "1a2d46e254225ae2e84638f6fcb742191317930982ce206e0917877506edc3a0"},
    {"kms-aggregated-mr", "22cfb8b3fc209be958082ecee5badccf8f7ab55e79ec93f5ac413a164feb98ea"},
    {"registered-app", "1a61f88f2e67632c1bf4321c88aec40bbf788e2b1a14b69f1186e6a3a31d9028"},
    {"gateway-app-id", "6061a738ec69c97ed6ae96633751763d1291f32a6ef6515845ad8ddefda35ec6"},
    {"kms-info", "adc23d82fa8b20f02103a2405c452d2446e5a589f0182bd71f6d87e3357fbe65"},
    {"app-implementation", "eec6b85dea30e3cb63f324855a4722f1bf23ddd4c142a551610e18744a193734"},
    {"getWorkloadMetadata(bytes32)", "abd45d21"},
    {"isAllowedPolicy(address)", "d2753561"},
    {"registry()", "7b103999"},
    {"VERIFY_BLOCK_BUILDER_PROOF_TYPEHASH()", "73016923"},
    {"workloadIdForTDRegistration((bool,bytes,(bytes16,bytes,bytes,bytes8,bytes8,byt"
     "es8,bytes,bytes,bytes,bytes,bytes,bytes,bytes,bytes,bytes),bytes,bytes32))", "4d37fc7a"},
    {"getRegistration(address)", "72731062"},
    {"getRegistrationStatus(address)", "a8af4ff5"},
    {"WorkloadAddedToPolicy(bytes32)", "cbb92e241e191fed6d0b0da0a918c7dcf595e77d868e2e3bf9e6b0b91589c7ad"},
    {"WorkloadRemovedFromPolicy(bytes32)", "56c387a9be1bf0e0e4f852c577a225db98e8253ad401d1b4ea73926f27d6af09"},
    {"RegistrySet(address)", "27fe5f0c1c3b1ed427cc63d0f05759ffdecf9aec9e18d31ef366fc8a6cb5dc3b"},
    {"TEEServiceRegistered(address,bytes,bool)", "206fdb1a74851a8542447b8b6704db24a36b906a7297cc23c2b984dc357b9978"},
    {"TEEServiceInvalidated(address)", "5bb0bbb0993a623e10dd3579bf5b9403deba943e0bfe950b740d60209c9135ef"},
    {"VERSION()", "ffa1ad74"},
    {"getThreshold()", "e75235b8"},
    {"getOwners()", "a0e67e2b"},
    {"isOwner(address)", "2f54bf6e"},
    {"nonce()", "affed0e0"},
    {"execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,ad"
     "dress,bytes)", "6a761202"},
    {"getModulesPaginated(address,uint256)", "cc2f8452"},
    {"signedMessages(bytes32)", "5ae6bd37"},
    {"approvedHashes(address,bytes32)", "7d832974"},
    {"isValidSignature(bytes32,bytes)", "1626ba7e"},
    {"isValidSignature(bytes,bytes)", "20c13b0b"},
    {"SignMsg(bytes32)", "e7f4675038f4f6034dfcbbb24c4dc08e4ebf10eb9d257d3d02c0f38d122ac6e4"},
    {"ApproveHash(bytes32,address)", "f2a0eb156472d1440255b0d7c1e19cc07115d1051fe605b0dce69acfec884d9c"},
    {"AddedOwner(address)", "9465fa0c962cc76958e6373a993326400c1c94f8be2fe3a952adfa7f60b2ea26"},
    {"RemovedOwner(address)", "f8d49fc529812e9a7c5c50e69c20f0dccc0db8fa95c98bc58cc9a4f1c1299eaf"},
    {"ChangedThreshold(uint256)", "610f7ff2b304ae8903c3de74c60c6ab1f7d6226b3f52c5161905bb5ad4039c93"},
    {"ExecutionSuccess(bytes32,uint256)", "442e715f626346e8c54381002da614f62bee8d27386535b2521ec8540898556e"},
    {"ExecutionFailure(bytes32,uint256)", "23428b18acfb3ea64b08dc0c1d296ea9c09702c09083ca5272e64d115b687d23"},
    {"EnabledModule(address)", "ecdf3a3effea5783a3c4c2140e677577666428d44ed9d474a0b3a4c9943f8440"},
    {"DisabledModule(address)", "aab4fa2b463f581b2b32cb3b7e3b704b9ce37cc209b5fb4d77e593ace4054276"},
    {"ChangedGuard(address)", "1151116914515bc0891ff9047a6cb32cf902546f83066499bcf8ba33d2353fa2"},
    {"SafeSetup(address,address[],uint256,address,address)", "141df868a6331af528e38c83b7aa03edc19be66e37ae67f9285bf4f8e3c6a1a8"},
    {"getMinDelay()", "f27a0c92"},
    {"getTimestamp(bytes32)", "d45c4435"},
    {"CallScheduled(bytes32,uint256,address,uint256,bytes,bytes32,uint256)", "4cf4410cc57040e44862ef0f45f3dd5a5e02db8eb8add648d4b0e236f1d07dca"},
    {"CallExecuted(bytes32,uint256,address,uint256,bytes)", "c2617efa69bab66782fa219543714338489c4e9e178271560a91b82c3f612b58"},
    {"Cancelled(bytes32)", "baa1eb22f2a492ba1a5fea61b8df4d27c6c8b5f3971e63bb58fa14ff72eedb70"},
    {"MinDelayChange(uint256,uint256)", "11c24f4ead16507c69ac467fbd5e4eed5fb5c699626d2cc6d66421df253886d5"},
    {"aggregate3((address,bool,bytes)[])", "82ad56cb"},
    {"getBlockHash(uint256)", "ee82ac5e"},
    {"domainSeparator()", "f698da25"},
    {"getOperationState(bytes32)", "7958004c"},
    {"hashOperation(address,uint256,bytes,bytes32,bytes32)", "8065657f"},
    {"SafeMessage(bytes message)", "60b3cbf8b4a223d68d641b3b6ddf9a298e7f33710cf3d3a9d1146b5a6150fbca"},
    {"EIP712Domain(uint256 chainId,address verifyingContract)", "47e79534a245952e8b16893a336b85a3d9ea9fa8c573f3d803afb92a79469218"},
    {"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,u"
     "int256 baseGas,uint256 gasPrice,address gasToken,address refundReceiver,uint25"
     "6 nonce)", "bb8310d486368db6bd6f849402fdd73ad53d316b5a4b2644ad6efe0f941286d8"},
    {"fallback_manager.handler.address", "6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5"},
    {"guard_manager.guard.address", "4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8"},
    {"VerifyBlockBuilderProof(uint8 version,bytes32 blockContentHash,uint256 nonce)", "93b3c192de39a93da71b94fb9fadb8e913f752a2e9ea950a33266a81fcbf2ffc"},
};
/* clang-format on */

static void test_selectors(void **state)
{
    (void)state;
    for (size_t c = 0; c < MS_ARRAY_LEN(contracts); c++) {
        for (size_t i = 0; i < contracts[c].selectors_len; i++) {
            const struct selector *row = &contracts[c].selectors[i];
            uint8_t got[ETH_ABI_SELECTOR_BYTES];
            eth_abi_selector(row->text, got);
            if (memcmp(got, row->want, sizeof(got)) != 0)
                fail_msg("%s: %s", contracts[c].file, row->text);
        }
    }
}

static void test_hashes(void **state)
{
    (void)state;
    for (size_t c = 0; c < MS_ARRAY_LEN(contracts); c++) {
        for (size_t i = 0; i < contracts[c].hashes_len; i++) {
            const struct hashed *row = &contracts[c].hashes[i];
            struct eth_hash got = eth_keccak256(ms_span_str(row->text));
            if (!eth_hash_eq(&got, &row->want))
                fail_msg("%s: %s", contracts[c].file, row->text);
        }
    }
}

/* The selectors of the functions named in text, xored. */
static void interface_id(const char *text, uint8_t ret_id[ETH_ABI_SELECTOR_BYTES])
{
    memset(ret_id, 0, ETH_ABI_SELECTOR_BYTES);
    for (struct ms_span rest = ms_span_str(text), one; rest.len > 0;) {
        uint8_t selector[ETH_ABI_SELECTOR_BYTES];
        char name[256];
        if (!ms_span_cut(rest, ' ', &one, &rest)) {
            one = rest;
            rest.len = 0;
        }
        assert_true(one.len < sizeof(name));
        memcpy(name, one.ptr, one.len);
        name[one.len] = '\0';
        eth_abi_selector(name, selector);
        for (size_t i = 0; i < sizeof(selector); i++)
            ret_id[i] ^= selector[i];
    }
}

static void test_interfaces(void **state)
{
    (void)state;
    static const uint8_t want[][ETH_ABI_SELECTOR_BYTES] = {
        {0x01, 0xff, 0xc9, 0xa7}, /* ERC-165 of itself */
        {0x1e, 0x07, 0x91, 0x98}, /* IAppAuth */
        {0x8f, 0xd3, 0x75, 0x27}, /* IAppAuthBasicManagement */
    };
    static const uint8_t registry[] = REGISTRY_INTERFACE_ID;

    assert_int_equal(MS_ARRAY_LEN(interfaces), MS_ARRAY_LEN(want));
    for (size_t i = 0; i < MS_ARRAY_LEN(want); i++) {
        uint8_t got[ETH_ABI_SELECTOR_BYTES];
        interface_id(interfaces[i].text, got);
        assert_memory_equal(got, interfaces[i].want, sizeof(got));
        assert_memory_equal(got, want[i], sizeof(got));
    }
    /* type(IMeasurementRegistry).interfaceId */
    assert_memory_equal(registry, ((const uint8_t[]){0x16, 0x4d, 0x0c, 0xe9}), sizeof(registry));
}

static const char *published_value(const char *text)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(published); i++)
        if (strcmp(published[i].text, text) == 0)
            return published[i].want;
    return "not in the table";
}

static void same_hex(const char *text, struct ms_span value)
{
    struct ms_buf hex = MS_BUF_INIT(128);

    (void)ms_buf_add_hex(&hex, value);
    if (strcmp(ms_buf_str(&hex), published_value(text)) != 0)
        fail_msg("%s: %s, published is %s", text, ms_buf_str(&hex), published_value(text));
    ms_buf_done(&hex);
}

/* Every constant of a contract that is not ours has its published value. */
static void test_published(void **state)
{
    (void)state;
    for (size_t c = 0; c < MS_ARRAY_LEN(contracts); c++) {
        const struct contract *contract = &contracts[c];
        if (!contract->published)
            continue;
        for (size_t i = 0; i < contract->selectors_len; i++)
            same_hex(contract->selectors[i].text,
                     ms_span_of(contract->selectors[i].want, ETH_ABI_SELECTOR_BYTES));
        for (size_t i = 0; i < contract->hashes_len; i++)
            same_hex(contract->hashes[i].text, eth_hash_span(&contract->hashes[i].want));
    }
}

static json_t *load(const char *file)
{
    static const struct ms_json_limits limits = {JSON_MAX_BYTES, 32, 100000, 0};
    struct ms_buf path = MS_BUF_INIT(256), text = MS_BUF_INIT(JSON_MAX_BYTES);
    json_t *root = NULL;

    (void)ms_buf_addf(&path, "contracts-abi/%s", file);
    assert_true(vec_read(ms_buf_str(&path), &text));
    ms_buf_done(&path);
    assert_int_equal(ms_json_parse(ms_buf_span(&text), &limits, &root, NULL), MS_OK);
    ms_buf_done(&text);
    return root;
}

static void test_code_hash(void **state)
{
    (void)state;
    static const struct eth_hash want = REGISTRY_CODE_HASH;
    json_t *root = load("MeasurementRegistry.json");
    struct ms_buf code = MS_BUF_INIT(JSON_MAX_BYTES);

    assert_int_equal(eth_json_data(root, "deployedBytecode", &code, NULL), MS_OK);
    struct eth_hash got = eth_keccak256(ms_buf_span(&code));
    assert_true(eth_hash_eq(&got, &want));
    ms_buf_done(&code);
    json_decref(root);
}

/* What the tool deploys is the code of the JSON file. */
static void test_creation_code(void **state)
{
    (void)state;
    static const struct eth_hash want = REGISTRY_CREATION_HASH;
    json_t *root = load("MeasurementRegistry.json");
    const char *text = vec_str(root, "bytecode");

    assert_non_null(text);
    assert_string_equal(text + 2, REGISTRY_CREATION_CODE);
    assert_int_equal(strlen(REGISTRY_CREATION_CODE), 2 * REGISTRY_CREATION_BYTES);
    struct ms_buf code = MS_BUF_INIT(JSON_MAX_BYTES);
    assert_int_equal(eth_data_parse(ms_span_str(text), &code), MS_OK);
    struct eth_hash got = eth_keccak256(ms_buf_span(&code));
    assert_true(eth_hash_eq(&got, &want));
    ms_buf_done(&code);
    json_decref(root);
}

/* Canonical type of a parameter of the ABI JSON, appended. */
static void add_type(struct ms_buf *out, const json_t *param)
{
    const char *type = vec_str(param, "type");
    const json_t *components = json_object_get(param, "components");

    if (strncmp(type, "tuple", 5) != 0) {
        (void)ms_buf_add_str(out, type);
        return;
    }
    (void)ms_buf_add_byte(out, '(');
    for (size_t i = 0; i < json_array_size(components); i++) {
        (void)ms_buf_add_str(out, i > 0 ? "," : "");
        add_type(out, json_array_get(components, i));
    }
    (void)ms_buf_add_byte(out, ')');
    (void)ms_buf_add_str(out, type + 5);
}

static bool listed(const struct contract *contract, const char *text)
{
    for (size_t i = 0; i < contract->selectors_len; i++)
        if (strcmp(contract->selectors[i].text, text) == 0)
            return true;
    for (size_t i = 0; i < contract->hashes_len; i++)
        if (strcmp(contract->hashes[i].text, text) == 0)
            return true;
    return false;
}

/* Every function, event and error of the contract's file has its constant; returns their number. */
static size_t check_listed(const struct contract *contract)
{
    json_t *root = load(contract->file), *entry;
    size_t i, n = 0;

    json_array_foreach(json_object_get(root, "abi"), i, entry)
    {
        struct ms_buf text = MS_BUF_INIT(4096);
        const json_t *inputs = json_object_get(entry, "inputs");
        if (vec_str(entry, "name") == NULL)
            continue; /* the constructor */
        (void)ms_buf_addf(&text, "%s(", vec_str(entry, "name"));
        for (size_t k = 0; k < json_array_size(inputs); k++) {
            (void)ms_buf_add_str(&text, k > 0 ? "," : "");
            add_type(&text, json_array_get(inputs, k));
        }
        (void)ms_buf_add_byte(&text, ')');
        if (!listed(contract, ms_buf_str(&text)))
            fail_msg("%s: %s has no constant", contract->file, ms_buf_str(&text));
        ms_buf_done(&text);
        n++;
    }
    json_decref(root);
    return n;
}

static void test_complete(void **state)
{
    (void)state;
    for (size_t c = 0; c < MS_ARRAY_LEN(contracts); c++) {
        const struct contract *contract = &contracts[c];
        assert_int_equal(check_listed(contract) + contract->other,
                         contract->selectors_len + contract->hashes_len);
    }
}

/* The parameter lists read as the types they stand for. */
static void test_params(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t members;
    } lists[] = {
        {DSTACK_ARGS_IS_APP_ALLOWED, 1},
        {DSTACK_RETURNS_IS_APP_ALLOWED, 2},
        {DSTACK_LOG_DATA_POLICY_CHANGED, 1},
        {FLASHTESTATIONS_RETURNS_GET_WORKLOAD_METADATA, 1},
        {FLASHTESTATIONS_ARGS_WORKLOAD_ID_FOR_TD_REGISTRATION, 1},
        {FLASHTESTATIONS_RETURNS_GET_REGISTRATION, 2},
        {SAFE_RETURNS_GET_MODULES_PAGINATED, 2},
        {SAFE_ARGS_EXEC_TRANSACTION, 10},
        {REGISTRY_ARGS_CONSTRUCTOR, 3},
        {REGISTRY_ARGS_APPROVE, 2},
        {REGISTRY_RETURNS_RELEASE, 2},
        {TIMELOCK_LOG_DATA_CALL_SCHEDULED, 5},
        {MULTICALL_ARGS_AGGREGATE3, 1},
        {MULTICALL_RETURNS_AGGREGATE3, 1},
    };

    for (size_t i = 0; i < MS_ARRAY_LEN(lists); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        const struct eth_abi_type *type = NULL;
        assert_int_equal(eth_abi_params_parse(ms_span_str(lists[i].text), &arena, &type), MS_OK);
        assert_int_equal(type->n, lists[i].members);
        ms_arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selectors),  cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_interfaces), cmocka_unit_test(test_published),
        cmocka_unit_test(test_params),     cmocka_unit_test(test_code_hash),
        cmocka_unit_test(test_complete),   cmocka_unit_test(test_creation_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
