/* resolver/daemon/fetch_trust.c - one X509_STORE for all transfers: parsing the system's bundle for
 * each connection would cost the core's thread more than the handshake. */
#define _GNU_SOURCE
#include "resolver/daemon/fetch_trust.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

struct fetch_trust {
    X509_STORE *store;
};

static void add_system(X509_STORE *store)
{
    const char *file = NULL;
    CURL *easy = curl_easy_init();

    if (easy != NULL)
        (void)curl_easy_getinfo(easy, CURLINFO_CAINFO, &file);
    if (file == NULL || X509_STORE_load_file(store, file) != 1)
        (void)X509_STORE_set_default_paths(store);
    curl_easy_cleanup(easy);
    ERR_clear_error();
}

enum ms_err fetch_trust_new(const char *ca_file, struct fetch_trust **ret_trust,
                            struct ms_diag *diag)
{
    struct fetch_trust *trust = calloc(1, sizeof(*trust));
    enum ms_err err = MS_ERR_MEMORY;

    if (trust == NULL)
        return MS_ERR_MEMORY;
    trust->store = X509_STORE_new();
    if (trust->store == NULL)
        goto out;
    /* As curl does: an intermediate or a server's own certificate in ca-file is an anchor too. */
    (void)X509_STORE_set_flags(trust->store, X509_V_FLAG_PARTIAL_CHAIN);
    add_system(trust->store);
    err = MS_OK;
    if (ca_file != NULL && X509_STORE_load_file(trust->store, ca_file) != 1)
        err = ms_diag_set(diag, MS_ERR_CONFIG, "ca-file %s cannot be read as PEM certificates: %s",
                          ca_file, ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    if (err != MS_OK)
        goto out;
    *ret_trust = trust;
    trust = NULL;
out:
    fetch_trust_free(trust);
    return err;
}

void fetch_trust_free(struct fetch_trust *trust)
{
    if (trust == NULL)
        return;
    X509_STORE_free(trust->store);
    free(trust);
}

void fetch_trust_apply(const struct fetch_trust *trust, void *ssl_ctx)
{
    SSL_CTX_set1_cert_store(ssl_ctx, trust->store);
}

bool fetch_trust_peer(void *ssl, struct ms_sha256 *ret_hash)
{
    unsigned len = 0;
    X509 *peer = SSL_get1_peer_certificate(ssl);

    bool ok = peer != NULL && X509_digest(peer, EVP_sha256(), ret_hash->b, &len) == 1;
    X509_free(peer);
    return ok;
}
