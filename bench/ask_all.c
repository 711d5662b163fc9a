/* bench/ask_all.c - asks once for each specifier of a list, over C connections that wait for each
 * answer.
 *
 *   ask_all SOCKET SPECIFIERS CONNECTIONS
 *
 * Prints `ANSWERS_200 OTHERS SECONDS P50_US P99_US MAX_US`. */
#define _GNU_SOURCE

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define ANSWER_MAX 1048576

static struct {
    const char *socket;
    FILE *list;
    pthread_mutex_t lock;
    uint32_t *us;
    size_t n, max, ok;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if ((size_t)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path) >= sizeof(to.sun_path))
        die("path");
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        die("connect");
    return fd;
}

/* Reads one answer; its status. */
static int answer(int fd, char *buf)
{
    size_t got = 0, want = SIZE_MAX;

    while (got < want) {
        ssize_t n = read(fd, buf + got, ANSWER_MAX - 1 - got);
        if (n <= 0)
            die("read");
        got += (size_t)n;
        buf[got] = '\0';
        char *end = want == SIZE_MAX ? strstr(buf, "\r\n\r\n") : NULL;
        char *length = end == NULL ? NULL : strcasestr(buf, "\r\nContent-Length:");
        if (length != NULL)
            want = (size_t)(end + 4 - buf) + strtoul(length + 17, NULL, 10);
    }
    return (int)strtol(buf + 9, NULL, 10);
}

static int next_specifier(char *out, size_t size)
{
    (void)pthread_mutex_lock(&w.lock);
    int more = fgets(out, (int)size, w.list) != NULL;
    (void)pthread_mutex_unlock(&w.lock);
    out[strcspn(out, "\n")] = '\0';
    return more;
}

static void *run(void *arg)
{
    char specifier[512], request[1024];
    char *buf = malloc(ANSWER_MAX);
    int fd = connect_to(w.socket);

    (void)arg;
    if (buf == NULL)
        die("memory");
    while (next_specifier(specifier, sizeof(specifier))) {
        int len =
            snprintf(request, sizeof(request),
                     "GET /v1/measurements?specifier=%s HTTP/1.1\r\nHost: h\r\n\r\n", specifier);
        int64_t start = now_us();
        if (write(fd, request, (size_t)len) != len)
            die("write");
        int status = answer(fd, buf);
        int64_t us = now_us() - start;
        (void)pthread_mutex_lock(&w.lock);
        if (w.n == w.max) {
            w.max = w.max == 0 ? 4096 : 2 * w.max;
            w.us = realloc(w.us, w.max * sizeof(*w.us));
            if (w.us == NULL)
                die("memory");
        }
        w.us[w.n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
        w.ok += status == 200;
        (void)pthread_mutex_unlock(&w.lock);
    }
    free(buf);
    (void)close(fd);
    return NULL;
}

static int by_us(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    pthread_t threads[CONNECTIONS_MAX];

    if (argc != 4)
        return 2;
    long connections = strtol(argv[3], NULL, 10);
    if (connections < 1 || connections > CONNECTIONS_MAX)
        return 2;
    w.socket = argv[1];
    w.list = fopen(argv[2], "r");
    if (w.list == NULL)
        die(argv[2]);
    int64_t start = now_us();
    for (long i = 0; i < connections; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            die("thread");
    for (long i = 0; i < connections; i++)
        (void)pthread_join(threads[i], NULL);
    double seconds = (double)(now_us() - start) / 1e6;
    if (w.n == 0)
        return 1;
    qsort(w.us, w.n, sizeof(*w.us), by_us);
    (void)printf("%zu %zu %.1f %u %u %u\n", w.ok, w.n - w.ok, seconds, w.us[w.n / 2],
                 w.us[w.n * 99 / 100], w.us[w.n - 1]);
    return 0;
}
