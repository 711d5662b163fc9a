/* resolver/source/past_documents.h - the documents of releases of the past, which operations of a
 * registry name by SHA-256: fetched one after the other from wherever they can still be had, and
 * read (ethereum.md 3.1 "Payload", 3.5).
 *
 * Any source serves, because the hash proves the document. First the contract code that an approval
 * points to, asked of one endpoint after the other; then the uri, fetched like that of a live
 * release. A document that nobody has is no failure: why is told, and the next one is asked for.
 *
 * A fetch is a struct source: source_step, source_take_request, source_error, source_conduct and
 * source_free work on it, and one request is out at a time. Pure; not thread-safe. */
#ifndef MS_SOURCE_PAST_DOCUMENTS_H
#define MS_SOURCE_PAST_DOCUMENTS_H

#include "resolver/source/history_chain.h"
#include "resolver/source/source.h"

#define PAST_DOCUMENTS_MAX 16u      /* of one fetch: what a crash may lose */
#define PAST_HOSTS_MAX 16u          /* that do not answer as they should */
#define PAST_HOST_SILENT_POINTS 64u /* it does not answer, or asks to be left alone */
#define PAST_HOST_POINTS_MAX 192u   /* then it is not asked again: 3 silences, 192 other failures */
#define PAST_HOST_MAX_BYTES 256u    /* of a name; a longer one is not asked */
#define PAST_COMPLAINTS_MAX 8u

struct past_document {
    struct ms_sha256 hash;
    uint32_t size; /* bytes */
    uint64_t release;
    struct eth_addr pointer; /* contract code; zero: it is not on chain */
    const char *uri;         /* "": nowhere else; outlives the fetch */
};

/* Hosts that failed: a gone one is asked no more, however many documents it had, and when this is
 * full no host is asked that does not stand in it. */
struct past_hosts {
    size_t n;
    struct {
        char name[PAST_HOST_MAX_BYTES];
        unsigned points;
    } host[PAST_HOSTS_MAX];
};

struct past_documents {
    size_t n; /* 1 to PAST_DOCUMENTS_MAX */
    const struct past_document *wanted;
    bool known_code; /* the registry's code is known: its pointers never lead to other bytes, so an
                        endpoint that gives others has lied */
    struct past_hosts *hosts; /* the caller's, outlives the fetch; grows */
    uint32_t first_provider;
};

/* `spec` is a contract's and outlives the fetch. MS_ERR_NO_RPC, MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err source_past_documents_new(const struct spec *spec,
                                                  const struct source_policy *policy,
                                                  const struct past_documents *in,
                                                  struct ms_now now, struct source **ret_source,
                                                  struct ms_diag *diag);

struct past_document_outcome {
    bool ended; /* it was asked for everywhere, or found; false when the fetch failed before */
    bool found;
    struct ms_span bytes; /* of this hash and size; lives as long as the fetch */
    const char *from;     /* name of a provider of the policy, or "https" */
    struct ms_diag why;   /* ended and not found */
};
const struct past_document_outcome *source_past_document(const struct source *source, size_t i);

/* Who gave another document than the one that was approved. */
struct past_complaint {
    char name[PAST_HOST_MAX_BYTES]; /* of the provider, or the host */
    struct ms_diag diag;
};
size_t source_past_complaints(const struct source *source, const struct past_complaint **ret);

/* What a document of this payload format says. MS_ERR_UNSUPPORTED no such format; else as rec_parse
 * and ms_gunzip. `set` is initialised. */
MS_MUST_USE enum ms_err past_document_read(uint16_t format, struct ms_span document,
                                           struct rec_set *set, struct ms_diag *diag);

#endif
