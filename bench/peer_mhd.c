/* bench/peer_mhd.c - libmicrohttpd and nothing else: the same bytes to every request, on a Unix
 * socket.
 *
 *   peer_mhd SOCKET BODY_FILE THREADS HEADER:VALUE...
 */
#define _GNU_SOURCE

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct MHD_Response *response;

/* The answer is queued in the second call, as a connection answered in the first is closed. */
static enum MHD_Result answer(void *cls, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    static char seen;
    (void)cls;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    (void)size;
    if (*state == NULL) {
        *state = &seen;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

static int listen_on(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || strlen(path) >= sizeof(addr.sun_path))
        return -1;
    memcpy(addr.sun_path, path, strlen(path) + 1);
    (void)unlink(path);
    if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1024) != 0)
        return -1;
    return fd;
}

int main(int argc, char **argv)
{
    static char body[1 << 20];

    FILE *file = argc < 4 ? NULL : fopen(argv[2], "rb");
    if (file == NULL)
        return 2;
    size_t len = fread(body, 1, sizeof(body), file);
    (void)fclose(file);
    response = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_PERSISTENT);
    for (int i = 4; i < argc; i++) {
        char *value = strchr(argv[i], ':');
        if (value == NULL)
            return 2;
        *value = '\0';
        (void)MHD_add_response_header(response, argv[i], value + 1);
    }
    unsigned threads = (unsigned)strtoul(argv[3], NULL, 10);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_LISTEN_SOCKET,
        listen_on(argv[1]), threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads,
        MHD_OPTION_END);
    if (daemon == NULL)
        return 1;
    (void)pause();
    return 0;
}
