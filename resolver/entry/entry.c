/* resolver/entry/entry.c - what may be served, until when. */
#include "resolver/entry/entry.h"

const struct entry_rules entry_rules_default = {
    .sie_max_s = INT64_MAX, .warn_s = 1800, .stale_s = 7200, .code_delay_s = ENTRY_CODE_HOLD};

const char *entry_state_name(enum entry_state state)
{
    switch (state) {
    case ENTRY_EMPTY:
        return "empty";
    case ENTRY_FRESH:
        return "fresh";
    case ENTRY_SWR:
        return "stale-while-revalidate";
    case ENTRY_SIE:
        return "stale-if-error";
    case ENTRY_EXPIRED:
        return "expired";
    case ENTRY_NEGATIVE:
        return "negative";
    case ENTRY_REVOKED:
        return "revoked";
    case ENTRY_HOLD:
        return "hold";
    case ENTRY_CONFLICT:
        return "conflict";
    case ENTRY_CLOCK_SUSPECT:
        return "clock-suspect";
    }
    return "unknown";
}

/* Arithmetic that stops at the ends: governance and servers may name any time. */
static int64_t add(int64_t a, int64_t b)
{
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static int64_t minus(int64_t a, int64_t b)
{
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference))
        return b < 0 ? INT64_MAX : INT64_MIN;
    return difference;
}

static int64_t ms_of(int64_t seconds)
{
    int64_t ms = 0;
    if (__builtin_mul_overflow(seconds, INT64_C(1000), &ms))
        return seconds > 0 ? INT64_MAX : INT64_MIN;
    return ms;
}

/* start + seconds on the boot clock; negative seconds mean for ever. */
static int64_t after(int64_t start_ms, int64_t seconds)
{
    return seconds < 0 ? ENTRY_NEVER : add(start_ms, ms_of(seconds));
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t entry_boot_ms(int64_t wall_s, struct ms_now now)
{
    return minus(add(now.boot_ms, ms_of(minus(wall_s, now.wall_s))), now.wall_ms);
}

int64_t entry_wall_s(int64_t boot_ms, struct ms_now now)
{
    if (boot_ms == ENTRY_NEVER)
        return 0;
    int64_t ms = add(minus(boot_ms, now.boot_ms), now.wall_ms);
    return add(now.wall_s, ms / 1000 - (ms % 1000 < 0));
}

/* The time floor, unless an answer has come since that shows it to be ahead of us. */
static int64_t time_floor(const struct entry *e)
{
    bool counts = e->rules != NULL && e->rules->time_floor_s > e->cleared_floor_s;
    return counts ? e->rules->time_floor_s : INT64_MIN;
}

/* A wall clock that is a little behind what was verified is that much ahead (6.3, Clock). */
static struct ms_now not_before_floor(const struct entry *e, struct ms_now now)
{
    int64_t floor_s = time_floor(e);
    return floor_s <= now.wall_s ? now : (struct ms_now){floor_s, now.boot_ms, 0};
}

int64_t entry_hard_end_ms(const struct entry *e, struct ms_now now)
{
    int64_t end = ENTRY_NEVER;

    now = not_before_floor(e, now);
    if (e->life.ceiling_s >= 0)
        end = entry_boot_ms(add(e->evidence_time_s, e->life.ceiling_s), now);
    if (e->valid_until_s > 0) /* served while now <= validUntil */
        end = min64(end, entry_boot_ms(add(e->valid_until_s, 1), now));
    return end;
}

static int64_t stale_ms(const struct entry *e, struct ms_now now)
{
    if (!e->chain || e->rules == NULL || e->rules->stale_s <= 0 || e->life.fresh_s < 0)
        return ENTRY_NEVER;
    return entry_boot_ms(add(e->evidence_time_s, e->rules->stale_s), not_before_floor(e, now));
}

bool entry_evidence_stale(const struct entry *e, struct ms_now now)
{
    return now.boot_ms >= stale_ms(e, now);
}

bool entry_evidence_old(const struct entry *e, struct ms_now now)
{
    now = not_before_floor(e, now);
    return e->chain && e->rules != NULL && e->rules->warn_s > 0 &&
           minus(now.wall_s, e->evidence_time_s) > e->rules->warn_s;
}

int64_t entry_chain_time(const struct entry *e, int64_t block_s, struct ms_now now)
{
    if (block_s == 0)
        return now.wall_s;
    int64_t told_s = add(e->head_time_s, minus(now.boot_ms, e->head_boot_ms) / 1000);
    int64_t verified_s = e->chain ? max64(block_s, e->evidence_time_s) : block_s;
    bool agree = e->head_time_s > 0 && now.wall_s <= add(told_s, ENTRY_CLOCK_SLACK_S);
    return agree ? max64(verified_s, now.wall_s) : verified_s;
}

/* HOLD: what was approved under the old code, until the evidence itself is too old. */
static struct entry_view view_held(const struct entry *e, struct ms_now now)
{
    int64_t hard = entry_hard_end_ms(e, now);

    if (now.boot_ms >= hard)
        return (struct entry_view){.state = ENTRY_EXPIRED,
                                   .refresh = true,
                                   .wait_first = true,
                                   .wait_ms = ENTRY_FIRST_WAIT_MS,
                                   .next_change_ms = ENTRY_NEVER,
                                   .err = MS_ERR_CODE_IDENTITY};
    return (struct entry_view){.state = ENTRY_HOLD,
                               .serve = true,
                               .next_change_ms = hard,
                               .serve_until_ms = hard,
                               .soft_until_ms = now.boot_ms};
}

/* The chain stands still (T2): however often that is confirmed, it is an old answer. */
static void show_stale(const struct entry *e, struct entry_view *v, struct ms_now now)
{
    int64_t stale = stale_ms(e, now);

    if (!v->serve)
        return;
    if (now.boot_ms >= stale)
        v->state = ENTRY_SIE;
    else
        v->next_change_ms = min64(v->next_change_ms, stale);
    v->soft_until_ms = min64(v->soft_until_ms, stale);
}

static struct entry_view view_good(const struct entry *e, struct ms_now now)
{
    /* only F may be for ever; what stands behind it is no shorter than nothing, whatever a row says
     */
    int64_t most = e->rules != NULL ? e->rules->sie_max_s : INT64_MAX;
    int64_t f = e->life.fresh_s, w = max64(0, e->life.swr_s);
    int64_t x = max64(w, min64(e->life.sie_s, most));
    int64_t hard = entry_hard_end_ms(e, now);
    int64_t fresh_end = min64(hard, after(e->checked_boot_ms, f));
    int64_t swr_end = f < 0 ? fresh_end : min64(hard, after(e->checked_boot_ms, add(f, w)));
    int64_t sie_end = f < 0 ? fresh_end : min64(hard, after(e->checked_boot_ms, add(f, x)));
    struct entry_view v = {.serve = true, .serve_until_ms = sie_end, .soft_until_ms = fresh_end};

    if (now.boot_ms < fresh_end) {
        v.state = e->recheck ? ENTRY_SWR : ENTRY_FRESH;
        v.refresh = e->recheck;
        v.next_change_ms = fresh_end;
    } else if (now.boot_ms < swr_end) {
        v.state = ENTRY_SWR;
        v.refresh = true;
        v.next_change_ms = swr_end;
    } else if (now.boot_ms < sie_end) {
        v.state = ENTRY_SIE;
        v.refresh = true;
        v.wait_first = true;
        v.wait_ms = ENTRY_SIE_WAIT_MS;
        v.next_change_ms = sie_end;
    } else {
        v = (struct entry_view){.state = ENTRY_EXPIRED,
                                .refresh = true,
                                .wait_first = true,
                                .wait_ms = ENTRY_FIRST_WAIT_MS,
                                .next_change_ms = ENTRY_NEVER,
                                .err = MS_ERR_STALE};
    }
    show_stale(e, &v, now);
    return v;
}

/* T10: a wall clock behind a verified time cannot judge ages against signed times. */
static bool clock_suspect(const struct entry *e, struct ms_now now)
{
    int64_t known_s = max64(e->evidence_time_s, time_floor(e));
    return e->life.ceiling_s >= 0 && now.wall_s < minus(known_s, ENTRY_CLOCK_SLACK_S);
}

static struct entry_view view_unserved(enum entry_state state, enum ms_err err, bool refresh)
{
    return (struct entry_view){.state = state,
                               .refresh = refresh,
                               .wait_first = refresh,
                               .wait_ms = ENTRY_FIRST_WAIT_MS,
                               .next_change_ms = ENTRY_NEVER,
                               .err = err};
}

static struct entry_view view_now(const struct entry *e, struct ms_now now)
{
    if (e->conflict)
        return view_unserved(ENTRY_CONFLICT, e->conflict_err, true);
    if (e->good && clock_suspect(e, now))
        return view_unserved(ENTRY_CLOCK_SUSPECT, MS_ERR_CLOCK, true);
    if (e->good) {
        struct entry_view v = e->hold ? view_held(e, now) : view_good(e, now);
        /* 404 and 410 shrink nothing before E; then they are the answer (6.3) */
        if (v.state != ENTRY_EXPIRED || now.boot_ms >= e->negative_until_ms) {
            if (e->dissent && v.serve)
                v.state = ENTRY_HOLD;
            return v;
        }
    }
    if (now.boot_ms < e->negative_until_ms) {
        struct entry_view v = view_unserved(ENTRY_NEGATIVE, e->negative_err, false);
        v.wait_first = false;
        v.next_change_ms = e->negative_until_ms;
        return v;
    }
    return view_unserved(ENTRY_EMPTY, e->last_err == MS_OK ? MS_ERR_UNAVAILABLE : e->last_err,
                         true);
}

struct entry_view entry_view(const struct entry *e, struct ms_now now)
{
    struct entry_view v = view_now(e, now);

    if (v.refresh && now.boot_ms < e->next_try_ms) {
        v.refresh = false; /* backing off: the answer at hand is all there is for now */
        v.wait_first = false;
        v.next_change_ms = min64(v.next_change_ms, e->next_try_ms);
    }
    return v;
}

static bool has_overlay(const struct entry *e)
{
    static const struct ms_sha256 nothing;
    return e->good && !ms_sha256_eq(&e->overlay, &nothing);
}

/* One endpoint's word: it stands against another one only while it may be served. */
static bool word_lapsed(const struct entry *e, enum spec_level level, struct ms_now now)
{
    return level != SPEC_LEVEL_NONE && level <= SPEC_LEVEL_L1 && !entry_view(e, now).serve;
}

uint64_t entry_floor(const struct entry *e, enum spec_level level, struct ms_now now)
{
    return word_lapsed(e, level, now) ? 0 : e->floor_sequence;
}

/* Nobody but one endpoint says so. Documents of signers are no such word. */
static bool is_word(const struct source_result *result)
{
    return result->level != SPEC_LEVEL_NONE && result->level <= SPEC_LEVEL_L1;
}

/* What a conflict gives way to (6.1): a higher sequence that providers cannot invent. */
static bool clears_conflict(const struct source_result *result)
{
    return result->trust == SOURCE_TRUST_SIGNERS || result->level >= SPEC_LEVEL_L3;
}

static enum entry_verdict judge_sequenced(const struct entry *e, const struct source_result *result,
                                          enum ms_err *ret_why)
{
    static const struct ms_sha256 nothing;
    bool same_state = ms_sha256_eq(&e->commitment, &result->commitment);
    bool known =
        !ms_sha256_eq(&e->commitment, &nothing); /* by the row, even if its evidence is lost */

    *ret_why = MS_ERR_ROLLBACK;
    if (result->epoch > e->floor_epoch)
        return ENTRY_CHANGED; /* other signers, a new count: not even a conflict outlives that */
    if (result->epoch < e->floor_epoch || result->sequence < e->floor_sequence)
        return ENTRY_REFUSED;
    *ret_why = MS_ERR_CONFLICT; /* 6.1: only a strictly higher sequence at L3 or better clears it */
    if (e->conflict && (result->sequence == e->floor_sequence || !clears_conflict(result)))
        return ENTRY_REFUSED;
    if (result->sequence == e->floor_sequence && known && !same_state)
        return is_word(result) ? ENTRY_REFUSED : ENTRY_CONTRADICTS;
    bool same = e->good && same_state && result->sequence == e->floor_sequence &&
                ms_sha256_eq(&e->overlay, &result->overlay);
    return same ? ENTRY_SAME : ENTRY_CHANGED;
}

static enum entry_verdict judge_set(const struct entry *e, const struct source_result *result,
                                    struct ms_now now, enum ms_err *ret_why)
{
    if (result->has_sequence && word_lapsed(e, result->level, now))
        return ENTRY_CHANGED;
    if (result->has_sequence && e->has_sequence)
        return judge_sequenced(e, result, ret_why);
    return e->good && ms_sha256_eq(&e->commitment, &result->commitment) ? ENTRY_SAME
                                                                        : ENTRY_CHANGED;
}

/* Whether the operator's choice takes this other code by itself now. */
static bool code_is_due(const struct entry *e, const struct source_result *result,
                        struct ms_now now)
{
    int64_t delay_s = e->rules != NULL ? e->rules->code_delay_s : ENTRY_CODE_HOLD;
    bool known = e->hold && ms_sha256_eq(&e->held_identity, &result->identity);

    if (delay_s <= 0)
        return delay_s == 0;
    return known && now.boot_ms >= after(e->held_boot_ms, delay_s);
}

static enum entry_verdict judge_other_code(const struct entry *e,
                                           const struct source_result *result, enum ms_err *ret_why)
{
    *ret_why = MS_ERR_ROLLBACK;
    if (result->has_sequence && e->has_sequence && result->sequence < e->floor_sequence)
        return ENTRY_REFUSED;
    *ret_why = MS_ERR_CONFLICT;
    return e->conflict ? ENTRY_REFUSED : ENTRY_CHANGED;
}

enum entry_verdict entry_judge(const struct entry *e, const struct source_result *result,
                               struct ms_now now, enum ms_err *ret_why)
{
    *ret_why = MS_ERR_UNAVAILABLE;
    if (result->unchanged)
        return e->good ? ENTRY_SAME : ENTRY_REFUSED;
    /* what a block took away only a block as new gives back */
    if (has_overlay(e) && (!result->has_head || result->head_number < e->overlay_head))
        return ENTRY_REFUSED;
    bool identified = e->good && e->has_identity;
    if (identified && result->has_identity && !ms_sha256_eq(&e->identity, &result->identity)) {
        if (!code_is_due(e, result, now))
            return ENTRY_HELD;
        /* other code counts and commits as it likes; but never back to where it has been */
        return judge_other_code(e, result, ret_why);
    }
    enum entry_verdict verdict = judge_set(e, result, now, ret_why);
    if (identified && !result->has_identity && (verdict == ENTRY_CHANGED || e->hold)) {
        *ret_why = MS_ERR_CODE_IDENTITY; /* new releases of unknown code are none */
        return ENTRY_REFUSED;
    }
    /* the end of a hold is a change: it is to be on disk, and in history */
    return verdict == ENTRY_SAME && e->hold ? ENTRY_CHANGED : verdict;
}

static void take_change(struct entry *e, const struct source_result *result)
{
    e->commitment = result->commitment;
    e->overlay = result->overlay;
    e->overlay_head = result->head_number;
    e->has_sequence = result->has_sequence;
    if (!result->has_sequence)
        e->floor_sequence++;
    else if (result->epoch > e->floor_epoch || result->sequence > e->floor_sequence ||
             is_word(result))
        e->floor_sequence = result->sequence;
    if (result->epoch > e->floor_epoch)
        e->floor_epoch = result->epoch;
    e->valid_until_s = result->valid_until_s;
    e->conflict = false;
}

/* The set stands: whatever went wrong before is over. */
static void take_time(struct entry *e, struct ms_now now)
{
    e->hold = false;
    e->good = true;
    e->recheck = false;
    e->negative_until_ms = 0;
    e->negative_err = MS_OK;
    e->checked_boot_ms = now.boot_ms;
}

static void forget_failures(struct entry *e)
{
    e->fails = 0;
    e->next_try_ms = 0;
    e->last_err = MS_OK;
    e->last_diag = (struct ms_diag){0};
    e->dissent = false;
}

static void take_head(struct entry *e, int64_t head_time_s, struct ms_now now)
{
    e->head_time_s = head_time_s;
    e->head_boot_ms = now.boot_ms;
}

void entry_confirm(struct entry *e, int64_t evidence_time_s, int64_t head_time_s, struct ms_now now)
{
    forget_failures(e);
    take_time(e, now);
    take_head(e, head_time_s, now);
    if (evidence_time_s > e->evidence_time_s)
        e->evidence_time_s = evidence_time_s;
}

bool entry_may_confirm(const struct entry *e, bool has_head, uint64_t head_number,
                       struct ms_now now)
{
    if (!e->good || e->hold || e->conflict || e->dissent || !entry_view(e, now).serve)
        return false;
    return !has_overlay(e) || (has_head && head_number >= e->overlay_head);
}

void entry_accept(struct entry *e, const struct source_result *result, enum entry_verdict verdict,
                  struct ms_now now)
{
    if (verdict == ENTRY_REFUSED)
        return;
    forget_failures(e);
    if (verdict == ENTRY_CONTRADICTS) {
        e->conflict = true;
        e->conflict_err = MS_ERR_CONFLICT;
        return;
    }
    if (verdict == ENTRY_HELD) {
        if (!e->hold || !ms_sha256_eq(&e->held_identity, &result->identity))
            e->held_boot_ms = now.boot_ms;
        e->hold = true;
        e->held_identity = result->identity;
        return;
    }
    bool ahead = clock_suspect(e, now); /* it was our clock that was wrong; this answer says so */

    if (verdict == ENTRY_CHANGED)
        take_change(e, result);
    if (result->has_identity) {
        e->has_identity = true;
        e->identity = result->identity;
    }
    take_time(e, now);
    take_head(e, result->head_time_s, now);
    if (ahead && now.wall_s < minus(time_floor(e), ENTRY_CLOCK_SLACK_S))
        e->cleared_floor_s = e->rules->time_floor_s;
    e->life = result->life;
    /* who signs freshness moves the end of a set that stays the same */
    if (verdict == ENTRY_SAME && !result->unchanged &&
        result->evidence_time_s >= e->evidence_time_s)
        e->valid_until_s = result->valid_until_s;
    /* evidence never gets younger by a replayed answer, never older either */
    if (verdict == ENTRY_CHANGED || ahead || result->evidence_time_s > e->evidence_time_s)
        e->evidence_time_s = result->evidence_time_s;
}

void entry_fail(struct entry *e, enum ms_err err, const struct ms_diag *diag, int64_t negative_s,
                int64_t backoff_cap_ms, uint32_t random, struct ms_now now)
{
    e->last_err = err;
    e->dissent = err == MS_ERR_DISSENT;
    e->last_diag = diag == NULL ? (struct ms_diag){0} : *diag;
    bool absent = err != MS_ERR_CONNECT && err != MS_ERR_RESOLVE; /* said so, and not just away */
    if (negative_s > 0 && (absent || !e->good)) {
        e->negative_until_ms = after(now.boot_ms, negative_s);
        e->negative_err = err;
    }
    /* full jitter: U(0, min(cap, 1 s * 2^fails)) */
    int64_t span =
        e->fails < 20 ? min64(backoff_cap_ms, (int64_t)1000 << e->fails) : backoff_cap_ms;
    e->next_try_ms = now.boot_ms + (int64_t)((uint64_t)span * random >> 32);
    if (e->fails < UINT32_MAX)
        e->fails++;
}

enum entry_window entry_release_window(const struct source_release *release, int64_t chain_s,
                                       int64_t wall_s)
{
    int64_t late = chain_s > wall_s ? chain_s : wall_s;

    if (release->not_after_s != 0 && late >= release->not_after_s)
        return ENTRY_WINDOW_EXPIRED;
    if (release->not_before_s > chain_s)
        return ENTRY_WINDOW_PENDING;
    return ENTRY_WINDOW_IN_FORCE;
}
