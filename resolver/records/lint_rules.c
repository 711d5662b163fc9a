/* resolver/records/lint_rules.c - what the rules are called, and those that look at where a
 * document comes from (consumers.md 3.10). */
#include "resolver/records/internal.h"

#include <stdio.h>

#define DAY_S 86400
#define YEAR_S (365 * DAY_S)

static const struct rec_rule rules[] = {
    {"L001", REC_GRADE_ERROR, "empty measurements",
     "Proxies read a record without measurements as \"any machine of this type\"."},
    {"L002", REC_GRADE_ERROR, "unknown register",
     "A register that the type does not have pins nothing, or makes a proxy refuse to start."},
    {"L003", REC_GRADE_WARNING, "missing MRTD or RTMR2 in dcap",
     "Without MRTD any firmware passes, without RTMR2 any kernel command line and initrd."},
    {"L004", REC_GRADE_WARNING, "no PCR 4, 9 or 11 in azure-tdx",
     "They hold the boot loader, the kernel with its initrd, and the unified kernel image."},
    {"L005", REC_GRADE_WARNING, "zero value pinned",
     "Zero is what a register holds that nothing was measured into; information only for RTMR3, "
     "which many images leave so."},
    {"L006", REC_GRADE_ERROR, "warnOnly",
     "A mismatch would become a log line: the register is not checked."},
    {"L007", REC_GRADE_ERROR, "both expected and expected_any",
     "Consumers disagree about which of them counts."},
    {"L008", REC_GRADE_WARNING, "alternatives above 8 or product above 64",
     "Every combination passes, also those that no build ever had; some consumers need them all "
     "written out."},
    {"L009", REC_GRADE_WARNING, "a name with dev, test, rc, ssh or debug",
     "Such images often let somebody in; they should not be in a list for production."},
    {"L010", REC_GRADE_WARNING, "several concurrently approved major versions",
     "An old major version that nobody drops stays good for whoever wants its faults."},
    {"L011", REC_GRADE_WARNING, "host-specific record in a shared list",
     "What one machine measures is no policy for the others, and it changes with its firmware."},
    {"L012", REC_GRADE_WARNING, "same values under two names",
     "Dropping one of them leaves the other: the values stay approved."},
    {"L013", REC_GRADE_WARNING, "record identical except one register",
     "Often a slip of copying, so that one of the two matches nothing or too much."},
    {"L014", REC_GRADE_WARNING, "compose-hash without boot-chain pin",
     "The compose hash is an event of the guest: whoever boots another OS image can replay it."},
    {"L015", REC_GRADE_WARNING, "owner is an EOA",
     "One key decides what may run; a Safe or a timelock takes several people or some time."},
    {"L016", REC_GRADE_WARNING, "upgradeable proxy without timelock",
     "Its code can become another one from one block to the next."},
    {"L017", REC_GRADE_WARNING, "contract paused or without owner",
     "Nobody can revoke a release any more, or not now."},
    {"L018", REC_GRADE_WARNING, "approval younger than the cool-down",
     "Watchers have not had the time to object to it."},
    {"L019", REC_GRADE_WARNING, "source without signature or proof",
     "Whoever runs the server or the endpoint can change the list."},
    {"L020", REC_GRADE_WARNING, "list unchanged for a year",
     "Images that are never built anew keep every fault found since."},
};

size_t rec_rules(const struct rec_rule **ret_rules)
{
    *ret_rules = rules;
    return MS_ARRAY_LEN(rules);
}

/* ---- L015..L020 ---- */
struct asker {
    void (*fn)(const struct rec_finding *finding, void *arg);
    void *arg;
};

static void find(const struct asker *a, const char *rule, const char *text)
{
    struct rec_finding finding = {.grade = REC_GRADE_WARNING};

    (void)snprintf(finding.rule, sizeof(finding.rule), "%s", rule);
    (void)snprintf(finding.text, sizeof(finding.text), "%s", text);
    a->fn(&finding, a->arg);
}

static void lint_owner(const struct asker *a, const struct rec_origin *origin)
{
    if (origin->owner == REC_OWNER_ACCOUNT)
        find(a, "L015", "the owner is an account of one key");
    if (origin->upgradeable && origin->owner != REC_OWNER_TIMELOCK)
        find(a, "L016", "the contract is a proxy, and its owner is no timelock");
    if (origin->paused)
        find(a, "L017", "the contract is paused");
    if (origin->owner == REC_OWNER_NOBODY)
        find(a, "L017", "the contract has no owner");
}

static void lint_age(const struct asker *a, const struct rec_origin *origin)
{
    struct ms_diag text = {0};

    /* one that lies ahead is younger still */
    if (origin->approved_s != 0 && origin->now_s - origin->approved_s < origin->cool_down_s) {
        int64_t age_s = origin->now_s - origin->approved_s;
        (void)ms_diag_set(&text, MS_OK, "the newest approval is %lld hours old, the cool-down %lld",
                          (long long)(age_s < 0 ? 0 : age_s / 3600),
                          (long long)(origin->cool_down_s / 3600));
        find(a, "L018", text.text);
    }
    text.text[0] = '\0';
    if (origin->changed_s != 0 && origin->now_s - origin->changed_s >= YEAR_S) {
        (void)ms_diag_set(&text, MS_OK, "the last change is %lld days old",
                          (long long)((origin->now_s - origin->changed_s) / DAY_S));
        find(a, "L020", text.text);
    }
}

void rec_lint_origin(const struct rec_origin *origin,
                     void (*fn)(const struct rec_finding *finding, void *arg), void *arg)
{
    const struct asker a = {fn, arg};
    struct ms_diag text = {0};

    lint_owner(&a, origin);
    lint_age(&a, origin);
    if (origin->unproven != NULL) {
        (void)ms_diag_set(&text, MS_OK, "what vouches for the list: %.60s", origin->unproven);
        find(&a, "L019", text.text);
    }
}
