/* resolver/daemon/upstream.h - between the core's requests and the fetcher: endpoints, breakers,
 * benches. Loop thread only. */
#ifndef MS_DAEMON_UPSTREAM_H
#define MS_DAEMON_UPSTREAM_H

#include "resolver/daemon/config.h"
#include "resolver/daemon/loop.h"

struct upstream;

/* One core_response (through `answer`) follows each upstream_send, unless it is cancelled. */
MS_MUST_USE enum ms_err
upstream_new(struct loop *loop, const struct config *config,
             void (*answer)(void *arg, uint64_t tag, const struct source_response *response),
             void *arg, struct upstream **ret_upstream, struct ms_diag *diag);
/* On error nothing changes. Breakers of endpoints that keep their name are kept, and what is known
 * of the ways to ask those that keep their URL too. */
MS_MUST_USE enum ms_err upstream_configure(struct upstream *up, const struct config *config,
                                           struct ms_diag *diag);
void upstream_send(struct upstream *up, uint64_t tag, const struct source_request *request);
/* The requests of this tag, but for its low 12 bits, count as nobody's from now on. */
void upstream_share(struct upstream *up, uint64_t tag);
/* Nothing follows any more. A request to a provider runs on to its end, for the breaker: who
 * answers too late for others is not at fault, who does not answer at all is. */
void upstream_cancel(struct upstream *up, uint64_t tag);
/* What the core says of a provider after an attempt: good closes its breaker, faults open it, a lie
 * benches it; an answer that is owed will tell (upstream_cancel). */
void upstream_conduct(struct upstream *up, uint32_t provider, enum source_conduct conduct);
/* How it can be asked; remembered until a fault, a restart, or a reload that changes its URL. */
void upstream_learned(struct upstream *up, uint32_t provider, struct source_manners learned);
void upstream_mark_providers(const struct upstream *up, struct source_policy *policy);
/* Providers with the state of their breaker, and the fetcher's counters (new references). */
json_t *upstream_providers_json(const struct upstream *up);
json_t *upstream_counters_json(const struct upstream *up);
/* Requests and bytes by the name of the [rpc] section, "https" for locations, as Prometheus text,
 * appended. Endpoints that keep their name keep their counts over a reload. */
void upstream_metrics_render(const struct upstream *up, struct ms_buf *out);
/* The fetcher, for what is asked of neither endpoint nor location; borrowed. */
struct fetch *upstream_fetch(struct upstream *up);
void upstream_free(struct upstream *up);

#endif
