/* cli/backfill.h - have the daemon fetch the past of a contract, and wait for it. */
#ifndef MS_CLI_BACKFILL_H
#define MS_CLI_BACKFILL_H

#include "cli/client.h"

/* Ask on admin.sock and follow how it goes, on stderr when that is a terminal. Prints nothing on
 * stdout. CLI_YES it is done, *ret_status (a new reference) says what; CLI_UNKNOWN it failed, or
 * has made no progress for ten minutes; or the exit code of what the daemon refused. The words are
 * said. */
int backfill_run(const struct cli *cli, const struct client_subject *subject, json_t **ret_status);

/* Wait a minute at most for what the daemon reads back by itself, and say when the past is not
 * whole after it. CLI_YES, or the exit code of a daemon that cannot be asked, after the words. */
int backfill_settle(const struct cli *cli, const struct client_subject *subject);

#endif
