/* cli/auditor.h - where an auditor's questions go: to the daemon, or with --db to a database file,
 * also a copy on another machine. The answers are the same JSON texts (docs/http-api.md).
 * Single-threaded. */
#ifndef MS_CLI_AUDITOR_H
#define MS_CLI_AUDITOR_H

#include "cache/report.h"
#include "cli/client.h"

struct auditor {
    const struct cli *cli;
    struct client_subject subject;
    struct cache *cache; /* NULL: the daemon is asked */
    struct spec spec;    /* with a cache */
};

/* db  NULL, a database file, or the folder it lies in. CLI_YES; or the exit code, after the words.
 */
int auditor_open(const struct cli *cli, const char *arg, const char *db,
                 struct auditor *ret_auditor);
/* A half-opened one is fine. */
void auditor_close(struct auditor *auditor);

/* One page. CLI_YES and a new reference; or the exit code, after the words. */
int auditor_history(struct auditor *auditor, const struct report_page *page, json_t **ret_root);
/* Points as report_diff takes them. */
int auditor_diff(struct auditor *auditor, const char *from, const char *to, json_t **ret_root);
int auditor_at(struct auditor *auditor, int64_t time_s, json_t **ret_root);
/* The bundle of a point, appended; it is checked against its name. Of AUDITOR_PAST, or of a
 * sequence of which nothing was seen here: the whole past of a registry (PAST_FILE_TYPE). */
#define AUDITOR_PAST "past"
int auditor_evidence(struct auditor *auditor, const char *point, struct ms_buf *out);

/* A point as people write it, for the functions above: also "2026-03-03" and
 * "2026-03-03T12:00:00Z". false when it has said that it is none. */
#define AUDITOR_POINT_MAX (REPORT_POINT_MAX + 1)
bool auditor_point(const struct cli *cli, const char *text, char out[AUDITOR_POINT_MAX]);

/* The database that `db` names: itself, or measured.db in the folder; appended. */
MS_MUST_USE enum ms_err auditor_db_path(const char *db, struct ms_buf *out);

/* How rows are shown. */
enum auditor_form { AUDITOR_TEXT = 0, AUDITOR_JSON, AUDITOR_JSONL, AUDITOR_CSV, AUDITOR_MD };
/* What stands before the first row and behind the last one, appended. */
void auditor_form_begin(enum auditor_form form, struct ms_buf *out);
void auditor_form_end(enum auditor_form form, struct ms_buf *out);
/* One row of `rows` or `operations`. */
MS_MUST_USE enum ms_err auditor_form_row(enum auditor_form form, bool first, const json_t *row,
                                         struct ms_buf *out);
/* Answers of diff and at, for a person. */
MS_MUST_USE enum ms_err auditor_diff_text(const json_t *root, struct ms_buf *out);
MS_MUST_USE enum ms_err auditor_at_text(const json_t *root, struct ms_buf *out);

#endif
