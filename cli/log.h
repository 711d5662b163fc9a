/* cli/log.h - what the verbs of `measuredctl log` share: where a log is read from, its head, its
 * tree and its entries.
 *
 * A log is a set of files with names: "v1/log/checkpoint", "v1/log/tile/...", "v1/evidence/HASH".
 * They come from the daemon, from a database, from a folder that `log export` wrote, or from a web
 * server; what comes is believed only as far as a signature and the tree reach. Single-threaded. */
#ifndef MS_CLI_LOG_H
#define MS_CLI_LOG_H

#include "cli/cli.h"
#include "resolver/entry/leaf.h"
#include "sig/tlog_text.h"

#define LOG_ENTRIES_MAX 5000000u /* that one command holds in memory */
#define LOG_EVIDENCE_MAX_BYTES ((size_t)16 << 20)
#define LOG_WITNESSES_MAX 16u

struct log_source;

/* `db` a database file, `from` a folder or an https URL (http to this machine); neither: the
 * daemon. MS_ERR_URL, MS_ERR_SCHEME; errors of cache_open_readonly. */
MS_MUST_USE enum ms_err log_source_open(const struct cli *cli, const char *db, const char *from,
                                        struct log_source **ret_source, struct ms_diag *diag);
void log_source_close(struct log_source *source);
/* What the source is, for words. */
const char *log_source_name(const struct log_source *source);
/* The file of this name, appended. MS_ERR_NOT_FOUND there is none; MS_ERR_TOO_LARGE beyond out's
 * maximum; errors of the way there. */
MS_MUST_USE enum ms_err log_source_get(struct log_source *source, const char *path,
                                       struct ms_buf *out, struct ms_diag *diag);

struct log_head {
    struct msig_vkey key;
    struct msig_checkpoint checkpoint;
    struct ms_buf text; /* the note */
};
/* The newest checkpoint (or cosigned one), verified with `key` ("name+id+base64"); NULL: with the
 * key that the source itself tells, which is good for one's own log only. MS_ERR_SYNTAX the key;
 * MS_ERR_UNAVAILABLE there is no log; MS_ERR_SIGNATURE and the like. log_head_done in any case. */
MS_MUST_USE enum ms_err log_head_get(struct log_source *source, const char *key, bool cosigned,
                                     struct log_head *ret_head, struct ms_diag *diag);
void log_head_done(struct log_head *head);

/* The tree of the first `size` entries, over the source's tiles. */
void log_tree_init(struct msig_tlog_tree *tree, struct log_source *source, uint64_t size);

/* All entries under a checkpoint, once the root over them has been found to be the one that was
 * signed. MS_ERR_PROOF: they are not those. `each` stops the walk with anything but MS_OK. */
struct log_entries {
    size_t n;
    struct leaf *leaves;
    struct ms_sha256 *hashes; /* of the leaves */
    struct ms_buf text;       /* all lines, each with its newline */
    size_t *at;               /* where line i begins */
};
MS_MUST_USE enum ms_err log_entries_get(struct log_source *source,
                                        const struct msig_checkpoint *checkpoint,
                                        struct log_entries *ret_entries, struct ms_diag *diag);
void log_entries_done(struct log_entries *entries);
/* Line i without its newline. */
struct ms_span log_entries_line(const struct log_entries *entries, size_t i);

/* All that the log has under a checkpoint: its entries, the tiles of every level, and the evidence
 * that its entries name, as far as that is there. MS_ERR_PROOF, MS_ERR_HASH the first that is not
 * what it has to be; MS_ERR_UNAVAILABLE a tile is missing. */
struct log_whole {
    uint64_t n_tiles, n_bundles;
    uint64_t n_missing; /* bundles that are not there */
};
MS_MUST_USE enum ms_err log_whole_check(struct log_source *source,
                                        const struct msig_checkpoint *checkpoint,
                                        struct log_whole *ret_whole, struct ms_diag *diag);

/* A folder that `log export` wrote, or the URL of one. */
bool log_is_source(const char *path);

/* "A,B,..." of witnesses' keys. MS_ERR_SYNTAX, MS_ERR_LIMIT. */
MS_MUST_USE enum ms_err log_witnesses(const char *list, struct msig_vkey *ret_keys, size_t *ret_n,
                                      struct ms_diag *diag);

/* Say what went wrong, with the exit code for it: 1 when something is wrong, 3 when it could not be
 * found out. */
int log_fail(const struct cli *cli, enum ms_err err, const struct ms_diag *diag);

int log_checkpoint(struct cli *cli, int argc, char **argv);
int log_key(struct cli *cli, int argc, char **argv);
int log_prove(struct cli *cli, int argc, char **argv);
int log_verify(struct cli *cli, int argc, char **argv);
int log_compare(struct cli *cli, int argc, char **argv);
int log_export(struct cli *cli, int argc, char **argv);

#endif
