/* What `watch` does when: every transition, under a clock that only the test moves. */
#include "cli/supervise.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define START 1000000 /* the clock does not begin at zero */
#define MINUTE 60000
#define ACTS_MAX 20000

/* ---- a world: what is said is done, and written down as "SECONDS.MS:what " ---- */
enum answer { NONE = 0, CONFIRMED, FINAL };

struct world {
    struct supervise s;
    int64_t now_ms; /* since START */
    bool write_fails, remove_fails, command_fails, command_hangs, signal_fails, proxy_fails;
    bool proxy_deaf; /* to SIGTERM */
    enum answer state_answer, list_answer;
    const char *list; /* what the daemon gives */
    int64_t until_ms; /* ... and how long, since START; SUPERVISE_NEVER */
    char held[64];    /* what the file holds, "" without */
    bool proxy, ended;
    char log[65536];
    size_t len;
};

static const struct supervise_words fresh = {.state = "fresh", .sequence = "7"};
static const struct supervise_words revoked = {.state = "revoked", .sequence = "8"};

static int64_t clock_of(const struct world *w)
{
    return START + w->now_ms;
}

static int64_t until(const struct world *w)
{
    return w->until_ms == SUPERVISE_NEVER ? SUPERVISE_NEVER : START + w->until_ms;
}

static void note(struct world *w, const char *what, const char *more)
{
    int n = snprintf(w->log + w->len, sizeof(w->log) - w->len, "%" PRId64 ":%s%s%s ", w->now_ms,
                     what, more[0] == '\0' ? "" : "=", more);
    assert_true(n > 0 && (size_t)n < sizeof(w->log) - w->len);
    w->len += (size_t)n;
}

static void do_write(struct world *w)
{
    struct ms_span text = supervise_text(&w->s);
    char copy[64] = "";

    assert_true(text.len < sizeof(copy));
    memcpy(copy, text.ptr, text.len);
    note(w, w->write_fails ? "unwritten" : "write", copy);
    if (!w->write_fails)
        memcpy(w->held, copy, sizeof(copy));
    supervise_wrote(&w->s, clock_of(w), !w->write_fails, "no room");
}

static void do_remove(struct world *w)
{
    note(w, w->remove_fails ? "unremoved" : "remove", "");
    if (!w->remove_fails)
        w->held[0] = '\0';
    supervise_removed(&w->s, clock_of(w), !w->remove_fails);
}

static void do_ask(struct world *w, enum supervise_act act)
{
    bool state = act == SUPERVISE_ASK_STATE;

    note(w, state ? "ask" : "fetch", "");
    if (state && w->state_answer == NONE)
        supervise_asked(&w->s, clock_of(w));
    else if (state)
        supervise_confirmed(&w->s, clock_of(w), until(w), &fresh);
    else if (w->list_answer == CONFIRMED)
        supervise_list(&w->s, clock_of(w), ms_span_str(w->list));
    else
        supervise_no_list(&w->s, clock_of(w), w->list_answer == FINAL, "not to be had");
}

static void do_run(struct world *w)
{
    note(w, "run", w->s.disk_words.state);
    supervise_ran(&w->s, clock_of(w), true);
    if (!w->command_hangs)
        supervise_run_ended(&w->s, clock_of(w), !w->command_fails);
}

static void do_proxy(struct world *w, enum supervise_act act)
{
    switch ((int)act) {
    case SUPERVISE_PROXY_START:
        note(w, "start", w->proxy_fails ? "" : w->held);
        assert_false(w->proxy);
        w->proxy = !w->proxy_fails;
        supervise_proxy_started(&w->s, clock_of(w), w->proxy, 9);
        break;
    case SUPERVISE_PROXY_SIGNAL:
        note(w, "hup", "");
        assert_true(w->proxy);
        supervise_signalled(&w->s, clock_of(w), true);
        break;
    default:
        note(w, act == SUPERVISE_PROXY_KILL ? "kill" : "term", "");
        assert_true(w->proxy);
        if (act == SUPERVISE_PROXY_TERM && w->proxy_deaf)
            break;
        w->proxy = false;
        supervise_proxy_ended(&w->s, clock_of(w));
    }
}

static void perform(struct world *w, enum supervise_act act)
{
    switch (act) {
    case SUPERVISE_NOTHING:
        break;
    case SUPERVISE_ASK_STATE:
    case SUPERVISE_ASK_LIST:
        do_ask(w, act);
        break;
    case SUPERVISE_WRITE:
        do_write(w);
        break;
    case SUPERVISE_REMOVE:
        do_remove(w);
        break;
    case SUPERVISE_RUN:
        do_run(w);
        break;
    case SUPERVISE_RUN_KILL:
        note(w, "runkill", "");
        break;
    case SUPERVISE_SIGNAL:
        note(w, "signal", "");
        supervise_signalled(&w->s, clock_of(w), !w->signal_fails);
        break;
    case SUPERVISE_PROXY_START:
    case SUPERVISE_PROXY_SIGNAL:
    case SUPERVISE_PROXY_TERM:
    case SUPERVISE_PROXY_KILL:
        do_proxy(w, act);
        break;
    case SUPERVISE_READY:
        note(w, "ready", "");
        break;
    case SUPERVISE_END:
        note(w, "end", "");
        w->ended = true;
        break;
    }
}

/* All that happens up to `to_ms`, each at its time; what was written down, and the page turned. */
static const char *play(struct world *w, int64_t to_ms)
{
    static char log[sizeof(w->log)];
    unsigned acts = 0;

    for (;;) {
        enum supervise_act act;
        while (!w->ended && (act = supervise_next(&w->s, clock_of(w))) != SUPERVISE_NOTHING) {
            assert_true(acts++ < ACTS_MAX); /* or it spins */
            perform(w, act);
        }
        int64_t wake_ms = w->ended ? SUPERVISE_NEVER : supervise_wake(&w->s, clock_of(w));
        if (wake_ms == SUPERVISE_NEVER || wake_ms - START > to_ms)
            break;
        /* a wake that is due and yet has nothing to do would make the loop burn */
        assert_true(wake_ms > clock_of(w));
        w->now_ms = wake_ms - START;
    }
    w->now_ms = to_ms;
    if (w->len > 0)
        w->len--; /* the space at the end */
    w->log[w->len] = '\0';
    memcpy(log, w->log, w->len + 1);
    w->len = 0;
    w->log[0] = '\0';
    return log;
}

#define PLAY(w, to_ms, want) assert_string_equal(play(w, to_ms), want)

static void begin(struct world *w, const struct supervise_policy *policy)
{
    *w = (struct world){.list = "one",
                        .until_ms = SUPERVISE_NEVER,
                        .state_answer = CONFIRMED,
                        .list_answer = CONFIRMED};
    assert_int_equal(supervise_init(&w->s, policy, ms_span_str("DENY"), START), MS_OK);
}

static void event(struct world *w, bool served)
{
    supervise_connected(&w->s, true);
    supervise_event(&w->s, clock_of(w), served, true, until(w), served ? &fresh : &revoked);
}

static const struct supervise_policy file_only = {.file = true, .run_ms = 5000, .grace_ms = 3000};
static const struct supervise_policy with_command = {
    .file = true, .command = true, .run_ms = 5000, .grace_ms = 3000};
static const struct supervise_policy with_proxy = {
    .file = true, .proxy = true, .run_ms = 5000, .grace_ms = 3000, .seed = 42};

/* Up to a running proxy or a told command with list "one". */
static void begin_with_list(struct world *w, const struct supervise_policy *policy)
{
    begin(w, policy);
    event(w, true);
    (void)play(w, 0);
    assert_string_equal(w->held, "one");
}

/* ---- the beginning ---- */

static void test_first_list(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    event(&w, true);
    PLAY(&w, MINUTE, "0:fetch 0:write=one 0:ready 0:run=fresh");
    event(&w, true); /* the same again: no rewrite, no command */
    PLAY(&w, 2 * MINUTE, "60000:fetch");
    w.list = "two";
    event(&w, true);
    PLAY(&w, 3 * MINUTE, "120000:fetch 120000:write=two 120000:run=fresh");
    supervise_done(&w.s);
}

static void test_no_answer_at_first(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    supervise_found(&w.s, ms_span_str("of an earlier run"));
    PLAY(&w, 999, "");
    PLAY(&w, MINUTE, "1000:write=DENY 1000:run=unknown");
    event(&w, true); /* it comes late, and counts */
    PLAY(&w, MINUTE, "60000:fetch 60000:write=one 60000:ready 60000:run=fresh");
    supervise_done(&w.s);
}

/* An answer that is on its way when the first second is over is waited for, without the old file.
 */
static void test_slow_first_list(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &file_only);
    supervise_found(&w.s, ms_span_str("of an earlier run"));
    w.list_answer = NONE;
    event(&w, true);
    PLAY(&w, 1400, "0:fetch 500:fetch 1000:write=DENY 1000:fetch");
    w.list_answer = CONFIRMED;
    PLAY(&w, MINUTE, "1500:fetch 1500:write=one 1500:ready");
    supervise_done(&w.s);
}

static void test_no_daemon_at_first(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    supervise_found(&w.s, ms_span_str("of an earlier run"));
    supervise_unknown(&w.s, clock_of(&w), "no socket");
    PLAY(&w, MINUTE, "0:write=DENY 0:run=unknown");
    assert_string_equal(w.s.disk_words.reason, "no socket");
    supervise_done(&w.s);
}

static void test_found(void **state)
{
    struct world w;
    (void)state;

    /* what its readers hold is not known, so they are told once */
    begin(&w, &with_command);
    supervise_found(&w.s, ms_span_str("one"));
    event(&w, true);
    PLAY(&w, MINUTE, "0:fetch 0:ready 0:run=fresh");
    supervise_done(&w.s);

    begin(&w, &with_command);
    supervise_found(&w.s, ms_span_str("DENY"));
    PLAY(&w, MINUTE, "1000:run=unknown");
    supervise_done(&w.s);
}

static void test_gives_up(void **state)
{
    struct supervise_policy keep = with_command;
    struct world w;
    (void)state;

    keep.on_exit = SUPERVISE_EXIT_KEEP; /* that is for a file of ours */
    begin(&w, &keep);
    supervise_found(&w.s, ms_span_str("of an earlier run"));
    supervise_give_up(&w.s, clock_of(&w), 3, "no daemon");
    PLAY(&w, MINUTE, "0:write=DENY 0:run=unknown 0:end");
    assert_int_equal(w.s.code, 3);
    supervise_done(&w.s);
}

/* A list that holds its own end is written anew when the set is confirmed, and nobody is told; a
 * change that came that way is told with its event, and a denial always. */
static void test_list_with_an_end(void **state)
{
    struct supervise_policy policy = with_command;
    struct world w;
    (void)state;

    policy.list_ends = true;
    begin(&w, &policy);
    w.until_ms = MINUTE;
    event(&w, true);
    PLAY(&w, 1000, "0:fetch 0:write=one 0:ready 0:run=fresh");
    w.list = "one, later";
    w.until_ms = 3 * MINUTE;
    PLAY(&w, MINUTE, "58000:ask 58000:fetch 58000:write=one, later");
    event(&w, true); /* the same bytes, which nobody was told of */
    PLAY(&w, MINUTE + 1000, "60000:fetch 60000:run=fresh");
    w.list = "one, at last";
    w.until_ms = 5 * MINUTE;
    PLAY(&w, 3 * MINUTE, "178000:ask 178000:fetch 178000:write=one, at last");
    event(&w, false);
    PLAY(&w, 4 * MINUTE, "180000:write=DENY 180000:run=revoked");
    supervise_done(&w.s);
}

/* ---- what may not be served ---- */

static void test_revoked(void **state)
{
    struct world w;
    (void)state;

    begin_with_list(&w, &with_command);
    event(&w, false);
    PLAY(&w, MINUTE, "0:write=DENY 0:run=revoked");
    event(&w, false);
    PLAY(&w, MINUTE, "");
    event(&w, true);
    PLAY(&w, MINUTE, "60000:fetch 60000:write=one 60000:run=fresh");
    supervise_done(&w.s);
}

static void test_deadline(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    w.until_ms = 10000;
    event(&w, true);
    w.state_answer = NONE;
    PLAY(&w, 9999, "0:fetch 0:write=one 0:ready 0:run=fresh 8000:ask 8500:ask 9000:ask 9500:ask");
    assert_string_equal(w.held, "one"); /* not before */
    PLAY(&w, 10000, "10000:write=DENY 10000:run=expired 10000:ask");
    supervise_done(&w.s);
}

/* Nobody there to be asked: the clock alone is enough. */
static void test_deadline_without_daemon(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &file_only);
    w.until_ms = 10000;
    event(&w, true);
    (void)play(&w, 0);
    supervise_connected(&w.s, false);
    PLAY(&w, 9999, "");
    PLAY(&w, MINUTE, "10000:write=DENY");
    event(&w, true);
    w.state_answer = NONE;
    /* the list that comes is over before it is there */
    PLAY(&w, MINUTE + 499, "60000:fetch");
    assert_string_equal(w.held, "DENY");
    supervise_done(&w.s);
}

static void test_deadline_moves(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    w.until_ms = 10000;
    event(&w, true);
    (void)play(&w, 7000);
    w.until_ms = 20000;
    PLAY(&w, 17000, "8000:ask");
    w.until_ms = SUPERVISE_NEVER;
    PLAY(&w, 10 * MINUTE, "18000:ask");
    assert_string_equal(w.held, "one");
    supervise_done(&w.s);
}

/* One question that fails must not be the last. */
static void test_asks_again(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    w.until_ms = 3000;
    event(&w, true);
    w.state_answer = NONE;
    (void)play(&w, 3000);
    assert_string_equal(w.held, "DENY");
    PLAY(&w, 30000, "4000:ask 6000:ask 10000:ask 18000:ask 26000:ask");
    /* the state is there again, but not the list: asked again all the same */
    w.state_answer = CONFIRMED;
    w.list_answer = FINAL;
    w.until_ms = 10 * MINUTE;
    PLAY(&w, 49999, "34000:ask 34000:fetch 42000:ask 42000:fetch");
    w.list_answer = CONFIRMED;
    PLAY(&w, MINUTE, "50000:ask 50000:fetch 50000:write=one 50000:run=fresh");
    supervise_done(&w.s);
}

static void test_list_cannot_be_had(void **state)
{
    struct world w;
    (void)state;

    /* the daemon says why: at once */
    begin_with_list(&w, &with_command);
    w.list_answer = FINAL;
    event(&w, true);
    PLAY(&w, 400, "0:fetch 0:write=DENY 0:run=unknown");
    assert_string_equal(w.s.disk_words.reason, "not to be had");
    w.list_answer = CONFIRMED;
    PLAY(&w, MINUTE, "1000:ask 1000:fetch 1000:write=one 1000:run=fresh");
    supervise_done(&w.s);

    /* no answer: the old list stands for ten seconds */
    begin_with_list(&w, &file_only);
    w.list_answer = NONE;
    event(&w, true);
    (void)play(&w, 9999);
    assert_string_equal(w.held, "one");
    (void)play(&w, 10000);
    assert_string_equal(w.held, "DENY");
    supervise_done(&w.s);

    /* ... or up to its own end */
    begin(&w, &file_only);
    w.until_ms = 4000;
    event(&w, true);
    (void)play(&w, 3000);
    w.list_answer = NONE;
    w.until_ms = MINUTE;
    event(&w, true);
    (void)play(&w, 3999);
    assert_string_equal(w.held, "one");
    (void)play(&w, 4100);
    assert_string_equal(w.held, "DENY");
    w.list_answer = CONFIRMED;
    (void)play(&w, 5000);
    assert_string_equal(w.held, "one");
    supervise_done(&w.s);
}

static void test_ask_time(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &file_only);
    w.until_ms = 10000;
    event(&w, true);
    (void)play(&w, 0);
    assert_int_equal(supervise_ask_ms(&w.s, START, 2000), 2000);
    assert_int_equal(supervise_ask_ms(&w.s, START + 9500, 2000), 500);
    assert_int_equal(supervise_ask_ms(&w.s, START + 9999, 2000), SUPERVISE_ASK_LEAST_MS);
    supervise_done(&w.s);
}

static void test_without_file(void **state)
{
    struct supervise_policy policy = {.command = true, .run_ms = 5000};
    struct world w;
    (void)state;

    begin(&w, &policy);
    supervise_connected(&w.s, true);
    supervise_event(&w.s, START, true, true, START + 5000, &fresh);
    PLAY(&w, MINUTE, "0:ready 0:run=fresh");
    supervise_event(&w.s, clock_of(&w), true, false, SUPERVISE_NEVER, &fresh);
    PLAY(&w, MINUTE, "");
    supervise_event(&w.s, clock_of(&w), false, true, SUPERVISE_NEVER, &revoked);
    PLAY(&w, MINUTE, "60000:run=revoked");
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, MINUTE, "60000:end");
    supervise_done(&w.s);
}

/* ---- those who are told ---- */

static void test_command_fails(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    w.command_fails = true;
    event(&w, true);
    PLAY(&w, 3 * MINUTE,
         "0:fetch 0:write=one 0:ready 0:run=fresh 1000:run=fresh 3000:run=fresh 7000:run=fresh "
         "15000:run=fresh 31000:run=fresh 63000:run=fresh 123000:run=fresh");
    event(&w, false); /* a change does not wait for that */
    PLAY(&w, 3 * MINUTE + 999, "180000:write=DENY 180000:run=revoked");
    w.command_fails = false;
    PLAY(&w, 10 * MINUTE, "181000:run=revoked");
    supervise_done(&w.s);
}

static void test_command_hangs(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_command);
    w.command_hangs = true;
    event(&w, true);
    PLAY(&w, 1000, "0:fetch 0:write=one 0:ready 0:run=fresh");
    event(&w, false); /* the file does not wait for it; one command at a time */
    PLAY(&w, 4999, "1000:write=DENY");
    PLAY(&w, 6500, "5000:runkill 6000:runkill");
    w.command_hangs = false;
    supervise_run_ended(&w.s, clock_of(&w), false);
    PLAY(&w, MINUTE, "6500:run=revoked");
    supervise_done(&w.s);
}

static void test_signal(void **state)
{
    struct supervise_policy policy = {.file = true, .signal = true};
    struct world w;
    (void)state;

    begin(&w, &policy);
    w.signal_fails = true;
    event(&w, true);
    PLAY(&w, 5000, "0:fetch 0:write=one 0:ready 0:signal 1000:signal 3000:signal");
    w.signal_fails = false;
    PLAY(&w, MINUTE, "7000:signal");
    event(&w, false);
    PLAY(&w, MINUTE, "60000:write=DENY 60000:signal");
    supervise_done(&w.s);
}

/* ---- the proxy ---- */

static void test_proxy(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_proxy);
    PLAY(&w, MINUTE, "1000:write=DENY"); /* no list, no proxy */
    event(&w, true);
    PLAY(&w, MINUTE, "60000:fetch 60000:write=one 60000:start=one 60000:ready");
    w.list = "two";
    event(&w, true);
    PLAY(&w, MINUTE, "60000:fetch 60000:write=two 60000:term 60000:start=two");
    event(&w, false);
    PLAY(&w, MINUTE, "60000:write=DENY 60000:term 60000:start=DENY");
    w.proxy_deaf = true;
    event(&w, true);
    PLAY(&w, 2 * MINUTE, "60000:fetch 60000:write=two 60000:term 63000:kill 63000:start=two");
    supervise_done(&w.s);
}

static void test_proxy_signal(void **state)
{
    struct supervise_policy policy = with_proxy;
    struct world w;
    (void)state;

    policy.signal = true;
    begin_with_list(&w, &policy);
    event(&w, false);
    PLAY(&w, MINUTE, "0:write=DENY 0:hup");
    supervise_done(&w.s);
}

static void die(struct world *w)
{
    assert_true(w->proxy);
    w->proxy = false;
    supervise_proxy_ended(&w->s, clock_of(w));
}

static void test_proxy_dies(void **state)
{
    struct world w;
    int64_t steps_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    bool exact = true;
    (void)state;

    begin_with_list(&w, &with_proxy);
    for (size_t i = 0; i < MS_ARRAY_LEN(steps_ms); i++) {
        int64_t from_ms = w.now_ms;
        die(&w);
        (void)play(&w, from_ms + steps_ms[i] * 3 / 4 - 1);
        assert_false(w.proxy);
        while (!w.proxy && w.now_ms <= from_ms + steps_ms[i] * 5 / 4 + 1)
            (void)play(&w, w.now_ms + 1);
        assert_true(w.proxy);
        exact = exact && w.now_ms - from_ms == steps_ms[i];
    }
    assert_false(exact); /* jitter */
    /* one that ran well dies of something else */
    (void)play(&w, w.now_ms + SUPERVISE_STABLE_MS);
    die(&w);
    (void)play(&w, w.now_ms + 626);
    assert_true(w.proxy);
    /* another list may be the cure, so it is tried at once */
    for (int i = 0; i < 6; i++) {
        die(&w);
        (void)play(&w, w.now_ms + 40001);
    }
    int64_t at_ms = w.now_ms;
    die(&w);
    (void)play(&w, at_ms + 100);
    assert_false(w.proxy);
    w.list = "two";
    event(&w, true);
    (void)play(&w, at_ms + 100);
    assert_true(w.proxy);
    supervise_done(&w.s);
}

static void test_proxy_cannot_start(void **state)
{
    struct world w;
    (void)state;

    begin(&w, &with_proxy);
    w.proxy_fails = true;
    event(&w, true);
    PLAY(&w, MINUTE, "0:fetch 0:write=one 0:start 0:write=DENY 0:end");
    assert_int_equal(w.s.code, 9);
    supervise_done(&w.s);

    /* it could before: it may be in the middle of an upgrade */
    begin_with_list(&w, &with_proxy);
    w.proxy_fails = true;
    die(&w);
    (void)play(&w, MINUTE);
    w.proxy_fails = false;
    (void)play(&w, 3 * MINUTE);
    assert_true(w.proxy);
    assert_false(w.ended);
    supervise_done(&w.s);
}

/* ---- a file that cannot be written ---- */

static void test_write_error(void **state)
{
    struct supervise_policy policy = with_proxy;
    struct world w;
    (void)state;

    policy.command = true;
    begin_with_list(&w, &policy);
    w.write_fails = true;
    event(&w, false);
    PLAY(&w, 3999, "0:unwritten=DENY 0:remove 0:term 0:run=write-error 2000:unwritten=DENY");
    assert_string_equal(w.s.disk_words.reason, "no room");
    event(&w, true); /* another list, and no room for it either: no proxy */
    PLAY(&w, 3999, "3999:fetch 3999:unwritten=one");
    w.write_fails = false;
    PLAY(&w, MINUTE, "5999:write=one 5999:start=one 5999:run=fresh");
    supervise_done(&w.s);

    /* it cannot even be removed: who reads it can only be stopped */
    begin_with_list(&w, &policy);
    w.write_fails = w.remove_fails = true;
    event(&w, false);
    PLAY(&w, 1999, "0:unwritten=DENY 0:unremoved 0:term 0:run=write-error");
    assert_false(w.proxy);
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, MINUTE, "1999:unwritten=DENY 1999:end");
    assert_int_equal(w.s.code, 3);
    supervise_done(&w.s);
}

static void test_write_error_kept(void **state)
{
    struct supervise_policy policy = with_proxy;
    struct world w;
    (void)state;

    policy.keep_on_write_error = true;
    begin_with_list(&w, &policy);
    w.write_fails = true;
    event(&w, false);
    PLAY(&w, 3000, "0:unwritten=DENY 2000:unwritten=DENY");
    assert_true(w.proxy);
    w.write_fails = false;
    PLAY(&w, MINUTE, "4000:write=DENY 4000:term 4000:start=DENY");
    supervise_done(&w.s);
}

/* ---- the end ---- */

static void test_stop(void **state)
{
    static const struct {
        enum supervise_exit on_exit;
        const char *want, *held;
    } rows[] = {
        {SUPERVISE_EXIT_DENY, "0:write=DENY 0:term 0:run=unsupervised 0:end", "DENY"},
        {SUPERVISE_EXIT_KEEP, "0:term 0:end", "one"},
        {SUPERVISE_EXIT_REMOVE, "0:remove 0:term 0:run=unsupervised 0:end", ""},
    };
    struct supervise_policy policy = with_proxy;
    struct world w;
    (void)state;

    policy.command = true;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        policy.on_exit = rows[i].on_exit;
        begin_with_list(&w, &policy);
        supervise_stop(&w.s, clock_of(&w));
        event(&w, true); /* what comes now comes too late */
        PLAY(&w, MINUTE, rows[i].want);
        assert_string_equal(w.held, rows[i].held);
        assert_int_equal(w.s.code, 0);
        supervise_done(&w.s);
    }
}

static void test_stop_waits(void **state)
{
    struct supervise_policy policy = with_proxy;
    struct world w;
    (void)state;

    /* for the proxy, until it is killed */
    begin_with_list(&w, &policy);
    w.proxy_deaf = true;
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, 2999, "0:write=DENY 0:term");
    PLAY(&w, MINUTE, "3000:kill 3000:end");
    supervise_done(&w.s);

    /* a second signal is in a hurry */
    begin_with_list(&w, &policy);
    w.proxy_deaf = true;
    supervise_stop(&w.s, clock_of(&w));
    (void)play(&w, 1000);
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, MINUTE, "1000:kill 1000:end");
    supervise_done(&w.s);

    /* nothing of the daemon is waited for any more */
    policy.grace_ms = 20000;
    begin_with_list(&w, &policy);
    w.proxy_deaf = true;
    w.list_answer = NONE;
    event(&w, true);
    (void)play(&w, 1000);
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, MINUTE, "1000:write=DENY 1000:term 21000:kill 21000:end");
    supervise_done(&w.s);

    /* a command has ten seconds, however many it has else, and is not repeated */
    policy = with_command;
    policy.run_ms = MINUTE;
    begin_with_list(&w, &policy);
    w.command_hangs = true;
    supervise_stop(&w.s, clock_of(&w));
    PLAY(&w, 9999, "0:write=DENY 0:run=unsupervised");
    PLAY(&w, 10000, "10000:runkill");
    supervise_run_ended(&w.s, clock_of(&w), false);
    PLAY(&w, MINUTE, "10000:end");
    supervise_done(&w.s);
}

static void test_backoff(void **state)
{
    (void)state;
    assert_int_equal(supervise_backoff(500, 8000, 0), 500);
    assert_int_equal(supervise_backoff(500, 8000, 4), 8000);
    assert_int_equal(supervise_backoff(500, 7000, 4), 7000);
    assert_int_equal(supervise_backoff(500, 8000, 4000000000u), 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_list),
        cmocka_unit_test(test_no_answer_at_first),
        cmocka_unit_test(test_list_with_an_end),
        cmocka_unit_test(test_slow_first_list),
        cmocka_unit_test(test_no_daemon_at_first),
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_revoked),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_deadline_without_daemon),
        cmocka_unit_test(test_deadline_moves),
        cmocka_unit_test(test_asks_again),
        cmocka_unit_test(test_list_cannot_be_had),
        cmocka_unit_test(test_ask_time),
        cmocka_unit_test(test_without_file),
        cmocka_unit_test(test_command_fails),
        cmocka_unit_test(test_command_hangs),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_proxy),
        cmocka_unit_test(test_proxy_signal),
        cmocka_unit_test(test_proxy_dies),
        cmocka_unit_test(test_proxy_cannot_start),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_write_error_kept),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_stop_waits),
        cmocka_unit_test(test_backoff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
