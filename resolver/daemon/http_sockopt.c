/* resolver/daemon/http_sockopt.c - TCP options are not tried on Unix sockets.
 *
 * libmicrohttpd 0.9.75 does not know the kind of a socket that comes through MHD_add_connection,
 * and tries TCP_NODELAY and TCP_CORK with every answer: two system calls that fail and two messages
 * that nobody reads, a tenth of the cost of an answer. This definition takes the place of libc's
 * for the whole program (ELF symbol interposition); everything else goes to the kernel as it was.
 */
#define _GNU_SOURCE
#include "resolver/daemon/http_internal.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static _Thread_local bool on_unix_socket;

void http_worker_serves_unix(bool is_unix)
{
    on_unix_socket = is_unix;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (level == IPPROTO_TCP && on_unix_socket)
        return 0; /* "done": it is remembered, and not tried again */
    return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}
