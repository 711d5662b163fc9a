/* resolver/records/records.h - measurement records: what governance approves, in one canonical
 * shape.
 *
 * A record is a conjunction of register constraints, a set a disjunction of records. Reading a
 * document normalises every dialect (docs/measurements.md) and refuses what could be misread;
 * nothing is dropped silently. Pure; a rec_set is immutable once built and may be read from any
 * thread. */
#ifndef MS_RECORDS_H
#define MS_RECORDS_H

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"

/* Limits of one document (consumers.md 3.1; T5 body cap). */
#define REC_DOC_MAX_BYTES 262144u
#define REC_RECORDS_MAX 1000u
#define REC_REGISTERS_MAX 24u    /* TPM PCRs 0..23 */
#define REC_ALTERNATIVES_MAX 64u /* values of one register */
#define REC_ID_MAX_BYTES 256u
#define REC_VALUE_MAX_BYTES 48u /* SHA-384 */
#define REC_ARENA_MAX_BYTES ((size_t)16 << 20)
#define REC_WARNINGS_MAX 32u /* of one set; the last one then says that more were left out */

enum rec_type {
    REC_TYPE_UNKNOWN = 0, /* kept, shown, never matched, never rendered for a proxy */
    REC_TYPE_AZURE_TDX,   /* PCR 0..23, 32-byte values */
    REC_TYPE_DCAP_TDX,    /* 0 MRTD, 1..4 RTMR0..3, 48-byte values */
    REC_TYPE_GCP_TDX,     /* as DCAP; kept distinct, comparable as DCAP */
    REC_TYPE_QEMU_TDX,    /* as DCAP; another spelling of dcap-tdx */
};

struct rec_value {
    uint8_t b[REC_VALUE_MAX_BYTES];
    uint8_t len; /* bytes: 32 or 48 */
};

struct rec_register {
    uint32_t index;
    size_t n_values;          /* >= 1; sorted, unique */
    struct rec_value *values; /* in the set's arena */
};

struct rec_image {  /* portable policy of gcp-tdx (attested-tls dcap_image_hashes); all NULL when
                       absent */
    json_t *hashes; /* owned object: name to 96 lower-case digits; or NULL */
};

struct rec_record {
    const char *id; /* NUL-terminated, printable, may be "" */
    enum rec_type type;
    const char *type_text; /* as in the document */
    size_t n_registers;    /* >= 1 unless image.hashes is set; sorted by index, unique */
    struct rec_register *registers;
    struct rec_image image;
    json_t
        *raw; /* REC_TYPE_UNKNOWN: its `measurements` as read (owned); NULL for every other type */
};

enum rec_predicate_kind {
    REC_PREDICATE_NONE = 0,
    REC_PREDICATE_DSTACK_COMPOSE_HASH,
    REC_PREDICATE_DSTACK_OS_IMAGE,
    REC_PREDICATE_TDX_WORKLOAD_ID,
};

struct rec_predicate {
    enum rec_predicate_kind kind;
    uint32_t version; /* workload-id formula, 0 when it does not apply */
    uint8_t value[32];
};

struct rec_warning {
    const char *code; /* "L003", "eip55", ... */
    const char *text; /* one sentence, printable */
};

struct rec_set {
    struct ms_arena arena; /* owns everything below but json */
    size_t n_records;
    struct rec_record *records;
    size_t n_predicates;
    struct rec_predicate *predicates;
    size_t n_warnings;
    struct rec_warning *warnings;
};

enum rec_mode {
    REC_MODE_STRICT = 0, /* a document inside a specifier: vectors/specifiers pins this reading */
    REC_MODE_DIALECTS,   /* from https, a file, a contract: every input dialect */
    /* payloads of releases (ethereum.md 3.2): {"predicates": [...]} and nothing else, */
    REC_MODE_WORKLOAD_IDS, /* format 3: all of them tdx-workload-id */
    REC_MODE_DSTACK,       /* format 4: dstack-compose-hash, dstack-os-image */
};

void rec_set_init(struct rec_set *set);
void rec_set_done(struct rec_set *set);

/* For adapters that build a set without a document. MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err rec_set_add_predicate(struct rec_set *set,
                                              const struct rec_predicate *predicate);
/* `code` is a literal; the text is escaped. Lost when memory is out or REC_WARNINGS_MAX is reached.
 */
void rec_set_warn(struct rec_set *set, const char *code, const char *fmt, ...) MS_PRINTF(3, 4);

/* Read one document. On MS_OK set (initialised by rec_set_init) holds it; on error it is empty
 * again.
 * `[]` is MS_ERR_RECORDS in strict mode and the empty set in dialect mode.
 * MS_ERR_JSON*, MS_ERR_UTF8, MS_ERR_DEPTH, MS_ERR_LIMIT   as ms_json_parse
 * MS_ERR_RECORDS    wrong shape: not a list, empty measurements, warnOnly, a predicate of a kind
 *                   that the mode does not have, ...
 * MS_ERR_REGISTER   a register name or value
 * MS_ERR_TYPE       type `none`, missing, or nothing usable left
 * The sentence in diag names the record and the register. */
MS_MUST_USE enum ms_err rec_parse(struct ms_span text, enum rec_mode mode, struct rec_set *set,
                                  struct ms_diag *diag);
/* The payload format (ethereum.md 3.2) that a document at hand has: 3 or 4 for a list of predicates
 * of that format, 1 for everything else, readable or not. */
uint16_t rec_payload_format(struct ms_span document);
/* "measurement JSON", and what the other formats 1 to 4 are; static storage. */
const char *rec_payload_format_name(uint16_t format);

/* "dcap-tdx" and the like, exactly; REC_TYPE_UNKNOWN for everything else. */
enum rec_type rec_type_parse(struct ms_span text);
const char *rec_type_name(enum rec_type type);
/* Whether evidence of one type may satisfy a record of the other: azure-tdx with itself, the DCAP
 * family within itself, unknown with nothing. */
bool rec_type_comparable(enum rec_type a, enum rec_type b);
/* Bytes of a register value: 32 for azure-tdx, 48 for the DCAP family, 0 for unknown. */
size_t rec_type_value_bytes(enum rec_type type);
/* "mrtd", "rtmr0", "pcr4"; "?" when the type has no such register. Static storage. */
const char *rec_register_name(enum rec_type type, uint32_t index);

/* "dstack-compose-hash", "dstack-os-image", "tdx-workload-id"; REC_PREDICATE_NONE for anything
 * else. */
enum rec_predicate_kind rec_predicate_kind_parse(struct ms_span text);
const char *rec_predicate_kind_name(enum rec_predicate_kind kind);

/* SHA-256 over the canonical JSON of the set (sorted keys, no spaces, expected_any sorted, numeric
 * register keys; records sorted by their canonical text): equal sets have equal hashes whatever
 * their dialect and order. */
MS_MUST_USE enum ms_err rec_set_hash(const struct rec_set *set, struct ms_sha256 *ret_hash);
/* That canonical JSON text, an array, appended. */
MS_MUST_USE enum ms_err rec_set_canonical(const struct rec_set *set, struct ms_buf *out);

/* One record or predicate of it, appended: what a diff of two sets compares. */
MS_MUST_USE enum ms_err rec_record_canonical(const struct rec_record *record, struct ms_buf *out);
MS_MUST_USE enum ms_err rec_predicate_canonical(const struct rec_predicate *predicate,
                                                struct ms_buf *out);

/* ---- profiles (consumers.md 3.4) ---- */
enum rec_profile {
    REC_PROFILE_NONE = 0,
    REC_PROFILE_SEED,
    REC_PROFILE_ATLS_1,
    REC_PROFILE_ATLS_2,
    REC_PROFILE_CVM,
    REC_PROFILE_BUILDERHUB,
    REC_PROFILE_DSTACK_AUTH, /* the back-end in Rust */
    REC_PROFILE_AUTH_SIMPLE, /* the one in TypeScript: the same file, other rules */
    REC_PROFILE_RVPS_LOCALJSON,
    REC_PROFILE_RVPS_SAMPLE,
    REC_PROFILE_CSV,
    REC_PROFILE_MD,
};
#define REC_PROFILES (REC_PROFILE_MD + 1) /* for arrays by profile */
#define REC_CVM_EXPANSION_MAX 4096u
/* Of profiles that are lists of values: how many values a set may have, and how many combinations
 * of them are looked at to know that none is approved which the set does not approve. */
#define REC_FLAT_VALUES_MAX 65536u
#define REC_FLAT_COMBINATIONS_MAX 65536u

/* REC_PROFILE_NONE when there is no such profile. "rvps" is another name of rvps-localjson. */
enum rec_profile rec_profile_parse(struct ms_span name);
const char *rec_profile_name(enum rec_profile profile);
/* "seed, atls-1, ... and md", for sentences. Static storage. */
const char *rec_profile_names(void);
/* "application/json" and the like. Static storage. */
const char *rec_profile_media_type(enum rec_profile profile);
/* Whether a profile is about one app of dstack, so that rec_options.dstack counts. */
bool rec_profile_of_dstack(enum rec_profile profile);
/* Whether a record can be written in a profile: never one of unknown type or without registers,
 * except portable policies in atls-2, and anything in the tables for people. */
bool rec_expressible(const struct rec_record *record, enum rec_profile profile);

/* What is known of the app that compose hashes are for, beside them. Zero: nothing, which lets no
 * app and no device pass. */
#define REC_DSTACK_APP_BYTES 20u
#define REC_DSTACK_DEVICES_MAX 128u
struct rec_dstack {
    bool has_app;
    uint8_t app[REC_DSTACK_APP_BYTES]; /* its id: the address of its contract */
    bool any_device;
    size_t n_devices; /* unless any_device; none then lets no device pass */
    uint8_t devices[REC_DSTACK_DEVICES_MAX][32];
    bool tcb_up_to_date; /* governance demands it */
};
/* An app id: 40 hex digits in any case, or 0x and them. */
bool rec_dstack_app_parse(struct ms_span text, uint8_t ret_app[REC_DSTACK_APP_BYTES]);

struct rec_options {
    enum rec_profile profile;
    bool skip_unsupported;           /* cvm: leave out what cannot be expressed, and say so */
    int64_t valid_until_s;           /* Unix time, 0: no end. rvps-localjson */
    const struct rec_dstack *dstack; /* NULL: nothing is known */
};
/* Render the union of several sets (the releases in force), newline at its end. Nothing approved is
 * written as the consumer of the profile reads "refuse everybody" (docs/profiles.md). What a
 * profile cannot express is left out where that approves less, and then diag says so although the
 * result is MS_OK; where the consumer would approve more, there is no rendering. out is as it was
 * on an error other than MS_ERR_MEMORY and MS_ERR_LIMIT. MS_ERR_ARGUMENT   REC_PROFILE_NONE; a
 * profile of dstack and no app MS_ERR_PROFILE    the set cannot be expressed, diag says why
 * MS_ERR_EXPANSION  cvm: more than REC_CVM_EXPANSION_MAX records; rvps, dstack: beyond
 *                   REC_FLAT_VALUES_MAX or REC_FLAT_COMBINATIONS_MAX */
MS_MUST_USE enum ms_err rec_render(const struct rec_set *const *sets, size_t n_sets,
                                   const struct rec_options *options, struct ms_buf *out,
                                   struct ms_diag *diag);
/* One set as a JSON array of records in the atls-1 shape, and its predicates: the members `records`
 * and `predicates` of the envelope. New references. NULL when out of memory. */
json_t *rec_records_json(const struct rec_set *set);
json_t *rec_predicates_json(const struct rec_set *set);

/* ---- matching ---- */
struct rec_presented { /* what a peer showed */
    uint32_t index;
    struct ms_span value;
};

/* Registers from JSON: {"0":"hex",..}, names (mrtd, rtmr0, pcr4) in any case, or the matched-policy
 * shape
 * {"type":..,"measurements":{"0":["hex"]}} of X-Flashbots-Measurement (consumers.md 3.7). The
 * latter tells what the peer's value may have been, so a register may come out several times, once
 * a value. At most REC_REGISTERS_MAX are written to out; values live in `arena`. MS_ERR_TYPE type
 * is unknown, or contradicts the shape's own `type` MS_ERR_JSON      not an object of one of these
 * shapes MS_ERR_REGISTER  a name or value; no register at all; one named twice MS_ERR_LIMIT more
 * than REC_REGISTERS_MAX values MS_ERR_MEMORY */
MS_MUST_USE enum ms_err rec_presented_parse(const json_t *object, enum rec_type type,
                                            struct ms_arena *arena, struct rec_presented *out,
                                            size_t *ret_n, struct ms_diag *diag);

/* The first record whose every register is presented with an approved value and whose type is
 * comparable; NULL when there is none (refuse). qemu, dcap and gcp compare as DCAP. A register
 * presented several times counts only when every one of its values is approved. */
const struct rec_record *rec_match(const struct rec_set *set, enum rec_type type,
                                   const struct rec_presented *regs, size_t n);
/* Why nothing matched, one sentence for a person (the nearest record and its first differing
 * register). */
void rec_explain_mismatch(const struct rec_set *const *sets, size_t n_sets, enum rec_type type,
                          const struct rec_presented *regs, size_t n, struct ms_diag *diag);

/* ---- linter (consumers.md 3.10) ---- */
/* Beside the set's own warnings under L000; L015 and later need more than a document. */
enum rec_grade { REC_GRADE_INFO = 0, REC_GRADE_WARNING, REC_GRADE_ERROR };
struct rec_finding {
    char rule[8]; /* "L003" */
    enum rec_grade grade;
    char record[REC_ID_MAX_BYTES + 1]; /* id of the record, escaped; may be "" */
    char text[MS_DIAG_TEXT_MAX];
};
/* Calls fn for each finding of a document; a document that rec_parse refuses gives the error-grade
 * rule that refuses it (L000 when no numbered rule says it). Returns whether an error-grade finding
 * was made. */
bool rec_lint(struct ms_span text, void (*fn)(const struct rec_finding *finding, void *arg),
              void *arg);
/* The rules that a set which was read can still break (none of error grade). */
void rec_lint_set(const struct rec_set *set,
                  void (*fn)(const struct rec_finding *finding, void *arg), void *arg);

/* The twenty rules, L001 first. Static storage; returns how many. */
struct rec_rule {
    const char *id;
    enum rec_grade grade; /* L005 is INFO for RTMR3 */
    const char *title;
    const char *why; /* one sentence: what comes of it */
};
size_t rec_rules(const struct rec_rule **ret_rules);

/* Where a set comes from, for L015..L020; zero where it is not known. */
enum rec_owner {
    REC_OWNER_UNKNOWN = 0,
    REC_OWNER_NOBODY, /* the zero address */
    REC_OWNER_ACCOUNT,
    REC_OWNER_SAFE,
    REC_OWNER_TIMELOCK,
    REC_OWNER_CONTRACT, /* another one */
};
struct rec_origin {
    enum rec_owner owner;
    bool upgradeable; /* a proxy */
    bool paused;
    const char *unproven; /* what there is instead of a signature or a proof; NULL: there is one */
    int64_t approved_s;   /* Unix time of the newest approval */
    int64_t changed_s;    /* Unix time of the last change of any kind */
    int64_t now_s, cool_down_s;
};
void rec_lint_origin(const struct rec_origin *origin,
                     void (*fn)(const struct rec_finding *finding, void *arg), void *arg);

#endif
