/* cli/log_compare.c - `measuredctl log compare`: whether two daemons were told different things
 * (ethereum.md T9).
 *
 * What has a sequence (signed sets, registries, Safes) cannot honestly have two contents of one
 * sequence: two commitments are a contradiction, and for a signed set the two documents prove it.
 * An https list has no sequence, and it changes: lists that were seen within the window of each
 * other are told when neither log knows the other's list near that time. That proves nothing to
 * others, for a TLS transcript shows only what we saw; so it is called a difference. */
#include "cli/log.h"

#include "cli/client.h"
#include "cli/output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WINDOW_S 600
#define FOLDER_MODE 0755
#define FINDINGS_MAX 1000u /* told; the rest is counted */
#define PATH_MAX_BYTES 4096

struct side {
    const char *what; /* "ours", "theirs" */
    struct log_source *source;
    struct log_head head;
    struct log_entries entries;
    const struct leaf **order; /* by specifier, then sequence or time */
};

struct compare {
    const struct cli *cli;
    struct side side[2];
    int64_t window_s;
    const char *keep;
    json_t *findings;
    size_t n_findings, n_lost; /* evidence that could not be had */
    uint64_t n_shared;         /* specifiers that both know */
    bool same_log;
    struct ms_diag diag;
};

static int by_spec(const void *a, const void *b)
{
    const struct leaf *x = *(const struct leaf *const *)a, *y = *(const struct leaf *const *)b;
    int order = memcmp(x->spec.b, y->spec.b, sizeof(x->spec.b));

    if (order == 0)
        order = x->time_s < y->time_s ? -1 : x->time_s > y->time_s;
    return order != 0 ? order : x->n < y->n ? -1 : 1;
}

static enum ms_err open_side(struct compare *c, struct side *side, const char *db, const char *from,
                             const char *key)
{
    enum ms_err err = log_source_open(c->cli, db, from, &side->source, &c->diag);

    if (err == MS_OK)
        err = log_head_get(side->source, key, false, &side->head, &c->diag);
    if (err == MS_OK)
        err = log_entries_get(side->source, &side->head.checkpoint, &side->entries, &c->diag);
    if (err == MS_OK) {
        side->order = calloc(side->entries.n + 1, sizeof(const struct leaf *));
        err = side->order == NULL ? MS_ERR_MEMORY : MS_OK;
    }
    for (size_t i = 0; err == MS_OK && i < side->entries.n; i++)
        side->order[i] = &side->entries.leaves[i];
    if (err == MS_OK)
        qsort(side->order, side->entries.n, sizeof(const struct leaf *), by_spec);
    return err;
}

static void close_side(struct side *side)
{
    log_entries_done(&side->entries);
    log_head_done(&side->head);
    log_source_close(side->source);
    free(side->order);
}

/* ---- what is kept ---- */

static enum ms_err keep_one(struct compare *c, struct side *side, const struct leaf *leaf,
                            char ret_path[PATH_MAX_BYTES], struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(LOG_EVIDENCE_MAX_BYTES);
    char hex[2 * MS_SHA256_BYTES + 1], spec[2 * MS_SHA256_BYTES + 1], name[128];

    if (!leaf->has_evidence)
        return ms_diag_set(diag, MS_ERR_NOT_FOUND, "entry %" PRIu64 " names no evidence", leaf->n);
    ms_sha256_hex(&leaf->evidence, hex);
    ms_sha256_hex(&leaf->spec, spec);
    (void)snprintf(name, sizeof(name), "v1/evidence/%s", hex);
    enum ms_err err = log_source_get(side->source, name, &text, diag);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&text));
    if (err == MS_OK && !ms_sha256_eq(&hash, &leaf->evidence))
        err = ms_diag_set(diag, MS_ERR_HASH, "%s gave other bytes than evidence %.16s...",
                          log_source_name(side->source), hex);
    int n = snprintf(ret_path, PATH_MAX_BYTES, "%s/%.16s-%s-%" PRIu64 "-%.16s.json", c->keep, spec,
                     side->what, leaf->n, hex);
    if (err == MS_OK && (n < 0 || n >= PATH_MAX_BYTES))
        err = MS_ERR_ARGUMENT;
    if (err == MS_OK && mkdir(c->keep, FOLDER_MODE) != 0 && errno != EEXIST)
        err = ms_diag_set(diag, MS_ERR_IO, "%s: %s", c->keep, strerror(errno));
    if (err == MS_OK)
        err = output_write(ret_path, ms_buf_span(&text), diag);
    ms_buf_done(&text);
    return err;
}

static json_t *side_json(struct compare *c, struct side *side, const struct leaf *leaf)
{
    char path[PATH_MAX_BYTES] = "", result[2 * MS_SHA256_BYTES + 1];
    struct ms_diag why = {0};

    enum ms_err err = keep_one(c, side, leaf, path, &why);
    ms_sha256_hex(&leaf->result, result);
    json_t *out = json_pack("{s:s, s:I, s:I, s:s, s:s}", "origin", side->head.checkpoint.origin,
                            "n", (json_int_t)leaf->n, "time", (json_int_t)leaf->time_s, "result",
                            result, "file", err == MS_OK ? path : "");
    if (err != MS_OK) {
        c->n_lost++;
        cli_say(c->cli, "the evidence of %s entry %" PRIu64 " could not be kept: %s", side->what,
                leaf->n, ms_diag_text(&why, err));
    }
    return out;
}

static void found(struct compare *c, const char *kind, const struct leaf *ours,
                  const struct leaf *theirs)
{
    char spec[2 * MS_SHA256_BYTES + 1];

    if (c->n_findings++ >= FINDINGS_MAX)
        return;
    ms_sha256_hex(&ours->spec, spec);
    json_t *one =
        json_pack("{s:s, s:s, s:o, s:o}", "kind", kind, "spec", spec, "ours",
                  side_json(c, &c->side[0], ours), "theirs", side_json(c, &c->side[1], theirs));
    if (one != NULL && ours->has_sequence)
        (void)json_object_set_new(one, "sequence", json_integer((json_int_t)ours->sequence));
    (void)json_array_append_new(c->findings, one);
}

/* ---- one specifier ---- */

struct run { /* its entries in one log, by time */
    const struct leaf *const *leaf;
    size_t n;
};

static bool contradicts(const struct leaf *a, const struct leaf *b)
{
    if (!a->has_sequence || !b->has_sequence || a->sequence != b->sequence)
        return false;
    if (a->has_commitment && b->has_commitment)
        return !ms_sha256_eq(&a->commitment, &b->commitment);
    return !ms_sha256_eq(&a->result, &b->result);
}

static bool seen_before(const struct run *run, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (run->leaf[j]->has_sequence && run->leaf[i]->has_sequence &&
            run->leaf[j]->sequence == run->leaf[i]->sequence &&
            ms_sha256_eq(&run->leaf[j]->commitment, &run->leaf[i]->commitment))
            return true;
    return false;
}

static void compare_sequences(struct compare *c, const struct run *a, const struct run *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n; j++)
            if (contradicts(a->leaf[i], b->leaf[j]) && !seen_before(a, i) && !seen_before(b, j))
                found(c, "contradiction", a->leaf[i], b->leaf[j]);
}

static bool near_each_other(const struct compare *c, const struct leaf *a, const struct leaf *b)
{
    int64_t apart = a->time_s > b->time_s ? a->time_s - b->time_s : b->time_s - a->time_s;
    return apart <= c->window_s;
}

/* Of an https location: no chain, no sequence, and a list. */
static bool is_list(const struct leaf *leaf)
{
    return leaf->level == SPEC_LEVEL_NONE && !leaf->has_sequence && leaf->has_commitment &&
           strcmp(leaf->state, "good") == 0;
}

/* Whether this log saw that list near that time. */
static bool knows(const struct compare *c, const struct run *run, const struct leaf *of)
{
    for (size_t i = 0; i < run->n; i++)
        if (is_list(run->leaf[i]) && near_each_other(c, run->leaf[i], of) &&
            ms_sha256_eq(&run->leaf[i]->result, &of->result))
            return true;
    /* what it had before, and still had then */
    const struct leaf *last = NULL;
    for (size_t i = 0; i < run->n; i++)
        if (is_list(run->leaf[i]) && run->leaf[i]->time_s <= of->time_s)
            last = run->leaf[i];
    return last != NULL && ms_sha256_eq(&last->result, &of->result);
}

static void compare_lists(struct compare *c, const struct run *a, const struct run *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n; j++) {
            const struct leaf *x = a->leaf[i], *y = b->leaf[j];
            if (is_list(x) && is_list(y) && near_each_other(c, x, y) &&
                !ms_sha256_eq(&x->result, &y->result) && !knows(c, b, x) && !knows(c, a, y))
                found(c, "difference", x, y);
        }
}

static struct run run_of(const struct side *side, size_t from)
{
    struct run run = {.leaf = side->order + from};

    while (from + run.n < side->entries.n &&
           ms_sha256_eq(&side->order[from]->spec, &side->order[from + run.n]->spec))
        run.n++;
    return run;
}

static void compare_all(struct compare *c)
{
    struct side *a = &c->side[0], *b = &c->side[1];
    size_t i = 0, j = 0;

    while (i < a->entries.n && j < b->entries.n) {
        int order = memcmp(a->order[i]->spec.b, b->order[j]->spec.b, MS_SHA256_BYTES);
        struct run of_a = run_of(a, i), of_b = run_of(b, j);
        if (order == 0) {
            c->n_shared++;
            compare_sequences(c, &of_a, &of_b);
            compare_lists(c, &of_a, &of_b);
        }
        i += order <= 0 ? of_a.n : 0;
        j += order >= 0 ? of_b.n : 0;
    }
}

/* Two copies of one log: the shorter must be the beginning of the longer. */
static enum ms_err compare_copies(struct compare *c)
{
    struct side *a = &c->side[0], *b = &c->side[1];
    size_t n = a->entries.n < b->entries.n ? a->entries.n : b->entries.n;

    for (size_t i = 0; i < n; i++)
        if (!ms_sha256_eq(&a->entries.hashes[i], &b->entries.hashes[i])) {
            found(c, "split", &a->entries.leaves[i], &b->entries.leaves[i]);
            return MS_OK;
        }
    return MS_OK;
}

/* ---- the answer ---- */

static void say_findings(const struct compare *c)
{
    size_t i;
    json_t *one;

    json_array_foreach(c->findings, i, one)
    {
        json_t *ours = json_object_get(one, "ours"), *theirs = json_object_get(one, "theirs");
        printf("%s\t%s\t%lld\t%lld\t%s\t%s\n", json_string_value(json_object_get(one, "kind")),
               json_string_value(json_object_get(one, "spec")),
               (long long)json_integer_value(json_object_get(ours, "n")),
               (long long)json_integer_value(json_object_get(theirs, "n")),
               json_string_value(json_object_get(ours, "file")),
               json_string_value(json_object_get(theirs, "file")));
    }
}

static int tell(struct compare *c)
{
    int code = c->n_findings > 0 ? CLI_NO : CLI_YES;

    if (c->cli->json)
        return cli_print_json(c->cli,
                              json_pack("{s:b, s:b, s:I, s:I, s:I, s:O}", "conflict",
                                        c->n_findings > 0, "same_log", (int)c->same_log, "shared",
                                        (json_int_t)c->n_shared, "findings_total",
                                        (json_int_t)c->n_findings, "evidence_missing",
                                        (json_int_t)c->n_lost, "findings", c->findings),
                              code);
    say_findings(c);
    if (c->same_log)
        cli_say(c->cli, "both are the log of %s: %s", c->side[0].head.key.name,
                c->n_findings > 0 ? "it was shown in two versions" : "one continues the other");
    else
        cli_say(c->cli, "%" PRIu64 " specifiers are in both logs; %zu findings", c->n_shared,
                c->n_findings);
    return fflush(stdout) == 0 ? code : CLI_UNKNOWN;
}

static enum ms_err compare(struct compare *c)
{
    const struct msig_vkey *a = &c->side[0].head.key, *b = &c->side[1].head.key;

    c->same_log = memcmp(a, b, sizeof(*a)) == 0;
    if (c->same_log)
        return compare_copies(c);
    compare_all(c);
    return MS_OK;
}

static bool read_window(const struct cli *cli, const char *text, int64_t *ret_s)
{
    uint64_t seconds = WINDOW_S;

    if (text != NULL && (!ms_span_u64(ms_span_str(text), &seconds) || seconds > 365u * 86400u)) {
        cli_say(cli, "--window is a number of seconds, at most a year");
        return false;
    }
    *ret_s = (int64_t)seconds;
    return true;
}

int log_compare(struct cli *cli, int argc, char **argv)
{
    const char *against = NULL, *against_key = NULL, *db = NULL, *from = NULL, *key = NULL;
    const char *keep = NULL, *window = NULL;
    const struct cli_option options[] = {
        {"against", &against, NULL}, {"against-key", &against_key, NULL},
        {"db", &db, NULL},           {"from", &from, NULL},
        {"key", &key, NULL},         {"keep", &keep, NULL},
        {"window", &window, NULL}};
    struct compare *c = calloc(1, sizeof(*c));
    int code = CLI_USAGE;

    if (c == NULL)
        return CLI_UNKNOWN;
    c->cli = cli;
    c->side[0].what = "ours";
    c->side[1].what = "theirs";
    if (cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0) &&
        read_window(cli, window, &c->window_s)) {
        if (against == NULL) {
            cli_say(cli, "--against is missing: the other log's folder or https URL");
        } else {
            c->keep = keep == NULL ? "." : keep;
            c->findings = json_array();
            enum ms_err err = c->findings == NULL ? MS_ERR_MEMORY : MS_OK;
            if (err == MS_OK)
                err = open_side(c, &c->side[0], db, from, key);
            if (err == MS_OK)
                err = open_side(c, &c->side[1], NULL, against, against_key);
            if (err == MS_OK)
                err = compare(c);
            code = err == MS_OK ? tell(c) : log_fail(cli, err, &c->diag);
        }
    }
    json_decref(c->findings);
    close_side(&c->side[0]);
    close_side(&c->side[1]);
    free(c);
    return code;
}
