/* tests/support/tools/faultline.c - an https (or http) server on loopback that fails at any layer
 * as it is told, before a server that works. For tests only.
 *
 *   faultline --backend PORT --control FILE [--tls PEM] [--expired PEM] [--port N]
 *
 * Prints `Listening on 127.0.0.1:PORT`. Requests go to http on 127.0.0.1:PORT of the backend, one a
 * connection. --tls and --expired are files with a certificate and its key (tlsserver --save);
 * without --tls it speaks http. FILE is read anew at each connection, and ten times a second; it
 * holds one fault, and without it all is well:
 *
 *   refuse           nobody listens
 *   hang-connect     the queue of connections is full: SYNs are dropped
 *   reset            accepted, and reset
 *   hang-tls         accepted, and nothing more
 *   garbage          an SSH greeting instead of TLS (or of an answer)
 *   truncate-tls     the handshake ends in the middle of the server's first record
 *   expired          a certificate that ended yesterday
 *   hang-head        the request is read, and nothing is answered
 *   hang-body        half of the answer, then nothing
 *   slow MS          a byte of the answer each MS milliseconds
 *   cut              half of the answer, then the end without TLS's close_notify
 *   status N         the answer with another status
 *   retry N SECONDS  likewise, with Retry-After
 *
 * Faults that hang end when the client goes or the fault does. One thread a connection; ends at
 * SIGTERM. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define MESSAGE_MAX ((size_t)4 << 20)
#define FILLERS 8

static struct {
    const char *control;
    uint16_t port, backend;
    SSL_CTX *good, *expired;
} line;

struct fault {
    char name[32];
    int number, more;
};

struct conn {
    int fd;
    SSL *ssl;
};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "faultline: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct fault fault_now(void)
{
    struct fault f = {.name = ""};
    char text[100] = "", *save = NULL, *word;
    FILE *file = fopen(line.control, "r");

    if (file == NULL)
        return f;
    if (fgets(text, sizeof(text), file) != NULL && (word = strtok_r(text, " \n", &save)) != NULL) {
        (void)snprintf(f.name, sizeof(f.name), "%s", word);
        word = strtok_r(NULL, " \n", &save);
        f.number = word == NULL ? 0 : (int)strtol(word, NULL, 10);
        word = word == NULL ? NULL : strtok_r(NULL, " \n", &save);
        f.more = word == NULL ? 0 : (int)strtol(word, NULL, 10);
    }
    (void)fclose(file);
    return f;
}

static bool is(const struct fault *f, const char *name)
{
    return strcmp(f->name, name) == 0;
}

/* Until the client goes, or the fault. */
static void hang(const struct conn *c, const struct fault *f)
{
    char byte;
    struct fault now = *f;

    while (is(&now, f->name)) {
        struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
        (void)poll(&p, 1, 100);
        if ((p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 ||
            recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
            return;
        now = fault_now();
    }
}

static bool send_all(struct conn *c, const char *bytes, size_t len)
{
    while (len > 0) {
        size_t n = 0;
        if (c->ssl != NULL) {
            if (SSL_write_ex(c->ssl, bytes, len, &n) != 1)
                return false;
        } else {
            ssize_t sent = send(c->fd, bytes, len, MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            n = (size_t)sent;
        }
        bytes += n;
        len -= n;
    }
    return true;
}

static size_t receive(struct conn *c, char *into, size_t len)
{
    size_t n = 0;
    if (c->ssl != NULL)
        return SSL_read_ex(c->ssl, into, len, &n) == 1 ? n : 0;
    ssize_t got = recv(c->fd, into, len, 0);
    return got > 0 ? (size_t)got : 0;
}

/* A whole message, its body by Content-Length; NULL: none came. */
static char *read_message(struct conn *c, size_t *ret_len)
{
    char *text = malloc(MESSAGE_MAX + 1);
    size_t len = 0, want = MESSAGE_MAX, got = 1;

    while (text != NULL && len < want && (got = receive(c, text + len, want - len)) > 0) {
        len += got;
        text[len] = '\0';
        const char *end = want == MESSAGE_MAX ? strstr(text, "\r\n\r\n") : NULL;
        if (end == NULL)
            continue;
        const char *length = strcasestr(text, "\r\ncontent-length:");
        want = (size_t)(end + 4 - text);
        if (length != NULL && length < end)
            want += strtoul(length + 17, NULL, 10);
        want = want > MESSAGE_MAX ? MESSAGE_MAX : want;
    }
    if (len == 0) {
        free(text);
        return NULL;
    }
    *ret_len = len;
    return text;
}

static int dial(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static char *ask_backend(const char *request, size_t len, size_t *ret_len)
{
    static const char extra[] = "Connection: close\r\n";
    struct conn back = {.fd = dial(line.backend)};
    const char *first = strstr(request, "\r\n");
    char *answer = NULL;

    if (back.fd < 0 || first == NULL)
        return NULL;
    size_t head = (size_t)(first + 2 - request);
    if (send_all(&back, request, head) && send_all(&back, extra, sizeof(extra) - 1) &&
        send_all(&back, request + head, len - head))
        answer = read_message(&back, ret_len);
    (void)close(back.fd);
    return answer;
}

static void answer_client(struct conn *c, const struct fault *f, const char *answer, size_t len)
{
    const char *rest = strstr(answer, "\r\n");
    char status[100];

    if (is(f, "slow")) {
        for (size_t i = 0; i < len && send_all(c, answer + i, 1); i++)
            (void)usleep((useconds_t)f->number * 1000);
    } else if (is(f, "hang-body") || is(f, "cut")) {
        const char *body = strstr(answer, "\r\n\r\n");
        size_t head = body == NULL ? 0 : (size_t)(body + 4 - answer);
        (void)send_all(c, answer, head + (len - head) / 2);
        if (is(f, "hang-body"))
            hang(c, f);
        if (c->ssl != NULL)
            SSL_set_quiet_shutdown(c->ssl, 1);
    } else if ((is(f, "status") || is(f, "retry")) && rest != NULL) {
        int n = snprintf(status, sizeof(status), "HTTP/1.1 %d Fault\r\n", f->number);
        if (is(f, "retry"))
            n += snprintf(status + n, sizeof(status) - (size_t)n, "Retry-After: %d\r\n", f->more);
        rest += 2;
        (void)(send_all(c, status, (size_t)n) && send_all(c, rest, len - (size_t)(rest - answer)));
    } else {
        (void)send_all(c, answer, len);
    }
}

static void speak(struct conn *c, const struct fault *f)
{
    size_t len = 0, answer_len = 0;
    char *request = read_message(c, &len), *answer = NULL;

    if (request == NULL)
        return;
    if (is(f, "hang-head"))
        hang(c, f);
    else
        answer = ask_backend(request, len, &answer_len);
    if (answer != NULL)
        answer_client(c, f, answer, answer_len);
    free(request);
    free(answer);
}

static void serve_tls(struct conn *c, const struct fault *f)
{
    c->ssl = SSL_new(is(f, "expired") && line.expired != NULL ? line.expired : line.good);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1)
        die("TLS");
    if (SSL_accept(c->ssl) == 1) {
        speak(c, f);
        (void)SSL_shutdown(c->ssl);
    }
    SSL_free(c->ssl);
}

static void *serve(void *arg)
{
    struct conn c = {.fd = (int)(intptr_t)arg};
    struct fault f = fault_now();
    char hello[4096];

    if (is(&f, "reset")) {
        struct linger now = {.l_onoff = 1};
        (void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    } else if (is(&f, "hang-tls")) {
        hang(&c, &f);
    } else if (is(&f, "garbage")) {
        (void)send_all(&c, "SSH-2.0-OpenSSH_9.2p1\r\n", 23);
        (void)recv(c.fd, hello, sizeof(hello), 0);
    } else if (is(&f, "truncate-tls")) {
        (void)recv(c.fd, hello, sizeof(hello), 0);
        (void)send_all(&c, "\x16\x03\x03\x00\x7a\x02\x00\x00", 8);
    } else if (line.good != NULL) {
        serve_tls(&c, &f);
    } else {
        speak(&c, &f);
    }
    (void)close(c.fd);
    return NULL;
}

/* ---- listening ---- */

static int open_socket(int backlog)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(line.port)};
    socklen_t len = sizeof(at);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, backlog) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        die("listen");
    line.port = ntohs(at.sin_port);
    return fd;
}

static void fill(int fillers[FILLERS])
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(line.port)};

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < FILLERS; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fillers[i], (const struct sockaddr *)&to, sizeof(to));
    }
}

/* The socket in the state the fault wants; what it was is closed with it. */
static int set_up(const struct fault *f, int fd, int fillers[FILLERS])
{
    if (fd >= 0)
        (void)close(fd);
    for (size_t i = 0; i < FILLERS; i++) {
        if (fillers[i] >= 0)
            (void)close(fillers[i]);
        fillers[i] = -1;
    }
    if (is(f, "refuse"))
        return -1;
    fd = open_socket(is(f, "hang-connect") ? 0 : 64);
    if (is(f, "hang-connect"))
        fill(fillers);
    return fd;
}

static bool touches_socket(const struct fault *f)
{
    return is(f, "refuse") || is(f, "hang-connect");
}

static _Noreturn void listen_for_ever(void)
{
    int fillers[FILLERS];
    struct fault was = {.name = ""};

    for (size_t i = 0; i < FILLERS; i++)
        fillers[i] = -1;
    int fd = open_socket(64);
    (void)printf("Listening on 127.0.0.1:%u\n", line.port);
    (void)fflush(stdout);
    for (;;) {
        struct fault now = fault_now();
        if (!is(&now, was.name) && (touches_socket(&now) || touches_socket(&was)))
            fd = set_up(&now, fd, fillers);
        was = now;
        struct pollfd p = {.fd = touches_socket(&now) ? -1 : fd, .events = POLLIN};
        if (poll(&p, 1, 20) <= 0)
            continue;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        pthread_t thread;
        if (client >= 0 && pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) == 0)
            (void)pthread_detach(thread);
    }
}

static SSL_CTX *context_of(const char *file)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    if (ctx == NULL || SSL_CTX_use_certificate_file(ctx, file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1)
        die(file);
    return ctx;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--backend") == 0)
            line.backend = (uint16_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--port") == 0)
            line.port = (uint16_t)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--control") == 0)
            line.control = argv[i + 1];
        else if (strcmp(argv[i], "--tls") == 0)
            line.good = context_of(argv[i + 1]);
        else if (strcmp(argv[i], "--expired") == 0)
            line.expired = context_of(argv[i + 1]);
    }
    if (line.backend == 0 || line.control == NULL) {
        (void)fprintf(stderr, "usage: faultline --backend PORT --control FILE [--tls PEM] "
                              "[--expired PEM] [--port N]\n");
        return 2;
    }
    listen_for_ever();
}
