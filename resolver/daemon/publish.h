/* resolver/daemon/publish.h - rendering an answer, once: when it is published what the answer
 * before it was asked for, the rest when somebody asks. Few entries are asked for more than one
 * form, and there may be very many entries. */
#ifndef MS_DAEMON_PUBLISH_H
#define MS_DAEMON_PUBLISH_H

#include "resolver/daemon/answer.h"
#include "resolver/entry/envelope.h"

struct publish_input {
    struct envelope_input envelope;
    struct shared_result *shared; /* NULL when there is no good set */
    struct answer_id id;
    uint64_t generation;
    int64_t fast_until_ms;
    struct answer *before; /* NULL: none. What it was asked for is rendered at once. */
};

/* A new answer (answer_free, or hand it to table_publish). NULL when out of memory. Core thread. */
struct answer *publish_render(const struct publish_input *in);

/* What a request says of the list it wants. */
struct publish_ask {
    enum rec_profile profile;
    bool skip_unsupported;
    bool has_app; /* with the profiles of dstack: the app, where the specifier tells of none */
    uint8_t app[REC_DSTACK_APP_BYTES];
};

/* The list in a profile, and the envelope; of an answer that serves. Any thread, while it may use
 * the answer. Borrowed from answer, but *ret_once says that a list was made for this request, with
 * options, and is the caller's to destroy. MS_ERR_MEMORY; and for the list what rec_render says:
 * the set cannot be expressed in that profile. MS_ERR_ARGUMENT also where the specifier tells of
 * another app than the request. */
MS_MUST_USE enum ms_err publish_records(struct answer *answer, const struct publish_ask *ask,
                                        struct MHD_Response **ret_response, bool *ret_once,
                                        struct ms_diag *diag);
MS_MUST_USE enum ms_err publish_envelope(struct answer *answer, struct MHD_Response **ret_response);

#endif
