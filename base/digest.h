/* base/digest.h - SHA-256 and HMAC-SHA-256 from OpenSSL, constant-time comparison, wiping. Pure. */
#ifndef MS_BASE_DIGEST_H
#define MS_BASE_DIGEST_H

#include "base/err.h"
#include "base/span.h"

#define MS_SHA256_BYTES 32

struct ms_sha256 {
    uint8_t b[MS_SHA256_BYTES];
};

/* OpenSSL's one-shot digest cannot fail short of memory corruption; a failure aborts in debug
 * builds and gives all zero otherwise, which matches nothing. */
struct ms_sha256 ms_sha256(struct ms_span bytes);
/* Over the concatenation of parts. */
struct ms_sha256 ms_sha256_parts(const struct ms_span *parts, size_t n);
struct ms_sha256 ms_hmac_sha256(struct ms_span key, struct ms_span bytes);
bool ms_sha256_eq(const struct ms_sha256 *a, const struct ms_sha256 *b);
/* 64 lower-case digits and a NUL. */
void ms_sha256_hex(const struct ms_sha256 *hash, char out[2 * MS_SHA256_BYTES + 1]);

/* Same time whatever differs; for secrets and authentication codes. */
bool ms_equal_secret(const void *a, const void *b, size_t len);
void ms_wipe(void *secret, size_t len);

#endif
