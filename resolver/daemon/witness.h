/* resolver/daemon/witness.h - asking witnesses to cosign our checkpoints (c2sp.org/tlog-witness).
 *
 * Each newest checkpoint is sent to each configured witness with a proof that it continues what
 * that witness saw last; what it signs is verified before it is kept. A witness that fails is left
 * alone, longer each time; nobody waits for any of them. Loop thread only; proofs are made on the
 * reader's. */
#ifndef MS_DAEMON_WITNESS_H
#define MS_DAEMON_WITNESS_H

#include "resolver/daemon/config.h"
#include "resolver/daemon/fetch.h"
#include "resolver/daemon/loop.h"
#include "resolver/daemon/reader.h"
#include "resolver/daemon/store.h"
#include "resolver/daemon/tlog.h"

#define WITNESS_REST_MS 10000  /* between two checkpoints that one witness cosigned */
#define WITNESS_RETRY_MS 10000 /* after a failure; twice as long after each further one */
#define WITNESS_RETRY_MAX_MS 3600000

struct witnesses;

struct witness_env {
    struct loop *loop;
    struct fetch *fetch;
    struct reader *reader;
    struct store *store;
};

MS_MUST_USE enum ms_err witnesses_new(const struct witness_env *env, const struct config *config,
                                      struct witnesses **ret_witnesses);
/* Where cosignatures go; before the first checkpoint. */
void witnesses_set_log(struct witnesses *witnesses, struct tlog *tlog);
/* A reload: what is known of a witness that keeps its name and key is kept. */
void witnesses_configure(struct witnesses *witnesses, const struct config *config);
/* From any thread (as tlog_signed_fn): there is a new checkpoint. */
void witnesses_checkpoint(void *witnesses, uint64_t size, struct ms_span note);
void witnesses_tick(struct witnesses *witnesses);
/* [{"name","size","failures"}] (new reference). */
json_t *witnesses_json(const struct witnesses *witnesses);
/* When the store and the reader have ended and posted jobs were run. NULL is fine. */
void witnesses_free(struct witnesses *witnesses);

#endif
