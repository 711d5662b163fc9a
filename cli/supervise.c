/* cli/supervise.c - what `watch` has to do next. */
#include "cli/supervise.h"

#include <stdio.h>

/* ---- small things ---- */

int64_t supervise_backoff(int64_t min_ms, int64_t max_ms, unsigned fails)
{
    int64_t delay_ms = min_ms;

    for (unsigned i = 0; i < fails && delay_ms < max_ms; i++)
        delay_ms *= 2;
    return delay_ms < max_ms ? delay_ms : max_ms;
}

/* A quarter more or less, so that many machines do not start again in step. Marsaglia's xorshift32:
 * nothing here has to be unforeseeable. */
static int64_t jitter(struct supervise *s, int64_t delay_ms)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 17;
    s->random ^= s->random << 5;
    return delay_ms - delay_ms / 4 + (int64_t)(s->random % (uint32_t)(delay_ms / 2 + 1));
}

static int64_t sooner(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void set_words(struct supervise_words *words, const char *state, const char *reason)
{
    (void)snprintf(words->state, sizeof(words->state), "%s", state);
    (void)snprintf(words->reason, sizeof(words->reason), "%s", reason);
}

enum ms_err supervise_init(struct supervise *s, const struct supervise_policy *policy,
                           struct ms_span deny, int64_t now_ms)
{
    *s = (struct supervise){.policy = *policy,
                            .deny = MS_BUF_INIT(65536),
                            .list = MS_BUF_INIT((size_t)64 << 20),
                            .disk = MS_BUF_INIT((size_t)64 << 20),
                            .deadline_ms = now_ms + SUPERVISE_FIRST_MS,
                            .asked_ms = now_ms,
                            .proxy_ms = now_ms,
                            /* zero would stay zero */
                            .random = policy->seed == 0 ? 1 : policy->seed};
    return ms_buf_add(&s->deny, deny);
}

void supervise_done(struct supervise *s)
{
    ms_buf_done(&s->deny);
    ms_buf_done(&s->list);
    ms_buf_done(&s->disk);
}

struct ms_span supervise_text(const struct supervise *s)
{
    return ms_buf_span(s->want == SUPERVISE_LIST ? &s->list : &s->deny);
}

/* ---- the file ---- */

static void want(struct supervise *s, enum supervise_content content)
{
    s->want = content;
    s->quiet = s->quiet && content == SUPERVISE_LIST;
    s->dirty = true;
    s->again_ms = 0;
}

/* lapsed  it was not the daemon that said so */
static void deny(struct supervise *s, bool lapsed)
{
    s->deadline_ms = SUPERVISE_NEVER;
    s->fetching = false;
    s->lapsed = lapsed;
    if (s->policy.file)
        want(s, SUPERVISE_DENY);
}

/* What is on disk is another thing, or cannot be made one: whoever reads it is told. */
static void tell(struct supervise *s, int64_t now_ms)
{
    s->begun = true;
    s->command.due = s->policy.command;
    s->signal.due = s->policy.signal && !s->policy.proxy;
    s->command.at_ms = s->signal.at_ms = now_ms;
    s->command.fails = s->signal.fails = 0;
    if (s->proxy == SUPERVISE_PROXY_ON)
        s->proxy_old = true;
    /* another list may be just what it died for want of */
    if (s->proxy == SUPERVISE_PROXY_OFF)
        s->proxy_ms = now_ms;
}

/* It has become what it has to be. */
static void in_place(struct supervise *s, int64_t now_ms, bool changed)
{
    s->dirty = s->failed = s->remove = false;
    if (s->want == SUPERVISE_LIST)
        s->approved = true;
    /* once even if the file was so before: what its readers hold is not known */
    s->untold = s->untold || changed;
    if ((s->untold && !s->quiet) || !s->begun) {
        s->disk_words = s->words;
        s->untold = false;
        tell(s, now_ms);
    }
    s->quiet = false;
}

void supervise_found(struct supervise *s, struct ms_span text)
{
    ms_buf_reset(&s->disk);
    s->on_disk = ms_buf_add(&s->disk, text) == MS_OK;
}

void supervise_wrote(struct supervise *s, int64_t now_ms, bool ok, const char *reason)
{
    if (ok) {
        supervise_found(s, supervise_text(s));
        s->absent = false;
        in_place(s, now_ms, true);
        return;
    }
    if (!s->failed) {
        s->remove = !s->policy.keep_on_write_error;
        set_words(&s->disk_words, "write-error", reason);
    }
    s->failed = true;
    s->on_disk = false; /* only the folder's sync may have failed */
    s->again_ms = now_ms + SUPERVISE_REWRITE_MS;
}

void supervise_removed(struct supervise *s, int64_t now_ms, bool ok)
{
    bool there = !s->absent;

    s->remove = false;
    if (ok) {
        s->absent = true;
        s->on_disk = false;
    }
    if (s->want == SUPERVISE_GONE && ok) {
        in_place(s, now_ms, there);
        return;
    }
    if (s->want == SUPERVISE_GONE) {
        s->failed = true;
        s->again_ms = now_ms + SUPERVISE_REWRITE_MS;
    } else {
        tell(s, now_ms); /* that it cannot be written; it is gone if that was possible */
    }
}

/* ---- the daemon ---- */

void supervise_connected(struct supervise *s, bool connected)
{
    s->connected = connected;
}

void supervise_unknown(struct supervise *s, int64_t now_ms, const char *reason)
{
    (void)now_ms;
    if (s->stopping || s->want == SUPERVISE_DENY)
        return;
    s->words.sequence[0] = '\0';
    set_words(&s->words, "unknown", reason);
    deny(s, true);
}

static void fetch(struct supervise *s, int64_t now_ms, int64_t deadline_ms,
                  const struct supervise_words *words)
{
    s->fetching = true;
    s->quiet = false;
    s->fetch_until_ms = now_ms + SUPERVISE_FETCH_MS;
    s->next_deadline_ms = deadline_ms;
    s->next_words = *words;
    s->asked_ms = now_ms - SUPERVISE_ASK_MAX_MS; /* at once */
    s->ask_fails = 0;
}

void supervise_event(struct supervise *s, int64_t now_ms, bool served, bool change,
                     int64_t deadline_ms, const struct supervise_words *words)
{
    if (s->stopping)
        return;
    if (s->policy.file && served) {
        fetch(s, now_ms, deadline_ms, words);
        return;
    }
    s->words = *words;
    s->ask_fails = 0;
    if (s->policy.file) {
        deny(s, false);
    } else if (change) {
        s->approved = s->approved || served;
        s->disk_words = *words;
        tell(s, now_ms);
    }
}

void supervise_confirmed(struct supervise *s, int64_t now_ms, int64_t deadline_ms,
                         const struct supervise_words *words)
{
    if (s->stopping)
        return;
    if (s->want != SUPERVISE_LIST) {
        unsigned fails = s->ask_fails;
        fetch(s, now_ms, deadline_ms, words);
        s->ask_fails = fails; /* it is the list that may fail */
        return;
    }
    s->ask_fails = 0;
    if (s->fetching)
        return;
    if (s->policy.list_ends && !s->dirty && deadline_ms > s->deadline_ms) {
        fetch(s, now_ms, deadline_ms, words);
        s->quiet = true;
        s->fetch_until_ms = s->deadline_ms;
        return;
    }
    s->deadline_ms = deadline_ms;
}

void supervise_asked(struct supervise *s, int64_t now_ms)
{
    s->asked_ms = now_ms;
    s->ask_fails++;
}

void supervise_list(struct supervise *s, int64_t now_ms, struct ms_span text)
{
    (void)now_ms;
    if (s->stopping || !s->fetching)
        return;
    ms_buf_reset(&s->list);
    if (ms_buf_add(&s->list, text) != MS_OK) {
        supervise_no_list(s, now_ms, true, "no memory for the list");
        return;
    }
    s->fetching = s->lapsed = false;
    s->ask_fails = 0;
    s->deadline_ms = s->next_deadline_ms;
    s->words = s->next_words;
    want(s, SUPERVISE_LIST);
}

void supervise_no_list(struct supervise *s, int64_t now_ms, bool final, const char *reason)
{
    s->asked_ms = now_ms;
    if (s->stopping || !s->fetching)
        return;
    s->ask_fails++;
    if (!final)
        return;
    s->fetching = false;
    s->lapsed = true; /* no event may come that says it can be had again */
    if (s->want == SUPERVISE_DENY)
        return;
    s->words = s->next_words;
    set_words(&s->words, "unknown", reason);
    deny(s, true);
}

/* ---- the end ---- */

static void end_soon(struct supervise *s, int64_t now_ms)
{
    s->stopping = true;
    s->fetching = s->lapsed = false;
    s->deadline_ms = SUPERVISE_NEVER;
    s->command.at_ms = s->signal.at_ms = now_ms;
    if (s->command.busy)
        s->kill_ms = sooner(s->kill_ms, now_ms + SUPERVISE_EXIT_RUN_MS);
}

void supervise_stop(struct supervise *s, int64_t now_ms)
{
    if (s->stopping) {
        s->hurry = true;
        if (s->proxy == SUPERVISE_PROXY_ENDING)
            s->proxy_ms = sooner(s->proxy_ms, now_ms);
        s->kill_ms = sooner(s->kill_ms, now_ms);
        return;
    }
    end_soon(s, now_ms);
    if (!s->policy.file || s->policy.on_exit == SUPERVISE_EXIT_KEEP)
        return;
    set_words(&s->words, "unsupervised", "measuredctl watch ends");
    want(s, s->policy.on_exit == SUPERVISE_EXIT_DENY ? SUPERVISE_DENY : SUPERVISE_GONE);
}

void supervise_give_up(struct supervise *s, int64_t now_ms, int code, const char *reason)
{
    if (s->stopping)
        return;
    end_soon(s, now_ms);
    s->code = code;
    if (!s->policy.file)
        return;
    s->words.sequence[0] = '\0';
    set_words(&s->words, "unknown", reason);
    want(s, s->policy.on_exit == SUPERVISE_EXIT_REMOVE ? SUPERVISE_GONE : SUPERVISE_DENY);
}

static bool over(const struct supervise *s)
{
    return s->stopping && s->proxy == SUPERVISE_PROXY_OFF && !s->command.busy && !s->command.due &&
           !s->signal.due && (!s->dirty || s->failed) && !s->remove;
}

/* ---- commands and signals ---- */

static void told(struct supervise *s, struct supervise_told *t, int64_t now_ms, bool ok)
{
    t->busy = false;
    if (ok || t->due) { /* something newer is due, and at once */
        t->fails = 0;
        return;
    }
    /* it still goes by what was there before, and the next change may be far */
    t->due = !s->stopping;
    t->at_ms = now_ms + supervise_backoff(SUPERVISE_AGAIN_MIN_MS, SUPERVISE_AGAIN_MAX_MS, t->fails);
    t->fails++;
}

void supervise_ran(struct supervise *s, int64_t now_ms, bool started)
{
    if (!started)
        told(s, &s->command, now_ms, false);
}

void supervise_run_ended(struct supervise *s, int64_t now_ms, bool ok)
{
    told(s, &s->command, now_ms, ok);
}

void supervise_signalled(struct supervise *s, int64_t now_ms, bool ok)
{
    /* our own proxy is told of its end in another way */
    if (!s->policy.proxy)
        told(s, &s->signal, now_ms, ok);
}

static enum supervise_act next_telling(struct supervise *s, int64_t now_ms)
{
    if (s->command.busy && now_ms >= s->kill_ms) {
        s->kill_ms = now_ms + SUPERVISE_KILL_AGAIN_MS;
        return SUPERVISE_RUN_KILL;
    }
    if (s->command.due && !s->command.busy && now_ms >= s->command.at_ms) {
        s->command.due = false;
        s->command.busy = true;
        s->kill_ms =
            now_ms + (s->stopping ? sooner(s->policy.run_ms, s->hurry ? 0 : SUPERVISE_EXIT_RUN_MS)
                                  : s->policy.run_ms);
        return SUPERVISE_RUN;
    }
    if (s->signal.due && now_ms >= s->signal.at_ms) {
        s->signal.due = false;
        return SUPERVISE_SIGNAL;
    }
    return SUPERVISE_NOTHING;
}

/* ---- the proxy ---- */

/* Never before there was a list, and never with a file that we could not make what it has to be. */
static bool proxy_may_run(const struct supervise *s)
{
    return s->policy.proxy && s->approved && !s->stopping &&
           (!s->failed || s->policy.keep_on_write_error);
}

void supervise_proxy_started(struct supervise *s, int64_t now_ms, bool ok, int failed_code)
{
    if (ok) {
        s->proxy_ever = true;
        return;
    }
    if (!s->proxy_ever) {
        s->proxy = SUPERVISE_PROXY_OFF;
        supervise_give_up(s, now_ms, failed_code, "the proxy cannot be started");
        return;
    }
    supervise_proxy_ended(s, now_ms);
}

void supervise_proxy_ended(struct supervise *s, int64_t now_ms)
{
    bool asked = s->proxy == SUPERVISE_PROXY_ENDING;

    s->proxy = SUPERVISE_PROXY_OFF;
    s->proxy_old = false;
    if (!asked && now_ms - s->proxy_ms >= SUPERVISE_STABLE_MS)
        s->proxy_fails = 0;
    s->proxy_ms = now_ms;
    if (asked)
        return;
    s->proxy_ms += jitter(
        s, supervise_backoff(SUPERVISE_RESTART_MIN_MS, SUPERVISE_RESTART_MAX_MS, s->proxy_fails));
    s->proxy_fails++;
}

static enum supervise_act next_of_running(struct supervise *s, int64_t now_ms)
{
    bool stop = !proxy_may_run(s);

    if (!stop && !s->proxy_old)
        return SUPERVISE_NOTHING;
    s->proxy_old = false;
    if (!stop && s->policy.signal)
        return SUPERVISE_PROXY_SIGNAL;
    s->proxy = SUPERVISE_PROXY_ENDING;
    s->proxy_ms = now_ms + (s->hurry ? 0 : s->policy.grace_ms);
    return SUPERVISE_PROXY_TERM;
}

static enum supervise_act next_of_proxy(struct supervise *s, int64_t now_ms)
{
    switch (s->proxy) {
    case SUPERVISE_PROXY_ON:
        return next_of_running(s, now_ms);
    case SUPERVISE_PROXY_ENDING:
        if (now_ms < s->proxy_ms)
            return SUPERVISE_NOTHING;
        s->proxy_ms = now_ms + SUPERVISE_KILL_AGAIN_MS;
        return SUPERVISE_PROXY_KILL;
    case SUPERVISE_PROXY_OFF:
        if (!proxy_may_run(s) || now_ms < s->proxy_ms)
            return SUPERVISE_NOTHING;
        s->proxy = SUPERVISE_PROXY_ON;
        s->proxy_ms = now_ms;
        s->proxy_old = false;
        return SUPERVISE_PROXY_START;
    }
    return SUPERVISE_NOTHING;
}

/* ---- what is next ---- */

static void check_deadlines(struct supervise *s, int64_t now_ms)
{
    if (s->fetching && now_ms >= s->fetch_until_ms)
        supervise_no_list(s, now_ms, true, "the daemon does not give the new list");
    if (!s->policy.file || s->stopping || now_ms < s->deadline_ms)
        return;
    if (s->want == SUPERVISE_AS_IT_IS) {
        bool fetching = s->fetching; /* it began to answer: let it */
        supervise_unknown(s, now_ms, "no answer from the daemon yet");
        s->fetching = fetching;
    } else if (s->want == SUPERVISE_LIST) {
        bool fetching = s->fetching;
        set_words(&s->words, "expired", "the daemon did not confirm the list in time");
        s->ask_fails = 0; /* it may be back in a moment */
        deny(s, true);
        s->fetching = fetching;
    }
}

static enum supervise_act next_of_file(struct supervise *s, int64_t now_ms)
{
    if (!s->policy.file)
        return SUPERVISE_NOTHING;
    if (s->remove)
        return SUPERVISE_REMOVE;
    if (!s->dirty || now_ms < s->again_ms || (s->stopping && s->failed && s->again_ms != 0))
        return SUPERVISE_NOTHING;
    if (s->want == SUPERVISE_GONE)
        return SUPERVISE_REMOVE;
    if (!s->on_disk || !ms_span_eq(ms_buf_span(&s->disk), supervise_text(s)))
        return SUPERVISE_WRITE;
    in_place(s, now_ms, false);
    return SUPERVISE_NOTHING;
}

static int64_t ask_at(const struct supervise *s)
{
    if (!s->policy.file || !s->connected || s->stopping)
        return SUPERVISE_NEVER;
    if (s->fetching)
        return s->asked_ms + SUPERVISE_ASK_MIN_MS;
    if (s->lapsed)
        return s->asked_ms +
               supervise_backoff(SUPERVISE_ASK_MIN_MS, SUPERVISE_ASK_MAX_MS, s->ask_fails);
    if (s->want != SUPERVISE_LIST || s->deadline_ms == SUPERVISE_NEVER)
        return SUPERVISE_NEVER;
    int64_t at_ms = s->deadline_ms - SUPERVISE_ASK_AHEAD_MS;
    int64_t again_ms = s->asked_ms + SUPERVISE_ASK_MIN_MS;
    at_ms = at_ms > again_ms ? at_ms : again_ms;
    return at_ms < s->deadline_ms - SUPERVISE_ASK_LEAST_MS ? at_ms : SUPERVISE_NEVER;
}

static enum supervise_act next_question(struct supervise *s, int64_t now_ms)
{
    if (now_ms < ask_at(s))
        return SUPERVISE_NOTHING;
    s->asked_ms = now_ms;
    return s->fetching ? SUPERVISE_ASK_LIST : SUPERVISE_ASK_STATE;
}

static enum supervise_act next_ready(struct supervise *s)
{
    bool ready = s->approved && !s->dirty &&
                 (!s->policy.proxy || (s->proxy == SUPERVISE_PROXY_ON && s->proxy_ever));

    if (s->told_ready || s->stopping || !ready)
        return SUPERVISE_NOTHING;
    s->told_ready = true;
    return SUPERVISE_READY;
}

enum supervise_act supervise_next(struct supervise *s, int64_t now_ms)
{
    enum supervise_act act;

    check_deadlines(s, now_ms);
    /* the file before those who read it, and all of that before the daemon */
    act = next_of_file(s, now_ms);
    if (act == SUPERVISE_NOTHING)
        act = next_of_proxy(s, now_ms);
    if (act == SUPERVISE_NOTHING)
        act = next_ready(s);
    if (act == SUPERVISE_NOTHING)
        act = next_telling(s, now_ms);
    if (act == SUPERVISE_NOTHING)
        act = next_question(s, now_ms);
    if (act == SUPERVISE_NOTHING && over(s)) {
        if (s->code == 0 && s->dirty)
            s->code = 3;
        act = SUPERVISE_END;
    }
    return act;
}

/* What is due whatever the daemon says. */
static int64_t due_at(const struct supervise *s)
{
    int64_t at_ms = s->policy.file && !s->stopping ? s->deadline_ms : SUPERVISE_NEVER;

    if (s->fetching)
        at_ms = sooner(at_ms, s->fetch_until_ms);
    if (s->dirty && !(s->stopping && s->failed))
        at_ms = sooner(at_ms, s->again_ms);
    if (s->command.busy)
        at_ms = sooner(at_ms, s->kill_ms);
    if (s->command.due && !s->command.busy)
        at_ms = sooner(at_ms, s->command.at_ms);
    if (s->signal.due)
        at_ms = sooner(at_ms, s->signal.at_ms);
    if (s->proxy == SUPERVISE_PROXY_ENDING || (s->proxy == SUPERVISE_PROXY_OFF && proxy_may_run(s)))
        at_ms = sooner(at_ms, s->proxy_ms);
    return at_ms;
}

int64_t supervise_wake(const struct supervise *s, int64_t now_ms)
{
    int64_t at_ms = sooner(due_at(s), ask_at(s));

    return at_ms < now_ms ? now_ms : at_ms;
}

int64_t supervise_ask_ms(const struct supervise *s, int64_t now_ms, int64_t most_ms)
{
    int64_t at_ms = due_at(s);
    int64_t left_ms = at_ms == SUPERVISE_NEVER ? most_ms : at_ms - now_ms;

    if (left_ms < SUPERVISE_ASK_LEAST_MS)
        left_ms = SUPERVISE_ASK_LEAST_MS;
    return left_ms < most_ms ? left_ms : most_ms;
}
