/* cli/audit.c - checking a database, or one bundle, without the daemon that wrote it. */
#define _POSIX_C_SOURCE 200809L /* isatty, clock_gettime */
#include "cache/audit.h"
#include "cli/audit_bundle.h"
#include "cli/auditor.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define FINDINGS_MAX 10000u /* that --json lists; all are counted */
#define BAR_MS 200
#define BAR_WIDTH 30
#define BAR_LEAST 5 /* shorter ones say nothing */

struct showing {
    const struct cli *cli;
    json_t *findings; /* with --json */
    bool bar;         /* there is one on the terminal */
    int64_t drawn_ms;
};

static int64_t now_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void clear_bar(struct showing *s)
{
    if (s->bar)
        (void)fputs("\r\033[K", stderr);
    s->bar = false;
}

static int columns(void)
{
    struct winsize size = {0};

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* One line that never reaches the last column, so that it is not broken: a shorter bar on a narrow
 * terminal, the numbers alone, or nothing. */
static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct showing *s = arg;
    int64_t now = now_ms();
    char numbers[64];

    if (total == 0 || now - s->drawn_ms < BAR_MS)
        return;
    s->drawn_ms = now;
    int n = snprintf(numbers, sizeof(numbers), "%llu of %llu", (unsigned long long)done,
                     (unsigned long long)total);
    int room = columns() - 1 - n;
    if (room < 0) {
        clear_bar(s);
        return;
    }
    int width = room - 3 < BAR_WIDTH ? room - 3 : BAR_WIDTH; /* brackets and a space */
    int filled = (int)(done * (uint64_t)(width > 0 ? width : 0) / total);
    if (width >= BAR_LEAST)
        (void)fprintf(stderr, "\r[%.*s%*s] %s\033[K", filled, "##############################",
                      width - filled, "", numbers);
    else
        (void)fprintf(stderr, "\r%s\033[K", numbers);
    (void)fflush(stderr);
    s->bar = true;
}

/* Of a key, or of bytes that have this SHA-256. */
static bool names_bytes(const struct audit_finding *f)
{
    return strcmp(f->what, "blob") == 0 || strcmp(f->what, "document") == 0;
}

static void finding_json(struct showing *s, const struct audit_finding *f, const char *key)
{
    json_t *one = json_pack("{s:s, s:s}", "what", f->what, "why", f->why);

    if (one != NULL && f->n != 0)
        (void)json_object_set_new(one, "n", json_integer((json_int_t)f->n));
    if (one != NULL && f->has_key)
        (void)json_object_set_new(one, names_bytes(f) ? "sha256" : "key", json_string(key));
    if (json_array_size(s->findings) < FINDINGS_MAX)
        (void)json_array_append(s->findings, one);
    json_decref(one);
}

static void on_finding(void *arg, const struct audit_finding *f)
{
    struct showing *s = arg;
    char key[2 * MS_SHA256_BYTES + 1] = "";

    if (f->has_key)
        ms_sha256_hex(&f->key, key);
    if (s->findings != NULL) {
        finding_json(s, f, key);
        return;
    }
    clear_bar(s);
    printf("%s", f->what);
    if (f->n != 0)
        printf(" row %llu", (unsigned long long)f->n);
    if (f->has_key)
        printf(" %s%s", names_bytes(f) ? "sha256:" : "of key ", key);
    printf(": %s\n", f->why);
}

static json_t *counts_json(const struct audit_counts *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:I}", "entries",
                     (json_int_t)c->entries, "history", (json_int_t)c->history, "replayed",
                     (json_int_t)c->replayed, "summaries", (json_int_t)c->summaries, "bare",
                     (json_int_t)c->bare, "blobs", (json_int_t)c->blobs, "confirmed",
                     (json_int_t)c->confirmed, "documents", (json_int_t)c->documents, "codes",
                     (int)c->has_key, "floor", (int)c->has_floor, "log", (int)c->log_checked,
                     "findings", (json_int_t)c->found);
}

static void print_counts(const struct audit_counts *c)
{
    printf("%llu changes, %llu replayed, %llu summaries right", (unsigned long long)c->history,
           (unsigned long long)c->replayed, (unsigned long long)c->summaries);
    if (c->bare > 0)
        printf(" (%llu older rows have none)", (unsigned long long)c->bare);
    printf("; %llu entries, %llu blobs, %llu runs of confirmations, %llu documents of the past\n",
           (unsigned long long)c->entries, (unsigned long long)c->blobs,
           (unsigned long long)c->confirmed, (unsigned long long)c->documents);
    printf("codes of rows: %s\n", c->has_key ? "all compared"
                                             : "NOT compared, there is no measured.hmac beside the "
                                               "database: what evidence does not decide (times, "
                                               "builds, states) is taken on trust");
    printf("older database: %s\n",
           !c->has_floor ? "cannot be told, there is no measured.floor beside it"
           : c->has_key  ? "compared with measured.floor"
                         : "compared with measured.floor, whose own code was NOT");
    if (c->log_checked)
        printf("log: checked\n");
    if (c->found == 0)
        printf("clean\n");
    else
        printf("NOT clean: %llu findings\n", (unsigned long long)c->found);
}

static int audit_database(struct cli *cli, const char *db)
{
    struct showing s = {.cli = cli};
    struct audit_sink sink = {.arg = &s, .finding = on_finding};
    struct ms_buf path = MS_BUF_INIT(4096);
    struct audit_counts counts = {0};
    struct ms_diag diag = {0};

    if (cli->json)
        s.findings = json_array();
    if (isatty(STDERR_FILENO) == 1)
        sink.progress = on_progress;
    enum ms_err err = auditor_db_path(db, &path);
    if (err == MS_OK)
        err = audit_db(ms_buf_str(&path), &sink, &counts, &diag);
    clear_bar(&s);
    ms_buf_done(&path);
    if (err != MS_OK) {
        json_decref(s.findings);
        return client_fail_err(cli, err, &diag);
    }
    int code = counts.found == 0 ? CLI_YES : CLI_NO;
    if (cli->json)
        return cli_print_json(cli,
                              json_pack("{s:i, s:s, s:o, s:o}", "v", 1, "verdict",
                                        code == CLI_YES ? "clean" : "not-clean", "counts",
                                        counts_json(&counts), "findings", s.findings),
                              code);
    print_counts(&counts);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

/* Without --db: where a daemon without a configuration keeps it, as root. */
#define DEFAULT_STATE_DIR "/var/lib/measured"

int cli_audit(struct cli *cli, int argc, char **argv)
{
    struct audit_roots roots = {0};
    const char *db = NULL, *bundle = NULL;
    const struct cli_option options[] = {
        {"db", &db, NULL},
        {"bundle", &bundle, NULL},
        {"sha256", &roots.sha256, NULL},
        {"spec", &roots.spec, NULL},
        {"block", &roots.block, NULL},
        {"groups", &roots.groups, NULL},
        {"level", &roots.level, NULL},
        {"quorum", &roots.quorum, NULL},
        {"at", &roots.at, NULL},
    };

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    bool named = roots.sha256 != NULL || roots.spec != NULL || roots.block != NULL ||
                 roots.groups != NULL || roots.level != NULL || roots.quorum != NULL ||
                 roots.at != NULL;
    if (db != NULL && bundle != NULL) {
        cli_say(cli, "--db and --bundle exclude each other");
        return CLI_USAGE;
    }
    if (bundle == NULL && named) {
        cli_say(cli,
                "--sha256, --spec, --block, --groups, --quorum, --level and --at go with --bundle");
        return CLI_USAGE;
    }
    return bundle != NULL ? audit_bundle(cli, bundle, &roots)
                          : audit_database(cli, db == NULL ? DEFAULT_STATE_DIR : db);
}
