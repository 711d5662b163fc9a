/* resolver/daemon/sockets.h - listening sockets of ours. Start-up only, before threads (umask). */
#ifndef MS_DAEMON_SOCKETS_H
#define MS_DAEMON_SOCKETS_H

#include "base/err.h"
#include "resolver/daemon/fetch_net.h"

#include <sys/types.h>

/* Make the folder (and its parents) if it is missing. MS_ERR_IO. */
MS_MUST_USE enum ms_err sockets_make_dir(const char *dir, mode_t mode, struct ms_diag *diag);

/* A listening socket of this type (SOCK_STREAM, SOCK_SEQPACKET) at DIR/NAME with this mode. A
 * socket file nobody listens on is replaced; one that answers is another daemon's: MS_ERR_IO, as is
 * every other failure. */
MS_MUST_USE enum ms_err sockets_listen_unix(const char *dir, const char *name, int type,
                                            mode_t mode, int *ret_fd, struct ms_diag *diag);
/* The same on a loopback address. */
MS_MUST_USE enum ms_err sockets_listen_tcp(const struct net_addr *addr, int *ret_fd,
                                           struct ms_diag *diag);

/* Tell systemd (sd_notify(3)) when $NOTIFY_SOCKET says so; "READY=1", "STOPPING=1". */
void sockets_notify(const char *notify_socket, const char *state);

#endif
