/* cli/registry_show.c - what one endpoint says of a registry. */
#include "cli/registry.h"

#include "base/hex.h"
#include "cli/version.h"
#include "cli/when.h"
#include "contracts-abi/registry_abi.h"
#include "eth/abi.h"
#include "resolver/source/registry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_BYTES ((size_t)4 << 20)
#define ANSWER_MAX_BYTES ((size_t)1 << 20)
#define WORDS_MAX_BYTES ((size_t)1 << 20)

struct view {
    struct registry_target target;
    struct rpc rpc;
    json_t *block; /* {"blockHash"}: everything is read at one block */
    uint64_t block_number, block_time_s;
    struct ms_arena arena;
    struct ms_buf answer;
    struct registry_snapshot snapshot;
    bool known_code;
    uint64_t n_ever;       /* releases ever approved */
    uint64_t last_version; /* of the last of them */
    struct eth_addr pending_owner;
};

/* ---- reading ---- */
static enum ms_err ask(struct view *v, struct ms_span data, struct ms_buf *out,
                       struct ms_diag *diag)
{
    ms_buf_reset(out);
    return rpc_call(&v->rpc, NULL, &v->target.contract, data, v->block, out, diag);
}

static enum ms_err ask_word(struct view *v, const uint8_t selector[4], struct eth_word *ret_word,
                            struct ms_diag *diag)
{
    struct ms_buf out = MS_BUF_INIT(CALL_MAX_BYTES);

    enum ms_err err = ask(v, ms_span_of(selector, 4), &out, diag);
    if (err == MS_OK && !eth_word_of_span(ms_buf_span(&out), ret_word))
        err = ms_diag_set(diag, MS_ERR_KIND, "%s: the answer is not one word", v->rpc.where);
    ms_buf_done(&out);
    return err;
}

static enum ms_err read_block(struct view *v, struct ms_diag *diag)
{
    json_t *header = NULL;
    struct eth_hash hash;
    char text[2 + 2 * ETH_HASH_BYTES + 1] = "0x";

    enum ms_err err =
        rpc_ask(&v->rpc, "eth_getBlockByNumber", json_pack("[s, b]", "latest", 0), &header, diag);
    if (err == MS_OK)
        err = eth_json_fixed(header, "hash", hash.b, sizeof(hash.b), diag);
    if (err == MS_OK)
        err = eth_json_u64(header, "number", &v->block_number, diag);
    if (err == MS_OK)
        err = eth_json_u64(header, "timestamp", &v->block_time_s, diag);
    json_decref(header);
    if (err != MS_OK)
        return err;
    ms_hex_encode(eth_hash_span(&hash), text + 2);
    v->block = json_pack("{s:s}", "blockHash", text);
    return v->block == NULL ? MS_ERR_MEMORY : MS_OK;
}

static enum ms_err read_code(struct view *v, struct ms_diag *diag)
{
    static const struct eth_hash want = REGISTRY_CODE_HASH;
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(&v->target.contract, text);
    ms_buf_reset(&v->answer);
    enum ms_err err =
        rpc_ask_data(&v->rpc, "eth_getCode", json_pack("[s, O]", text, v->block), &v->answer, diag);
    if (err != MS_OK)
        return err;
    if (v->answer.len == 0)
        return ms_diag_set(diag, MS_ERR_NO_CODE, "there is no contract at %s on chain %" PRIu64,
                           text, v->target.chain);
    struct eth_hash hash = eth_keccak256(ms_buf_span(&v->answer));
    v->known_code = eth_hash_eq(&hash, &want);
    return MS_OK;
}

/* The version of the last release, live or not: the next one must be higher. */
static enum ms_err read_last(struct view *v, struct ms_diag *diag)
{
    static const uint8_t selector[] = REGISTRY_CALL_RELEASE;
    struct ms_buf out = MS_BUF_INIT(CALL_MAX_BYTES);
    uint8_t data[sizeof(selector) + ETH_WORD_BYTES];
    struct eth_word id = eth_word_u64(v->n_ever);
    const struct eth_abi_type *type = NULL;
    struct eth_abi_value value;

    if (v->n_ever == 0)
        return MS_OK;
    memcpy(data, selector, sizeof(selector));
    memcpy(data + sizeof(selector), id.b, ETH_WORD_BYTES);
    enum ms_err err = ask(v, ms_span_of(data, sizeof(data)), &out, diag);
    if (err == MS_OK)
        err = eth_abi_params_parse(ms_span_str(REGISTRY_RETURNS_RELEASE), &v->arena, &type);
    if (err == MS_OK)
        err = eth_abi_decode(type, ms_buf_span(&out), &v->arena, &value, diag);
    if (err == MS_OK && !eth_word_to_u64(&value.items[0].items[1].word, &v->last_version))
        err = MS_ERR_ABI;
    ms_buf_done(&out);
    return err;
}

/* The state must be the one that its own commitment names: a mistake shows, a lie need not. */
static enum ms_err read_state(struct view *v, struct ms_diag *diag)
{
    static const uint8_t commitment[] = REGISTRY_CALL_COMMITMENT,
                         count[] = REGISTRY_CALL_RELEASE_COUNT,
                         pending[] = REGISTRY_CALL_PENDING_OWNER,
                         snapshot[] = REGISTRY_CALL_SNAPSHOT_WITH_PAYLOADS;
    struct eth_word slot0, word;

    enum ms_err err = ask_word(v, commitment, &slot0, diag);
    if (err == MS_OK)
        err = ask(v, ms_span_of(snapshot, sizeof(snapshot)), &v->answer, diag);
    if (err == MS_OK)
        err = registry_verify(&slot0, ms_buf_span(&v->answer), &v->arena, &v->snapshot, diag);
    if (err == MS_OK)
        err = ask_word(v, count, &word, diag);
    if (err == MS_OK && !eth_word_to_u64(&word, &v->n_ever))
        err = MS_ERR_ABI;
    if (err == MS_OK)
        err = ask_word(v, pending, &word, diag);
    if (err == MS_OK)
        memcpy(v->pending_owner.b, word.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES);
    return err == MS_OK ? read_last(v, diag) : err;
}

/* ---- telling ---- */
static const char *status_of(const struct view *v, const struct registry_release *release)
{
    switch (
        registry_in_force(&v->snapshot.state, release, v->block_time_s, (int64_t)release_now())) {
    case REGISTRY_ENDED:
        return "ended";
    case REGISTRY_LAPSED:
        return "lapsed";
    case REGISTRY_PENDING:
        return "pending";
    case REGISTRY_IN_FORCE:
        return "in-force";
    }
    return "?";
}

static json_t *hex32(const uint8_t bytes[32])
{
    return ms_json_hex(ms_span_of(bytes, 32));
}

static json_t *addr_json(const struct eth_addr *addr)
{
    return eth_addr_is_zero(addr) ? json_null() : rpc_addr_json(addr);
}

/* Versions reach beyond what every JSON reader keeps: they are strings, as in the envelope. */
static json_t *decimal(uint64_t value)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    return json_string(text);
}

static json_t *release_json(const struct view *v, const struct registry_release *r)
{
    return json_pack(
        "{s:I, s:o, s:s, s:I, s:I, s:I, s:i, s:I, s:o, s:b, s:s%}", "id", (json_int_t)r->id,
        "version", decimal(r->version), "status", status_of(v, r), "not_before",
        (json_int_t)r->not_before_s, "not_after", (json_int_t)r->not_after_s, "approved_seq",
        (json_int_t)r->approved_seq, "payload_format", (int)r->payload_format, "payload_size",
        (json_int_t)r->payload_size, "payload_hash", hex32(r->payload_hash.b), "on_chain",
        r->payload.len > 0, "uri", r->uri.len == 0 ? "" : (const char *)r->uri.ptr, r->uri.len);
}

static json_t *view_json(const struct view *v)
{
    const struct registry_state *s = &v->snapshot.state;
    json_t *list = json_array();
    char text[ETH_ADDR_TEXT + 1];

    for (size_t i = 0; i < v->snapshot.n_releases; i++)
        if (json_array_append_new(list, release_json(v, &v->snapshot.releases[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    eth_addr_text(&v->target.contract, text);
    return json_pack(
        "{s:s, s:s, s:I, s:{s:I, s:O, s:I}, s:b, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:I, "
        "s:o, s:o}",
        "trust", "single", "contract", text, "chain", (json_int_t)v->target.chain, "block",
        "number", (json_int_t)v->block_number, "hash", json_object_get(v->block, "blockHash"),
        "time", (json_int_t)v->block_time_s, "known_code", (int)v->known_code, "sequence",
        (json_int_t)s->sequence, "updated_at", (json_int_t)s->updated_at_s, "updated_block",
        (json_int_t)s->updated_block, "valid_until", (json_int_t)s->valid_until_s, "min_delay",
        (json_int_t)s->min_delay_s, "owner", addr_json(&s->owner), "pending_owner",
        addr_json(&v->pending_owner), "guardian", addr_json(&s->guardian), "history_hash",
        hex32(s->history_hash.b), "next_id", (json_int_t)v->n_ever + 1, "last_version",
        decimal(v->last_version), "releases", list);
}

static void addr_row(struct ms_buf *out, const char *name, const struct eth_addr *addr)
{
    char text[ETH_ADDR_TEXT + 1];

    eth_addr_text(addr, text);
    (void)ms_buf_addf(out, "%-13s %s\n", name, eth_addr_is_zero(addr) ? "nobody" : text);
}

static void release_rows(const struct view *v, const struct registry_release *r, struct ms_buf *out)
{
    char version[VERSION_TEXT], from[WHEN_TEXT], to[WHEN_TEXT] = "without end";
    char hash[2 * MS_SHA256_BYTES + 1];

    version_text(r->version, version);
    when_text(r->not_before_s, from);
    if (r->not_after_s != 0)
        when_text(r->not_after_s, to);
    ms_sha256_hex(&r->payload_hash, hash);
    (void)ms_buf_addf(out, "release %-5" PRIu64 " %s, version %s, %s to %s\n", r->id,
                      status_of(v, r), version, from, to);
    (void)ms_buf_addf(out, "%-13s %s, %" PRIu32 " bytes, format %u, %s", "", hash, r->payload_size,
                      (unsigned)r->payload_format,
                      r->payload.len > 0 ? "on chain" : "not on chain");
    (void)ms_buf_addf(out, "%s%.*s\n", r->uri.len > 0 ? ", " : "", (int)r->uri.len,
                      r->uri.len == 0 ? "" : (const char *)r->uri.ptr);
}

static int print_words(const struct cli *cli, const struct view *v)
{
    struct ms_buf out = MS_BUF_INIT(WORDS_MAX_BYTES);
    const struct registry_state *s = &v->snapshot.state;
    char text[WHEN_TEXT], version[VERSION_TEXT];
    int code;

    when_text(v->block_time_s, text);
    (void)ms_buf_addf(&out, "%-13s %" PRIu64 " of chain %" PRIu64 ", %s\n", "block",
                      v->block_number, v->target.chain, text);
    (void)ms_buf_addf(&out, "%-13s %s\n", "code",
                      v->known_code ? "the reference registry"
                                    : "UNKNOWN: not the reference registry");
    addr_row(&out, "owner", &s->owner);
    if (!eth_addr_is_zero(&v->pending_owner))
        addr_row(&out, "next owner", &v->pending_owner);
    addr_row(&out, "guardian", &s->guardian);
    (void)ms_buf_addf(&out, "%-13s %" PRIu64 " s\n", "minimum delay", s->min_delay_s);
    when_text(s->updated_at_s, text);
    (void)ms_buf_addf(&out, "%-13s %" PRIu64 ", the last at %s in block %" PRIu64 "\n",
                      "operations", s->sequence, text, s->updated_block);
    when_text(s->valid_until_s, text);
    if (s->valid_until_s != 0)
        (void)ms_buf_addf(&out, "%-13s until %s\n", "heartbeat", text);
    version_text(v->last_version, version);
    (void)ms_buf_addf(&out, "%-13s id %" PRIu64 ", version above %s\n", "next release",
                      v->n_ever + 1, version);
    for (size_t i = 0; i < v->snapshot.n_releases; i++)
        release_rows(v, &v->snapshot.releases[i], &out);
    if (v->snapshot.n_releases == 0)
        (void)ms_buf_add_str(&out, "no live release: nothing is approved\n");
    code = ms_buf_err(&out) == MS_OK ? registry_put(cli, ms_buf_span(&out), &v->target.out)
                                     : cli_print_error(cli, ms_buf_err(&out), NULL, CLI_UNKNOWN);
    ms_buf_done(&out);
    return code;
}

static int show(const struct cli *cli, struct view *v)
{
    struct ms_diag diag = {0};

    int code = registry_open(cli, &v->target, &v->rpc);
    if (code != CLI_YES)
        return code;
    enum ms_err err = read_block(v, &diag);
    if (err == MS_OK)
        err = read_code(v, &diag);
    if (err == MS_OK)
        err = read_state(v, &diag);
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, err == MS_ERR_NO_CODE ? CLI_NO : CLI_UNKNOWN);
    cli_say(cli, "as %s alone says, at its newest block: nothing of it is proven", v->rpc.where);
    if (cli->json)
        return registry_put_json(cli, view_json(v), &v->target.out);
    return print_words(cli, v);
}

int registry_show(struct cli *cli, int argc, char **argv)
{
    struct view v = {.arena = MS_ARENA_INIT(ARENA_BYTES), .answer = MS_BUF_INIT(ANSWER_MAX_BYTES)};
    const struct cli_option options[] = {{"contract", &v.target.contract_text, NULL},
                                         {"chain", &v.target.chain_text, NULL},
                                         {"rpc", &v.target.rpc_url, NULL},
                                         {"timeout", &v.target.timeout_text, NULL},
                                         {"o", &v.target.out.path, NULL},
                                         {"replace", NULL, &v.target.out.replace}};
    int code = CLI_USAGE;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0))
        return CLI_USAGE;
    if (v.target.contract_text == NULL || v.target.rpc_url == NULL)
        cli_say(cli, "missing argument: --contract ADDRESS and --rpc URL");
    else if (registry_target(cli, &v.target))
        code = show(cli, &v);
    if (v.rpc.curl != NULL)
        rpc_close(&v.rpc);
    json_decref(v.block);
    ms_arena_done(&v.arena);
    ms_buf_done(&v.answer);
    return code;
}
