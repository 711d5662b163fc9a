/* The daemon's signing key: made once, never replaced, never taken when others could read it. */
#define _GNU_SOURCE /* mkdtemp */
#include "resolver/daemon/identity.h"

#include "base/hex.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64], key_path[96], pub_path[96];

static int set_up(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof(dir), "/tmp/identity.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(key_path, sizeof(key_path), "%s/%s", dir, IDENTITY_FILE);
    (void)snprintf(pub_path, sizeof(pub_path), "%s/%s", dir, IDENTITY_PUBLIC_FILE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(key_path);
    (void)unlink(pub_path);
    return rmdir(dir); /* nothing else was left */
}

static struct identity *must_open(void)
{
    struct identity *id = NULL;
    struct ms_diag diag = {0};
    enum ms_err err = identity_open(dir, &id, &diag);
    if (err != MS_OK)
        fail_msg("%s: %s", ms_err_name(err), diag.text);
    return id;
}

static void must_refuse(const char *says)
{
    struct identity *id = NULL;
    struct ms_diag diag = {0};
    assert_int_equal(identity_open(dir, &id, &diag), MS_ERR_IO);
    assert_null(id);
    if (strstr(diag.text, says) == NULL)
        fail_msg("%s", diag.text);
}

static void write_text(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 07777;
}

static void test_made_once(void **state)
{
    (void)state;
    uint8_t public_key[IDENTITY_PUBLIC_BYTES];
    char key_id[65];

    struct identity *id = must_open();
    memcpy(public_key, identity_public(id), sizeof(public_key));
    (void)snprintf(key_id, sizeof(key_id), "%s", identity_key_id(id));
    identity_free(id);
    assert_int_equal(mode_of(key_path), 0600);
    assert_int_equal(mode_of(pub_path), 0644);
    struct ms_sha256 hash = ms_sha256(ms_span_of(public_key, sizeof(public_key)));
    char want[65];
    ms_sha256_hex(&hash, want);
    assert_string_equal(key_id, want);

    id = must_open(); /* the same again */
    assert_memory_equal(identity_public(id), public_key, sizeof(public_key));
    identity_free(id);
    assert_int_equal(unlink(pub_path), 0);
    id = must_open(); /* the public file is made again, the key is not */
    assert_memory_equal(identity_public(id), public_key, sizeof(public_key));
    identity_free(id);
    assert_int_equal(mode_of(pub_path), 0644);
    write_text(pub_path, "something else\n", 0644);
    id = must_open();
    identity_free(id);
    char text[256] = "";
    int fd = open(pub_path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
    assert_int_equal(close(fd), 0);
    assert_non_null(strstr(text, "BEGIN PUBLIC KEY"));
    identity_free(NULL);
}

static void test_signs(void **state)
{
    (void)state;
    static const char text[] = "a statement\n";
    uint8_t signature[IDENTITY_SIGNATURE_BYTES], again[IDENTITY_SIGNATURE_BYTES], other[32];
    struct identity *id = must_open();

    assert_int_equal(identity_sign(id, ms_span_str(text), signature), MS_OK);
    assert_int_equal(identity_sign(id, ms_span_str(text), again), MS_OK);
    assert_memory_equal(signature, again, sizeof(again)); /* RFC 8032: no randomness in it */
    assert_true(identity_verify(identity_public(id), ms_span_str(text), signature));
    assert_false(identity_verify(identity_public(id), ms_span_str("a statement"), signature));
    for (size_t i = 0; i < sizeof(signature); i++) {
        signature[i] ^= 1;
        assert_false(identity_verify(identity_public(id), ms_span_str(text), signature));
        signature[i] ^= 1;
    }
    memcpy(other, identity_public(id), sizeof(other));
    other[3] ^= 4;
    assert_false(identity_verify(other, ms_span_str(text), signature));
    identity_free(id);
}

/* RFC 8032, 7.1, TEST 2: the key as openssl writes it; the signature is the one printed there. */
static void test_known_key(void **state)
{
    (void)state;
    static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7\n"
                              "-----END PRIVATE KEY-----\n";
    static const char hex[] = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                              "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    uint8_t signature[IDENTITY_SIGNATURE_BYTES], want[IDENTITY_SIGNATURE_BYTES];

    write_text(key_path, pem, 0600);
    struct identity *id = must_open();
    char public_hex[65];
    ms_hex_encode(ms_span_of(identity_public(id), IDENTITY_PUBLIC_BYTES), public_hex);
    assert_string_equal(public_hex,
                        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    assert_int_equal(ms_hex_decode(ms_span_str(hex), want, sizeof(want)), MS_OK);
    assert_int_equal(identity_sign(id, ms_span_str("\x72"), signature), MS_OK);
    assert_memory_equal(signature, want, sizeof(want));
    identity_free(id);
}

static void test_refused(void **state)
{
    (void)state;
    struct stat before, after;

    write_text(key_path, "no key\n", 0600);
    assert_int_equal(stat(key_path, &before), 0);
    must_refuse("holds no Ed25519 key");
    assert_int_equal(stat(key_path, &after), 0);
    assert_true(before.st_ino == after.st_ino && before.st_size == after.st_size); /* kept */
    write_text(key_path, "", 0600);
    must_refuse("holds no Ed25519 key");
    /* a key of another kind: P-256, from `openssl genpkey` */
    write_text(key_path,
               "-----BEGIN PRIVATE KEY-----\n"
               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgAQEBAQEBAQEBAQEB\n"
               "AQEBAQEBAQEBAQEBAQEBAQEBAQGhRANCAARv8D2VgkHOHdQJznNGgfjWT2Cbb2Sz\n",
               0600);
    must_refuse("holds no Ed25519 key");
    assert_int_equal(unlink(key_path), 0);

    struct identity *id = must_open();
    identity_free(id);
    assert_int_equal(chmod(key_path, 0640), 0);
    must_refuse("may be read by others");
    assert_int_equal(chmod(key_path, 0600), 0);
    id = must_open();
    identity_free(id);

    char moved[128];
    (void)snprintf(moved, sizeof(moved), "%s.moved", key_path);
    assert_int_equal(rename(key_path, moved), 0);
    assert_int_equal(symlink(moved, key_path), 0);
    must_refuse(key_path); /* a link may lead anywhere */
    assert_int_equal(unlink(moved), 0);
    must_refuse(key_path); /* and one that leads nowhere is no missing key */
    assert_int_equal(unlink(key_path), 0);
    assert_int_equal(mkdir(key_path, 0700), 0);
    must_refuse("no regular file");
    assert_int_equal(rmdir(key_path), 0);
}

static void test_no_folder(void **state)
{
    (void)state;
    struct identity *id = NULL;
    struct ms_diag diag = {0};
    assert_int_equal(identity_open("/nonexistent/folder", &id, &diag), MS_ERR_IO);
    assert_non_null(strstr(diag.text, "cannot be written"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_known_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test(test_no_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
