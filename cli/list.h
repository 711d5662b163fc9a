/* cli/list.h - the list of what is approved, in the form that one consumer reads: what is asked of
 * the daemon, and whether what comes is that. Single-threaded. */
#ifndef MS_CLI_LIST_H
#define MS_CLI_LIST_H

#include "cli/client.h"
#include "resolver/records/records.h"

struct list {                 /* of the command line; zero: the default profile */
    const char *name;         /* --profile; NULL: atls-1 */
    const char *app;          /* --app; NULL: none */
    bool skip;                /* --skip-unsupported */
    enum rec_profile profile; /* of name; list_ok sets it */
};
#define LIST_OPTIONS(list)                                         \
    {"profile", &(list)->name, NULL}, {"app", &(list)->app, NULL}, \
    {                                                              \
        "skip-unsupported", NULL, &(list)->skip                    \
    }

/* Whether the options go together; false when it has said why not. */
bool list_ok(const struct cli *cli, struct list *list);

/* GET /v1/measurements of it, the query of a subject, appended. */
MS_MUST_USE enum ms_err list_target(const struct list *list, const struct client_subject *subject,
                                    struct ms_buf *out);

/* Whether an answer of status 200 is a list that the profile's consumer reads without any doubt,
 * and not as "anything goes". MS_ERR_RECORDS, MS_ERR_JSON and the like. */
MS_MUST_USE enum ms_err list_judge(const struct list *list, const struct client_reply *reply,
                                   struct ms_diag *diag);

#endif
