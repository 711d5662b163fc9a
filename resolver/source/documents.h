/* resolver/source/documents.h - the documents of approved releases: at hand, or to be had from
 * anywhere by their SHA-256; and what they say (ethereum.md 3.1 "Payload", 3.2). Private to
 * resolver/source/. */
#ifndef MS_SOURCE_DOCUMENTS_H
#define MS_SOURCE_DOCUMENTS_H

#include "resolver/source/kinds.h"
#include "resolver/source/registry.h"
#include "sig/message.h"

struct documents {
    size_t n;
    const struct registry_release *releases;    /* `payload` is set where it is at hand */
    bool unneeded[REGISTRY_RELEASES_MAX];       /* withdrawn, or its time is over */
    size_t out;                                 /* asked for and not answered */
    size_t release_of[SOURCE_REQUESTS_MAX + 1]; /* by request id: index of the release, plus one */
    struct ms_span payloads[REGISTRY_RELEASES_MAX]; /* empty: unneeded and not at hand */
};

/* The releases of a signed set; those whose time is over are unneeded. false: the attempt has
 * failed, memory is short. */
bool documents_of_set(struct source *s, struct documents *d, const struct msig_release_set *set);
/* Release i, with its document where that is at hand, into the result. false: the attempt has
 * failed. */
bool documents_add_release(struct source *s, const struct documents *d, size_t i);

/* Ask for what is needed and not at hand. false: the attempt has failed. */
bool documents_ask(struct source *s, struct documents *d);
/* false: no answer to such a request, or the attempt has failed. */
bool documents_take(struct source *s, struct documents *d, const struct source_response *response);
/* Read the document of one release; its warnings go to the result. false: the attempt has failed.
 */
bool documents_read(struct source *s, const struct documents *d, size_t i, struct rec_set *set);

#endif
