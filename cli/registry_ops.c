/* cli/registry_ops.c - the operations of a registry but approve: said in words, then given out. */
#include "cli/registry.h"

#include "cli/when.h"

#include <inttypes.h>
#include <stdio.h>

struct wish {
    struct registry_target target;
    const char *id, *reason, *not_after, *valid_until, *min_delay, *guardian, *to;
};

/* Seconds in words: "48 hours". */
static void duration_words(uint64_t seconds, char out[64])
{
    if (seconds % 3600 == 0 && seconds > 0)
        (void)snprintf(out, 64, "%" PRIu64 " s (%" PRIu64 " h)", seconds, seconds / 3600);
    else
        (void)snprintf(out, 64, "%" PRIu64 " s", seconds);
}

static bool needed(const struct cli *cli, const char *value, const char *what)
{
    if (value == NULL)
        cli_say(cli, "missing argument: %s", what);
    return value != NULL;
}

static bool id_ok(const struct cli *cli, const struct wish *w, struct call *call)
{
    if (!needed(cli, w->id, "--id N of the release") ||
        !release_number(cli, "--id", w->id, UINT64_MAX, &call->id))
        return false;
    if (call->id == 0)
        cli_say(cli, "--id 0: releases are counted from 1");
    return call->id != 0;
}

static bool revoke_ok(const struct cli *cli, const struct wish *w, struct call *call,
                      struct ms_buf *words)
{
    if (!id_ok(cli, w, call))
        return false;
    if (w->reason != NULL && !call_reason_parse(w->reason, &call->reason)) {
        cli_say(cli,
                "--reason %s: none of unspecified, vulnerability, compromise, superseded, mistake "
                "and expired, and no number",
                w->reason);
        return false;
    }
    const char *name = call_reason_name(call->reason);
    (void)ms_buf_addf(words, "revoke release %" PRIu64 " at once and for ever, reason %" PRIu32,
                      call->id, call->reason);
    (void)ms_buf_addf(words, " (%s)", name == NULL ? "one of your own" : name);
    return true;
}

static bool shorten_ok(const struct cli *cli, const struct wish *w, struct call *call,
                       struct ms_buf *words)
{
    char text[WHEN_TEXT];

    if (!id_ok(cli, w, call) || !needed(cli, w->not_after, "--not-after TIME") ||
        !registry_time(cli, "--not-after", w->not_after, &call->not_after_s))
        return false;
    if (call->not_after_s == 0) {
        cli_say(cli, "--not-after 0: an end can come nearer, not go away");
        return false;
    }
    when_text(call->not_after_s, text);
    (void)ms_buf_addf(words, "release %" PRIu64 " ends at %" PRIu64 " (%s)", call->id,
                      call->not_after_s, text);
    return true;
}

static bool prune_ok(const struct cli *cli, const struct wish *w, struct call *call,
                     struct ms_buf *words)
{
    if (!id_ok(cli, w, call))
        return false;
    (void)ms_buf_addf(words, "take release %" PRIu64 ", which has ended, off the live list",
                      call->id);
    return true;
}

static bool heartbeat_ok(const struct cli *cli, const struct wish *w, struct call *call,
                         struct ms_buf *words)
{
    char text[WHEN_TEXT];

    if (!needed(cli, w->valid_until, "--valid-until TIME, or none") ||
        (strcmp(w->valid_until, "none") != 0 &&
         !registry_time(cli, "--valid-until", w->valid_until, &call->seconds)))
        return false;
    when_text(call->seconds, text);
    if (call->seconds == 0)
        (void)ms_buf_add_str(words, "no heartbeat is required any more");
    else
        (void)ms_buf_addf(
            words,
            "heartbeat: unless there is another one, nothing is approved after %" PRIu64 " (%s)",
            call->seconds, text);
    return true;
}

static bool delay_ok(const struct cli *cli, uint64_t seconds, const char *text)
{
    if (seconds > CALL_DELAY_MAX_S)
        cli_say(cli, "--min-delay %s: at most 30 days", text);
    return seconds <= CALL_DELAY_MAX_S;
}

static bool raise_ok(const struct cli *cli, const struct wish *w, struct call *call,
                     struct ms_buf *words)
{
    char text[64];

    if (!needed(cli, w->min_delay, "--min-delay DURATION") ||
        !registry_duration(cli, "--min-delay", w->min_delay, &call->seconds) ||
        !delay_ok(cli, call->seconds, w->min_delay))
        return false;
    duration_words(call->seconds, text);
    (void)ms_buf_addf(
        words, "from now on at least %s between approval and effect; never less again", text);
    return true;
}

static bool guardian_ok(const struct cli *cli, const struct wish *w, struct call *call,
                        struct ms_buf *words)
{
    char text[ETH_ADDR_TEXT + 1];

    if (!needed(cli, w->guardian, "--guardian ADDRESS, or none"))
        return false;
    if (strcmp(w->guardian, "none") == 0)
        return ms_buf_add_str(words, "no guardian: only the owner can take releases away") == MS_OK;
    if (!release_addr(cli, "--guardian", w->guardian, &call->addr))
        return false;
    eth_addr_text(&call->addr, text);
    (void)ms_buf_addf(words, "the guardian, who can only take releases away, is %s", text);
    return true;
}

static bool transfer_ok(const struct cli *cli, const struct wish *w, struct call *call,
                        struct ms_buf *words)
{
    char text[ETH_ADDR_TEXT + 1];

    if (!needed(cli, w->to, "--to ADDRESS of the next owner") ||
        !release_addr(cli, "--to", w->to, &call->addr))
        return false;
    eth_addr_text(&call->addr, text);
    (void)ms_buf_addf(words, "%s may become the owner, by accept-owner; until then nothing changes",
                      text);
    return true;
}

static bool read_call(const struct cli *cli, const struct wish *w, struct call *call,
                      struct ms_buf *words)
{
    switch (call->op) {
    case CALL_REVOKE:
        return revoke_ok(cli, w, call, words);
    case CALL_SHORTEN:
        return shorten_ok(cli, w, call, words);
    case CALL_PRUNE:
        return prune_ok(cli, w, call, words);
    case CALL_HEARTBEAT:
        return heartbeat_ok(cli, w, call, words);
    case CALL_RAISE_MIN_DELAY:
        return raise_ok(cli, w, call, words);
    case CALL_SET_GUARDIAN:
        return guardian_ok(cli, w, call, words);
    case CALL_TRANSFER_OWNERSHIP:
        return transfer_ok(cli, w, call, words);
    case CALL_ACCEPT_OWNERSHIP:
        return ms_buf_add_str(words, "the sender, to whom it was handed, becomes the owner") ==
               MS_OK;
    case CALL_APPROVE:
    case CALL_NONE:
        break;
    }
    return false;
}

/* The options of its own that an operation has. */
static size_t own_options(struct wish *w, enum call_op op, struct cli_option out[2])
{
    switch (op) {
    case CALL_REVOKE:
        out[0] = (struct cli_option){"id", &w->id, NULL};
        out[1] = (struct cli_option){"reason", &w->reason, NULL};
        return 2;
    case CALL_SHORTEN:
        out[0] = (struct cli_option){"id", &w->id, NULL};
        out[1] = (struct cli_option){"not-after", &w->not_after, NULL};
        return 2;
    case CALL_PRUNE:
        out[0] = (struct cli_option){"id", &w->id, NULL};
        return 1;
    case CALL_HEARTBEAT:
        out[0] = (struct cli_option){"valid-until", &w->valid_until, NULL};
        return 1;
    case CALL_RAISE_MIN_DELAY:
        out[0] = (struct cli_option){"min-delay", &w->min_delay, NULL};
        return 1;
    case CALL_SET_GUARDIAN:
        out[0] = (struct cli_option){"guardian", &w->guardian, NULL};
        return 1;
    case CALL_TRANSFER_OWNERSHIP:
        out[0] = (struct cli_option){"to", &w->to, NULL};
        return 1;
    case CALL_ACCEPT_OWNERSHIP:
    case CALL_APPROVE:
    case CALL_NONE:
        break;
    }
    return 0;
}

int registry_operation(struct cli *cli, int argc, char **argv, enum call_op op)
{
    struct wish w = {0};
    const struct cli_option shared[] = {REGISTRY_CALL_OPTIONS(&w.target)};
    struct cli_option options[MS_ARRAY_LEN(shared) + 2];
    struct ms_buf words = MS_BUF_INIT(512), data = MS_BUF_INIT(CALL_MAX_BYTES);
    struct call call = {.op = op};
    int code = CLI_USAGE;

    size_t n = own_options(&w, op, options);
    memcpy(options + n, shared, sizeof(shared));
    n += MS_ARRAY_LEN(shared);
    if (cli_args(cli, argc, argv, options, n, "", NULL, 0, 0) && registry_target(cli, &w.target) &&
        read_call(cli, &w, &call, &words)) {
        enum ms_err err = call_encode(&call, &data);
        const char *title = err == MS_OK ? ms_buf_str(&words) : NULL;
        if (title != NULL)
            cli_say(cli, "%s", title);
        code = title == NULL
                   ? cli_print_error(cli, err == MS_OK ? MS_ERR_MEMORY : err, NULL, CLI_UNKNOWN)
                   : registry_give_out(cli, &w.target,
                                       &(struct registry_act){.to = w.target.contract,
                                                              .data = ms_buf_span(&data),
                                                              .title = title},
                                       op);
    }
    ms_buf_done(&words);
    ms_buf_done(&data);
    return code;
}

/* ---- deploy-data ---- */
static int deploy(const struct cli *cli, struct registry_target *target,
                  const struct eth_addr *owner, const struct eth_addr *guardian,
                  uint64_t min_delay_s)
{
    char owner_text[ETH_ADDR_TEXT + 1], guardian_text[ETH_ADDR_TEXT + 1] = "nobody", delay[64];
    struct ms_buf data = MS_BUF_INIT(CALL_MAX_BYTES);
    int code;

    eth_addr_text(owner, owner_text);
    if (!eth_addr_is_zero(guardian))
        eth_addr_text(guardian, guardian_text);
    duration_words(min_delay_s, delay);
    cli_say(cli, "a new registry: owner %s, guardian %s, minimum delay %s", owner_text,
            guardian_text, delay);
    if (min_delay_s < 3600)
        cli_say(cli, "warning: with less than an hour nobody sees a release before it counts");
    enum ms_err err = call_deploy(owner, guardian, min_delay_s, &data);
    code = err != MS_OK ? cli_print_error(cli, err, NULL, CLI_UNKNOWN)
                        : registry_give_out(cli, target,
                                            &(struct registry_act){.creates = true,
                                                                   .data = ms_buf_span(&data),
                                                                   .title = "create a registry"},
                                            CALL_NONE);
    ms_buf_done(&data);
    return code;
}

int registry_deploy_data(struct cli *cli, int argc, char **argv)
{
    const char *owner_text = NULL, *guardian_text = NULL, *delay_text = NULL;
    struct registry_target target = {0};
    const struct cli_option options[] = {{"owner", &owner_text, NULL},
                                         {"guardian", &guardian_text, NULL},
                                         {"min-delay", &delay_text, NULL},
                                         REGISTRY_OUT_OPTIONS(&target)};
    struct eth_addr owner, guardian = {{0}};
    uint64_t min_delay_s = 0;

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", NULL, 0, 0) ||
        !registry_target(cli, &target) || !needed(cli, owner_text, "--owner ADDRESS") ||
        !release_addr(cli, "--owner", owner_text, &owner) ||
        (guardian_text != NULL && strcmp(guardian_text, "none") != 0 &&
         !release_addr(cli, "--guardian", guardian_text, &guardian)) ||
        !registry_duration(cli, "--min-delay", delay_text, &min_delay_s) ||
        !delay_ok(cli, min_delay_s, delay_text))
        return CLI_USAGE;
    if (eth_addr_is_zero(&owner)) {
        cli_say(cli, "--owner: nobody could ever use a registry of the zero address");
        return CLI_USAGE;
    }
    return deploy(cli, &target, &owner, &guardian, min_delay_s);
}
