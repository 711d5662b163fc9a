/* measured/feed_format.h - the bytes of the feed, shared by the daemon that writes them and
 * libmeasured that reads them. docs/feed.md specifies them; this header is not installed and no
 * part of the API.
 *
 * Every number is little-endian. The structures have no padding and are laid out as they stand in
 * memory on little-endian machines; others are not supported (a static assertion says so). */
#ifndef MEASURED_FEED_FORMAT_H
#define MEASURED_FEED_FORMAT_H

#include <stddef.h>
#include <stdint.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the feed's bytes are little-endian");

#define FEED_VERSION 1u
#define FEED_NEVER INT64_MAX

/* ---- messages: one packet each, struct feed_message and then the body of its type ---- */

#define FEED_MAGIC 0x4446534du /* "MSFD" */
#define FEED_TEXT_MAX_BYTES 64000u
#define FEED_CODE_BYTES 32u
#define FEED_WHY_MAX_BYTES 255u
#define FEED_MESSAGE_MAX_BYTES (sizeof(struct feed_message) + 8 + FEED_TEXT_MAX_BYTES)
#define FEED_SUBS_MAX 65536u /* of one connection */

enum feed_type {
    /* reader to daemon */
    FEED_HELLO = 1,       /* struct feed_hello; first, once */
    FEED_SUBSCRIBE = 2,   /* struct feed_subscribe, then the text to the packet's end */
    FEED_UNSUBSCRIBE = 3, /* nothing */
    /* daemon to reader */
    FEED_WELCOME = 129,  /* struct feed_hello; first, once */
    FEED_SNAPSHOT = 130, /* struct feed_snapshot, and one descriptor beside it */
    FEED_RENEW = 131,    /* struct feed_renew */
    FEED_ERROR = 132,    /* struct feed_error, then the sentence to the packet's end */
};

struct feed_message {
    uint32_t magic;
    uint16_t type;
    uint16_t reserved; /* 0 */
    uint32_t sub;      /* the reader's number of a subscription; 0: the connection */
    uint32_t size;     /* of the whole packet */
};

struct feed_hello {
    uint16_t version_min, version_max; /* of a WELCOME: both the chosen one */
    uint32_t reserved;
    int64_t boot_ms; /* the sender's CLOCK_BOOTTIME */
};

enum feed_text { FEED_TEXT_SPECIFIER = 0, FEED_TEXT_URL = 1 };

struct feed_subscribe {
    uint32_t text; /* enum feed_text */
    uint32_t reserved;
};

struct feed_snapshot {
    uint64_t generation;
    uint64_t size; /* of the descriptor's file */
};

struct feed_renew {
    uint64_t generation; /* of the snapshot that it speaks of: the last one sent */
    int64_t fresh_until_ms, hard_until_ms;
    uint32_t state;
    uint32_t reserved;
};

struct feed_error {
    char code[FEED_CODE_BYTES]; /* NUL-padded */
};

/* ---- the snapshot ---- */

#define FEED_SNAPSHOT_MAGIC UINT64_C(0x0031504e53534d4d) /* "MMSSNP1", NUL */
#define FEED_SNAPSHOT_MAX_BYTES ((uint64_t)64 << 20)

/* As the states of the API (measured_state), numbered for ever. */
enum feed_state {
    FEED_STATE_FRESH = 1,
    FEED_STATE_SWR = 2,
    FEED_STATE_SIE = 3,
    FEED_STATE_EXPIRED = 4,
    FEED_STATE_NEGATIVE = 5,
    FEED_STATE_REVOKED = 6,
    FEED_STATE_HOLD = 7,
    FEED_STATE_CONFLICT = 8,
    FEED_STATE_CLOCK_SUSPECT = 9,
};

#define FEED_FLAG_SERVE \
    1u /* checks may be answered; without it there are no releases and no records */

/* Sections follow in this order, each beginning at a multiple of 8, the last one ends at `size`. */
struct feed_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes; /* sizeof(struct feed_header) */
    uint64_t size;         /* of the whole file */
    uint64_t generation;
    uint64_t sequence;
    int64_t built_boot_ms; /* when the core published it */
    int64_t fresh_until_ms, hard_until_ms;
    uint32_t state; /* enum feed_state */
    uint32_t flags;
    uint8_t key[32];      /* of the specifier */
    uint8_t set_hash[32]; /* of all releases */
    uint64_t hash_seed;   /* random; of feed_hash */
    uint32_t releases_off, n_releases;
    uint32_t records_off, records_bytes;
    uint32_t shapes_off, n_shapes;
    uint32_t slots_off, n_slots;
    uint32_t strings_off, strings_bytes;
    uint32_t n_records;
    uint32_t reserved;
};
_Static_assert(sizeof(struct feed_header) == 192, "no padding");

struct feed_release {
    uint64_t id;
    int64_t from_ms, until_ms;           /* in force while from <= CLOCK_BOOTTIME < until */
    int64_t not_before_s, not_after_s;   /* what governance says, Unix time; 0: nothing */
    uint32_t version_off, version_bytes; /* of the strings */
};
_Static_assert(sizeof(struct feed_release) == 48, "no padding");

enum feed_class {
    FEED_CLASS_AZURE = 1, /* azure-tdx: values of 32 bytes */
    FEED_CLASS_DCAP = 2,  /* dcap-tdx, gcp-tdx, qemu-tdx: 48 bytes */
};

#define FEED_REGISTERS 24u
#define FEED_ALTERNATIVES_MAX 64u

/* One record: this, its registers by rising index, their values; the next one begins after `bytes`,
 * a multiple of
 * 8. Records stand in the order in which they are to match: by release, then as in its document. */
struct feed_record {
    uint32_t bytes;
    uint32_t order;   /* 0, 1, 2 .. */
    uint32_t release; /* index; never falls from one record to the next */
    uint32_t id_off;  /* of the strings */
    uint16_t id_bytes;
    uint8_t class_;
    uint8_t n_registers; /* at least 1 */
    uint32_t mask;       /* bit n: register n is among them */
};
_Static_assert(sizeof(struct feed_record) == 24, "no padding");

struct feed_register {
    uint8_t index;
    uint8_t n_values;    /* at least 1; sorted, unique */
    uint16_t values_off; /* from the beginning of the record, in units of 8 bytes */
};
_Static_assert(sizeof(struct feed_register) == 4, "no padding");

/* Records that pin the same registers share a hash table. A record stands in it once for every
 * choice of values for the registers in key_mask. */
struct feed_shape {
    uint32_t class_;
    uint32_t mask;     /* registers pinned */
    uint32_t key_mask; /* registers hashed, part of mask, not empty */
    uint32_t n_slots;  /* power of two; at least one is empty */
    uint32_t first_slot;
    uint32_t reserved;
};
_Static_assert(sizeof(struct feed_shape) == 24, "no padding");

struct feed_slot {
    uint32_t tag;    /* upper half of the hash */
    uint32_t record; /* 0: empty; else 1 + offset from records_off, in units of 8 bytes */
};
_Static_assert(sizeof(struct feed_slot) == 8, "no padding");

/* The hash of a choice of values: feed_hash_begin with the seed, feed_hash_value for each register
 * in key_mask by rising index, feed_hash_end. The place to begin looking is its lower half, modulo
 * n_slots; what does not fit there goes to the next slot, around the end. It only finds records:
 * what is found is compared byte by byte, so a collision costs time and decides nothing, and the
 * seed keeps collisions from being made on purpose. */
static inline uint64_t feed_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 u128;
    u128 product = (u128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t feed_hash_word(const uint8_t *bytes)
{
    uint64_t word;

    __builtin_memcpy(&word, bytes, sizeof(word));
    return word;
}

#define FEED_HASH_K0 UINT64_C(0x9e3779b97f4a7c15) /* 2^64 / golden ratio */
#define FEED_HASH_K1 UINT64_C(0xbb67ae8584caa73b) /* 2^64 (sqrt 3 - 1) */

static inline uint64_t feed_hash_begin(uint64_t seed)
{
    return feed_hash_mix(seed ^ FEED_HASH_K0, FEED_HASH_K1);
}

/* `bytes` is 32 or 48. Both factors depend on the seed, so that nobody can choose a value that
 * makes one of them 0. */
static inline uint64_t feed_hash_value(uint64_t hash, uint64_t seed, uint32_t index,
                                       const uint8_t *value, size_t bytes)
{
    hash ^= index * FEED_HASH_K1;
    for (size_t i = 0; i < bytes; i += 16)
        hash =
            feed_hash_mix(feed_hash_word(value + i) ^ hash, feed_hash_word(value + i + 8) ^ seed);
    return hash;
}

static inline uint64_t feed_hash_end(uint64_t hash)
{
    return feed_hash_mix(hash ^ FEED_HASH_K1, FEED_HASH_K0);
}

#endif
