/* resolver/source/scan.c - searching logs. */
#include "resolver/source/scan.h"

#define SCAN_WINDOW 2000 /* blocks, where the whole range at once is refused */
#define SCAN_ALL UINT64_MAX

enum { SCAN_WHAT_LOGS = CONTRACT_WHAT_OWN, SCAN_WHAT_CODE };

static uint64_t last_block(const struct source *s)
{
    return contract_of(s)->trusted.final.header.number;
}

static void end(struct scan *scan, const char *why)
{
    scan->done = true;
    scan->why = why;
}

/* ---- asking ---- */

static bool pick_peer(struct source *s, struct scan *scan)
{
    const struct rpcset *set = &contract_of(s)->set;

    for (uint32_t p = 0; p < rpcset_n(set); p++) {
        if (!rpcset_alive(set, p) || scan->peers_done[p] || (scan->seeking && scan->codeless[p]))
            continue;
        scan->peer = p;
        return true;
    }
    return false;
}

static bool send(struct source *s, struct scan *scan, const struct rpc_call *call)
{
    scan->out = true;
    scan->answered = false;
    scan->requests++;
    return rpcset_send(&contract_of(s)->set, scan->peer, call, 1);
}

static bool ask_logs(struct source *s, struct scan *scan)
{
    uint64_t last = last_block(s), left = last - scan->at.next;

    scan->end = scan->at.window - 1 < left ? scan->at.next + scan->at.window - 1 : last;
    scan->filter = (struct eth_log_filter){
        .has_address = true,
        .address = s->spec->address,
        .other = s->spec->has_kms ? &s->spec->kms : NULL,
        .from = {.form = ETH_BLOCK_NUMBER, .number = scan->at.next},
        .to = {.form = ETH_BLOCK_NUMBER, .number = scan->end},
        .any = scan->topics,
        .n_any = scan->n_topics,
    };
    struct rpc_call call = {
        .method = RPC_LOGS, .what = SCAN_WHAT_LOGS, .hint = true, .logs = &scan->filter};
    return send(s, scan, &call);
}

static bool ask_code(struct source *s, struct scan *scan)
{
    struct rpc_call call = {
        .method = RPC_CODE,
        .what = SCAN_WHAT_CODE,
        .hint = true,
        .to = scan->seeking_other ? s->spec->kms : s->spec->address,
        .block = {.form = ETH_BLOCK_NUMBER, .number = scan->low + (scan->high - scan->low) / 2}};
    return send(s, scan, &call);
}

/* ---- answers ---- */

static void start_seeking(struct source *s, struct scan *scan)
{
    scan->seeking = scan->sought = true;
    scan->low = 0;
    scan->high = last_block(s);
}

/* The earlier of the two: a KMS has logs of use from before the app. */
static void begin_at(const struct source *s, struct scan *scan, uint64_t block)
{
    if (s->spec->has_kms && !scan->seeking_other && block > 0) {
        scan->seeking_other = true;
        scan->low = 0;
        scan->high = block;
        return;
    }
    scan->seeking = scan->seeking_other = false;
    scan->at.from = scan->at.next = block;
}

static void sought_at(const struct source *s, struct scan *scan, bool has_code)
{
    uint64_t middle = scan->low + (scan->high - scan->low) / 2;

    if (has_code)
        scan->high = middle;
    else
        scan->low = middle + 1;
    if (scan->low < scan->high)
        return;
    begin_at(s, scan, scan->high);
}

static bool is_ours(const struct source *s, const struct eth_log *log)
{
    return eth_addr_eq(&log->address, &s->spec->address) ||
           (s->spec->has_kms && eth_addr_eq(&log->address, &s->spec->kms));
}

static void take_logs(struct source *s, struct scan *scan, const json_t *result)
{
    struct ms_arena scratch = MS_ARENA_INIT(SCAN_LOGS_MAX_BYTES); /* the attempt's is for answers */
    struct ms_diag diag = {0};
    struct eth_log *logs = NULL;
    size_t n = 0;

    enum ms_err err = eth_rpc_result_logs(result, &scratch, &logs, &n, &diag);
    for (size_t i = 0; err == MS_OK && i < n; i++)
        if (is_ours(s, &logs[i]))
            scan->found(s, &logs[i]);
    ms_arena_done(&scratch);
    if (err == MS_OK)
        scan->at.next = scan->end + 1;
    else
        scan_failed(s, scan, err);
}

void scan_result(struct source *s, struct scan *scan, const struct rpc_call *call,
                 const json_t *result)
{
    scan->answered = true;
    if (call->what == SCAN_WHAT_LOGS) {
        take_logs(s, scan, result);
        return;
    }
    const char *code = json_string_value(result);
    sought_at(s, scan, code != NULL && strlen(code) > 2);
}

/* What it would not take another one may. */
static void peer_done(struct scan *scan)
{
    scan->peers_done[scan->peer] = true;
    scan->at.window = scan->first_window;
}

void scan_failed(struct source *s, struct scan *scan, enum ms_err err)
{
    bool narrow = err == MS_ERR_RPC || err == MS_ERR_TOO_LARGE || err == MS_ERR_LIMIT;

    scan->answered = true;
    if (scan->seeking) {
        scan->codeless[scan->peer] = true; /* it has no old states */
    } else if (narrow && scan->at.window > SCAN_WINDOW) {
        scan->at.window = SCAN_WINDOW;
        if (scan->at.next == 0 && !scan->sought)
            start_seeking(s, scan);
    } else if (narrow && scan->at.window > 1) {
        scan->at.window /= 2;
    } else {
        peer_done(scan);
    }
}

/* ---- the steps ---- */

static void begin(const struct source *s, struct scan *scan)
{
    if (!scan->at.begun)
        scan->at = (struct source_scan){.begun = true, .whole = true, .window = SCAN_ALL};
    if (scan->first_window == 0) {
        scan->first_window = scan->at.window;
        scan->bytes_before = s->bytes;
    }
}

enum source_state scan_step(struct source *s, struct scan *scan)
{
    begin(s, scan);
    if (scan->out && !scan->answered) /* the peer died of it */
        peer_done(scan);
    scan->out = false;
    size_t max = SCAN_REQUESTS_MAX * (s->spec->has_kms ? 2 : 1);
    while (scan->seeking && !pick_peer(s, scan)) /* nobody knows more of the past: */
        begin_at(s, scan, scan->high);           /* rather late than not at all */
    if (scan->done)
        return SOURCE_DONE;
    if (!scan->seeking && scan->at.next > last_block(s))
        end(scan, NULL);
    else if ((scan->requests >= max && !scan->seeking) ||
             s->bytes - scan->bytes_before > SCAN_MAX_BYTES)
        end(scan, "more blocks are to be searched");
    else if (!pick_peer(s, scan))
        end(scan, "no endpoint gives the logs");
    else if (scan->seeking)
        return ask_code(s, scan) ? SOURCE_WANTS : SOURCE_FAILED;
    else
        return ask_logs(s, scan) ? SOURCE_WANTS : SOURCE_FAILED;
    return SOURCE_DONE;
}
