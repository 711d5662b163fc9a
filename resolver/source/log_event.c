/* resolver/source/log_event.c - from topics to words. */
#include "resolver/source/log_event.h"

#include "contracts-abi/common_abi.h"
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/flashtestations_abi.h"
#include "contracts-abi/safe_abi.h"
#include "contracts-abi/timelock_abi.h"

#define COMMON_ROW(name) {COMMON_EVENT_##name, COMMON_EVENT_TEXT_##name},
#define DSTACK_ROW(name) {DSTACK_EVENT_##name, DSTACK_EVENT_TEXT_##name},
#define FLASHTESTATIONS_ROW(name) {FLASHTESTATIONS_EVENT_##name, FLASHTESTATIONS_EVENT_TEXT_##name},
#define SAFE_ROW(name) {SAFE_EVENT_##name, SAFE_EVENT_TEXT_##name},
#define TIMELOCK_ROW(name) {TIMELOCK_EVENT_##name, TIMELOCK_EVENT_TEXT_##name},

const char *log_event_name(const struct eth_hash *topic)
{
    static const struct {
        struct eth_hash topic;
        const char *text;
    } all[] = {COMMON_EVENT_ALL(COMMON_ROW) DSTACK_EVENT_ALL(DSTACK_ROW) FLASHTESTATIONS_EVENT_ALL(
        FLASHTESTATIONS_ROW) SAFE_EVENT_ALL(SAFE_ROW) TIMELOCK_EVENT_ALL(TIMELOCK_ROW)};

    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        if (eth_hash_eq(&all[i].topic, topic))
            return all[i].text;
    return NULL;
}

#define WORD(kind, added, removed) \
    {added, kind, false, false},   \
    {                              \
        removed, kind, true, false \
    }
#define ADDRESS(kind, added, removed) \
    {added, kind, false, true},       \
    {                                 \
        removed, kind, true, true     \
    }

static const struct {
    struct eth_hash topic;
    const char *kind;
    bool removed, is_address;
} changes[] = {
    WORD("dstack-compose-hash", DSTACK_EVENT_COMPOSE_HASH_ADDED, DSTACK_EVENT_COMPOSE_HASH_REMOVED),
    WORD("device", DSTACK_EVENT_DEVICE_ADDED, DSTACK_EVENT_DEVICE_REMOVED),
    WORD("dstack-os-image", DSTACK_EVENT_OS_IMAGE_HASH_ADDED, DSTACK_EVENT_OS_IMAGE_HASH_REMOVED),
    WORD("aggregated-mr", DSTACK_EVENT_KMS_AGGREGATED_MR_ADDED,
         DSTACK_EVENT_KMS_AGGREGATED_MR_REMOVED),
    WORD("kms-device", DSTACK_EVENT_KMS_DEVICE_ADDED, DSTACK_EVENT_KMS_DEVICE_REMOVED),
    WORD("tdx-workload-id", FLASHTESTATIONS_EVENT_WORKLOAD_ADDED_TO_POLICY,
         FLASHTESTATIONS_EVENT_WORKLOAD_REMOVED_FROM_POLICY),
    ADDRESS("owner", SAFE_EVENT_ADDED_OWNER, SAFE_EVENT_REMOVED_OWNER),
    ADDRESS("module", SAFE_EVENT_ENABLED_MODULE, SAFE_EVENT_DISABLED_MODULE),
};

/* One word, which versions of a contract put among the topics or not. */
bool log_event_change(const struct eth_hash *topics, size_t n_topics, struct ms_span data,
                      struct log_change *ret_change)
{
    struct log_change change = {0};

    for (size_t i = 0; i < MS_ARRAY_LEN(changes) && n_topics > 0; i++) {
        if (!eth_hash_eq(&changes[i].topic, &topics[0]))
            continue;
        change = (struct log_change){.kind = changes[i].kind,
                                     .removed = changes[i].removed,
                                     .is_address = changes[i].is_address};
        if (n_topics == 2 && data.len == 0)
            change.value = eth_word_of_hash(&topics[1]);
        else if (n_topics != 1 || !eth_word_of_span(data, &change.value))
            return false;
        *ret_change = change;
        return true;
    }
    return false;
}
