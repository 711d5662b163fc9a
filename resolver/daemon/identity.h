/* resolver/daemon/identity.h - the daemon's own Ed25519 key (RFC 8032), kept in state-dir: what
 * this daemon says can be told from what others say.
 *
 * The key signs whatever bytes it is given, so who signs begins them with a domain of its own
 * ("measured/boot-decision/1"), that no statement of one kind can pass for one of another.
 * An identity does not change once loaded; identity_sign may be called from any thread. */
#ifndef MS_DAEMON_IDENTITY_H
#define MS_DAEMON_IDENTITY_H

#include "base/digest.h"

#define IDENTITY_PUBLIC_BYTES 32u
#define IDENTITY_SIGNATURE_BYTES 64u
#define IDENTITY_FILE "signing.key"        /* PKCS #8 in PEM, 0600 */
#define IDENTITY_PUBLIC_FILE "signing.pub" /* SubjectPublicKeyInfo in PEM, 0644 */

struct identity;

/* Read DIR/signing.key, or make it when there is none: written beside, synced, then renamed without
 * replacing, so that two daemons never go on with different keys. DIR/signing.pub is written anew
 * where it is missing or another.
 * MS_ERR_IO  a file cannot be read or written, belongs to somebody else, or others may read it;
 *            or it holds no Ed25519 key: it is never replaced, diag says what to do
 * MS_ERR_MEMORY, MS_ERR_INTERNAL (OpenSSL) */
MS_MUST_USE enum ms_err identity_open(const char *dir, struct identity **ret_identity,
                                      struct ms_diag *diag);
/* NULL is fine. The secret is wiped. */
void identity_free(struct identity *identity);

/* MS_ERR_INTERNAL */
MS_MUST_USE enum ms_err identity_sign(const struct identity *identity, struct ms_span bytes,
                                      uint8_t ret_signature[IDENTITY_SIGNATURE_BYTES]);
/* The 32 bytes of RFC 8032; borrowed. */
const uint8_t *identity_public(const struct identity *identity);
/* 64 hex digits: SHA-256 of those 32 bytes; borrowed. */
const char *identity_key_id(const struct identity *identity);

/* What a verifier does. false: it is not that key's signature of these bytes. */
bool identity_verify(const uint8_t public_key[IDENTITY_PUBLIC_BYTES], struct ms_span bytes,
                     const uint8_t signature[IDENTITY_SIGNATURE_BYTES]);

#endif
