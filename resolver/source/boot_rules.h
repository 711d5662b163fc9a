/* resolver/source/boot_rules.h - whether a guest may boot, by a verified result (consumers.md 1.6,
 * ethereum.md 3.8): what DstackKms.isAppAllowed and isKmsAllowed would say, told again over what
 * was read of them, and for governance by lists the operator's own words about devices and TCB.
 * Whatever is not said is no. Pure; thread-safe. */
#ifndef MS_BOOT_RULES_H
#define MS_BOOT_RULES_H

#include "resolver/records/boot_info.h"
#include "resolver/source/source.h"

#define BOOT_TCB_UP_TO_DATE "UpToDate" /* to the letter, as the contracts compare it */
#define BOOT_CANDIDATES 3u

struct boot_texts {
    size_t n;
    const char *const *items;
};

struct boot_hashes {
    size_t n;
    const struct eth_hash *items;
};

/* Where governance is a list: what it cannot say. An empty list allows nothing. */
struct boot_policy {
    struct boot_texts tcb_statuses;
    struct boot_texts advisories; /* that may apply; others may not */
    bool any_device;
    struct boot_hashes devices;
    struct boot_hashes aggregated_mrs; /* of a KMS */
};

enum boot_whom { BOOT_APP = 0, BOOT_KMS };

/* What governs, as it stands now: a result and the sets of it that are in force. */
struct boot_governance {
    const struct source_result *result;
    size_t n_sets;
    const struct rec_set *const *sets;
};

/* What a contract with mappings has to be asked about before boot_allowed can tell. */
void boot_candidates(const struct boot_info *info, enum boot_whom whom,
                     struct source_candidate out[BOOT_CANDIDATES]);

/* Whether it may; otherwise `reason` says what was not, in one sentence. */
bool boot_allowed(const struct boot_info *info, enum boot_whom whom,
                  const struct boot_governance *governance, const struct boot_policy *policy,
                  struct ms_diag *reason);

/* The gateway that a dstack contract names; NULL: none, or it is no such contract (then
 * *ret_contract is false). Borrowed from result. */
const char *boot_gateway(const struct source_result *result, bool *ret_contract);

#endif
