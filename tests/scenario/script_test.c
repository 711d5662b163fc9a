/* Plays the text files of tests/scenario: what happens, in order, and what must be seen of it. The
 * language is in tests/scenario/README.md. The core is the real one; clock, store and upstream are
 * those of tests/support/core. */
#include "tests/support/core/world.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 12
#define LOCATION "url:https://a.example/list.json"
#define STEP_MS 500 /* between ticks, while time passes; */
#define LONG_MS 300000
#define LONG_STEP_MS 4000 /* or much of it */

struct script {
    const char *path;
    int line;
    bool contract; /* the subject */
    struct chain chain, newest;
    bool has_chain;
    bool frozen; /* the chain makes no blocks */
    bool mute;   /* nodes do not answer until told */
    int64_t head_lag_s;
    struct caller *question;
    char seen[65536]; /* the last envelope */
    struct core_watcher watcher;
    bool watching;
    size_t n_events, n_requests;
    char event_state[32], event[65536];
};

static struct script t;

/* The scenario has failed, and the next one begins. */
static jmp_buf next_scenario;
static size_t n_failed;

#define wrong(...)                              \
    do {                                        \
        print_error("%s:%d: ", t.path, t.line); \
        print_error(__VA_ARGS__);               \
        print_error("\n");                      \
        longjmp(next_scenario, 1);              \
    } while (0)

/* ---- words ---- */

static int64_t duration_ms(const char *text)
{
    char *end = NULL;
    bool minus = text[0] == '-';
    long long all = 0;

    text += text[0] == '-' || text[0] == '+';
    if (*text == '\0')
        wrong("no duration");
    while (*text != '\0') {
        long long n = strtoll(text, &end, 10);
        static const struct {
            const char *unit;
            long long ms;
        } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
        size_t u = 0;
        while (u < MS_ARRAY_LEN(units) && strncmp(end, units[u].unit, strlen(units[u].unit)) != 0)
            u++;
        if (end == text || u == MS_ARRAY_LEN(units))
            wrong("no duration: %s", text);
        all += n * units[u].ms;
        text = end + strlen(units[u].unit);
    }
    return minus ? -all : all;
}

static const char *subject(void)
{
    return t.contract ? CHAIN_SPEC : LOCATION;
}

static uint8_t letter(const char *word)
{
    if (word == NULL || strlen(word) != 1 || word[0] < 'a' || word[0] > 'f')
        wrong("a list is named by a letter a to f");
    return (uint8_t)(0x11 * (word[0] - 'a' + 10));
}

/* ---- the chain ---- */

static void show_chain(void)
{
    int64_t blocks = (w.now.wall_s - CHAIN_GENESIS_S) / 12;

    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++) {
        struct node *n = &w.nodes[i];
        n->chain = &t.chain;
        if (t.frozen || (int64_t)n->head >= blocks)
            continue;
        n->head = (uint64_t)blocks;
        if (n->final < (uint64_t)(blocks - 64))
            n->final = (uint64_t)(blocks - 64);
    }
}

/* What was done is in a block that is final now. */
static void finalize(void)
{
    uint64_t final = w.nodes[0].final + 1;

    for (size_t i = 0; i < MS_ARRAY_LEN(w.nodes); i++) {
        w.nodes[i].chain = &t.chain;
        w.nodes[i].final = final;
        if (w.nodes[i].head < final)
            w.nodes[i].head = final;
    }
}

static void answer_all(void)
{
    if (!t.has_chain || t.mute)
        return;
    show_chain();
    for (size_t i = 0; i < w.n_out;) {
        const struct source_request *r = &w.out[i].request;
        if (r->kind != SOURCE_REQUEST_RPC || node_hangs(&w.nodes[r->provider], r->body)) {
            i++;
            continue;
        }
        node_replies(i);
        i = 0;
    }
}

static void pass(int64_t ms)
{
    while (ms > 0) {
        int64_t step = ms > LONG_MS ? LONG_STEP_MS : ms < STEP_MS ? ms : STEP_MS;
        tick_at(step);
        answer_all();
        ms -= step;
    }
}

/* ---- what happens ---- */

static void on_event(struct core_watcher *watcher, const char *envelope, size_t len)
{
    const char *at = strstr(envelope, "\"state\":\"");

    (void)watcher;
    t.n_events++;
    assert_true(at != NULL && len < sizeof(t.event));
    memcpy(t.event, envelope, len + 1);
    (void)snprintf(t.event_state, sizeof(t.event_state), "%.*s", (int)strcspn(at + 9, "\""),
                   at + 9);
}

static void drop_question(void)
{
    if (t.question == NULL)
        return;
    if (!t.question->done)
        wrong("the question before has no answer yet");
    free(t.question);
    t.question = NULL;
}

static void put_question(bool force, bool accept, const char *max_age)
{
    drop_question();
    struct caller *c = new_caller(subject());
    c->r.force = force;
    c->r.accept = accept;
    c->r.max_age_s = max_age == NULL ? 0 : duration_ms(max_age) / 1000;
    core_ask(w.core, &c->r);
    settle();
    t.question = c;
    answer_all();
}

static void do_ask(char **v, size_t n)
{
    put_question(false, false, n > 2 && strcmp(v[1], "max-age") == 0 ? v[2] : NULL);
}

static void do_refresh(char **v, size_t n)
{
    put_question(true, n > 1 && strcmp(v[1], "accept") == 0, NULL);
}

static void do_watch(char **v, size_t n)
{
    (void)v;
    (void)n;
    t.watcher = (struct core_watcher){.id = id_of(subject()), .event = on_event};
    t.watching = true;
    assert_int_equal(core_watch(w.core, &t.watcher, spec_of(subject()), NULL), MS_OK);
    settle();
    answer_all();
}

static void do_subject(char **v, size_t n)
{
    if (n < 2 || (strcmp(v[1], "location") != 0 && strcmp(v[1], "registry") != 0))
        wrong("subject location, or registry");
    t.contract = strcmp(v[1], "registry") == 0;
    if (!t.contract || t.has_chain)
        return;
    chain_init(&t.chain);
    t.has_chain = true;
    show_chain();
}

static void set_time(const char *name, const char *value)
{
    for (size_t i = 0; i < SOURCE_TIMES_N; i++) {
        if (strcmp(source_time_rows[i].name, name) != 0)
            continue;
        source_time_set(&w.options.policy.times, &source_time_rows[i], duration_ms(value) / 1000);
        w.options.rules.warn_s = w.options.policy.times.finality_warn;
        w.options.rules.stale_s = w.options.policy.times.finality_stale;
        return;
    }
    wrong("no such key: %s", name);
}

static void do_policy(char **v, size_t n)
{
    if (n != 3)
        wrong("policy KEY VALUE");
    const char *key = v[1], *value = v[2];
    if (strcmp(key, "level") == 0)
        w.options.policy.level = spec_level_parse(ms_span_str(value));
    else if (strcmp(key, "providers") == 0)
        w.options.policy = play_policy(w.options.policy.level, w.options.policy.quorum,
                                       (size_t)strtoul(value, NULL, 10));
    else if (strcmp(key, "quorum") == 0)
        w.options.policy.quorum = (uint32_t)strtoul(value, NULL, 10);
    else if (strcmp(key, "max-evidence-age") == 0)
        w.options.policy.max_evidence_age_s = duration_ms(value) / 1000;
    else if (strcmp(key, "poll") == 0)
        w.options.policy.poll_s = w.options.policy.head_poll_s = duration_ms(value) / 1000;
    else if (strcmp(key, "sie") == 0)
        w.options.rules.sie_max_s = duration_ms(value) / 1000;
    else if (strcmp(key, "nonfinality") == 0)
        w.options.policy.nonfinality =
            strcmp(value, "safe") == 0 ? SOURCE_NONFINALITY_SAFE : SOURCE_NONFINALITY_KEEP;
    else if (strcmp(key, "code-change") == 0)
        w.options.rules.code_delay_s = strcmp(value, "hold") == 0     ? ENTRY_CODE_HOLD
                                       : strcmp(value, "accept") == 0 ? 0
                                                                      : duration_ms(value) / 1000;
    else
        set_time(key, value);
    core_set_options(w.core, &w.options);
    settle();
    answer_all();
}

static void do_wait(char **v, size_t n)
{
    if (n != 2)
        wrong("wait DURATION");
    pass(duration_ms(v[1]));
}

static void do_suspend(char **v, size_t n)
{
    if (n != 2)
        wrong("suspend DURATION");
    tick_at(duration_ms(v[1])); /* one tick: nothing ran meanwhile */
    answer_all();
}

static void do_clock(char **v, size_t n)
{
    if (n != 2)
        wrong("clock +DURATION, or -DURATION");
    w.wall_offset_s += duration_ms(v[1]) / 1000;
    tick_at(0);
    answer_all();
}

static void restart(bool reboot, char **v, size_t n)
{
    drop_question();
    if (t.watching)
        wrong("restarting with a watcher is not played");
    world_restart(reboot, n > 1 ? duration_ms(v[1]) : 0);
}

static void do_restart(char **v, size_t n)
{
    restart(false, v, n);
}

static void do_reboot(char **v, size_t n)
{
    restart(true, v, n);
}

/* ---- what the location says ---- */

static enum ms_err error_named(const char *code)
{
    static const enum ms_err all[] = {
        MS_ERR_CONNECT,       MS_ERR_RESOLVE,     MS_ERR_TLS,      MS_ERR_TIMEOUT,  MS_ERR_HTTP,
        MS_ERR_STALE,         MS_ERR_NOT_FOUND,   MS_ERR_CONFLICT, MS_ERR_ROLLBACK, MS_ERR_CLOCK,
        MS_ERR_CODE_IDENTITY, MS_ERR_UNAVAILABLE, MS_ERR_NO_CODE,  MS_ERR_KIND,     MS_ERR_REVERT,
        MS_ERR_DISSENT,       MS_ERR_QUORUM,      MS_ERR_STORE,    MS_ERR_STORE};
    for (size_t i = 0; i < MS_ARRAY_LEN(all); i++)
        if (strcmp(ms_err_code(all[i]), code) == 0)
            return all[i];
    wrong("no such error: %s", code);
    return MS_ERR_INTERNAL;
}

/* reply STATUS [LIST] [FIELD=VALUE ...], a value with _ for spaces; reply error CODE */
static void do_reply(char **v, size_t n)
{
    struct source_response r = {0};
    char values[SOURCE_HEADER_COUNT][128];
    static char body[512];

    size_t at = 0;
    while (at < w.n_out && w.out[at].request.kind != SOURCE_REQUEST_HTTP)
        at++;
    if (at == w.n_out)
        wrong("nothing is asked of the location");
    if (n == 3 && strcmp(v[1], "error") == 0) {
        respond(at, (struct source_response){.err = error_named(v[2])});
        return;
    }
    r.status = (uint32_t)strtoul(v[1], NULL, 10);
    r.body = ms_span_str("no");
    for (size_t i = 2; i < n; i++) {
        char *value = strchr(v[i], '=');
        if (value == NULL) {
            (void)snprintf(body, sizeof(body), "%s",
                           strcmp(v[i], "nothing") == 0 ? "[]" : chain_document(letter(v[i])));
            r.body = ms_span_str(body);
            continue;
        }
        *value++ = '\0';
        size_t h = 0;
        while (h < SOURCE_HEADER_COUNT &&
               strcmp(source_header_name((enum source_header)h), v[i]) != 0)
            h++;
        if (h == SOURCE_HEADER_COUNT)
            wrong("no such field: %s", v[i]);
        (void)snprintf(values[h], sizeof(values[h]), "%s", value);
        for (char *c = values[h]; *c != '\0'; c++)
            *c = *c == '_' ? ' ' : *c;
        r.header[h] = values[h];
    }
    respond(at, r);
}

/* ---- what the registry does ---- */

/* approve LIST [from DURATION] [until DURATION], counted from now */
static void do_approve(char **v, size_t n)
{
    if (n < 2 || !t.has_chain)
        wrong("approve LIST, of a registry");
    struct registry_release *r = chain_approve(&t.chain, chain_document(letter(v[1])), NULL);
    for (size_t i = 2; i + 1 < n; i += 2) {
        uint64_t at = (uint64_t)(w.now.wall_s + duration_ms(v[i + 1]) / 1000);
        if (strcmp(v[i], "from") == 0)
            r->not_before_s = at;
        else if (strcmp(v[i], "until") == 0)
            r->not_after_s = at;
        else
            wrong("from, or until");
    }
    finalize();
}

static void do_revoke(char **v, size_t n)
{
    if (n == 3 && strcmp(v[1], "at") == 0) { /* at head: only the newest block has it */
        t.newest = t.chain;
        chain_revoke_all(&t.newest);
        t.chain.newest = &t.newest;
        return;
    }
    t.chain.newest = NULL;
    chain_revoke_all(&t.chain);
    finalize();
}

static void do_restore(char **v, size_t n)
{
    (void)v;
    (void)n;
    t.chain.newest = NULL; /* a reorganisation undid it */
}

static void do_heartbeat(char **v, size_t n)
{
    chain_touch(&t.chain);
    t.chain.snapshot.state.valid_until_s =
        n > 1 ? (uint64_t)(w.now.wall_s + duration_ms(v[1]) / 1000) : 0;
    finalize();
}

/* The same sequence, another set. */
static void do_equivocate(char **v, size_t n)
{
    (void)v;
    (void)n;
    uint64_t sequence = t.chain.snapshot.state.sequence;
    (void)chain_approve(&t.chain, chain_document(0xee), NULL);
    t.chain.snapshot.state.sequence = sequence;
    finalize();
}

static void do_sequence(char **v, size_t n)
{
    if (n != 2)
        wrong("sequence +N, or -N");
    t.chain.snapshot.state.sequence += (uint64_t)strtoll(v[1], NULL, 10);
    finalize();
}

static void do_code(char **v, size_t n)
{
    if (n != 2)
        wrong("code own, or other");
    t.chain.strange_code = strcmp(v[1], "other") == 0;
    finalize();
}

/* chain stops | goes | none | reverts ... */
static void do_chain(char **v, size_t n)
{
    if (n != 2)
        wrong("chain stops, goes, vanishes or forks");
    if (strcmp(v[1], "stops") == 0)
        t.frozen = true;
    else if (strcmp(v[1], "goes") == 0)
        t.frozen = false;
    else if (strcmp(v[1], "vanishes") == 0)
        t.chain.no_account = true;
    else
        wrong("chain stops, goes or vanishes");
    finalize();
}

/* nodes WHAT, or node N WHAT */
static void do_nodes(char **v, size_t n)
{
    static const struct {
        const char *name;
        enum node_lie lie;
    } lies[] = {{"honest", NODE_HONEST}, {"dead", NODE_DEAD},      {"busy", NODE_BUSY},
                {"fail", NODE_500},      {"fork", NODE_FORK},      {"forge", NODE_SNAPSHOT},
                {"revert", NODE_REVERT}, {"no-head", NODE_NO_HEAD}};
    size_t first = 0, last = MS_ARRAY_LEN(w.nodes);
    const char *what = n > 1 ? v[n - 1] : "";

    if (strcmp(what, "silent") == 0 || strcmp(what, "answer") == 0) {
        t.mute = strcmp(what, "silent") == 0;
        answer_all();
        return;
    }
    if (strcmp(v[0], "node") == 0 && n == 3) {
        first = (size_t)strtoul(v[1], NULL, 10);
        last = first + 1;
    }
    if (last > MS_ARRAY_LEN(w.nodes))
        wrong("there are four nodes, from 0");
    for (size_t k = 0; k < MS_ARRAY_LEN(lies); k++) {
        if (strcmp(lies[k].name, what) != 0)
            continue;
        for (size_t i = first; i < last; i++)
            w.nodes[i].lie = lies[k].lie;
        return;
    }
    wrong("nodes cannot be %s", what);
}

static void do_store(char **v, size_t n)
{
    if (n != 2)
        wrong("store works, or fails");
    w.store_err = strcmp(v[1], "fails") == 0 ? MS_ERR_STORE : MS_OK;
}

static void do_random(char **v, size_t n)
{
    if (n != 2)
        wrong("backoff none, or full");
    w.random = strcmp(v[1], "full") == 0 ? UINT32_MAX : 0;
}

/* ---- what must be seen ---- */

/* with TEXT, without TEXT, list LETTER: of an envelope */
static void check_text(const char *envelope, char **v, size_t n, size_t from)
{
    for (size_t i = from; i + 1 < n; i += 2) {
        char digits[9] = "";
        const char *text = v[i + 1];
        if (strcmp(v[i], "list") == 0) {
            (void)snprintf(digits, sizeof(digits), "%c%c%c%c%c%c%c%c", text[0], text[0], text[0],
                           text[0], text[0], text[0], text[0], text[0]);
            text = digits;
        }
        bool there = strstr(envelope, text) != NULL;
        if (there == (strcmp(v[i], "without") == 0))
            wrong("%s %s: %s", v[i], v[i + 1], envelope);
    }
}

/* gets STATE [..], or gets error CODE */
static void do_gets(char **v, size_t n)
{
    struct caller *c = t.question;

    if (c == NULL || !c->done)
        wrong("there is no answer yet");
    bool refused = n > 2 && strcmp(v[1], "error") == 0;
    const char *got = c->serve ? entry_state_name(c->state) : ms_err_code(c->err);
    if (n < 2 || c->serve == refused || strcmp(got, v[refused ? 2 : 1]) != 0)
        wrong("got %s %s: %s", c->serve ? "" : "error", got, c->envelope);
    check_text(c->envelope, v, n, refused ? 3 : 2);
}

static void do_waits(char **v, size_t n)
{
    (void)v;
    (void)n;
    if (t.question == NULL || t.question->done)
        wrong("it has its answer: %s", t.question == NULL  ? "no question"
                                       : t.question->serve ? entry_state_name(t.question->state)
                                                           : ms_err_code(t.question->err));
}

/* shown STATE: what is published, as a worker finds it without asking */
static void do_shown(char **v, size_t n)
{
    struct answer_id id = id_of(subject());
    static char envelope[65536];
    char state[32] = "nothing";

    answer_read_lock();
    struct answer *a = table_find(w.table, &id);
    if (a != NULL) {
        (void)snprintf(state, sizeof(state), "%s", entry_state_name(a->state));
        memcpy(envelope, a->envelope, a->envelope_len + 1);
    }
    if (a != NULL && w.now.boot_ms >= a->fast_until_ms)
        (void)snprintf(state, sizeof(state), "ask");
    answer_read_unlock();
    if (n < 2 || strcmp(state, v[1]) != 0)
        wrong("shown is %s", state);
    check_text(envelope, v, n, 2);
}

static void do_told(char **v, size_t n)
{
    if (!t.watching || n < 2 || strcmp(t.event_state, v[1]) != 0)
        wrong("told %s", t.event_state);
    check_text(t.event, v, n, 2);
}

static void do_events(char **v, size_t n)
{
    if (n != 2 || t.n_events != strtoul(v[1], NULL, 10))
        wrong("%zu events", t.n_events);
    t.n_events = 0;
}

/* requests N: since the last such line */
static void do_requests(char **v, size_t n)
{
    size_t made = w.n_fetches - t.n_requests;

    if (n != 2)
        wrong("requests N, none or some");
    bool ok = strcmp(v[1], "none") == 0   ? made == 0
              : strcmp(v[1], "some") == 0 ? made > 0
                                          : made == strtoul(v[1], NULL, 10);
    if (!ok)
        wrong("%zu requests", made);
    t.n_requests = w.n_fetches;
}

static void do_logged(char **v, size_t n)
{
    if (n != 2 || strcmp(w.last_event, v[1]) != 0)
        wrong("logged last was %s", w.last_event);
}

static const struct {
    const char *name;
    void (*run)(char **v, size_t n);
} commands[] = {
    {"subject", do_subject},       {"policy", do_policy},     {"wait", do_wait},
    {"suspend", do_suspend},       {"clock", do_clock},       {"restart", do_restart},
    {"reboot", do_reboot},         {"ask", do_ask},           {"refresh", do_refresh},
    {"watch", do_watch},           {"reply", do_reply},       {"approve", do_approve},
    {"revoke", do_revoke},         {"restore", do_restore},   {"heartbeat", do_heartbeat},
    {"equivocate", do_equivocate}, {"sequence", do_sequence}, {"code", do_code},
    {"chain", do_chain},           {"nodes", do_nodes},       {"node", do_nodes},
    {"store", do_store},           {"backoff", do_random},    {"gets", do_gets},
    {"waits", do_waits},           {"shown", do_shown},       {"told", do_told},
    {"events", do_events},         {"requests", do_requests}, {"logged", do_logged},
};

/* ---- the file ---- */

static size_t split(char *line, char **v)
{
    size_t n = 0;

    line[strcspn(line, "#\n")] = '\0';
    line += strspn(line, " \t");
    while (*line != '\0' && n < WORDS_MAX) {
        v[n++] = line;
        line += strcspn(line, " \t");
        if (*line != '\0')
            *line++ = '\0';
        line += strspn(line, " \t");
    }
    return n;
}

static void run_line(char *line)
{
    char *v[WORDS_MAX];
    size_t n = split(line, v);

    if (n == 0)
        return;
    for (size_t i = 0; i < MS_ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, v[0]) == 0) {
            commands[i].run(v, n);
            return;
        }
    }
    wrong("no such command: %s", v[0]);
}

static void begin(const char *path, int line)
{
    memset(&t, 0, sizeof(t));
    t.path = path;
    t.line = line;
    assert_int_equal(world_setup(NULL), 0);
    w.random = UINT32_MAX / 2;
}

static void finish(void)
{
    if (t.watching)
        core_unwatch(w.core, &t.watcher);
    world_stop(); /* a question without an answer gets one now */
    free(t.question);
    t.question = NULL;
    if (t.has_chain)
        chain_done(&t.chain);
    (void)world_teardown(NULL);
}

static const char *pattern = "tests/scenario/*.scn";
static size_t n_scenarios;

/* A line `scenario TEXT` begins a new world. */
static void run_file(const char *path)
{
    char line[512];
    volatile bool open = false, skip = false;
    volatile int number = 0;
    FILE *volatile f = fopen(path, "r");

    if (f == NULL)
        fail_msg("%s: run from the source tree", path);
    while (fgets(line, sizeof(line), f) != NULL) {
        number++;
        if (strncmp(line, "scenario ", 9) == 0) {
            if (open)
                finish();
            begin(path, number);
            open = true;
            skip = false;
            n_scenarios++;
            continue;
        }
        t.line = number;
        if (skip)
            continue;
        if (!open && strspn(line, " \t\n") != strlen(line) && line[0] != '#')
            fail_msg("%s:%d: outside of a scenario", path, number);
        if (setjmp(next_scenario) == 0) {
            run_line(line);
        } else {
            skip = true;
            n_failed++;
        }
    }
    (void)fclose(f);
    if (open)
        finish();
}

static void test_files(void **state)
{
    (void)state;
    glob_t files;

    assert_int_equal(glob(pattern, 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        run_file(files.gl_pathv[i]);
    print_message("%zu files, %zu scenarios\n", files.gl_pathc, n_scenarios);
    globfree(&files);
    assert_int_equal(n_failed, 0);
}

/* The argument, if any, names other files. */
int main(int argc, char **argv)
{
    if (argc > 1)
        pattern = argv[1];

    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
