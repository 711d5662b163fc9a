/* Everything that can happen to an entry, in every order, up to a depth: a breadth-first search
 * over the real functions with a small alphabet of answers, failures and clock steps. Two
 * situations are one when nothing but the time of day tells them apart. After every step the
 * invariants are asked of a second, simpler model that only remembers what was accepted.
 *
 * MS_SOAK=1 in the environment goes two steps deeper. */
#include "resolver/entry/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DEPTH 5
#define SOAK_DEPTH 7
#define STATES_MAX 6000000u
#define BOOT0 INT64_C(100000000)
#define WALL0 INT64_C(1700000000)

/* Short lives, so that few steps cross all of their ends. */
#define F 4
#define W 3
#define E 9
#define X 16
#define STALE 12
#define NEGATIVE 5
#define DELAY 6
#define JUMP 1000

/* What the model remembers. */
struct ghost {
    uint64_t floor;   /* highest sequence ever accepted */
    bool revoked;     /* the set accepted last is empty, by sequence `floor` */
    uint64_t overlay; /* the head that took something away, 0 for none */
    bool conflict;
    uint8_t set;     /* the commitment in force, 0 for none */
    uint8_t code;    /* the identity accepted */
    int64_t held_ms; /* since when other code was seen without a break, -1 */
    int64_t confirmed_ms, evidence_s;
};

struct situation {
    struct entry entry;
    struct ghost ghost;
    struct ms_now now;
};

struct node {
    struct situation at;
    uint32_t parent;
    uint8_t event, depth;
};

static struct entry_rules rules;

/* ---- the alphabet ---- */

enum event_kind { ANSWER, FAIL, CONFIRM, OTHERS, STEP, WALL };

struct event {
    const char *name;
    enum event_kind kind;
    /* answers: */
    int64_t sequence; /* of the floor: -1, 0, 1 */
    uint8_t set;      /* 0: that of the entry; 9: the empty one */
    uint8_t code;     /* of the contract; 0: not proven */
    enum spec_level level;
    bool takes_away; /* the newest state revokes something */
    int64_t head;    /* of the last overlay's head: -1 an older one, 0 none was read, 1 a newer */
    int64_t old_s;   /* age of its block */
    /* failures: */
    enum ms_err err;
    int64_t negative_s;
    uint32_t random;
    /* time: */
    int64_t ms;
};

static const struct event events[] = {
    {.name = "same", .kind = ANSWER, .code = 1, .level = SPEC_LEVEL_L3, .head = 1},
    {.name = "same, old block",
     .kind = ANSWER,
     .code = 1,
     .level = SPEC_LEVEL_L3,
     .head = 1,
     .old_s = STALE + 1},
    {.name = "same, no head", .kind = ANSWER, .code = 1, .level = SPEC_LEVEL_L3},
    {.name = "same, older head", .kind = ANSWER, .code = 1, .level = SPEC_LEVEL_L3, .head = -1},
    {.name = "same, no proof", .kind = ANSWER, .level = SPEC_LEVEL_L2, .head = 1},
    {.name = "next",
     .kind = ANSWER,
     .sequence = 1,
     .set = 2,
     .code = 1,
     .level = SPEC_LEVEL_L3,
     .head = 1},
    {.name = "next at l2",
     .kind = ANSWER,
     .sequence = 1,
     .set = 3,
     .code = 1,
     .level = SPEC_LEVEL_L2,
     .head = 1},
    {.name = "next, unknown code",
     .kind = ANSWER,
     .sequence = 1,
     .set = 4,
     .level = SPEC_LEVEL_L2,
     .head = 1},
    {.name = "next, nothing approved",
     .kind = ANSWER,
     .sequence = 1,
     .set = 9,
     .code = 1,
     .level = SPEC_LEVEL_L3,
     .head = 1},
    {.name = "lower",
     .kind = ANSWER,
     .sequence = -1,
     .set = 5,
     .code = 1,
     .level = SPEC_LEVEL_L3,
     .head = 1},
    {.name = "equivocation",
     .kind = ANSWER,
     .set = 6,
     .code = 1,
     .level = SPEC_LEVEL_L2,
     .head = 1},
    {.name = "head revokes",
     .kind = ANSWER,
     .code = 1,
     .level = SPEC_LEVEL_L3,
     .takes_away = true,
     .head = 1},
    {.name = "other code",
     .kind = ANSWER,
     .sequence = 1,
     .set = 7,
     .code = 2,
     .level = SPEC_LEVEL_L3,
     .head = 1},
    {.name = "third code",
     .kind = ANSWER,
     .sequence = 1,
     .set = 8,
     .code = 3,
     .level = SPEC_LEVEL_L3,
     .head = 1},
    {.name = "refused connection", .kind = FAIL, .err = MS_ERR_CONNECT, .negative_s = NEGATIVE},
    {.name = "no such thing", .kind = FAIL, .err = MS_ERR_NO_CODE, .negative_s = NEGATIVE},
    {.name = "timeout", .kind = FAIL, .err = MS_ERR_TIMEOUT, .random = UINT32_MAX},
    {.name = "dissent", .kind = FAIL, .err = MS_ERR_DISSENT},
    {.name = "poll confirms", .kind = CONFIRM, .head = 1},
    {.name = "poll confirms, no head", .kind = CONFIRM},
    {.name = "poll confirms, frozen", .kind = CONFIRM, .head = 1, .old_s = STALE + 1},
    {.name = "another entry sees a new block", .kind = OTHERS},
    {.name = "+1 s", .kind = STEP, .ms = 1000},
    {.name = "+4 s", .kind = STEP, .ms = 4000},
    {.name = "+9 s", .kind = STEP, .ms = 9000},
    {.name = "clock back", .kind = WALL, .ms = -JUMP},
    {.name = "clock back two minutes", .kind = WALL, .ms = -(ENTRY_CLOCK_SLACK_S + 5)},
    {.name = "clock ahead", .kind = WALL, .ms = JUMP},
};

/* ---- doing it ---- */

static struct source_result answer_of(const struct situation *s, const struct event *ev)
{
    struct source_result r = {
        .level = ev->level,
        .has_sequence = true,
        .sequence = (uint64_t)((int64_t)s->ghost.floor + ev->sequence),
        .has_identity = ev->code != 0,
        .evidence_time_s = s->now.wall_s - ev->old_s,
        .head_time_s = s->now.wall_s,
        .life = {.fresh_s = F, .swr_s = W, .sie_s = E, .ceiling_s = X},
        .has_head = ev->head != 0,
        .head_number = ev->head == 0 ? 0 : (uint64_t)((int64_t)s->ghost.overlay + ev->head),
    };
    r.commitment.b[0] = ev->set != 0 ? ev->set : s->ghost.set;
    r.identity.b[0] = ev->code;
    r.overlay.b[0] = ev->takes_away;
    return r;
}

/* As the core does it (flight_done). */
static enum entry_verdict take(struct situation *s, const struct source_result *r)
{
    enum ms_err why = MS_OK;
    enum entry_verdict verdict = entry_judge(&s->entry, r, s->now, &why);

    if (verdict == ENTRY_REFUSED)
        entry_fail(&s->entry, why, NULL, 0, 2000, 0, s->now);
    else
        entry_accept(&s->entry, r, verdict, s->now);
    if (s->entry.evidence_time_s > rules.time_floor_s)
        rules.time_floor_s = s->entry.evidence_time_s;
    return verdict;
}

/* ---- what must hold ---- */

static const struct node *nodes_seen;
static uint32_t now_at;
static uint8_t now_event;

static void tell_path(uint32_t n)
{
    if (n == UINT32_MAX || nodes_seen[n].parent == UINT32_MAX)
        return;
    tell_path(nodes_seen[n].parent);
    print_error("  %s\n", events[nodes_seen[n].event].name);
}

#define must(ok, what)                                     \
    do {                                                   \
        if (!(ok)) {                                       \
            tell_path(now_at);                             \
            print_error("  %s\n", events[now_event].name); \
            fail_msg("%s", what);                          \
        }                                                  \
    } while (0)

static void note_answer(struct ghost *g, const struct source_result *r, enum entry_verdict verdict,
                        const struct situation *s)
{
    bool other_code = g->code != 0 && r->has_identity && r->identity.b[0] != g->code;
    uint8_t set = r->commitment.b[0];

    if (verdict == ENTRY_HELD) {
        must(other_code, "held, and it is the code that was accepted");
        if (g->held_ms < 0 || s->entry.held_identity.b[0] != r->identity.b[0])
            g->held_ms = s->now.boot_ms;
    }
    if (verdict == ENTRY_CONTRADICTS) {
        must(r->sequence == g->floor && set != g->set, "a contradiction that is none");
        g->conflict = true;
    }
    if (verdict != ENTRY_CHANGED && verdict != ENTRY_SAME)
        return;
    must(r->sequence >= g->floor, "an answer below the floor was taken");
    must(verdict == ENTRY_CHANGED || (set == g->set && !other_code), "same, and it is not");
    must(!(g->revoked && set != 9) || r->sequence > g->floor,
         "revoked, and approved again without a higher sequence");
    must(!(g->set != 0 && set != g->set && !other_code) || r->sequence > g->floor,
         "another set of one sequence was taken");
    must(!g->conflict || (r->sequence > g->floor && r->level >= SPEC_LEVEL_L3),
         "a contradiction was forgotten");
    must(g->overlay == 0 || (r->has_head && r->head_number >= g->overlay),
         "what a block took away came back without a block as new");
    must(!other_code || (rules.code_delay_s >= 0 && g->held_ms >= 0 &&
                         s->now.boot_ms - g->held_ms >= 1000 * rules.code_delay_s),
         "other code was taken before its time");
    must(r->has_identity || g->set == 0 || set == g->set,
         "new releases of unknown code were taken");
    g->floor = r->sequence;
    g->set = set;
    g->revoked = set == 9;
    g->conflict = false;
    g->overlay = r->overlay.b[0] != 0 ? r->head_number : 0;
    g->held_ms = -1;
    if (r->has_identity)
        g->code = r->identity.b[0];
}

static void check(const struct situation *s)
{
    const struct ghost *g = &s->ghost;
    const struct entry *e = &s->entry;
    struct entry_view v = entry_view(e, s->now);
    int64_t age_ms = s->now.boot_ms - e->checked_boot_ms;
    int64_t evidence_age_s = s->now.wall_s - e->evidence_time_s;

    must(e->floor_sequence == g->floor, "the floor is not the highest sequence accepted");
    must(!e->good || e->commitment.b[0] == g->set, "a set that no answer brought");
    must(e->conflict == g->conflict, "the contradiction is not what was found");
    must((e->overlay.b[0] != 0) == (g->overlay != 0),
         "what was taken away is not what a block took");
    must(v.serve == (v.err == MS_OK), "an answer and an error, or neither");
    if (v.serve) {
        must(e->good && !g->conflict, "served without a set, or against a contradiction");
        must(evidence_age_s < X, "older than the ceiling");
        must(e->hold || age_ms < 1000 * (F + E), "longer unconfirmed than F + E");
        must(evidence_age_s >= -ENTRY_CLOCK_SLACK_S, "served by a clock before the evidence");
        must(s->now.wall_s >= rules.time_floor_s - ENTRY_CLOCK_SLACK_S ||
                 e->cleared_floor_s == rules.time_floor_s,
             "served by a clock before what a quorum verified");
        must(v.state != ENTRY_FRESH || (evidence_age_s < STALE && age_ms < 1000 * F && !e->dissent),
             "fresh, and it is not");
        must(v.serve_until_ms > s->now.boot_ms, "served, and its end is over");
    }
    must(!v.refresh || s->now.boot_ms >= e->next_try_ms, "a try before its time");
    must(v.state != ENTRY_NEGATIVE || s->now.boot_ms < e->negative_until_ms, "a no that is over");
    /* time alone, or a try, leads on */
    must(v.refresh || v.next_change_ms != ENTRY_NEVER, "a state without an exit");
    must(v.next_change_ms > s->now.boot_ms, "a change that should have been");
}

/* From everywhere: with a right clock, when its waits are over, an answer of a higher sequence,
 * proven, of the code that counts and the newest block, makes it fresh. */
static void check_exit(struct situation s)
{
    struct event good = {.name = "",
                         .kind = ANSWER,
                         .sequence = 1,
                         .set = 2,
                         .code = s.ghost.code,
                         .level = SPEC_LEVEL_L3,
                         .head = 1};
    int64_t floor_s = rules.time_floor_s;

    if (s.ghost.code == 0)
        good.code = 1;
    s.now.boot_ms += 1000000;
    s.now.wall_s = (s.now.wall_s > floor_s ? s.now.wall_s : floor_s) + 1000;
    must(entry_view(&s.entry, s.now).refresh, "it is never asked for again");
    struct source_result r = answer_of(&s, &good);
    must(take(&s, &r) == ENTRY_CHANGED, "the right answer is refused for ever");
    must(entry_view(&s.entry, s.now).state == ENTRY_FRESH, "a right answer does not make it fresh");
    rules.time_floor_s = floor_s;
}

/* false: it cannot happen here */
static bool happen(struct situation *s, const struct event *ev)
{
    struct ghost *g = &s->ghost;

    switch (ev->kind) {
    case ANSWER: {
        if ((g->set == 0 && ev->set == 0) || (g->floor == 0 && ev->sequence < 0))
            return false;
        struct source_result r = answer_of(s, ev);
        struct situation before = *s;
        enum entry_verdict verdict = take(s, &r);
        note_answer(g, &r, verdict, &before);
        return true;
    }
    case FAIL:
        entry_fail(&s->entry, ev->err, NULL, ev->negative_s, 2000, ev->random, s->now);
        return true;
    case CONFIRM: {
        uint64_t head = g->overlay + 1;
        if (!entry_may_confirm(&s->entry, ev->head != 0, head, s->now))
            return false;
        must(g->overlay == 0 || ev->head != 0, "a poll spoke for what it has not seen");
        must(!g->conflict && g->held_ms < 0, "a poll spoke for what is held or in conflict");
        entry_confirm(&s->entry, s->now.wall_s - ev->old_s, s->now.wall_s, s->now);
        if (s->entry.evidence_time_s > rules.time_floor_s)
            rules.time_floor_s = s->entry.evidence_time_s;
        return true;
    }
    case OTHERS:
        if (s->now.wall_s > rules.time_floor_s)
            rules.time_floor_s = s->now.wall_s;
        return true;
    case STEP:
        s->now.boot_ms += ev->ms;
        s->now.wall_s += ev->ms / 1000;
        return true;
    case WALL:
        s->now.wall_s += ev->ms;
        return true;
    }
    return false;
}

/* ---- the search ---- */

struct search {
    struct node *nodes;
    uint32_t n, max, *table, mask;
};

static void add_i64(uint64_t *hash, int64_t value)
{
    for (int i = 0; i < 8; i++) {
        *hash ^= (uint64_t)value >> (8 * i) & 0xff;
        *hash *= UINT64_C(1099511628211);
    }
}

static int64_t clip(int64_t value, int64_t limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

/* Times count from now, no further than anything reaches; sequences and heads from the floor. */
static uint64_t fingerprint(const struct situation *s, int64_t time_floor_s)
{
    const struct entry *e = &s->entry;
    const struct ghost *g = &s->ghost;
    const int64_t far_ms = 60000, far_s = 3 * JUMP;
    uint64_t hash = UINT64_C(14695981039346656037);
    int64_t all[] = {
        e->good,
        clip(s->now.boot_ms - e->checked_boot_ms, far_ms),
        clip(s->now.wall_s - e->evidence_time_s, far_s),
        clip(s->now.wall_s - time_floor_s, far_s),
        e->cleared_floor_s == time_floor_s,
        e->commitment.b[0],
        e->overlay.b[0],
        e->has_identity,
        e->identity.b[0],
        e->conflict,
        e->hold,
        e->held_identity.b[0],
        e->hold ? clip(s->now.boot_ms - e->held_boot_ms, far_ms) : 0,
        e->dissent,
        clip(e->negative_until_ms - s->now.boot_ms, far_ms) > 0
            ? clip(e->negative_until_ms - s->now.boot_ms, far_ms)
            : 0,
        e->negative_err,
        e->fails > 2 ? 2 : e->fails,
        e->next_try_ms > s->now.boot_ms ? e->next_try_ms - s->now.boot_ms : 0,
        e->last_err,
        g->revoked,
        g->overlay != 0,
        g->set,
        g->code,
        g->held_ms < 0 ? -1 : clip(s->now.boot_ms - g->held_ms, far_ms),
        g->floor > 0,
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        add_i64(&hash, all[i]);
    return hash == 0 ? 1 : hash;
}

/* Every node's own time floor: the rules are shared by all entries of a core, not by all worlds. */
static int64_t *floors;
static uint64_t *prints;

static bool is_new(struct search *search, uint64_t print)
{
    uint32_t at = (uint32_t)print & search->mask;

    while (search->table[at] != 0) {
        if (prints[search->table[at] - 1] == print)
            return false;
        at = (at + 1) & search->mask;
    }
    search->table[at] = search->n + 1;
    return true;
}

static void explore(struct search *search, uint8_t depth, unsigned seen[ENTRY_CLOCK_SUSPECT + 1])
{
    for (uint32_t i = 0; i < search->n; i++) {
        struct node from = search->nodes[i];
        seen[entry_view(&from.at.entry, from.at.now).state]++;
        if (from.depth == depth)
            continue;
        now_at = i;
        for (size_t k = 0; k < MS_ARRAY_LEN(events); k++) {
            struct node to = {.at = from.at,
                              .parent = i,
                              .event = (uint8_t)k,
                              .depth = (uint8_t)(from.depth + 1)};
            now_event = (uint8_t)k;
            rules.time_floor_s = floors[i];
            if (!happen(&to.at, &events[k]))
                continue;
            int64_t floor_s = rules.time_floor_s;
            check(&to.at);
            check_exit(to.at);
            uint64_t print = fingerprint(&to.at, floor_s);
            if (search->n == search->max)
                fail_msg("more than %u states", search->max);
            if (!is_new(search, print))
                continue;
            floors[search->n] = floor_s;
            prints[search->n] = print;
            search->nodes[search->n++] = to;
        }
    }
}

static void run(int64_t code_delay_s)
{
    uint8_t depth = getenv("MS_SOAK") != NULL ? SOAK_DEPTH : DEPTH;
    struct search search = {.max = getenv("MS_SOAK") != NULL ? STATES_MAX : STATES_MAX / 10};
    unsigned seen[ENTRY_CLOCK_SUSPECT + 1] = {0};

    search.mask = (1u << 24) - 1;
    search.nodes = calloc(search.max, sizeof(*search.nodes));
    search.table = calloc((size_t)search.mask + 1, sizeof(*search.table));
    floors = calloc(search.max, sizeof(*floors));
    prints = calloc(search.max, sizeof(*prints));
    assert_true(search.nodes != NULL && search.table != NULL && floors != NULL && prints != NULL);
    nodes_seen = search.nodes;
    rules = (struct entry_rules){
        .sie_max_s = INT64_MAX, .stale_s = STALE, .code_delay_s = code_delay_s};
    search.nodes[0] = (struct node){.at = {.entry = {.rules = &rules, .chain = true},
                                           .ghost = {.held_ms = -1},
                                           .now = {WALL0, BOOT0, 0}},
                                    .parent = UINT32_MAX};
    prints[0] = fingerprint(&search.nodes[0].at, 0);
    search.n = 0;
    (void)is_new(&search, prints[0]);
    search.n = 1;
    explore(&search, depth, seen);
    print_message("%u situations within %u steps;", search.n, depth);
    for (size_t s = 0; s < MS_ARRAY_LEN(seen); s++) {
        print_message(" %s %u", entry_state_name((enum entry_state)s), seen[s]);
        if (s != ENTRY_REVOKED && seen[s] == 0) /* whose set is empty: not the entry's to know */
            fail_msg("no way leads to %s", entry_state_name((enum entry_state)s));
    }
    print_message("\n");
    free(search.nodes);
    free(search.table);
    free(floors);
    free(prints);
}

static void test_hold(void **state)
{
    (void)state;
    run(ENTRY_CODE_HOLD);
}

static void test_delay(void **state)
{
    (void)state;
    run(DELAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_delay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
