/* cli/workload.c - the workload ids of a guest, from its quote or its registers. */
#include "cli/check.h"
#include "cli/quote.h"

#include "base/hex.h"

#include <errno.h>
#include <stdio.h>

#define REGISTERS_MAX_BYTES 65536u

static enum ms_err from_quote(const char *path, struct workload_input *ret_input,
                              struct ms_diag *diag)
{
    struct ms_buf file = MS_BUF_INIT(QUOTE_FILE_MAX_BYTES), bytes = file;

    enum ms_err err = check_read("quote", path, &file, diag);
    if (err == MS_OK)
        err = quote_decode(ms_buf_span(&file), &bytes, ret_input, diag);
    ms_buf_done(&file);
    ms_buf_done(&bytes);
    return err;
}

static enum ms_err from_registers(const char *path, struct workload_input *ret_input,
                                  struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(REGISTERS_MAX_BYTES), lacks = MS_BUF_INIT(256);
    json_t *presented = NULL;

    enum ms_err err = check_read("registers", path, &text, diag);
    if (err == MS_OK)
        err = check_presented(ms_buf_span(&text), &presented, diag);
    if (err == MS_OK)
        err = check_registers(presented, REC_TYPE_DCAP_TDX, ret_input, &lacks, diag);
    if (err == MS_OK && lacks.len > 0)
        err = ms_diag_set(diag, MS_ERR_REGISTER, "a workload id needs these too: %s",
                          ms_buf_str(&lacks));
    json_decref(presented);
    ms_buf_done(&lacks);
    ms_buf_done(&text);
    return err;
}

static int print_ids(const struct cli *cli, const struct workload_input *input)
{
    struct eth_hash v2 = workload_id_v2(input), v1 = workload_id_v1(input);
    char now[2 * ETH_HASH_BYTES + 1], first[2 * ETH_HASH_BYTES + 1];

    ms_hex_encode(eth_hash_span(&v2), now);
    ms_hex_encode(eth_hash_span(&v1), first);
    if (cli->json) {
        char now_0x[sizeof(now) + 2], first_0x[sizeof(first) + 2];
        (void)snprintf(now_0x, sizeof(now_0x), "0x%s", now);
        (void)snprintf(first_0x, sizeof(first_0x), "0x%s", first);
        return cli_print_json(
            cli, json_pack("{s:s,s:s}", "workload_id", now_0x, "workload_id_v1", first_0x),
            CLI_YES);
    }
    printf("workload id     0x%s\n"
           "workload id v1  0x%s\n",
           now, first);
    if (fflush(stdout) == 0)
        return CLI_YES;
    cli_say(cli, "cannot write to stdout: %s", strerror(errno));
    return CLI_UNKNOWN;
}

int cli_workload_id(struct cli *cli, int argc, char **argv)
{
    const char *quote = NULL, *registers = NULL, *none;
    const struct cli_option options[] = {{"quote", &quote, NULL}, {"registers", &registers, NULL}};
    struct workload_input input;
    struct ms_diag diag = {0};

    if (!cli_args(cli, argc, argv, options, MS_ARRAY_LEN(options), "", &none, 0, 0))
        return CLI_USAGE;
    if ((quote != NULL) == (registers != NULL)) {
        cli_say(cli, "give exactly one of --quote and --registers");
        return CLI_USAGE;
    }
    enum ms_err err =
        quote != NULL ? from_quote(quote, &input, &diag) : from_registers(registers, &input, &diag);
    if (err != MS_OK)
        return cli_print_error(cli, err, &diag, cli_exit_of(err));
    return print_ids(cli, &input);
}
