/* resolver/daemon/fetch_trust.h - which certificates the fetcher believes: the system's anchors and
 * those of ca-file, read once, and the peer certificate as evidence. Needs OpenSSL under libcurl.
 * Not thread-safe. */
#ifndef MS_FETCH_TRUST_H
#define MS_FETCH_TRUST_H

#include "base/digest.h"
#include "base/err.h"

struct fetch_trust;

/* The system's anchors are those libcurl was built to use, else OpenSSL's own; it is no error when
 * there are none, then nothing verifies but what ca_file (may be NULL) holds. MS_ERR_CONFIG:
 * ca_file cannot be read or has no certificate in it. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err fetch_trust_new(const char *ca_file, struct fetch_trust **ret_trust,
                                        struct ms_diag *diag);
void fetch_trust_free(struct fetch_trust *trust);

/* Make an SSL_CTX verify by these anchors and no others. */
void fetch_trust_apply(const struct fetch_trust *trust, void *ssl_ctx);

/* SHA-256 of the certificate (DER) of an SSL's peer; false when it has none. */
bool fetch_trust_peer(void *ssl, struct ms_sha256 *ret_hash);

#endif
