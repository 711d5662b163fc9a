/* resolver/entry/leaf.h - an entry of the transparency log: one accepted change as one JSON line
 * with its members in a fixed order (ethereum.md 7.2, docs/transparency-log.md). Equal entries are
 * equal bytes, and only those bytes are read: its SHA-256 names it. Pure. */
#ifndef MS_LEAF_H
#define MS_LEAF_H

#include "resolver/spec/spec.h"

#define LEAF_MAX_BYTES 1024u
#define LEAF_STATE_MAX 16u

struct leaf {
    uint64_t n;                 /* 1 for the first of the log */
    int64_t time_s;             /* wall clock; not before 1970 */
    struct ms_sha256 spec;      /* key of the specifier */
    enum spec_level level;      /* SPEC_LEVEL_NONE: null */
    char state[LEAF_STATE_MAX]; /* lower-case letters: good, hold, conflict, ... */
    bool has_sequence;
    uint64_t sequence;
    bool has_commitment;
    struct ms_sha256 commitment; /* what makes two results of one sequence equal */
    struct ms_sha256 result;     /* hash of the set */
    bool has_evidence;
    struct ms_sha256 evidence; /* of the bundle */
    bool has_policy;
    struct ms_sha256 policy; /* of the bundle's member `policy` */
    bool has_prev;
    struct ms_sha256 prev; /* of the entry before it of the same specifier */
};

/* The line without a newline. MS_ERR_ARGUMENT n is 0, the time is negative or the state no word. */
MS_MUST_USE enum ms_err leaf_print(const struct leaf *leaf, struct ms_buf *out);
/* Exactly what leaf_print writes. MS_ERR_SYNTAX. */
MS_MUST_USE enum ms_err leaf_parse(struct ms_span text, struct leaf *ret_leaf);

#endif
