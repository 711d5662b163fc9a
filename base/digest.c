/* base/digest.c - SHA-256 from OpenSSL. */
#include "base/digest.h"

#include "base/hex.h"

#include <assert.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

struct ms_sha256 ms_sha256(struct ms_span bytes)
{
    return ms_sha256_parts(&bytes, 1);
}

struct ms_sha256 ms_sha256_parts(const struct ms_span *parts, size_t n)
{
    struct ms_sha256 out = {0};
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

    for (size_t i = 0; ok && i < n; i++)
        if (parts[i].len > 0)
            ok = EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].len) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, out.b, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    assert(ok);
    if (!ok)
        out = (struct ms_sha256){0};
    return out;
}

struct ms_sha256 ms_hmac_sha256(struct ms_span key, struct ms_span bytes)
{
    struct ms_sha256 out = {0};
    unsigned len = 0;

    assert(key.len <= INT_MAX);
    if (HMAC(EVP_sha256(), key.ptr, (int)key.len, bytes.ptr, bytes.len, out.b, &len) == NULL ||
        len != sizeof(out.b))
        out = (struct ms_sha256){0};
    return out;
}

bool ms_sha256_eq(const struct ms_sha256 *a, const struct ms_sha256 *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void ms_sha256_hex(const struct ms_sha256 *hash, char out[2 * MS_SHA256_BYTES + 1])
{
    ms_hex_encode(ms_span_of(hash->b, sizeof(hash->b)), out);
}

bool ms_equal_secret(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

void ms_wipe(void *secret, size_t len)
{
    OPENSSL_cleanse(secret, len);
}
