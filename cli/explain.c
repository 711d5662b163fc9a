/* cli/explain.c - what a specifier means, without daemon and network. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>

#define SHOWN_MAX 72 /* characters of a long text shown to a person */
#define READ_MAX \
    ((size_t)SPEC_URL_MAX + 1) /* one more than any text may have, so that it is refused */

static json_t *text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *warnings_json(const struct spec *spec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < spec->n_warnings; i++)
        (void)json_array_append_new(list, json_pack("{s:s,s:s}", "code", spec->warnings[i].code,
                                                    "text", spec->warnings[i].text));
    return list;
}

/* Members that are absent from the text are null. */
static json_t *explain_json(const struct spec *spec, const struct spec_url *url, const char *safe,
                            const char *safe_url)
{
    char key[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&spec->key, key);
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:o}", "kind",
                     spec_kind_name(spec->kind), "canonical", spec->canonical, "key", key,
                     "specifier", spec->text, "host", text_or_null(url->host), "port",
                     url->port == 0 ? json_null() : json_integer(url->port), "path",
                     text_or_null(url->path), "safe", text_or_null(safe), "url",
                     text_or_null(safe_url), "warnings", warnings_json(spec));
}

static void print_row(const char *name, const char *text)
{
    size_t n = strlen(text);

    if (n <= SHOWN_MAX)
        printf("%-10s %s\n", name, text);
    else
        printf("%-10s %.*s... (%zu characters)\n", name, SHOWN_MAX, text, n);
}

/* Host and specifier on lines of their own and never as a link: userinfo is where phishing happens.
 * What has to be copied is whole. */
static int print_human(const struct cli *cli, const struct spec *spec, const struct spec_url *url,
                       const char *safe)
{
    char key[2 * MS_SHA256_BYTES + 1];

    ms_sha256_hex(&spec->key, key);
    print_row("specifier", spec->text);
    if (url->host != NULL && url->port != 0)
        printf("%-10s %s port %u\n", "host", url->host, url->port);
    else if (url->host != NULL)
        print_row("host", url->host);
    if (url->path[0] != '\0')
        print_row("path", url->path);
    print_row("kind", spec_kind_name(spec->kind));
    if (spec->kind == SPEC_INLINE)
        printf("%-10s %zu bytes\n", "document", spec->document.len);
    printf("%-10s %s\n", "canonical", spec->canonical);
    printf("%-10s %s\n", "key", key);
    if (safe != NULL)
        printf("%-10s %s\n", "safe form", safe);
    for (size_t i = 0; i < spec->n_warnings; i++)
        printf("%-10s %s: %s\n", "warning", spec->warnings[i].code, spec->warnings[i].text);
    if (fflush(stdout) == 0)
        return CLI_YES;
    cli_say(cli, "cannot write to stdout: %s", strerror(errno));
    return CLI_UNKNOWN;
}

static int print(const struct cli *cli, const struct spec *spec, const struct spec_url *url)
{
    struct ms_buf safe = MS_BUF_INIT(2 * SPEC_URL_MAX), safe_url = MS_BUF_INIT(4 * SPEC_URL_MAX);
    const char *safe_text = NULL, *url_text = NULL;

    /* a document that no longer fits when re-compressed has no safe form; then there is none to
     * show */
    if (spec_safe_text(spec, &safe) == MS_OK)
        safe_text = ms_buf_str(&safe);
    if (url->host != NULL && cli_safe_url(spec, url, &safe_url) == MS_OK)
        url_text = ms_buf_str(&safe_url);
    int code = cli->json
                   ? cli_print_json(cli, explain_json(spec, url, safe_text, url_text), CLI_YES)
                   : print_human(cli, spec, url, safe_text);
    ms_buf_done(&safe_url);
    ms_buf_done(&safe);
    return code;
}

int cli_explain(struct cli *cli, int argc, char **argv)
{
    struct ms_buf text = MS_BUF_INIT(READ_MAX);
    struct ms_diag diag = {0};
    struct spec_url url = {0};
    struct spec spec;
    const char *arg;
    int code;

    if (!cli_args(cli, argc, argv, NULL, 0, "SPEC|URL|-", &arg, 1, 1))
        return CLI_USAGE;
    spec_init(&spec);
    enum ms_err err =
        strcmp(arg, "-") == 0 ? cli_read(arg, &text) : ms_buf_add(&text, ms_span_str(arg));
    if (err == MS_ERR_IO)
        (void)ms_diag_set(&diag, err, "cannot read stdin: %s", strerror(errno));
    if (err == MS_ERR_LIMIT)
        (void)ms_diag_set(&diag, err, "the text exceeds %u characters", SPEC_URL_MAX);
    if (err == MS_OK)
        err = spec_parse_any(ms_buf_span(&text), NULL, &spec, &url, &diag);
    if (err == MS_OK)
        code = print(cli, &spec, &url);
    else
        code = cli_print_error(cli, err, &diag, cli_exit_of(err));
    spec_done(&spec);
    ms_buf_done(&text);
    return code;
}
