/* resolver/daemon/identity.c - the daemon's signing key. */
#define _GNU_SOURCE
#include "resolver/daemon/identity.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX_BYTES 4096u
#define PATH_MAX_BYTES 4200u

struct identity {
    EVP_PKEY *key;
    uint8_t public_key[IDENTITY_PUBLIC_BYTES];
    char key_id[2 * MS_SHA256_BYTES + 1];
};

static enum ms_err path_of(const char *dir, const char *name, char out[PATH_MAX_BYTES],
                           struct ms_diag *diag)
{
    int n = snprintf(out, PATH_MAX_BYTES, "%s/%s", dir, name);
    return n > 0 && (size_t)n < PATH_MAX_BYTES ? MS_OK
                                               : ms_diag_set(diag, MS_ERR_IO, "path is too long");
}

/* ---- PEM ---- */

static int no_passphrase(char *out, int size, int writing, void *arg)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)arg;
    return -1; /* never ask on a terminal */
}

static EVP_PKEY *key_of_pem(struct ms_span pem)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);

    BIO_free(bio);
    if (key != NULL && EVP_PKEY_get_id(key) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

static enum ms_err pem_of_key(const EVP_PKEY *key, bool secret, struct ms_buf *out)
{
    BIO *bio = BIO_new(secret ? BIO_s_secmem() : BIO_s_mem());
    char *text = NULL;
    enum ms_err err = MS_ERR_INTERNAL;

    if (bio == NULL)
        return MS_ERR_MEMORY;
    int ok = secret ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                    : PEM_write_bio_PUBKEY(bio, key);
    long n = ok == 1 ? BIO_get_mem_data(bio, &text) : 0;
    if (n > 0)
        err = ms_buf_add(out, ms_span_of(text, (size_t)n));
    BIO_free(bio);
    return err;
}

/* ---- files ---- */

static enum ms_err read_fd(int fd, struct ms_buf *out)
{
    for (;;) {
        uint8_t *room = ms_buf_room(out, 512);
        if (room == NULL)
            return ms_buf_err(out);
        ssize_t n = read(fd, room, 512);
        if (n == 0)
            return MS_OK;
        if (n > 0)
            out->len += (size_t)n;
        else if (errno != EINTR)
            return MS_ERR_IO;
    }
}

/* A secret that others can read, or could have put there, is none. */
static enum ms_err check_secret(int fd, const char *path, struct ms_diag *diag)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return ms_diag_set(diag, MS_ERR_IO, "%s is no regular file", path);
    if (st.st_uid != geteuid())
        return ms_diag_set(diag, MS_ERR_IO, "%s belongs to another user", path);
    if ((st.st_mode & 077) != 0)
        return ms_diag_set(
            diag, MS_ERR_IO,
            "%s may be read by others (mode %04o): a key that was readable has to be "
            "replaced; remove it, and a new one is made",
            path, (unsigned)(st.st_mode & 07777));
    return MS_OK;
}

/* *ret_found false: there is no such file. */
static enum ms_err load_key(const char *path, EVP_PKEY **ret_key, bool *ret_found,
                            struct ms_diag *diag)
{
    struct ms_buf pem = MS_BUF_INIT(FILE_MAX_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *ret_found = fd >= 0 || errno != ENOENT;
    if (fd < 0)
        return !*ret_found ? MS_OK : ms_diag_set(diag, MS_ERR_IO, "%s: %s", path, strerror(errno));
    enum ms_err err = check_secret(fd, path, diag);
    if (err == MS_OK && read_fd(fd, &pem) != MS_OK)
        err = ms_diag_set(diag, MS_ERR_IO, "%s cannot be read, or is no key", path);
    (void)close(fd);
    if (err == MS_OK) {
        *ret_key = key_of_pem(ms_buf_span(&pem));
        if (*ret_key == NULL)
            err = ms_diag_set(diag, MS_ERR_IO,
                              "%s holds no Ed25519 key in PEM; it is not replaced, because "
                              "signatures by the old key would be lost: restore it or remove it",
                              path);
    }
    if (pem.ptr != NULL)
        ms_wipe(pem.ptr, pem.len);
    ms_buf_done(&pem);
    return err;
}

static bool write_all(int fd, struct ms_span text)
{
    for (size_t done = 0; done < text.len;) {
        ssize_t n = write(fd, text.ptr + done, text.len - done);
        if (n < 0 && errno != EINTR)
            return false;
        done += n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

/* `replace` false: what is there already stays, and that is no error. */
static enum ms_err write_file(const char *dir, const char *name, struct ms_span text, mode_t mode,
                              bool replace, struct ms_diag *diag)
{
    char path[PATH_MAX_BYTES], fresh[PATH_MAX_BYTES + 16];
    enum ms_err err = path_of(dir, name, path, diag);

    if (err != MS_OK)
        return err;
    (void)snprintf(fresh, sizeof(fresh), "%s.XXXXXX", path);
    int fd = mkostemp(fresh, O_CLOEXEC);
    if (fd < 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, text) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    if (ok && replace)
        ok = rename(fresh, path) == 0;
    else if (ok)
        ok = link(fresh, path) == 0 || errno == EEXIST;
    if (!ok)
        err = ms_diag_set(diag, MS_ERR_IO, "%s cannot be written: %s", path, strerror(errno));
    if (!ok || !replace)
        (void)unlink(fresh);
    sync_dir(dir);
    return err;
}

static enum ms_err make_key(const char *dir, struct ms_diag *diag)
{
    struct ms_buf pem = MS_BUF_INIT(FILE_MAX_BYTES);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    enum ms_err err = key == NULL ? MS_ERR_INTERNAL : pem_of_key(key, true, &pem);

    if (err == MS_OK)
        err = write_file(dir, IDENTITY_FILE, ms_buf_span(&pem), 0600, false, diag);
    EVP_PKEY_free(key);
    if (pem.ptr != NULL)
        ms_wipe(pem.ptr, pem.len);
    ms_buf_done(&pem);
    return err;
}

/* For whoever verifies; a convenience, made from the key each time. */
static enum ms_err tell_public(const char *dir, const EVP_PKEY *key, struct ms_diag *diag)
{
    struct ms_buf pem = MS_BUF_INIT(FILE_MAX_BYTES), there = MS_BUF_INIT(FILE_MAX_BYTES);
    char path[PATH_MAX_BYTES];
    enum ms_err err = pem_of_key(key, false, &pem);

    if (err == MS_OK)
        err = path_of(dir, IDENTITY_PUBLIC_FILE, path, diag);
    if (err == MS_OK) {
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        bool same = fd >= 0 && read_fd(fd, &there) == MS_OK &&
                    ms_span_eq(ms_buf_span(&there), ms_buf_span(&pem));
        if (fd >= 0)
            (void)close(fd);
        if (!same)
            err = write_file(dir, IDENTITY_PUBLIC_FILE, ms_buf_span(&pem), 0644, true, diag);
    }
    ms_buf_done(&there);
    ms_buf_done(&pem);
    return err;
}

/* ---- the module ---- */

static enum ms_err open_key(const char *dir, EVP_PKEY **ret_key, struct ms_diag *diag)
{
    char path[PATH_MAX_BYTES];
    bool found = false;
    enum ms_err err = path_of(dir, IDENTITY_FILE, path, diag);

    if (err == MS_OK)
        err = load_key(path, ret_key, &found, diag);
    if (err != MS_OK || found)
        return err;
    err = make_key(dir, diag);
    if (err == MS_OK) /* what is there now, which may be another daemon's */
        err = load_key(path, ret_key, &found, diag);
    return err == MS_OK && !found ? MS_ERR_IO : err;
}

enum ms_err identity_open(const char *dir, struct identity **ret_identity, struct ms_diag *diag)
{
    struct identity *identity = calloc(1, sizeof(*identity));
    size_t len = IDENTITY_PUBLIC_BYTES;

    if (identity == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = open_key(dir, &identity->key, diag);
    if (err == MS_OK &&
        (EVP_PKEY_get_raw_public_key(identity->key, identity->public_key, &len) != 1 ||
         len != IDENTITY_PUBLIC_BYTES))
        err = MS_ERR_INTERNAL;
    if (err == MS_OK)
        err = tell_public(dir, identity->key, diag);
    if (err != MS_OK) {
        identity_free(identity);
        return err;
    }
    struct ms_sha256 id = ms_sha256(ms_span_of(identity->public_key, IDENTITY_PUBLIC_BYTES));
    ms_sha256_hex(&id, identity->key_id);
    *ret_identity = identity;
    return MS_OK;
}

void identity_free(struct identity *identity)
{
    if (identity == NULL)
        return;
    EVP_PKEY_free(identity->key); /* wipes the secret */
    free(identity);
}

enum ms_err identity_sign(const struct identity *identity, struct ms_span bytes,
                          uint8_t ret_signature[IDENTITY_SIGNATURE_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t signature[IDENTITY_SIGNATURE_BYTES];
    size_t len = sizeof(signature);

    bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, identity->key) == 1 &&
              EVP_DigestSign(ctx, signature, &len, bytes.ptr, bytes.len) == 1 &&
              len == sizeof(signature);
    EVP_MD_CTX_free(ctx);
    if (ok)
        memcpy(ret_signature, signature, sizeof(signature));
    return ok ? MS_OK : MS_ERR_INTERNAL;
}

const uint8_t *identity_public(const struct identity *identity)
{
    return identity->public_key;
}

const char *identity_key_id(const struct identity *identity)
{
    return identity->key_id;
}

bool identity_verify(const uint8_t public_key[IDENTITY_PUBLIC_BYTES], struct ms_span bytes,
                     const uint8_t signature[IDENTITY_SIGNATURE_BYTES])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, IDENTITY_PUBLIC_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    bool ok = key != NULL && ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(ctx, signature, IDENTITY_SIGNATURE_BYTES, bytes.ptr, bytes.len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok;
}
