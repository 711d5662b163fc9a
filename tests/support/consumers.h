/* tests/support/consumers.h - the rules by which the consumers of profiles read what they are given
 * (consumers.md 1.1 to 1.7), written down once more and with nothing of ours in them, so that a
 * rendering can be held against who will read it. */
#ifndef MS_TESTS_CONSUMERS_H
#define MS_TESTS_CONSUMERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum consumer {
    CONSUMER_REFUSES = 0,
    CONSUMER_ACCEPTS,
    CONSUMER_BROKEN, /* it does not take the file at all: it does not start, or answers errors */
};

#define PEER_REGISTERS 24
struct peer {                        /* whose evidence was verified, and what it shows */
    const char *type;                /* "azure-tdx", "dcap-tdx", "gcp-tdx", "qemu-tdx" */
    const char *hex[PEER_REGISTERS]; /* lower case; NULL: it shows none */
};

enum consumer consumer_cvm(const json_t *file, const struct peer *peer);
enum consumer consumer_atls_1(const json_t *file, const struct peer *peer);
enum consumer consumer_atls_2(const json_t *file, const struct peer *peer);

/* After every record of the list was posted and activated. */
enum consumer consumer_builderhub(const json_t *posted, const struct peer *peer);

struct boot { /* of dstack's KMS: hex without 0x */
    bool kms; /* /bootAuth/kms, not /bootAuth/app */
    const char *app, *compose, *image, *device, *mr_aggregated, *tcb;
    const char *advisory; /* NULL: none */
};
enum consumer consumer_dstack_auth(const json_t *file, const struct boot *boot);
enum consumer consumer_auth_simple(const json_t *file, const struct boot *boot);

/* A policy that demands of every name of trustee's values that the evidence has one of them, over
 * the file of LocalJson; and over what a KBS that had `before` (NULL: nothing) has after the
 * message. A name is gone only with the file. */
enum consumer consumer_rvps_localjson(const json_t *file, const struct peer *peer);
enum consumer consumer_rvps_sample(const json_t *message, const json_t *before,
                                   const struct peer *peer);
/* The values that a message registers, name to list: a new reference, or NULL. */
json_t *consumer_rvps_payload(const json_t *message);

#endif
