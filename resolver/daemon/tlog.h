/* resolver/daemon/tlog.h - signing the transparency log: its key, and a checkpoint whenever the log
 * has grown, at most one a second, only of what is committed, and never one that contradicts an
 * earlier one.
 *
 * state-dir holds log.key (0600, made when it is missing) and log.checkpoint, the last one signed:
 * beside the database, so that an older database put back shows. When the log does not continue
 * what was signed, nothing is signed any more (`frozen`): answers go on, and whoever watches the
 * log sees it stand still. tlog_turn runs on the store thread between transactions; tlog_cosigned
 * and tlog_count may be called from any thread. */
#ifndef MS_DAEMON_TLOG_H
#define MS_DAEMON_TLOG_H

#include "cache/log.h"

#define TLOG_KEY_NAME "log.key"
#define TLOG_CHECKPOINT_NAME "log.checkpoint"
#define TLOG_SIGN_MS 1000 /* between two checkpoints */

struct tlog;

/* The name of a log that nobody named: "measured.HOST/log"; characters a name cannot have become
 * '-'. Appended. */
enum ms_err tlog_default_origin(const char *host, struct ms_buf *out);

/* Load or make the key, and look whether the log continues what was signed.
 *   origin  of the configuration, NULL: that of the key, or of this host when the key is made
 *   signed  after each checkpoint, on the thread of tlog_turn; NULL: not wanted
 * MS_ERR_IO, MS_ERR_CONFIG (log.key is another log's, or no key), MS_ERR_MEMORY; those of the
 * database. */
typedef void tlog_signed_fn(void *arg, uint64_t size, struct ms_span note);
MS_MUST_USE enum ms_err tlog_new(const char *state_dir, const char *origin, struct cache *cache,
                                 tlog_signed_fn *signed_fn, void *arg, struct tlog **ret_tlog,
                                 struct ms_diag *diag);
/* Sign when it is time, and keep the cosignatures that came. Returns after how many milliseconds
 * it wants to be called again; -1: when something was committed. */
int64_t tlog_turn(struct tlog *tlog, struct cache *cache, struct ms_now now);
/* A witness has cosigned this checkpoint: `line` is its verified line. Kept at the next turn. */
MS_MUST_USE enum ms_err tlog_cosigned(struct tlog *tlog, uint64_t size, struct ms_span note,
                                      struct ms_span line);
/* NULL is fine. Wipes the key. */
void tlog_free(struct tlog *tlog);

struct tlog_counts {
    bool frozen;
    uint64_t size, cosigned_size; /* of the last checkpoint, of the last one somebody cosigned */
    uint64_t checkpoints, cosignatures; /* since the start */
};
void tlog_count(struct tlog *tlog, struct tlog_counts *ret_counts);
/* "name+id+base64". */
enum ms_err tlog_vkey(const struct tlog *tlog, struct ms_buf *out);

#endif
