/* cli/client.h - HTTP to the daemon over its Unix sockets.
 *
 * The daemon is trusted no more than its answers need: sizes are capped, redirects are not
 * followed, proxies of the environment are not asked. Single-threaded. */
#ifndef MS_CLI_CLIENT_H
#define MS_CLI_CLIENT_H

#include "cli/cli.h"

#define CLIENT_BODY_MAX_BYTES ((size_t)9 << 20) /* an envelope has 8 MiB at most */
#define CLIENT_TIMEOUT_MS 60000 /* the daemon answers sooner, if only with an error */

/* What an argument SPEC|URL asks about, checked here before the daemon is asked. */
struct client_subject {
    const char *text; /* borrowed from the command line */
    bool is_url;
};

/* CLI_YES; or the exit code, after the words: an invalid specifier needs no daemon. Warnings are
 * said. A bare word that could be an alias is taken for one: the daemon knows its configuration. */
int client_subject(const struct cli *cli, const char *arg, struct client_subject *ret_subject);

/* PATH?specifier=... or PATH?url=..., appended. */
MS_MUST_USE enum ms_err client_target(const char *path, const struct client_subject *subject,
                                      struct ms_buf *out);

struct client_ask {
    const char *socket; /* "api.sock", "admin.sock" */
    const char *target; /* path and query */
    const char *body;   /* POST this JSON; NULL with !post */
    bool post;
    long timeout_ms;
};

struct client_reply {
    long status;
    char state[32];    /* X-Measured-State, "" when there is none */
    char warning[256]; /* X-Measured-Warning, cut to fit */
    char type[64];     /* Content-Type, lower case; "" when there is none or it is longer */
    bool has_sequence;
    uint64_t sequence; /* X-Measured-Sequence */
    struct ms_buf body;
};

void client_reply_init(struct client_reply *reply);
void client_reply_done(struct client_reply *reply);

/* Any status is MS_OK. Otherwise no answer came and diag says why, the socket's path included:
 * MS_ERR_CONNECT, MS_ERR_TIMEOUT, MS_ERR_TOO_LARGE, MS_ERR_IO, MS_ERR_ARGUMENT (path too long),
 * MS_ERR_MEMORY. */
MS_MUST_USE enum ms_err client_ask(const struct cli *cli, const struct client_ask *ask,
                                   struct client_reply *reply, struct ms_diag *diag);

/* The error an answer that is not 200 tells: problem+json or "measured: CODE: TEXT". */
struct client_error {
    char code[32];
    char text[512]; /* one printable sentence */
};
void client_error_of(long status, struct ms_span body, struct client_error *ret_error);
/* 1 for what the daemon calls wrong or not there (400, 404, 413, 414), 3 for everything else. */
int client_exit_of(long status);

/* Say it on stderr, and as {"error":...} on stdout with --json; returns `code`. */
int client_fail(const struct cli *cli, const char *error_code, const char *text, int code);
/* No answer came: CLI_UNKNOWN. */
int client_fail_err(const struct cli *cli, enum ms_err err, const struct ms_diag *diag);
/* An answer that is not 200. */
int client_fail_reply(const struct cli *cli, const struct client_reply *reply);

/* A whole JSON text that the daemon sent. MS_ERR_JSON and the like. */
MS_MUST_USE enum ms_err client_json(struct ms_span text, json_t **ret_root, struct ms_diag *diag);

/* ---- a stream ---- */
struct client_stream;

/* Begin to read from api.sock; the first bytes or the failure come with client_stream_wait. */
MS_MUST_USE enum ms_err client_stream_new(const struct cli *cli, const char *target,
                                          struct client_stream **ret_stream, struct ms_diag *diag);
void client_stream_free(struct client_stream *stream);

/* Wait until something arrived, `fd` is readable, or wait_ms have passed. ret_bytes  what is new,
 * borrowed until the next call. ret_ended  nothing more will come; then *diag says why it ended. */
MS_MUST_USE enum ms_err client_stream_wait(struct client_stream *stream, int fd, int wait_ms,
                                           struct ms_span *ret_bytes, bool *ret_ended,
                                           struct ms_diag *diag);
/* 0 until the header is there. */
long client_stream_status(const struct client_stream *stream);

#endif
