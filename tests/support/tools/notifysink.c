/* tests/support/tools/notifysink.c - what systemd is to a daemon. Never installed.
 *
 *   notifysink PATH SECONDS   binds a datagram socket there and prints what arrives, a line each,
 *                             until `STOPPING=1` or the time is over
 *   notifysink PATH 0         leaves a stream socket there that nobody listens on */
#define _GNU_SOURCE

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    char text[512];

    if (argc != 3 || strlen(argv[1]) >= sizeof(addr.sun_path))
        return 2;
    memcpy(addr.sun_path, argv[1], strlen(argv[1]) + 1);
    time_t seconds = (time_t)strtol(argv[2], NULL, 10), end = time(NULL) + seconds;
    int fd = socket(AF_UNIX, (seconds == 0 ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
    struct timeval wait = {.tv_sec = 1};
    if (fd < 0 || bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0)
        return 1;
    while (time(NULL) < end) {
        ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
        if (n <= 0)
            continue;
        text[n] = '\0';
        (void)puts(text);
        (void)fflush(stdout);
        if (strstr(text, "STOPPING=1") != NULL)
            return 0;
    }
    return 0;
}
