/* resolver/daemon/config.c - INI text to struct config by one table.
 *
 * The reader is our own: Debian's inih is compiled with lines of at most 199 characters and with
 * multi-line values, so an inline specifier of 16 KiB as an alias does not fit and a stray indented
 * line would silently continue the value above it. */
#define _GNU_SOURCE
#include "resolver/daemon/config.h"

#include "base/hex.h"

#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ARENA_MAX_BYTES ((size_t)8 << 20) /* the file, its lists and the arrays of sections */
#define DAY_S 86400

enum type {
    TYPE_NONE = 0,
    TYPE_PATH,        /* const char *, NULL when empty */
    TYPE_NAME,        /* const char *, NULL when empty; CONFIG_NAME_MAX */
    TYPE_U32,         /* uint32_t */
    TYPE_U64,         /* uint64_t */
    TYPE_DURATION,    /* int64_t seconds */
    TYPE_CHOICE,      /* an enum; row.choices[value] */
    TYPE_BOOL,        /* bool */
    TYPE_LISTEN,      /* struct net_addr http_listen, http_enabled */
    TYPE_PERMITS,     /* config.permits */
    TYPE_PINS,        /* config.pins */
    TYPE_RPC_URL,     /* const char * */
    TYPE_SPECIFIER,   /* const char * */
    TYPE_CHECKPOINT,  /* struct config_checkpoint */
    TYPE_CODE_CHANGE, /* int64_t seconds; CONFIG_CODE_HOLD */
    TYPE_TEXTS,       /* struct boot_texts */
    TYPE_HASHES,      /* struct boot_hashes */
    TYPE_ORIGIN,      /* const char *, NULL when empty; a name of a signed note */
    TYPE_VKEY,        /* struct msig_vkey of a witness */
};

static const char *const level_names[] = {[SPEC_LEVEL_L0] = "l0",
                                          [SPEC_LEVEL_L1] = "l1",
                                          [SPEC_LEVEL_L2] = "l2",
                                          [SPEC_LEVEL_L3] = "l3",
                                          NULL,
                                          NULL};
static const char *const eip55_names[] = {"warn", "strict", NULL};
static const char *const audit_names[] = {"require", "best-effort", NULL};
static const char *const backfill_names[] = {"no", "registry", "all", NULL};
static const char *const nonfinality_names[] = {"keep", "safe", NULL};
static const char *const proofs_names[] = {"no", "head", "finalized", NULL};

struct row {
    struct config_key key;
    enum type type;
    size_t offset; /* into struct config, config_rpc or config_alias */
    uint64_t min, max;
    const char *const *choices;
};

/* clang-format off */
#define SERVER(k, t, field, lo, hi, fallback, reload, shown, help) \
    {{"server", k, shown, fallback, false, reload, help}, t, offsetof(struct config, field), lo, hi, NULL}
#define POLICY(k, t, field, lo, hi, choices, fallback, shown, help) \
    {{"policy", k, shown, fallback, false, true, help}, t, offsetof(struct config, field), lo, hi, choices}
#define FETCH(k, t, field, shown, help) \
    {{"fetch", k, shown, "", false, true, help}, t, offsetof(struct config, field), 0, 0, NULL}
#define TIMES(k, t, field, lo, hi, fallback, shown, help) \
    {{"times", k, shown, fallback, false, true, help}, t, offsetof(struct config, times.field), lo, hi, NULL}
#define RPC(k, t, field, lo, hi, choices, fallback, required, shown, help) \
    {{"rpc", k, shown, fallback, required, true, help}, t, offsetof(struct config_rpc, field), lo, hi, choices}
#define DSTACK(k, t, field, lo, hi, fallback, reload, shown, help) \
    {{"dstack", k, shown, fallback, false, reload, help}, t, offsetof(struct config, dstack.field), lo, hi, NULL}

static const struct row rows[] = {
    SERVER("socket-dir", TYPE_PATH, socket_dir, 1, CONFIG_SOCKET_DIR_MAX, "/run/measured", false, "path",
           "directory of api.sock, admin.sock and feed.sock"),
    SERVER("state-dir", TYPE_PATH, state_dir, 1, 4096, "/var/lib/measured", false, "path",
           "directory of the database measured.db"),
    SERVER("http-listen", TYPE_LISTEN, http_listen, 0, 0, "", false, "ADDRESS:PORT",
           "loopback address that serves the HTTP API too; empty for none"),
    SERVER("http-threads", TYPE_U32, http_threads, 1, 64, "2", false, "number 1..64",
           "threads that answer HTTP requests"),
    SERVER("max-entries", TYPE_U32, max_entries, 1, 1000000, "10000", true, "number 1..1000000",
           "answers kept in memory; the database keeps all"),

    SERVER("uid-connections", TYPE_U32, uid_connections, 1, 1000000, "12000", true, "number 1..1000000",
           "connections one user may have open; never more than 3/4 of all there can be"),
    SERVER("uid-waiting", TYPE_U32, uid_waiting, 1, 1000000, "1024", true, "number 1..1000000",
           "requests of one user that may wait for an answer"),
    SERVER("uid-watchers", TYPE_U32, uid_watchers, 1, 1000000, "1024", true, "number 1..1000000",
           "watchers one user may have connected"),
    SERVER("uid-resolutions", TYPE_U32, uid_resolutions, 1, 1000000, "512", true, "number 1..1000000",
           "specifiers that may be resolved at once because one user asked"),

    POLICY("level", TYPE_CHOICE, level, 0, 0, level_names, "l2", "l0 | l1 | l2 | l3",
           "least read level for contracts; l0 needs an endpoint with trusted = yes"),
    POLICY("quorum", TYPE_U32, quorum, 1, SOURCE_PROVIDERS_MAX, NULL, "2", "number 1..16",
           "operator groups that must agree"),
    POLICY("poll", TYPE_DURATION, poll_s, 1, DAY_S, NULL, "60s", "duration 1s..1d",
           "how often the finalized state of contracts is read"),
    POLICY("head-poll", TYPE_DURATION, head_poll_s, 1, DAY_S, NULL, "12s", "duration 1s..1d",
           "how often the head of the chain is read for revocations"),
    POLICY("max-evidence-age", TYPE_DURATION, max_evidence_age_s, 1, 30 * DAY_S, NULL, "6h",
           "duration 1s..30d", "oldest block time whose contract state is still served"),
    POLICY("eip55", TYPE_CHOICE, eip55, 0, 0, eip55_names, "warn", "warn | strict",
           "what a wrong mixed-case address gets: a warning or a refusal"),
    POLICY("audit", TYPE_CHOICE, audit, 0, 0, audit_names, "require", "require | best-effort",
           "whether an answer needs its evidence stored first"),

    POLICY("checkpoint", TYPE_CHECKPOINT, checkpoint, 0, 0, NULL, "", "CHAIN:0xHASH",
           "block that stands for the quorum of a chain at l3; empty for none"),
    POLICY("nonfinality", TYPE_CHOICE, nonfinality, 0, 0, nonfinality_names, "keep", "keep | safe",
           "which block is read as final when blocks are not finalized any more"),
    POLICY("code-change", TYPE_CODE_CHANGE, code_delay_s, 0, 30 * DAY_S, NULL, "hold", "hold | accept | delay:SECS",
           "what happens when other code is found behind a contract"),
    POLICY("sie", TYPE_DURATION, sie_max_s, 0, 30 * DAY_S, NULL, "30d", "duration 0s..30d",
           "the longest that any answer is served while its source fails; 0s for the strict"),
    POLICY("backfill", TYPE_CHOICE, backfill, 0, 0, backfill_names, "registry", "no | registry | all",
           "whose past is fetched without being asked for: nobody's, of registries, of all contracts"),
    POLICY("backfill-rate", TYPE_U32, backfill_rate, 1, 100, NULL, "5", "number 1..100",
           "requests a second that are made for it"),

    FETCH("ca-file", TYPE_PATH, ca_file, "path",
          "PEM file of trust anchors beside the system's, for https locations"),
    FETCH("allow-private", TYPE_PERMITS, permits, "list of CIDR blocks and host names",
          "hosts and blocks that may be reached although their address is not global"),
    FETCH("resolve", TYPE_PINS, pins, "list of HOST:PORT:ADDRESS",
          "addresses to use instead of asking DNS; they may be private"),

    TIMES("contract-fresh", TYPE_DURATION, contract_fresh, 1, DAY_S, "120s", "duration 1s..1d",
          "how long a contract's answer is fresh after each confirmation"),
    TIMES("contract-swr", TYPE_DURATION, contract_swr, 0, DAY_S, "120s", "duration 0s..1d",
          "how long after that it is served while a refresh runs"),
    TIMES("contract-sie", TYPE_DURATION, contract_sie, 0, 7 * DAY_S, "1h", "duration 0s..7d",
          "how long after it was fresh it is served while refreshes fail"),
    TIMES("contract-no-code", TYPE_DURATION, contract_no_code, 1, DAY_S, "5m", "duration 1s..1d",
          "how long it is remembered that an address has no contract we know"),
    TIMES("contract-revert", TYPE_DURATION, contract_revert, 1, DAY_S, "60s", "duration 1s..1d",
          "how long it is remembered that a contract reverts"),
    TIMES("location-min", TYPE_DURATION, location_min, 0, DAY_S, "60s", "duration 0s..1d",
          "what a shorter lifetime named by an https origin is raised to"),
    TIMES("location-max", TYPE_DURATION, location_max, 1, 7 * DAY_S, "1h", "duration 1s..7d",
          "what a longer one is cut to"),
    TIMES("location-default", TYPE_DURATION, location_default, 0, DAY_S, "5m", "duration 0s..1d",
          "the lifetime when an origin names none"),
    TIMES("location-swr", TYPE_DURATION, location_swr, 0, DAY_S, "60s", "duration 0s..1d",
          "how long after that an https list is served while a refresh runs, at most"),
    TIMES("location-sie", TYPE_DURATION, location_sie, 0, 7 * DAY_S, "1h", "duration 0s..7d",
          "how long after it was fresh it is served while refreshes fail, at most"),
    TIMES("location-max-evidence-age", TYPE_DURATION, location_max_evidence_age, 1, 30 * DAY_S, "1d", "duration 1s..30d",
          "oldest Date of an https list that is still served"),
    TIMES("location-not-found", TYPE_DURATION, location_not_found, 1, DAY_S, "60s", "duration 1s..1d",
          "how long a 404 or 410 is remembered"),
    TIMES("location-no-answer", TYPE_DURATION, location_no_answer, 0, 600, "15s", "duration 0s..600s",
          "how long it is remembered that a host without a list here cannot be reached"),
    TIMES("finality-warn", TYPE_DURATION, finality_warn, 1, 30 * DAY_S, "30m", "duration 1s..30d",
          "age of a finalized block that is worth a warning"),
    TIMES("finality-stale", TYPE_DURATION, finality_stale, 1, 30 * DAY_S, "2h", "duration 1s..30d",
          "age of a finalized block that makes an answer a stale one"),
    TIMES("backoff-rpc", TYPE_DURATION, backoff_rpc, 1, 3600, "60s", "duration 1s..1h",
          "longest wait between two tries to read a contract"),
    TIMES("backoff-location", TYPE_DURATION, backoff_location, 1, 3600, "5m", "duration 1s..1h",
          "longest wait between two tries to fetch an https list"),

    RPC("chain", TYPE_U64, chain, 1, 999999999999999999, NULL, "1", false, "number 1..999999999999999999",
        "EIP-155 chain id this endpoint serves"),
    RPC("url", TYPE_RPC_URL, url, 0, 0, NULL, "", true, "URL",
        "JSON-RPC endpoint: https://, or http:// to this machine"),
    RPC("group", TYPE_NAME, group, 0, 0, NULL, "", false, "name",
        "operator group, of which the quorum counts; empty for the section's name"),
    RPC("proofs", TYPE_CHOICE, proofs, 0, 0, proofs_names, "finalized", false, "no | head | finalized",
        "the oldest state for which the endpoint answers eth_getProof"),
    RPC("trusted", TYPE_BOOL, trusted, 0, 0, NULL, "no", false, "yes | no",
        "one's own node, whose answers may be taken as they are"),

    DSTACK("kms-specifier", TYPE_SPECIFIER, kms_specifier, 0, 0, "", true, "specifier",
           "who says which KMS may run; a DstackKms also governs the apps that have no section"),
    DSTACK("gateway-app-id", TYPE_NAME, gateway_app_id, 0, 0, "", true, "name",
           "app id of the gateway that is told where governance names none"),
    DSTACK("deadline", TYPE_DURATION, deadline_s, 1, CONFIG_DSTACK_DEADLINE_MAX_S, "5s", true, "duration 1s..5s",
           "how long a boot waits for an answer before it is refused"),
    DSTACK("sign", TYPE_BOOL, sign, 0, 0, "no", false, "yes | no",
           "whether decisions are signed with the key in state-dir"),
    DSTACK("allowed-tcb-statuses", TYPE_TEXTS, policy.tcb_statuses, 0, 0, "UpToDate", true, "list of words",
           "TCB statuses that may boot, where governance is a list"),
    DSTACK("allowed-advisories", TYPE_TEXTS, policy.advisories, 0, 0, "", true, "list of words",
           "advisories that may apply to a platform that boots, where governance is a list"),
    DSTACK("devices", TYPE_HASHES, policy.devices, 0, 0, "", true, "list of 64 hex digits",
           "devices that may boot, where governance is a list"),
    DSTACK("allow-any-device", TYPE_BOOL, policy.any_device, 0, 0, "no", true, "yes | no",
           "whether every device may, where governance is a list"),
    DSTACK("kms-mr-aggregated", TYPE_HASHES, policy.aggregated_mrs, 0, 0, "", true, "list of 64 hex digits",
           "aggregated measurements that a KMS may have, where governance is a list"),

    {{"dstack-app", "specifier", "specifier", "", true, true, "who governs this app"},
     TYPE_SPECIFIER, offsetof(struct config_dstack_app, specifier), 0, 0, NULL},
    {{"log", "origin", "name", "", false, false,
      "name of the transparency log; empty for that of its key, or one made of this host's name"},
     TYPE_ORIGIN, offsetof(struct config, log_origin), 0, 0, NULL},

    {{"witness", "url", "URL", "", true, true,
      "where the witness takes add-checkpoint: https://, or http:// to this machine"},
     TYPE_RPC_URL, offsetof(struct config_witness, url), 0, 0, NULL},
    {{"witness", "key", "NAME+ID+BASE64", "", true, true, "verifier key of the witness's cosignatures"},
     TYPE_VKEY, offsetof(struct config_witness, vkey), 0, 0, NULL},

    {{"alias", "specifier", "specifier", "", true, true, "what the name stands for"},
     TYPE_SPECIFIER, offsetof(struct config_alias, specifier), 0, 0, NULL},
};
/* clang-format on */

enum section {
    SECTION_NONE = 0,
    SECTION_SERVER,
    SECTION_POLICY,
    SECTION_FETCH,
    SECTION_TIMES,
    SECTION_DSTACK,
    SECTION_LOG,
    SECTION_RPC,
    SECTION_ALIAS,
    SECTION_DSTACK_APP,
    SECTION_WITNESS,
};
static const char *const section_names[] = {"",      "server",     "policy", "fetch",
                                            "times", "dstack",     "log",    "rpc",
                                            "alias", "dstack-app", "witness"};

struct parser {
    struct config *config;
    const struct config_context *context;
    struct ms_diag *diag;
    size_t line;
    enum section section;
    const char *name;    /* of the open [rpc NAME] or [alias NAME] */
    size_t section_line; /* where it opened */
    void *target;        /* what offsets count from */
    struct config_rpc *rpcs;
    struct config_witness *witnesses;
    struct config_alias *aliases;
    size_t aliases_cap;
    struct config_dstack_app *apps;
    size_t seen[MS_ARRAY_LEN(rows)]; /* line of each key, 0 when not yet given */
};

static enum ms_err fail(struct parser *p, size_t line, const char *fmt, ...) MS_PRINTF(3, 4);
static enum ms_err fail(struct parser *p, size_t line, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)ms_diag_setv(p->diag, MS_ERR_CONFIG, fmt, args);
    va_end(args);
    if (p->diag != NULL)
        p->diag->line = line;
    return MS_ERR_CONFIG;
}

/* For messages: a value cut to what fits a line. */
#define SHOWN(span) (int)((span).len < 60 ? (span).len : 60), (const char *)(span).ptr

/* ---- spans ---- */
static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct ms_span trim(struct ms_span text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = ms_span_sub(text, 1, text.len);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* The line without its comment. */
static struct ms_span cut_comment(struct ms_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '#' && (i == 0 || is_blank(line.ptr[i - 1])))
            return ms_span_sub(line, 0, i);
    return line;
}

static bool is_name(struct ms_span text)
{
    if (text.len == 0 || text.len > CONFIG_NAME_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return false;
    }
    return true;
}

/* ---- values ---- */
static enum ms_err set_text(struct parser *p, const struct row *row, struct ms_span value)
{
    const char *copy = NULL;

    if (value.len > 0) {
        copy = ms_arena_strdup(&p->config->arena, value);
        if (copy == NULL)
            return MS_ERR_MEMORY;
    }
    memcpy((char *)p->target + row->offset, &copy, sizeof(copy));
    return MS_OK;
}

static enum ms_err set_path(struct parser *p, const struct row *row, struct ms_span value)
{
    if (value.len < row->min)
        return fail(p, p->line, "%s needs a path", row->key.key);
    if (row->max != 0 && value.len > row->max)
        return fail(p, p->line, "%s is longer than %" PRIu64 " bytes%s", row->key.key, row->max,
                    row->max == CONFIG_SOCKET_DIR_MAX ? ", the most a Unix socket's path allows"
                                                      : "");
    return set_text(p, row, value);
}

static enum ms_err set_number(struct parser *p, const struct row *row, struct ms_span value)
{
    uint64_t number;

    if (!ms_span_u64(value, &number) || number < row->min || number > row->max)
        return fail(p, p->line, "%s must be a number from %" PRIu64 " to %" PRIu64 ", not '%.*s'",
                    row->key.key, row->min, row->max, SHOWN(value));
    if (row->type == TYPE_U32)
        memcpy((char *)p->target + row->offset, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
    else
        memcpy((char *)p->target + row->offset, &number, sizeof(number));
    return MS_OK;
}

static enum ms_err set_duration(struct parser *p, const struct row *row, struct ms_span value)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', DAY_S}};
    uint64_t number, unit = 0;

    for (size_t i = 0; value.len > 1 && i < MS_ARRAY_LEN(units); i++)
        if (value.ptr[value.len - 1] == (uint8_t)units[i].letter)
            unit = units[i].seconds;
    if (unit == 0 || !ms_span_u64(ms_span_sub(value, 0, value.len - 1), &number))
        return fail(p, p->line, "%s must be a duration such as 90s, 15m, 6h or 1d, not '%.*s'",
                    row->key.key, SHOWN(value));
    if (number > row->max / unit || number * unit < row->min)
        return fail(p, p->line, "%s must lie from %" PRIu64 "s to %" PRIu64 "s, not '%.*s'",
                    row->key.key, row->min, row->max, SHOWN(value));
    int64_t seconds = (int64_t)(number * unit);
    memcpy((char *)p->target + row->offset, &seconds, sizeof(seconds));
    return MS_OK;
}

/* Every choice is an enum whose enumerators are the indices of its names. */
static enum ms_err set_choice(struct parser *p, const struct row *row, struct ms_span value)
{
    static_assert(sizeof(enum spec_level) == sizeof(unsigned), "enums are stored as unsigned");
    unsigned first = row->choices == level_names ? (unsigned)SPEC_LEVEL_L0 : 0;

    for (unsigned i = first; row->choices[i] != NULL; i++)
        if (ms_span_eq_str(value, row->choices[i])) {
            memcpy((char *)p->target + row->offset, &i, sizeof(i));
            return MS_OK;
        }
    return fail(p, p->line, "%s must be one of %s, not '%.*s'", row->key.key, row->key.type,
                SHOWN(value));
}

static enum ms_err set_bool(struct parser *p, const struct row *row, struct ms_span value)
{
    bool yes = ms_span_eq_str(value, "yes");

    if (!yes && !ms_span_eq_str(value, "no"))
        return fail(p, p->line, "%s must be yes or no, not '%.*s'", row->key.key, SHOWN(value));
    memcpy((char *)p->target + row->offset, &yes, sizeof(yes));
    return MS_OK;
}

static enum ms_err set_listen(struct parser *p, const struct row *row, struct ms_span value)
{
    struct ms_diag cause = {0};

    p->config->http_enabled = value.len > 0;
    if (value.len == 0)
        return MS_OK;
    enum ms_err err = net_listen_parse(value, &p->config->http_listen, &cause);
    if (err != MS_OK)
        return fail(p, p->line, "%s: '%.*s': %s", row->key.key, SHOWN(value), cause.text);
    return MS_OK;
}

/* How many items a comma list has; an empty value has none. */
static size_t count_items(struct ms_span value)
{
    size_t n = value.len == 0 ? 0 : 1;

    for (size_t i = 0; i < value.len; i++)
        n += value.ptr[i] == ',';
    return n;
}

static enum ms_err parse_item(struct parser *p, const struct row *row, struct ms_span item,
                              size_t i, struct net_permit *permits, struct net_pin *pins)
{
    struct ms_diag cause = {0};
    enum ms_err err;

    if (item.len == 0)
        return fail(p, p->line, "%s has an empty item", row->key.key);
    if (permits != NULL)
        err = net_permit_parse(item, &p->config->arena, &permits[i], &cause);
    else
        err = net_pin_parse(item, &p->config->arena, &pins[i], &cause);
    if (err == MS_OK || err == MS_ERR_MEMORY)
        return err;
    return fail(p, p->line, "%s: '%.*s': %s", row->key.key, SHOWN(item), cause.text);
}

static enum ms_err set_list(struct parser *p, const struct row *row, struct ms_span value)
{
    struct config *config = p->config;
    size_t n = count_items(value);
    struct net_permit *permits = NULL;
    struct net_pin *pins = NULL;

    if (n == 0)
        return MS_OK;
    if (n > CONFIG_LIST_MAX)
        return fail(p, p->line, "%s has more than %u items", row->key.key, CONFIG_LIST_MAX);
    if (row->type == TYPE_PERMITS)
        permits = ms_arena_alloc(&config->arena, n, sizeof(*permits));
    else
        pins = ms_arena_alloc(&config->arena, n, sizeof(*pins));
    if (permits == NULL && pins == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct ms_span item = value, rest = {0};
        (void)ms_span_cut(value, ',', &item, &rest);
        enum ms_err err = parse_item(p, row, trim(item), i, permits, pins);
        if (err != MS_OK)
            return err;
        value = rest;
    }
    if (permits != NULL) {
        config->permits = permits;
        config->n_permits = n;
    } else {
        config->pins = pins;
        config->n_pins = n;
    }
    return MS_OK;
}

static enum ms_err set_rpc_url(struct parser *p, const struct row *row, struct ms_span value)
{
    struct net_url url;
    struct ms_diag cause = {0};

    if (net_rpc_url_parse(value, &url, &cause) != MS_OK)
        return fail(p, p->line, "url of [%s %s]: %s", section_names[p->section], p->name,
                    cause.text);
    return set_text(p, row, value);
}

static enum ms_err set_specifier(struct parser *p, const struct row *row, struct ms_span value)
{
    const char *key = row->key.key, *section = row->key.section;
    const char *name = p->name == NULL ? "" : p->name, *space = p->name == NULL ? "" : " ";
    struct ms_diag cause = {0};

    if (value.len == 0 && !row->key.required)
        return set_text(p, row, value);
    if (value.len == 0)
        return fail(p, p->line, "%s of [%s%s%s] is empty", key, section, space, name);
    if (value.len > SPEC_TEXT_MAX)
        return fail(p, p->line, "%s of [%s%s%s] is longer than %u characters", key, section, space,
                    name, SPEC_TEXT_MAX);
    if (p->context->check_specifier != NULL) {
        enum ms_err err = p->context->check_specifier(p->context->check_arg, value, &cause);
        if (err != MS_OK)
            return fail(p, p->line, "%s of [%s%s%s]: %s", key, section, space, name,
                        ms_diag_text(&cause, err));
    }
    return set_text(p, row, value);
}

/* The items of a comma list, trimmed; none is empty. */
static enum ms_err take_item(struct parser *p, const struct row *row, struct ms_span *value,
                             struct ms_span *ret_item)
{
    struct ms_span item = *value, rest = {0};

    (void)ms_span_cut(*value, ',', &item, &rest);
    *value = rest;
    *ret_item = trim(item);
    return ret_item->len > 0 ? MS_OK : fail(p, p->line, "%s has an empty item", row->key.key);
}

static enum ms_err set_texts(struct parser *p, const struct row *row, struct ms_span value)
{
    struct boot_texts list = {.n = count_items(value)};
    const char **items = ms_arena_alloc(&p->config->arena, list.n + 1, sizeof(*items));

    if (list.n > CONFIG_LIST_MAX)
        return fail(p, p->line, "%s has more than %u items", row->key.key, CONFIG_LIST_MAX);
    if (items == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < list.n; i++) {
        struct ms_span item;
        enum ms_err err = take_item(p, row, &value, &item);
        if (err != MS_OK)
            return err;
        if (item.len > BOOT_TEXT_MAX)
            return fail(p, p->line, "%s: '%.*s' is longer than %u bytes", row->key.key, SHOWN(item),
                        BOOT_TEXT_MAX);
        items[i] = ms_arena_strdup(&p->config->arena, item);
        if (items[i] == NULL)
            return MS_ERR_MEMORY;
    }
    list.items = items;
    memcpy((char *)p->target + row->offset, &list, sizeof(list));
    return MS_OK;
}

static enum ms_err set_hashes(struct parser *p, const struct row *row, struct ms_span value)
{
    struct boot_hashes list = {.n = count_items(value)};
    struct eth_hash *items = ms_arena_alloc(&p->config->arena, list.n + 1, sizeof(*items));

    if (list.n > CONFIG_LIST_MAX)
        return fail(p, p->line, "%s has more than %u items", row->key.key, CONFIG_LIST_MAX);
    if (items == NULL)
        return MS_ERR_MEMORY;
    for (size_t i = 0; i < list.n; i++) {
        struct ms_span item;
        enum ms_err err = take_item(p, row, &value, &item);
        if (err != MS_OK)
            return err;
        if (boot_hex(item, items[i].b, sizeof(items[i].b)) != MS_OK)
            return fail(p, p->line, "%s: '%.*s' is not 64 hex digits", row->key.key, SHOWN(item));
    }
    list.items = items;
    memcpy((char *)p->target + row->offset, &list, sizeof(list));
    return MS_OK;
}

static enum ms_err set_checkpoint(struct parser *p, const struct row *row, struct ms_span value)
{
    struct config_checkpoint checkpoint = {.set = value.len > 0};
    struct ms_span chain, hash;

    if (checkpoint.set &&
        (!ms_span_cut(value, ':', &chain, &hash) || !ms_span_u64(chain, &checkpoint.chain) ||
         checkpoint.chain == 0 || checkpoint.chain > INT64_MAX || !ms_span_starts(hash, "0x") ||
         ms_hex_decode(ms_span_sub(hash, 2, hash.len), checkpoint.hash.b, ETH_HASH_BYTES) != MS_OK))
        return fail(p, p->line, "%s must be CHAIN:0x and 64 hex digits, not '%.*s'", row->key.key,
                    SHOWN(value));
    memcpy((char *)p->target + row->offset, &checkpoint, sizeof(checkpoint));
    return MS_OK;
}

/* hold, accept, or delay: and seconds or a duration. */
static enum ms_err set_code_change(struct parser *p, const struct row *row, struct ms_span value)
{
    int64_t delay_s = ms_span_eq_str(value, "hold") ? CONFIG_CODE_HOLD : 0;
    uint64_t seconds = 0;

    if (ms_span_starts(value, "delay:")) {
        struct ms_span text = ms_span_sub(value, 6, value.len);
        if (!ms_span_u64(text, &seconds))
            return set_duration(p, row, text);
        if (seconds > row->max)
            return fail(p, p->line, "%s waits at most %" PRIu64 "s, not '%.*s'", row->key.key,
                        row->max, SHOWN(value));
        delay_s = (int64_t)seconds;
    } else if (delay_s == 0 && !ms_span_eq_str(value, "accept")) {
        return fail(p, p->line, "%s must be one of %s, not '%.*s'", row->key.key, row->key.type,
                    SHOWN(value));
    }
    memcpy((char *)p->target + row->offset, &delay_s, sizeof(delay_s));
    return MS_OK;
}

static enum ms_err set_name(struct parser *p, const struct row *row, struct ms_span value)
{
    if (value.len > 0 && !is_name(value))
        return fail(p, p->line, "%s must be 1 to %u letters, digits, '-', '_' and '.', not '%.*s'",
                    row->key.key, CONFIG_NAME_MAX, SHOWN(value));
    return set_text(p, row, value);
}

static enum ms_err set_origin(struct parser *p, const struct row *row, struct ms_span value)
{
    if (value.len > 0 && !msig_note_name_ok(value))
        return fail(p, p->line, "%s must be a name without spaces and '+', of at most %u bytes",
                    row->key.key, MSIG_NOTE_NAME_MAX);
    return set_text(p, row, value);
}

static enum ms_err set_vkey(struct parser *p, const struct row *row, struct ms_span value)
{
    struct ms_diag cause = {0};
    struct msig_vkey vkey;

    enum ms_err err = msig_vkey_parse(value, &vkey, &cause);
    if (err == MS_ERR_MEMORY)
        return err;
    if (err == MS_OK && vkey.type != MSIG_NOTE_COSIGNATURE)
        err = ms_diag_set(&cause, MS_ERR_SYNTAX, "it is the key of a log, not of a witness");
    if (err != MS_OK)
        return fail(p, p->line, "key of [witness %s]: %s", p->name, cause.text);
    memcpy((char *)p->target + row->offset, &vkey, sizeof(vkey));
    return MS_OK;
}

static enum ms_err set_value(struct parser *p, const struct row *row, struct ms_span value)
{
    switch (row->type) {
    case TYPE_PATH:
        return set_path(p, row, value);
    case TYPE_NAME:
        return set_name(p, row, value);
    case TYPE_U32:
    case TYPE_U64:
        return set_number(p, row, value);
    case TYPE_DURATION:
        return set_duration(p, row, value);
    case TYPE_CHOICE:
        return set_choice(p, row, value);
    case TYPE_BOOL:
        return set_bool(p, row, value);
    case TYPE_LISTEN:
        return set_listen(p, row, value);
    case TYPE_PERMITS:
    case TYPE_PINS:
        return set_list(p, row, value);
    case TYPE_RPC_URL:
        return set_rpc_url(p, row, value);
    case TYPE_SPECIFIER:
        return set_specifier(p, row, value);
    case TYPE_CHECKPOINT:
        return set_checkpoint(p, row, value);
    case TYPE_CODE_CHANGE:
        return set_code_change(p, row, value);
    case TYPE_TEXTS:
        return set_texts(p, row, value);
    case TYPE_HASHES:
        return set_hashes(p, row, value);
    case TYPE_ORIGIN:
        return set_origin(p, row, value);
    case TYPE_VKEY:
        return set_vkey(p, row, value);
    case TYPE_NONE:
        break;
    }
    return MS_ERR_INTERNAL;
}

/* Give every key of the section that is not required its default, by the way a file would. */
static enum ms_err set_defaults(struct parser *p, enum section section)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key.section, section_names[section]) != 0 || rows[i].key.required)
            continue;
        enum ms_err err = set_value(p, &rows[i], ms_span_str(rows[i].key.fallback));
        if (err != MS_OK)
            return err;
    }
    return MS_OK;
}

/* ---- sections ---- */
/* Check what must hold once a section's keys are read. */
static enum ms_err close_section(struct parser *p)
{
    if (p->section < SECTION_RPC)
        return MS_OK;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key.section, section_names[p->section]) != 0)
            continue;
        if (rows[i].key.required && p->seen[i] == 0)
            return fail(p, p->section_line, "[%s %s] has no %s", section_names[p->section], p->name,
                        rows[i].key.key);
        p->seen[i] = 0; /* the next section of this kind starts anew */
    }
    if (p->section == SECTION_RPC) {
        struct config_rpc *rpc = p->target;
        if (rpc->group == NULL)
            rpc->group = rpc->name;
    }
    return MS_OK;
}

static enum ms_err open_rpc(struct parser *p)
{
    struct config *config = p->config;

    for (size_t i = 0; i < config->n_rpcs; i++)
        if (strcmp(p->rpcs[i].name, p->name) == 0)
            return fail(p, p->line, "[rpc %s] is already in line %zu", p->name, p->rpcs[i].line);
    if (config->n_rpcs == SOURCE_PROVIDERS_MAX)
        return fail(p, p->line, "more than %u [rpc] sections", SOURCE_PROVIDERS_MAX);
    struct config_rpc *rpc = &p->rpcs[config->n_rpcs++];
    *rpc = (struct config_rpc){.name = p->name, .line = p->line};
    p->target = rpc;
    return set_defaults(p, SECTION_RPC);
}

static enum ms_err open_witness(struct parser *p)
{
    struct config *config = p->config;

    for (size_t i = 0; i < config->n_witnesses; i++)
        if (strcmp(p->witnesses[i].name, p->name) == 0)
            return fail(p, p->line, "[witness %s] is already in line %zu", p->name,
                        p->witnesses[i].line);
    if (config->n_witnesses == CONFIG_WITNESSES_MAX)
        return fail(p, p->line, "more than %u [witness] sections", CONFIG_WITNESSES_MAX);
    struct config_witness *witness = &p->witnesses[config->n_witnesses++];
    *witness = (struct config_witness){.name = p->name, .line = p->line};
    p->target = witness;
    return set_defaults(p, SECTION_WITNESS);
}

static enum ms_err open_alias(struct parser *p)
{
    struct config *config = p->config;

    for (size_t i = 0; i < config->n_aliases; i++)
        if (strcmp(p->aliases[i].name, p->name) == 0)
            return fail(p, p->line, "[alias %s] is already in line %zu", p->name,
                        p->aliases[i].line);
    if (config->n_aliases == CONFIG_ALIASES_MAX)
        return fail(p, p->line, "more than %u [alias] sections", CONFIG_ALIASES_MAX);
    if (config->n_aliases == p->aliases_cap) {
        size_t cap = p->aliases_cap == 0 ? 16 : 2 * p->aliases_cap;
        struct config_alias *grown = ms_arena_alloc(&config->arena, cap, sizeof(*grown));
        if (grown == NULL)
            return MS_ERR_MEMORY;
        if (config->n_aliases > 0)
            memcpy(grown, p->aliases, config->n_aliases * sizeof(*grown));
        p->aliases = grown;
        p->aliases_cap = cap;
        config->aliases = grown;
    }
    struct config_alias *alias = &p->aliases[config->n_aliases++];
    *alias = (struct config_alias){.name = p->name, .line = p->line};
    p->target = alias;
    return set_defaults(p, SECTION_ALIAS);
}

static enum ms_err open_dstack_app(struct parser *p)
{
    struct config_dstack *dstack = &p->config->dstack;
    struct config_dstack_app app = {.name = p->name, .line = p->line};

    if (boot_hex(ms_span_str(p->name), app.id, sizeof(app.id)) != MS_OK)
        return fail(p, p->line, "[dstack-app %s] needs an app id, 0x and 40 hex digits", p->name);
    const struct config_dstack_app *before = config_dstack_app(p->config, app.id);
    if (before != NULL)
        return fail(p, p->line, "[dstack-app %s] is already in line %zu", p->name, before->line);
    if (dstack->n_apps == CONFIG_DSTACK_APPS_MAX)
        return fail(p, p->line, "more than %u [dstack-app] sections", CONFIG_DSTACK_APPS_MAX);
    if (p->apps == NULL)
        p->apps = ms_arena_alloc(&p->config->arena, CONFIG_DSTACK_APPS_MAX, sizeof(*p->apps));
    if (p->apps == NULL)
        return MS_ERR_MEMORY;
    dstack->apps = p->apps;
    p->apps[dstack->n_apps] = app;
    p->target = &p->apps[dstack->n_apps++];
    return set_defaults(p, SECTION_DSTACK_APP);
}

static enum ms_err open_section(struct parser *p, struct ms_span head)
{
    size_t end = 0;
    while (end < head.len && !is_blank(head.ptr[end]))
        end++;
    struct ms_span kind = ms_span_sub(head, 0, end);
    struct ms_span name = trim(ms_span_sub(head, end, head.len));

    p->section = SECTION_NONE;
    for (size_t i = 1; i < MS_ARRAY_LEN(section_names); i++)
        if (ms_span_eq_str(kind, section_names[i]))
            p->section = (enum section)i;
    p->section_line = p->line;
    p->name = NULL;
    p->target = p->config;
    switch (p->section) {
    case SECTION_NONE:
        return fail(p, p->line,
                    "unknown section [%.*s]; there are server, policy, fetch, times, dstack, log, "
                    "rpc, alias, dstack-app and witness",
                    SHOWN(head));
    case SECTION_SERVER:
    case SECTION_POLICY:
    case SECTION_FETCH:
    case SECTION_TIMES:
    case SECTION_DSTACK:
    case SECTION_LOG:
        if (name.len > 0)
            return fail(p, p->line, "section [%.*s] takes no name", SHOWN(kind));
        p->config->dstack.enabled = p->config->dstack.enabled || p->section == SECTION_DSTACK;
        return MS_OK;
    case SECTION_RPC:
    case SECTION_ALIAS:
    case SECTION_DSTACK_APP:
    case SECTION_WITNESS:
        break;
    }
    if (!is_name(name))
        return fail(p, p->line,
                    "[%.*s NAME] needs a name of 1 to %u letters, digits, '-', '_' and '.'",
                    SHOWN(kind), CONFIG_NAME_MAX);
    p->name = ms_arena_strdup(&p->config->arena, name);
    if (p->name == NULL)
        return MS_ERR_MEMORY;
    if (p->section == SECTION_WITNESS)
        return open_witness(p);
    return p->section == SECTION_RPC     ? open_rpc(p)
           : p->section == SECTION_ALIAS ? open_alias(p)
                                         : open_dstack_app(p);
}

/* ---- lines ---- */
static enum ms_err parse_pair(struct parser *p, struct ms_span key, struct ms_span value)
{
    if (p->section == SECTION_NONE)
        return fail(p, p->line, "'%.*s' stands before the first [section]", SHOWN(key));
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key.section, section_names[p->section]) != 0 ||
            !ms_span_eq_str(key, rows[i].key.key))
            continue;
        if (p->seen[i] != 0)
            return fail(p, p->line, "%s is already set in line %zu", rows[i].key.key, p->seen[i]);
        p->seen[i] = p->line;
        return set_value(p, &rows[i], value);
    }
    return fail(p, p->line, "unknown key '%.*s' in section [%s]", SHOWN(key),
                section_names[p->section]);
}

static enum ms_err parse_line(struct parser *p, struct ms_span line)
{
    struct ms_span key, value;

    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len > CONFIG_LINE_MAX)
        return fail(p, p->line, "line is longer than %u bytes", CONFIG_LINE_MAX);
    for (size_t i = 0; i < line.len; i++)
        if ((line.ptr[i] < 0x20 && line.ptr[i] != '\t') || line.ptr[i] == 0x7f)
            return fail(p, p->line, "control byte 0x%02x", line.ptr[i]);
    line = trim(cut_comment(line));
    if (line.len == 0)
        return MS_OK;
    if (line.ptr[0] == '[') {
        enum ms_err err = close_section(p);
        if (err != MS_OK)
            return err;
        if (line.ptr[line.len - 1] != ']')
            return fail(p, p->line, "a section's line must end in ']'");
        return open_section(p, trim(ms_span_sub(line, 1, line.len - 2)));
    }
    if (!ms_span_cut(line, '=', &key, &value))
        return fail(p, p->line, "neither [section] nor key = value");
    return parse_pair(p, trim(key), trim(value));
}

static enum ms_err check_level(struct parser *p)
{
    const struct config *config = p->config;

    if (config->level != SPEC_LEVEL_L0)
        return MS_OK;
    for (size_t i = 0; i < config->n_rpcs; i++)
        if (config->rpcs[i].trusted)
            return MS_OK;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++)
        if (rows[i].offset == offsetof(struct config, level) && rows[i].choices == level_names)
            return fail(p, p->seen[i], "level l0 needs an [rpc] section with trusted = yes");
    return MS_ERR_INTERNAL;
}

/* Who names governance for an app believes that the webhook is on. */
static enum ms_err check_dstack(struct parser *p)
{
    const struct config_dstack *dstack = &p->config->dstack;

    if (dstack->n_apps == 0 || dstack->enabled)
        return MS_OK;
    return fail(p, dstack->apps[0].line, "[dstack-app %s] needs a section [dstack]",
                dstack->apps[0].name);
}

static enum ms_err parse_lines(struct parser *p, struct ms_span text)
{
    while (text.len > 0) {
        struct ms_span line = text, rest = {0};
        (void)ms_span_cut(text, '\n', &line, &rest);
        p->line++;
        enum ms_err err = parse_line(p, line);
        if (err != MS_OK)
            return err;
        text = rest;
    }
    enum ms_err err = close_section(p);
    if (err == MS_OK)
        err = check_dstack(p);
    return err == MS_OK ? check_level(p) : err;
}

/* ---- directories ---- */
static const char *env(const struct config_context *context, const char *name)
{
    const char *value = context->env == NULL ? NULL : context->env(context->env_arg, name);

    return value != NULL && value[0] == '/' ? value : NULL;
}

enum ms_err config_default_socket_dir(const struct config_context *context, struct ms_buf *out)
{
    if (context->uid == 0)
        return ms_buf_add_str(out, "/run/measured");
    const char *runtime = env(context, "XDG_RUNTIME_DIR");
    if (runtime == NULL)
        return ms_buf_addf(out, "/run/user/%" PRIu32 "/measured", context->uid);
    return ms_buf_addf(out, "%s/measured", runtime);
}

enum ms_err config_default_state_dir(const struct config_context *context, struct ms_buf *out)
{
    const char *state = env(context, "XDG_STATE_HOME");
    const char *home = env(context, "HOME");

    if (context->uid != 0 && state != NULL)
        return ms_buf_addf(out, "%s/measured", state);
    if (context->uid != 0 && home != NULL)
        return ms_buf_addf(out, "%s/.local/state/measured", home);
    return ms_buf_add_str(out, "/var/lib/measured");
}

/* Replace the table's directories by those of this user, before the file is read. */
static enum ms_err set_directories(struct parser *p)
{
    struct ms_buf path = MS_BUF_INIT(8192);
    struct config *config = p->config;

    (void)config_default_socket_dir(p->context, &path);
    config->socket_dir = ms_arena_strdup(&config->arena, ms_buf_span(&path));
    enum ms_err err = ms_buf_err(&path);
    ms_buf_reset(&path);
    (void)config_default_state_dir(p->context, &path);
    config->state_dir = ms_arena_strdup(&config->arena, ms_buf_span(&path));
    if (err == MS_OK)
        err = ms_buf_err(&path);
    ms_buf_done(&path);
    if (err != MS_OK)
        return fail(p, 0, "a directory named by the environment is too long");
    if (config->socket_dir == NULL || config->state_dir == NULL)
        return MS_ERR_MEMORY;
    return MS_OK;
}

/* An environment's directory that is too long shows only when the file does not replace it. */
static enum ms_err check_socket_dir(struct parser *p)
{
    if (strlen(p->config->socket_dir) <= CONFIG_SOCKET_DIR_MAX)
        return MS_OK;
    return fail(p, 0, "the default socket-dir is longer than %u bytes; set socket-dir in [server]",
                CONFIG_SOCKET_DIR_MAX);
}

/* ---- entry points ---- */
enum ms_err config_parse(struct ms_span text, const struct config_context *context,
                         struct config **ret_config, struct ms_diag *diag)
{
    struct config *config = calloc(1, sizeof(*config));
    struct parser p = {.config = config, .context = context, .diag = diag, .target = config};
    enum ms_err err = MS_ERR_MEMORY;

    if (config == NULL)
        return MS_ERR_MEMORY;
    config->arena = (struct ms_arena)MS_ARENA_INIT(ARENA_MAX_BYTES);
    p.rpcs = ms_arena_alloc(&config->arena, SOURCE_PROVIDERS_MAX, sizeof(*p.rpcs));
    p.witnesses = ms_arena_alloc(&config->arena, CONFIG_WITNESSES_MAX, sizeof(*p.witnesses));
    if (p.rpcs == NULL || p.witnesses == NULL)
        goto out;
    config->rpcs = p.rpcs;
    config->witnesses = p.witnesses;
    for (enum section s = SECTION_SERVER; s < SECTION_RPC; s++) {
        err = set_defaults(&p, s);
        if (err != MS_OK)
            goto out;
    }
    err = set_directories(&p);
    if (err == MS_OK && text.len > CONFIG_FILE_MAX_BYTES)
        err = fail(&p, 0, "file is larger than %u bytes", CONFIG_FILE_MAX_BYTES);
    if (err == MS_OK)
        err = parse_lines(&p, text);
    if (err == MS_OK)
        err = check_socket_dir(&p);
    if (err != MS_OK)
        goto out;
    *ret_config = config;
    config = NULL;
out:
    config_free(config);
    return err;
}

enum ms_err config_default(const struct config_context *context, struct config **ret_config)
{
    return config_parse((struct ms_span){0}, context, ret_config, NULL);
}

/* Everything a descriptor gives, up to buf's max. */
static enum ms_err read_all(int fd, struct ms_buf *buf)
{
    for (;;) {
        uint8_t *room = ms_buf_room(buf, 4096);
        if (room == NULL) /* the last bytes before the limit need no whole page */
            return ms_buf_err(buf);
        ssize_t n = read(fd, room, 4096);
        if (n == 0)
            return MS_OK;
        if (n > 0)
            buf->len += (size_t)n;
        else if (errno != EINTR)
            return MS_ERR_IO;
    }
}

enum ms_err config_load_file(const char *path, const struct config_context *context,
                             struct config **ret_config, struct ms_diag *diag)
{
    /* Two pages more than allowed, so that config_parse sees and reports a file that is too large.
     */
    struct ms_buf text = MS_BUF_INIT(CONFIG_FILE_MAX_BYTES + 8192);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    enum ms_err err = fd < 0 ? MS_ERR_IO : read_all(fd, &text);

    if (err == MS_ERR_IO)
        (void)ms_diag_set(diag, err, "cannot be read: %s", strerror(errno));
    else if (err == MS_ERR_MEMORY)
        (void)ms_diag_set(diag, err, "out of memory");
    else
        err = config_parse(ms_buf_span(&text), context, ret_config, diag);
    if (fd >= 0)
        (void)close(fd);
    /* The text may hold RPC keys. */
    if (text.ptr != NULL)
        ms_wipe(text.ptr, text.len);
    ms_buf_done(&text);
    return err;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    ms_arena_done(&config->arena);
    free(config);
}

enum ms_err config_error_text(const char *file, enum ms_err err, const struct ms_diag *diag,
                              struct ms_buf *out)
{
    if (diag != NULL && diag->line > 0)
        return ms_buf_addf(out, "%s:%zu: %s", file, diag->line, ms_diag_text(diag, err));
    return ms_buf_addf(out, "%s: %s", file, ms_diag_text(diag, err));
}

void config_policy(const struct config *config, struct source_policy *ret_policy)
{
    struct source_policy policy = {
        .level = config->level,
        .quorum = config->quorum,
        .max_evidence_age_s = config->max_evidence_age_s,
        .poll_s = config->poll_s,
        .head_poll_s = config->head_poll_s,
        .times = config->times,
        .nonfinality = (enum source_nonfinality)config->nonfinality,
        .has_checkpoint = config->checkpoint.set,
        .checkpoint_chain = config->checkpoint.chain,
        .checkpoint = config->checkpoint.hash,
        .n_providers = config->n_rpcs,
    };
    for (size_t i = 0; i < config->n_rpcs; i++)
        policy.providers[i] = (struct source_provider){
            .name = config->rpcs[i].name,
            .group = config->rpcs[i].group,
            .chain = config->rpcs[i].chain,
            .proofs = config->rpcs[i].proofs,
            .trusted = config->rpcs[i].trusted,
        };
    *ret_policy = policy;
}

const char *config_alias(void *config, struct ms_span name)
{
    const struct config *c = config;

    for (size_t i = 0; i < c->n_aliases; i++)
        if (ms_span_eq_str(name, c->aliases[i].name))
            return c->aliases[i].specifier;
    return NULL;
}

const struct config_dstack_app *config_dstack_app(const struct config *config,
                                                  const uint8_t id[BOOT_APP_ID_BYTES])
{
    for (size_t i = 0; i < config->dstack.n_apps; i++)
        if (memcmp(config->dstack.apps[i].id, id, BOOT_APP_ID_BYTES) == 0)
            return &config->dstack.apps[i];
    return NULL;
}

/* Distinct groups among the endpoints of a chain. */
static uint32_t count_groups(const struct config *config, uint64_t chain)
{
    uint32_t n = 0;

    for (size_t i = 0; i < config->n_rpcs; i++) {
        bool known = config->rpcs[i].chain != chain;
        for (size_t j = 0; j < i && !known; j++)
            known = config->rpcs[j].chain == chain &&
                    strcmp(config->rpcs[i].group, config->rpcs[j].group) == 0;
        n += !known;
    }
    return n;
}

static void warn_dstack(const struct config *config, void (*fn)(void *arg, const char *text),
                        void *arg)
{
    const struct config_dstack *dstack = &config->dstack;

    if (!dstack->enabled)
        return;
    if (dstack->kms_specifier == NULL && dstack->n_apps == 0)
        fn(arg,
           "[dstack] has no kms-specifier and there is no [dstack-app]: every boot is refused");
    if (dstack->policy.any_device && dstack->policy.devices.n > 0)
        fn(arg, "[dstack] has allow-any-device = yes: its devices are of no use");
}

void config_each_warning(const struct config *config, void (*fn)(void *arg, const char *text),
                         void *arg)
{
    for (size_t i = 0; i < config->n_rpcs; i++) {
        uint64_t chain = config->rpcs[i].chain;
        uint32_t groups = count_groups(config, chain);
        bool told = config->level < SPEC_LEVEL_L2 || groups >= config->quorum;
        for (size_t j = 0; j < i && !told; j++)
            told = config->rpcs[j].chain == chain;
        if (told)
            continue;
        char text[160];
        (void)snprintf(text, sizeof(text),
                       "chain %" PRIu64 " has %" PRIu32 " RPC group%s but quorum is %" PRIu32
                       ": its contracts cannot be resolved",
                       chain, groups, groups == 1 ? "" : "s", config->quorum);
        fn(arg, text);
    }
    warn_dstack(config, fn, arg);
}

const char *config_fixed_difference(const struct config *a, const struct config *b)
{
    if (strcmp(a->socket_dir, b->socket_dir) != 0)
        return "server.socket-dir";
    if (strcmp(a->state_dir, b->state_dir) != 0)
        return "server.state-dir";
    if (a->http_enabled != b->http_enabled || a->http_listen.v6 != b->http_listen.v6 ||
        a->http_listen.port != b->http_listen.port ||
        memcmp(a->http_listen.b, b->http_listen.b, sizeof(a->http_listen.b)) != 0)
        return "server.http-listen";
    if (a->http_threads != b->http_threads)
        return "server.http-threads";
    if (a->dstack.sign != b->dstack.sign)
        return "dstack.sign";
    if (strcmp(a->log_origin == NULL ? "" : a->log_origin,
               b->log_origin == NULL ? "" : b->log_origin) != 0)
        return "log.origin";
    return NULL;
}

void config_each_key(void (*fn)(void *arg, const struct config_key *key), void *arg)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++)
        fn(arg, &rows[i].key);
}
