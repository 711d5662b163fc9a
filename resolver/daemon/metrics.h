/* resolver/daemon/metrics.h - counters of the daemon: they only grow and may be bumped from any
 * thread. Rendered as Prometheus text; docs/metrics.md lists them all (a test compares). */
#ifndef MS_DAEMON_METRICS_H
#define MS_DAEMON_METRICS_H

#include "base/buf.h"

#include <stdatomic.h>

/*      member               name and labels                                        help (first of a
 * name) */
#define METRICS_MAP(X)                                                                            \
    X(http_requests, "measured_http_requests_total", "requests on the HTTP API")                  \
    X(http_hits, "measured_http_hits_total", "requests answered from a published answer at once") \
    X(http_errors, "measured_http_errors_total", "requests answered with an error")               \
    X(http_waiters, "measured_http_waits_total", "requests that waited for the core")             \
    X(checks_approved, "measured_checks_total{verdict=\"approved\"}", "checks by verdict")        \
    X(checks_refused, "measured_checks_total{verdict=\"refused\"}", NULL)                         \
    X(checks_unknown, "measured_checks_total{verdict=\"unknown\"}", NULL)                         \
    X(boots_approved, "measured_boot_decisions_total{verdict=\"approved\"}",                      \
      "decisions of the dstack webhook")                                                          \
    X(boots_refused, "measured_boot_decisions_total{verdict=\"refused\"}", NULL)                  \
    X(boots_unknown, "measured_boot_decisions_total{verdict=\"unknown\"}", NULL)                  \
    X(flights, "measured_resolutions_total", "attempts to resolve a specifier")                   \
    X(flights_failed, "measured_resolution_failures_total", "attempts that failed")               \
    X(changes, "measured_changes_total", "accepted changes of a set")                             \
    X(conflicts, "measured_conflicts_total", "contradictions between verified answers")           \
    X(polls, "measured_polls_total", "polls of several contracts at once")                        \
    X(upstream_failed, "measured_upstream_failures_total", "upstream requests without an answer") \
    X(store_errors_commit, "measured_store_errors_total{op=\"commit\"}",                          \
      "failures of the database")                                                                 \
    X(store_errors_load, "measured_store_errors_total{op=\"load\"}", NULL)                        \
    X(store_errors_floor, "measured_store_errors_total{op=\"floor\"}", NULL)                      \
    X(store_commits, "measured_store_commits_total", "changes made durable")                      \
    X(store_transactions, "measured_store_transactions_total", "transactions that did so")        \
    X(witness_cosignatures, "measured_witness_cosignatures_total",                                \
      "cosignatures of witnesses on our checkpoints")                                             \
    X(witness_failures, "measured_witness_failures_total", "tries to get one that failed")        \
    X(witness_conflicts, "measured_witness_conflicts_total",                                      \
      "times a witness had seen another log under our key")                                       \
    X(watch_events, "measured_watch_events_total", "events sent to watchers")                     \
    X(feed_built, "measured_feed_built_total", "snapshots of the feed made")                      \
    X(feed_snapshots, "measured_feed_snapshots_total", "snapshots of the feed sent")              \
    X(feed_renewals, "measured_feed_renewals_total", "new times of the feed sent")                \
    X(feed_refusals, "measured_feed_refusals_total", "errors sent on the feed")                   \
    X(accept_failures, "measured_accept_failures_total", "connections the kernel could not give") \
    X(overloads, "measured_overloads_total", "requests refused because a list of all was full")

struct metrics {
#define METRICS_MEMBER(member, name, help) atomic_ullong member;
    METRICS_MAP(METRICS_MEMBER)
#undef METRICS_MEMBER
};

extern struct metrics metrics;

#define METRIC_INC(member) atomic_fetch_add_explicit(&metrics.member, 1, memory_order_relaxed)

/* All counters as Prometheus text, appended. */
void metrics_render(struct ms_buf *out);

#endif
