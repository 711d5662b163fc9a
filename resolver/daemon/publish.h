/* resolver/daemon/publish.h - rendering an answer once, when it is published. Core thread only. */
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
};

/* A new answer (answer_free, or hand it to table_publish). NULL when out of memory. */
struct answer *publish_render(const struct publish_input *in);

#endif
