/* cache/report_log.c - a log, told with what is known of it. */
#include "cache/report_internal.h"

#include "base/hex.h"
#include "resolver/source/log_event.h"

#include <stdio.h>

#define NAME_MAX_BYTES 96

static json_t *number_json(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* "log:AddedOwner", or "log" for an event that is not known here. */
static json_t *kind_json(const char *event)
{
    char text[NAME_MAX_BYTES];

    if (event == NULL)
        return json_string("log");
    (void)snprintf(text, sizeof(text), "log:%.*s", (int)strcspn(event, "("), event);
    return json_string(text);
}

static json_t *topics_json(const struct cache_log *log)
{
    json_t *topics = json_array();

    for (size_t i = 0; topics != NULL && i < log->n_topics; i++)
        (void)json_array_append_new(topics, ms_json_hex(eth_hash_span(&log->topics[i])));
    return topics;
}

static int add_change(json_t *row, const struct cache_log *log)
{
    char hex[2 * ETH_WORD_BYTES + 1];
    struct log_change change;
    json_t *value;

    if (!log_event_change(log->topics, log->n_topics, log->data, &change))
        return 0;
    if (change.is_address) {
        value = ms_json_hex(
            ms_span_of(change.value.b + ETH_WORD_BYTES - ETH_ADDR_BYTES, ETH_ADDR_BYTES));
    } else {
        ms_hex_encode(eth_word_span(&change.value), hex);
        value = json_string(hex);
    }
    return json_array_append_new(json_object_get(row, change.removed ? "removed" : "added"),
                                 json_pack("{s:s, s:o}", "kind", change.kind, "value", value));
}

static int add_check(json_t *row, const struct cache_log_check *check)
{
    static const struct cache_log_check never = {
        .hash_by = "", .provider = "", .why = "it was stored before blocks were checked"};
    static const char *const words[] = {[CACHE_LOGS_UNCHECKED] = "no",
                                        [CACHE_LOGS_CHECKED] = "receipts",
                                        [CACHE_LOGS_WRONG] = "wrong"};
    const struct cache_log_check *c = check == NULL ? &never : check;
    bool is = c->checked == CACHE_LOGS_CHECKED;
    int bad = json_object_set_new(row, "checked", json_string(words[c->checked]));

    if (!is)
        bad |= json_object_set_new(row, "why", json_string(c->why));
    if (is)
        bad |= json_object_set_new(row, "receipts_by", json_string(c->provider));
    if (c->has_hash) {
        bad |= json_object_set_new(row, "block_hash", ms_json_hex(eth_hash_span(&c->hash)));
        bad |= json_object_set_new(row, "hash_by", json_string(c->hash_by));
    }
    return bad;
}

static json_t *bad_log_json(enum ms_err err, const struct ms_diag *why)
{
    return json_pack("{s:i, s:i, s:s, s:n, s:s, s:[], s:[], s:s, s:b, s:s, s:{s:s, s:s}}",
                     "sequence", 0, "time", 0, "state", "unknown", "block", "kind", "unreadable",
                     "added", "removed", "source", "logs", "complete", 0, "checked", "no", "error",
                     "code", ms_err_code(err), "text", ms_diag_text(why, err));
}

json_t *report_log_json(enum ms_err row, const struct cache_log *log, const struct ms_diag *why)
{
    if (row != MS_OK)
        return bad_log_json(row, why);
    const char *event = log->n_topics == 0 ? NULL : log_event_name(&log->topics[0]);
    int64_t time_s = log->check == NULL ? 0 : log->check->time_s;
    json_t *out = json_pack(
        "{s:i, s:I, s:s, s:o, s:o, s:[], s:[], s:s, s:b, s:s, s:s?, s:o, s:o, s:o, s:o}",
        "sequence", 0, "time", (json_int_t)time_s, "state", "unknown", "block",
        number_json(log->block), "kind", kind_json(event), "added", "removed", "source", "logs",
        "complete", 0, "provider", log->provider, "event", event, "index", number_json(log->index),
        "address", ms_json_hex(ms_span_of(log->address.b, sizeof(log->address.b))), "topics",
        topics_json(log), "data", ms_json_hex(log->data));

    if (out == NULL || (add_change(out, log) | add_check(out, log->check)) == 0)
        return out;
    json_decref(out);
    return NULL;
}
