/* cli/registry_args.c - options that the verbs of `measuredctl registry` share. */
#include "cli/registry.h"

#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define TIMEOUT_MAX_S 3600
#define SEND_TIMEOUT_S 180 /* some blocks */
#define PUT_MAX_BYTES ((size_t)4 << 20)

static const char *const formats[] = {
    [REGISTRY_CALLDATA] = "calldata",
    [REGISTRY_TX] = "tx",
    [REGISTRY_SAFE_BUILDER] = "safe-builder",
    [REGISTRY_SAFE_TX] = "safe-tx",
};

static bool parse_format(const struct cli *cli, struct registry_target *t)
{
    t->format = cli->json ? REGISTRY_TX : REGISTRY_CALLDATA;
    if (t->format_text == NULL)
        return true;
    for (size_t i = 0; i < MS_ARRAY_LEN(formats); i++)
        if (strcmp(t->format_text, formats[i]) == 0) {
            t->format = (enum registry_format)i;
            return true;
        }
    cli_say(cli, "--format %s: none of calldata, tx, safe-builder and safe-tx", t->format_text);
    return false;
}

/* "0x..", or "eip155:CHAIN:0x..", which says the chain as well. */
static bool parse_contract(const struct cli *cli, const char *option, const char *text,
                           struct registry_target *t, struct eth_addr *ret_addr)
{
    uint64_t chain = 0;

    if (strncmp(text, "0x", 2) == 0)
        return release_addr(cli, option, text, ret_addr);
    if (!release_safe(cli, option, text, &chain, ret_addr))
        return false;
    if (t->has_chain && t->chain != chain) {
        cli_say(cli, "%s %s: another option says chain %llu", option, text,
                (unsigned long long)t->chain);
        return false;
    }
    t->chain = chain;
    t->has_chain = true;
    return true;
}

static bool parse_values(const struct cli *cli, struct registry_target *t)
{
    t->has_chain = t->chain_text != NULL;
    t->has_contract = t->contract_text != NULL;
    t->has_safe = t->safe_text != NULL;
    t->has_nonce = t->nonce_text != NULL;
    t->has_from = t->from_text != NULL;
    t->chain = 1;
    t->timeout_s = t->send ? SEND_TIMEOUT_S : RPC_TIMEOUT_S;
    return release_number(cli, "--chain", t->chain_text, UINT64_MAX, &t->chain) &&
           (!t->has_contract ||
            parse_contract(cli, "--contract", t->contract_text, t, &t->contract)) &&
           (!t->has_safe || parse_contract(cli, "--safe", t->safe_text, t, &t->safe)) &&
           (!t->has_from || release_addr(cli, "--from", t->from_text, &t->from)) &&
           release_number(cli, "--nonce", t->nonce_text, UINT64_MAX, &t->nonce) &&
           release_number(cli, "--timeout", t->timeout_text, TIMEOUT_MAX_S, &t->timeout_s);
}

bool registry_target(const struct cli *cli, struct registry_target *t)
{
    if (!parse_format(cli, t) || !parse_values(cli, t))
        return false;
    if (t->send && (t->rpc_url == NULL || t->key_file == NULL))
        cli_say(cli, "--send needs --rpc URL and --key-file FILE");
    else if (!t->send && (t->key_file != NULL || t->really))
        cli_say(cli, "--key-file and --really are for --send: nothing is signed here");
    else if (t->send && t->format_text != NULL)
        cli_say(cli, "--send sends: no --format");
    else if (t->send && t->has_safe)
        cli_say(cli, "--send is of the key's own account; of a Safe: --format safe-tx, "
                     "sign-safe-tx, safe-exec --send");
    else if (!t->send && t->timeout_text != NULL && t->rpc_url == NULL)
        cli_say(cli, "--timeout is for --rpc");
    else if (t->has_from && (t->rpc_url == NULL || t->send))
        cli_say(cli, "--from is for --rpc without --send: who would make the call");
    else if (t->format == REGISTRY_SAFE_TX && (!t->has_safe || (!t->has_nonce && !t->rpc_url)))
        cli_say(cli, "--format safe-tx needs --safe ADDRESS and its --nonce N (or --rpc URL, "
                     "which tells it)");
    else if (t->has_nonce && t->format != REGISTRY_SAFE_TX)
        cli_say(cli, "--nonce is the Safe's, for --format safe-tx");
    else if (t->chain == 0 || t->chain > INT64_MAX)
        cli_say(cli, "--chain: there is no such chain");
    else
        return true;
    return false;
}

/* ---- values ---- */
static bool parse_duration(struct ms_span text, uint64_t *ret_s)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    uint64_t number = 0, seconds = 1;

    for (size_t i = 0; text.len > 0 && i < MS_ARRAY_LEN(units); i++)
        if (text.ptr[text.len - 1] == (uint8_t)units[i].unit) {
            seconds = units[i].seconds;
            text.len--;
            break;
        }
    if (!ms_span_u64(text, &number) || number > UINT32_MAX)
        return false;
    *ret_s = number * seconds;
    return true;
}

bool registry_duration(const struct cli *cli, const char *option, const char *text, uint64_t *ret_s)
{
    if (text == NULL || parse_duration(ms_span_str(text), ret_s))
        return true;
    cli_say(cli, "%s %s: not a duration such as 48h, 90m or 3600", option, text);
    return false;
}

bool registry_time(const struct cli *cli, const char *option, const char *text, uint64_t *ret_s)
{
    uint64_t later_s = 0;

    if (text == NULL || text[0] != '+')
        return release_time(cli, option, text, ret_s);
    if (!registry_duration(cli, option, text + 1, &later_s))
        return false;
    *ret_s = release_now() + later_s;
    return true;
}

/* ---- giving out ---- */
static bool to_stdout(const struct release_out *out)
{
    return out->path == NULL || strcmp(out->path, "-") == 0;
}

bool registry_may_put(const struct cli *cli, const struct release_out *out)
{
    struct stat there;

    if (to_stdout(out) || out->replace || stat(out->path, &there) != 0)
        return true;
    cli_say(cli, "%s is there already; --replace replaces it", out->path);
    return false;
}

int registry_put(const struct cli *cli, struct ms_span text, const struct release_out *out)
{
    struct ms_diag diag = {0};

    if (!registry_may_put(cli, out))
        return CLI_NO;
    if (!to_stdout(out)) {
        enum ms_err err = output_write(out->path, text, &diag);
        return err == MS_OK ? CLI_YES : cli_print_error(cli, err, &diag, CLI_UNKNOWN);
    }
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0)
        return CLI_YES;
    cli_say(cli, "cannot write to stdout: %s", strerror(errno));
    return CLI_UNKNOWN;
}

int registry_put_json(const struct cli *cli, json_t *root, const struct release_out *out)
{
    struct ms_buf text = MS_BUF_INIT(PUT_MAX_BYTES);
    int code;

    enum ms_err err = root == NULL ? MS_ERR_MEMORY : ms_json_print(root, true, &text);
    if (err == MS_OK)
        err = ms_buf_add_byte(&text, '\n');
    code = err == MS_OK ? registry_put(cli, ms_buf_span(&text), out)
                        : cli_print_error(cli, err, NULL, CLI_UNKNOWN);
    json_decref(root);
    ms_buf_done(&text);
    return code;
}
