/* cli/view.h - an envelope (interface: /v1/resolve, /v1/watch) as a person is told of it, and the
 * difference between two.
 *
 * Reads what the daemon sent; members it does not know are read over. What is printed is printable
 * ASCII whatever the documents held. Pure; single-threaded. */
#ifndef MS_CLI_VIEW_H
#define MS_CLI_VIEW_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

struct view_item {     /* an approved record or predicate */
    const char *id;    /* measurement id; kind and value of a predicate; printable */
    const char *canon; /* all of it, in canonical JSON */
};

struct view_release { /* in force */
    uint64_t id;
    const char *version; /* printable, may be "" */
};

struct view {
    struct ms_arena arena;               /* owns what is pointed to */
    const char *state;                   /* "fresh", ... */
    const char *trust;                   /* "" when there is none */
    const char *set_hash;                /* "" when nothing is served */
    const char *error_code, *error_text; /* NULL when something is served */
    bool has_sequence;
    uint64_t sequence;
    int64_t fetched_at_s, valid_until_s; /* Unix time; 0: unknown, or without end */
    size_t n_releases, n_items;
    struct view_release *releases;
    struct view_item *items; /* sorted by id, then canon */
};

void view_init(struct view *view);
void view_done(struct view *view);

/* view is initialised and holds nothing; on error it holds nothing again.
 * MS_ERR_JSON and the like, MS_ERR_SYNTAX (JSON, but no envelope), MS_ERR_MEMORY */
MS_MUST_USE enum ms_err view_parse(struct ms_span envelope, struct view *view,
                                   struct ms_diag *diag);

bool view_served(const struct view *view);
/* Same state, set, sequence and error: nothing to tell. */
bool view_same(const struct view *a, const struct view *b);
/* Whether somebody who acts on changes has to act: as view_same, but fresh and
 * stale-while-revalidate are one. */
bool view_same_meaning(const struct view *a, const struct view *b);

/* One line without its end: state, sequence, releases, what was added, removed and changed by id.
 * old  NULL for the first */
enum ms_err view_line(const struct view *old, const struct view *now, struct ms_buf *out);
/* Several lines about one answer. now_s  Unix time */
enum ms_err view_text(const struct view *view, int64_t now_s, struct ms_buf *out);
/* "5 s", "12 min", "3 h", "2 d" */
enum ms_err view_duration(int64_t seconds, struct ms_buf *out);
/* "stale-if-error, last confirmed 40 s ago: CAUSE" */
enum ms_err view_age(const struct view *view, int64_t now_s, struct ms_buf *out);

#endif
