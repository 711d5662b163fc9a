/* resolver/source/source.h - where a set of releases comes from, as resumable pure functions.
 *
 * A source never touches a socket: it is stepped with answers and asks for requests, so a whole
 * resolution runs in a unit test, and a stored transcript replays through the same code when
 * evidence is re-verified. One struct source is one attempt; it is not thread-safe. */
#ifndef MS_SOURCE_H
#define MS_SOURCE_H

#include "base/clock.h"
#include "eth/address.h"
#include "eth/quantity.h"
#include "resolver/source/times.h"
#include "resolver/spec/spec.h"

#define SOURCE_BODY_MAX_BYTES 262144u      /* a location's body (T5) */
#define SOURCE_RPC_BODY_MAX_BYTES 1048576u /* a JSON-RPC answer (2.1) */
/* Of one attempt, all rounds. A registry needs the fewest: 64 documents, and 16 providers asked 8
 * times (a refused batch of three, a height, a refused batch of two). A contract with mappings is
 * asked about 128 values at two blocks: 135 messages each to an endpoint that takes no batches, of
 * which three may have to answer. Fits 12 bits: the core's tags. */
#define SOURCE_REQUESTS_MAX 1024u
/* Waits have ids of their own, above those of requests. Fit 12 bits too. */
#define SOURCE_WAITS_MAX 63u
#define SOURCE_ID_MAX (SOURCE_REQUESTS_MAX + SOURCE_WAITS_MAX)
#define SOURCE_GRACE_MS 1000 /* for those who have not answered when enough others have */
#define SOURCE_PROVIDERS_MAX 16u
#define SOURCE_HEAD_LAG_S 120 /* a newest block this far behind our clock: T10 */
#define SOURCE_RELEASES_MAX 64u
#define SOURCE_HOSTS_MAX 4u        /* where signed sets without at= are looked for */
#define SOURCE_HOST_MAX_BYTES 320u /* of one, "host" or "host:port", with its NUL */

/* ---- local policy, from the configuration ---- */
enum source_proofs { SOURCE_PROOFS_NO = 0, SOURCE_PROOFS_HEAD, SOURCE_PROOFS_FINALIZED };

/* When blocks are not finalized any more (6.3): keep what is finalized until it is too old, or, by
 * the operator's choice, read the "safe" block in its place. Never by itself. */
enum source_nonfinality { SOURCE_NONFINALITY_KEEP = 0, SOURCE_NONFINALITY_SAFE };

/* What an endpoint does not take, so that the next attempt need not find out again (2.1, 2.3). */
struct source_manners {
    bool no_batch;  /* calls go singly */
    bool bare_hash; /* does not know EIP-1898: blocks are named by their bare hash */
};

struct source_provider { /* one [rpc NAME] section; its URL (and key) never comes here */
    const char *name;
    const char *group;
    uint64_t chain;
    enum source_proofs proofs;
    bool trusted;
    bool benched; /* breaker open or benched: do not ask */
    struct source_manners manners;
};

struct source_policy {
    enum spec_level level;      /* least read level for contracts */
    uint32_t quorum;            /* groups that must agree at L2 and L3 */
    int64_t max_evidence_age_s; /* ceiling X of a contract */
    int64_t poll_s, head_poll_s;
    struct source_times times;
    enum source_nonfinality nonfinality;
    bool has_checkpoint; /* a block hash that the operator vouches for; stands for a quorum at L3 */
    uint64_t checkpoint_chain;
    struct eth_hash checkpoint;
    size_t n_providers;
    struct source_provider providers[SOURCE_PROVIDERS_MAX];
};

/* ---- requests and responses ---- */
enum source_request_kind {
    SOURCE_REQUEST_NONE = 0,
    SOURCE_REQUEST_HTTP, /* GET of an https location: address guard, TLS verified */
    SOURCE_REQUEST_RPC,  /* POST of `body` to a provider of the policy */
    SOURCE_REQUEST_WAIT, /* nothing to be sent: after wait_ms comes a response that says
                            MS_ERR_TIMEOUT. A later wait takes the place of an earlier one. */
};

struct source_request { /* strings live as long as the source */
    enum source_request_kind kind;
    uint32_t id;                          /* 1, 2, ... within the attempt */
    const struct spec_location *location; /* HTTP */
    const char *if_none_match;            /* HTTP, NULL when unconditional */
    const char *if_modified_since;
    uint32_t provider;              /* RPC: index into the policy */
    struct ms_span body;            /* RPC */
    size_t max_bytes;               /* cap of the answer's body */
    const struct ms_sha256 *sha256; /* HTTP: the only body that will do; NULL: any */
    int64_t wait_ms;                /* WAIT */
    uint64_t client; /* set by the core: who made it ask (clients.h), 0 for nobody in particular */
};

enum source_header {
    SOURCE_HEADER_CACHE_CONTROL = 0,
    SOURCE_HEADER_EXPIRES,
    SOURCE_HEADER_DATE,
    SOURCE_HEADER_AGE,
    SOURCE_HEADER_ETAG,
    SOURCE_HEADER_LAST_MODIFIED,
    SOURCE_HEADER_VARY,
    SOURCE_HEADER_CONTENT_TYPE,
    SOURCE_HEADER_RETRY_AFTER,
    SOURCE_HEADER_COUNT,
};
/* Lower-case field name, "cache-control". */
const char *source_header_name(enum source_header header);

struct source_response {
    uint32_t id;         /* of the request */
    enum ms_err err;     /* MS_OK: a complete HTTP answer arrived, whatever its status */
    struct ms_diag diag; /* the cause when err is set */
    uint32_t status;     /* HTTP status */
    const char *header[SOURCE_HEADER_COUNT]; /* NULL when absent; several fields of one name joined
                                                by ", " */
    struct ms_span body;
    int64_t time_s;       /* wall clock when it was complete */
    char peer_sha256[65]; /* SHA-256 of the TLS peer's certificate DER, "" without TLS */
};

/* ---- results ---- */
enum source_trust {
    SOURCE_TRUST_NONE = 0,
    SOURCE_TRUST_SELF, /* the bytes are in the specifier or hash to it */
    SOURCE_TRUST_TLS,
    SOURCE_TRUST_SINGLE, /* one RPC provider */
    SOURCE_TRUST_QUORUM,
    SOURCE_TRUST_PROOF,
    SOURCE_TRUST_SIGNERS,
};

struct source_release {
    uint64_t id;
    const char *version;               /* decimal or "", in the result's arena */
    int64_t not_before_s, not_after_s; /* 0: none */
    struct rec_set *set;               /* owned by the result */
};

/* A value that a contract with mappings may have approved: it cannot be listed by proof, only asked
 * about (ethereum.md F3). Where candidates come from need not be trusted. */
#define SOURCE_CANDIDATES_MAX 128u
enum source_candidate_kind { /* the first are the predicates of records.h */
                             SOURCE_CANDIDATE_NONE = REC_PREDICATE_NONE,
                             SOURCE_CANDIDATE_COMPOSE_HASH = REC_PREDICATE_DSTACK_COMPOSE_HASH,
                             SOURCE_CANDIDATE_OS_IMAGE = REC_PREDICATE_DSTACK_OS_IMAGE,
                             SOURCE_CANDIDATE_WORKLOAD_ID = REC_PREDICATE_TDX_WORKLOAD_ID,
                             SOURCE_CANDIDATE_DEVICE,
                             SOURCE_CANDIDATE_AGGREGATED_MR,
};
struct source_candidate {
    enum source_candidate_kind kind;
    bool approved; /* in a result */
    uint8_t value[32];
};
struct source_result;
/* Whether a result tells if a value is approved: everything does but a contract with mappings that
 * was not asked about it. */
bool source_result_knows(const struct source_result *result,
                         const struct source_candidate *candidate);
int source_candidate_cmp(const struct source_candidate *a, const struct source_candidate *b);

/* How far the logs have been searched for candidates; zero: not begun. */
struct source_scan {
    bool begun;
    bool whole; /* it began with the contract itself, and not where somebody said (from=) */
    uint64_t from, next; /* blocks from up to but without next were searched */
    uint64_t window;     /* blocks a request: what the provider takes */
};

/* How long an answer may be used, in seconds from its fetch; ethereum.md 6.2. -1 means for ever. */
struct source_lifetime {
    int64_t fresh_s;   /* F */
    int64_t swr_s;     /* W: after F, served while a refresh runs */
    int64_t sie_s;     /* E: served while refreshes fail */
    int64_t ceiling_s; /* X: on now - evidence time */
    bool no_store;     /* no-store or private: used once, not kept across a restart */
};

struct source_block {
    uint64_t chain, number;
    struct eth_hash hash;
    int64_t time_s;
};

/* What to ask a chain to know that an answer still stands: calls that return in so few bytes what
 * would not be the same any more, and for level L3 the state behind them (resolver/source/poll.h).
 * Filled by the adapter; everything lies in the result's arena. */
struct source_probe_call {
    struct eth_addr to;
    struct ms_span data;
    struct ms_span final, head; /* its answer in the finalized and in the newest state read */
};

struct source_probe_slot {
    struct eth_word key, value; /* in the finalized state */
};

struct source_probe_account { /* one eth_getProof; long lists of slots take several */
    struct eth_addr address;
    struct eth_hash code_hash;
    size_t n_slots;                        /* at most SOURCE_PROBE_SLOTS_MAX */
    const struct source_probe_slot *slots; /* proven when the answer was read */
};

#define SOURCE_PROBE_CALLS_MAX 256u
#define SOURCE_PROBE_ACCOUNTS_MAX 8u
#define SOURCE_PROBE_SLOTS_MAX 64u

struct source_probe {
    /* proven to be code that we know: in one eth_call with others it takes no more than its share
     */
    bool known_code;
    size_t n_calls; /* 0: there is no probe, only a full read tells */
    const struct source_probe_call *calls;
    size_t n_accounts; /* 0: nothing was proven */
    const struct source_probe_account *accounts;
};

struct source_result {
    struct ms_arena arena;
    bool unchanged; /* 304: the stored body is still right; only lifetime and times are set */
    enum source_trust trust;
    uint32_t trust_k, trust_n; /* QUORUM, SIGNERS: k of n */
    enum spec_level level;     /* contracts */
    struct source_block block; /* contracts */
    const char *hash_by;       /* contracts: "single", "quorum", "endpoint", "checkpoint"; static */
    uint64_t epoch; /* signed sets: of the root; sequences are compared within one epoch */
    bool has_sequence;
    uint64_t sequence;           /* governance's own counter */
    struct ms_sha256 commitment; /* what makes two results of one sequence equal */
    uint64_t head_number;        /* of the newest state read */
    int64_t head_time_s;         /* of the newest block told of; 0: not a chain */
    bool has_head; /* contracts: the newest state was read as well, or is the finalized one */
    struct ms_sha256
        overlay;       /* what the newest state takes away from the finalized one; zero: nothing */
    bool has_identity; /* contracts, proven: what code is behind the address */
    struct ms_sha256 identity;
    struct ms_sha256 set_hash; /* over all releases: ids, windows and records */
    size_t n_releases;
    struct source_release *releases;
    int64_t valid_until_s;   /* governance heartbeat, 0 none */
    int64_t evidence_time_s; /* chain time | Date - Age | now */
    struct source_lifetime life;
    bool document_elsewhere;   /* contracts: each read fetches a document over https */
    struct source_probe probe; /* contracts */
    json_t *governance;        /* object or NULL */
    json_t *carry;             /* what the next attempt is to be given as previous.carry, or NULL */
    struct eth_hash previous_set; /* signed sets: what the set names as the one before it */
    const char *adapter;          /* contracts: the kind, "registry"; static storage; or NULL */
    size_t n_candidates;          /* contracts with mappings: all that were asked about */
    struct source_candidate *candidates; /* sorted; in the arena */
    uint32_t candidate_kinds; /* bit 1 << kind: those that it can be asked about at all */
    struct source_scan scan;
    uint32_t
        workload_version; /* the formula of its workload ids (workload.h); 0: unknown, or none */
    const char *etag, *last_modified; /* validators of a location, NULL when none */
    size_t n_warnings;
    struct rec_warning warnings[32];
};

void source_result_free(struct source_result *result);
/* Add a warning; beyond the room for them they are dropped. */
void source_result_warn(struct source_result *result, const char *code, const char *fmt, ...)
    MS_PRINTF(3, 4);

/* ---- the machine ---- */
enum source_state {
    SOURCE_FAILED = 0,
    SOURCE_WANTS, /* requests are out or to be sent */
    SOURCE_DONE,
};

/* A contract read, with proofs, at a block that was not final then: what endpoints that prove only
 * the newest state are good for (ethereum.md 2.4). When the block is final, the read counts. It
 * need not be trusted: it is verified against the hash of its block like any answer. */
#define SOURCE_KEPT_MAX 3u
struct source_kept {
    uint64_t number;
    struct eth_hash hash;
    int64_t time_s;
    struct ms_sha256 plan; /* what was asked */
    json_t *answers;       /* [{"what","index","result"}, ..] */
};

struct source_previous { /* what is known from the last good answer; zero when nothing is */
    const char *etag, *last_modified;
    uint64_t floor_epoch; /* results below (epoch, sequence) are refused: MS_ERR_ROLLBACK */
    uint64_t floor_sequence;
    bool has_final; /* contracts: the last finalized block believed must still be in the chain */
    uint64_t final_number;
    struct eth_hash final_hash;
    bool has_set; /* sources whose sets name the one before: the last commitment verified */
    struct eth_hash set_hash;
    size_t n_kept; /* by rising number; the answers are borrowed for the call of source_new */
    struct source_kept kept[SOURCE_KEPT_MAX];
    size_t n_candidates; /* contracts with mappings: what to ask about */
    struct source_candidate candidates[SOURCE_CANDIDATES_MAX];
    struct source_scan scan;
    /* Signed sets: roots and revocations that were verified, {"roots":[..],"revocations":[..],..},
     * borrowed; need not be trusted, they are verified again. And the hosts that clients asked for.
     */
    const json_t *carry;
    size_t n_hosts;
    char hosts[SOURCE_HOSTS_MAX][SOURCE_HOST_MAX_BYTES];
};

struct source;

/* `spec` must outlive the source; policy and previous are copied.
 * MS_ERR_UNSUPPORTED for kinds that have no source yet, MS_ERR_NO_RPC, MS_ERR_QUORUM, MS_ERR_LEVEL
 * when the policy cannot be met, MS_ERR_UNAVAILABLE when nobody said where to look; MS_ERR_MEMORY.
 */
MS_MUST_USE enum ms_err source_new(const struct spec *spec, const struct source_policy *policy,
                                   const struct source_previous *previous, struct ms_now now,
                                   struct source **ret_source, struct ms_diag *diag);
void source_free(struct source *source);

/* Feed one response (NULL to start). Afterwards: WANTS: source_take_request until it gives false;
 * DONE: source_take_result; FAILED: source_error. A response with an unknown id is ignored. */
enum source_state source_step(struct source *source, const struct source_response *response,
                              struct ms_now now);
/* The next request not yet taken; false when there is none. */
bool source_take_request(struct source *source, struct source_request *ret_request);
/* Move the result to the caller (source_result_free). NULL unless DONE. */
struct source_result *source_take_result(struct source *source);
enum ms_err source_error(const struct source *source, struct ms_diag *ret_diag);
/* What the next attempt is to be given as previous.kept, when this one has ended, well or not;
 * borrowed from the source. */
size_t source_kept(const struct source *source, const struct source_kept **ret_kept);
/* Signed sets: what the next attempt is to be given as previous.carry, also when this one failed;
 * borrowed from the source, NULL when there is nothing. */
json_t *source_carry(const struct source *source);
/* Signed sets: the attempt failed with MS_ERR_CONFLICT because two sets of this sequence were
 * verified. Only a higher one may be believed from then on. */
bool source_fork(const struct source *source, uint64_t *ret_epoch, uint64_t *ret_sequence);
/* Whether the request with this id is for a document of one hash only. */
bool source_wants_hash(const struct source *source, uint32_t id, struct ms_sha256 *ret_hash);
/* The documents of the releases found that are at hand, each of this SHA-256, when the attempt is
 * done; the bytes are borrowed for the call. What fn returns other than MS_OK ends it. */
typedef enum ms_err source_document_fn(void *arg, const struct ms_sha256 *hash,
                                       struct ms_span bytes);
MS_MUST_USE enum ms_err source_documents_each(const struct source *source, source_document_fn *fn,
                                              void *arg);
/* How a provider of the policy behaved; when the attempt has ended. */
enum source_conduct {
    SOURCE_CONDUCT_NOT_ASKED = 0,
    SOURCE_CONDUCT_GOOD,
    SOURCE_CONDUCT_FAULT, /* nothing usable: no answer, an error of its own, another chain, not
                             JSON-RPC */
    SOURCE_CONDUCT_LIED,  /* something that does not verify */
    SOURCE_CONDUCT_BUSY,  /* asked to be left alone for a while (Retry-After) */
    SOURCE_CONDUCT_OWING, /* the attempt went on without an answer that may still come */
};
enum source_conduct source_conduct(const struct source *source, uint32_t provider);
/* What showed about a provider in this attempt, and led to answers; false: nothing new. */
struct source_manners source_learned(const struct source *source, uint32_t provider);
/* Whether the failure is a definite "there is no such thing" (404, no code, revert) and for how
 * long it may be remembered; 0 when it is not. */
int64_t source_negative_s(const struct source *source);
/* How long a location asked to be left alone (Retry-After), 0 when it did not. NULL is fine. */
int64_t source_retry_s(const struct source *source);

#endif
