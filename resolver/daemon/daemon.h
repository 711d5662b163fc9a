/* resolver/daemon/daemon.h - the parts put together: one call runs the daemon from start to end. */
#ifndef MS_DAEMON_DAEMON_H
#define MS_DAEMON_DAEMON_H

#include "resolver/daemon/config.h"

struct daemon_options {
    const char *config_path; /* NULL: built-in defaults */
    const char *version;
    struct config_context context; /* for reading the configuration again */
    const char *notify_socket;     /* $NOTIFY_SOCKET or NULL */
};

/* Serve until SIGTERM or SIGINT. `config` is taken. Returns the exit status: 0 after a clean end, 1
 * when it could not start (the cause is on stderr). */
int daemon_run(struct config *config, const struct daemon_options *options);

#endif
