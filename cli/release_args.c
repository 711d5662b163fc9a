/* cli/release_args.c - values of options, each said what is wrong with it. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */

#include "cli/release.h"

#include "cli/when.h"

#include <time.h>

#define DAY_S 86400

uint64_t release_now(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec < 0 ? 0 : (uint64_t)now.tv_sec;
}

bool release_time(const struct cli *cli, const char *option, const char *text, uint64_t *ret_s)
{
    enum ms_err err = text == NULL ? MS_OK : when_parse(ms_span_str(text), ret_s);

    if (err == MS_ERR_RANGE)
        cli_say(cli, "%s %s: there is no such time", option, text);
    else if (err != MS_OK)
        cli_say(cli, "%s %s: neither Unix seconds nor a time such as 2026-02-02T02:40:00Z", option,
                text);
    return err == MS_OK;
}

bool release_number(const struct cli *cli, const char *option, const char *text, uint64_t max,
                    uint64_t *ret_number)
{
    uint64_t number = 0;

    if (text == NULL)
        return true;
    if (!ms_span_u64(ms_span_str(text), &number) || number > max) {
        cli_say(cli, "%s %s: not a whole number up to %llu", option, text, (unsigned long long)max);
        return false;
    }
    *ret_number = number;
    return true;
}

bool release_validity(const struct cli *cli, const char *until, const char *days,
                      uint64_t issued_at_s, uint64_t default_s, uint64_t *ret_until_s)
{
    uint64_t n_days = 0;

    if (until != NULL && days != NULL) {
        cli_say(cli, "give --valid-until or --days, not both");
        return false;
    }
    if (!release_number(cli, "--days", days, 36500, &n_days))
        return false;
    *ret_until_s = issued_at_s + (days != NULL ? n_days * DAY_S : default_s);
    return release_time(cli, "--valid-until", until, ret_until_s);
}

bool release_hash(const struct cli *cli, const char *option, const char *text, uint8_t out[32])
{
    if (eth_data_fixed(ms_span_str(text), out, 32) == MS_OK)
        return true;
    cli_say(cli, "%s %s: not 0x and 64 hex digits", option, text);
    return false;
}

bool release_addr(const struct cli *cli, const char *option, const char *text,
                  struct eth_addr *ret_addr)
{
    struct ms_diag diag = {0};
    enum eth_checksum checksum;

    enum ms_err err = eth_addr_parse(ms_span_str(text), ret_addr, &checksum, &diag);
    if (err == MS_OK && checksum == ETH_CHECKSUM_WRONG)
        err = MS_ERR_EIP55;
    if (err != MS_OK)
        cli_say(cli, "%s %s: %s", option, text, ms_diag_text(&diag, err));
    return err == MS_OK;
}

bool release_signers(const struct cli *cli, const char *option, const char *text,
                     struct msig_signers *ret_signers)
{
    static const struct spec_context strict = {.eip55_strict = true};
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse(ms_span_str(text), &strict, &spec, &diag);
    if (err == MS_OK && (spec.kind != SPEC_SIGNERS || spec.n_options > 0))
        err = MS_ERR_SIGNERS;
    if (err == MS_OK) {
        *ret_signers = (struct msig_signers){.threshold = spec.signers.m, .n = spec.signers.n};
        for (size_t i = 0; i < spec.signers.n; i++)
            ret_signers->addrs[i] = spec.signers.addr[i];
    } else {
        cli_say(cli, "%s %s: %s; it is a list such as 2of3:0x..,0x..,0x..", option, text,
                ms_diag_text(&diag, err));
    }
    spec_done(&spec);
    return err == MS_OK;
}

bool release_safe(const struct cli *cli, const char *option, const char *text, uint64_t *ret_chain,
                  struct eth_addr *ret_safe)
{
    static const struct spec_context strict = {.eip55_strict = true};
    struct ms_diag diag = {0};
    struct spec spec;

    spec_init(&spec);
    enum ms_err err = spec_parse(ms_span_str(text), &strict, &spec, &diag);
    if (err == MS_OK && (spec.kind != SPEC_CONTRACT || spec.n_options > 0))
        err = MS_ERR_ADDRESS;
    if (err == MS_OK) {
        *ret_chain = spec.chain;
        *ret_safe = spec.address;
    } else {
        cli_say(cli, "%s %s: %s; a Safe is eip155:CHAIN:ADDRESS", option, text,
                ms_diag_text(&diag, err));
    }
    spec_done(&spec);
    return err == MS_OK;
}

/* Whether argv[at] is --NAME or --NAME=VALUE; then *ret_value is the value, NULL for a separate
 * one. */
static bool is_option(const char *arg, const char *name, const char **ret_value)
{
    size_t n = strlen(name);

    if (strncmp(arg, "--", 2) != 0 || strncmp(arg + 2, name, n) != 0 ||
        (arg[2 + n] != '\0' && arg[2 + n] != '='))
        return false;
    *ret_value = arg[2 + n] == '=' ? arg + 3 + n : NULL;
    return true;
}

bool release_repeated(const struct cli *cli, const char *name, int *argc, char **argv,
                      const char **ret_values, size_t max, size_t *ret_n)
{
    bool options = true;
    int to = 1;

    *ret_n = 0;
    for (int at = 1; at < *argc; at++) {
        const char *value = NULL;
        options = options && strcmp(argv[at], "--") != 0;
        if (!options || !is_option(argv[at], name, &value)) {
            argv[to++] = argv[at];
            continue;
        }
        if (value == NULL && at + 1 == *argc) {
            cli_say(cli, "--%s needs a value", name);
            return false;
        }
        if (*ret_n == max) {
            cli_say(cli, "--%s is given more than %zu times", name, max);
            return false;
        }
        ret_values[(*ret_n)++] = value == NULL ? argv[++at] : value;
    }
    *argc = to;
    return true;
}
