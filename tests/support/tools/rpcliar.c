/* tests/support/tools/rpcliar.c - a JSON-RPC proxy on loopback that lies as it is told. For tests
 * only.
 *
 *   rpcliar --upstream http://127.0.0.1:PORT --control FILE [--log FILE]
 *
 * Prints `Listening on 127.0.0.1:PORT`. FILE is read anew at each request; without it, or with an
 * empty one, everything passes unchanged. One lie a line, words separated by spaces; several lines
 * add up. Lies about JSON stand in rpcliar_json.c; here are those about HTTP:
 *
 *   http STATUS [RETRY_AFTER]   that status and no body
 *   redirect URL                307
 *   garbage                     200 and a body that is not JSON
 *   deep N                      N arrays in each other
 *   huge announced|endless      1 GiB, with its length or in chunks
 *   drip MS                     one byte each MS milliseconds
 *   cut N                       announces everything, closes after N bytes of body
 *   gzip                        compresses a body although nobody asked
 *   hang [METHOD]               no answer until the client goes away, to messages with that method
 *
 * --log gets one line a message: the methods, separated by commas. One thread a connection. */
#define _POSIX_C_SOURCE 200809L

#include "tests/support/tools/rpcliar.h"

#include "base/gzip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_MAX 16384
#define BODY_MAX ((size_t)4 << 20)
#define GIB 1073741824u

static struct {
    const char *upstream, *control_file;
    int log_fd;
} proxy = {.log_fd = -1};

_Noreturn void die(const char *what, const char *text)
{
    (void)fprintf(stderr, "rpcliar: %s: %s\n", what, text);
    exit(1);
}

/* ---- control ---- */

const struct lie *lie_find(const struct control *control, const char *name)
{
    for (size_t i = 0; i < control->n; i++)
        if (strcmp(control->lies[i].name, name) == 0)
            return &control->lies[i];
    return NULL;
}

uint64_t lie_number(const struct lie *lie, size_t word, uint64_t fallback)
{
    uint64_t value = fallback;
    if (lie->word[word] != NULL && !ms_span_u64(ms_span_str(lie->word[word]), &value))
        die("not a number", lie->word[word]);
    return value;
}

/* Words point into `text`. */
static void read_control(char *text, struct control *ret_control)
{
    char *lines = NULL;

    ret_control->n = 0;
    for (char *line = strtok_r(text, "\n", &lines); line != NULL;
         line = strtok_r(NULL, "\n", &lines)) {
        char *words = NULL, *name = strtok_r(line, " ", &words);
        if (name == NULL || ret_control->n == LIES_MAX)
            continue;
        struct lie *lie = &ret_control->lies[ret_control->n++];
        lie->name = name;
        for (size_t i = 0; i < LIE_WORDS; i++)
            lie->word[i] = strtok_r(NULL, " ", &words);
    }
}

static char *read_control_file(void)
{
    FILE *file = fopen(proxy.control_file, "rb");
    char *text = calloc(1, HEAD_MAX + 1);

    if (text == NULL)
        die("memory", proxy.control_file);
    if (file != NULL) {
        text[fread(text, 1, HEAD_MAX, file)] = '\0';
        (void)fclose(file);
    }
    return text;
}

/* ---- sockets ---- */

static bool send_all(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
}

static int connect_loopback(const char *url)
{
    static const char prefix[] = "http://127.0.0.1:";
    uint64_t port = 0;
    struct ms_span rest = ms_span_sub(ms_span_str(url), sizeof(prefix) - 1, SIZE_MAX);
    rest = ms_span_sub(rest, 0, ms_span_find(rest, '/'));
    if (strncmp(url, prefix, sizeof(prefix) - 1) != 0 || !ms_span_u64(rest, &port))
        die("not a loopback URL", url);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

bool upstream_post(const char *url, struct ms_span body, struct ms_buf *ret_body)
{
    struct ms_buf all = MS_BUF_INIT(BODY_MAX + HEAD_MAX);
    char head[256];
    ssize_t n = 1;
    int fd = connect_loopback(url);

    if (fd < 0)
        return false;
    int head_len = snprintf(head, sizeof(head),
                            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                            body.len);
    bool ok = send_all(fd, head, (size_t)head_len) && send_all(fd, body.ptr, body.len);
    while (ok && n > 0) {
        uint8_t *room = ms_buf_room(&all, 65536);
        n = room == NULL ? -1 : recv(fd, room, 65536, 0);
        all.len += n > 0 ? (size_t)n : 0;
    }
    (void)close(fd);
    const char *text = ms_buf_str(&all);
    const char *end = text == NULL ? NULL : strstr(text, "\r\n\r\n");
    ok = ok && n == 0 && end != NULL;
    if (ok)
        (void)ms_buf_add_str(ret_body, end + 4);
    ms_buf_done(&all);
    return ok;
}

/* ---- a request of the client ---- */

static size_t content_length(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "Content-Length:", 15) == 0)
            return (size_t)strtoull(line + 17, NULL, 10);
    return 0;
}

/* Head and body; the body is a C string. false: the connection is over. */
static bool read_request(int fd, struct ms_buf *request, const char **ret_body)
{
    for (;;) {
        const char *text = ms_buf_str(request);
        const char *end = text == NULL ? NULL : strstr(text, "\r\n\r\n");
        if (end != NULL && request->len - (size_t)(end + 4 - text) >= content_length(text)) {
            *ret_body = end + 4;
            return true;
        }
        uint8_t *room = ms_buf_room(request, 65536);
        ssize_t n = room == NULL ? -1 : recv(fd, room, 65536, 0);
        if (n <= 0)
            return false;
        request->len += (size_t)n;
    }
}

static void log_message(const json_t *message)
{
    struct ms_buf line = MS_BUF_INIT(4096);
    size_t n = json_is_array(message) ? json_array_size(message) : 1;

    for (size_t i = 0; i < n && proxy.log_fd >= 0; i++) {
        const json_t *call = json_is_array(message) ? json_array_get(message, i) : message;
        const char *method = json_string_value(json_object_get(call, "method"));
        (void)ms_buf_addf(&line, "%s%s", i == 0 ? "" : ",", method == NULL ? "?" : method);
    }
    (void)ms_buf_add_byte(&line, '\n');
    if (proxy.log_fd >= 0 && write(proxy.log_fd, line.ptr, line.len) < 0)
        die("log", strerror(errno));
    ms_buf_done(&line);
}

/* ---- lies about HTTP ---- */

static bool send_head(int fd, unsigned status, size_t len, const char *more)
{
    char head[512];
    int n = snprintf(head, sizeof(head),
                     "HTTP/1.1 %u Liar\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                     "%s\r\n",
                     status, len, more);
    return n > 0 && (size_t)n < sizeof(head) && send_all(fd, head, (size_t)n);
}

static bool send_text(int fd, const char *text)
{
    return send_head(fd, 200, strlen(text), "") && send_all(fd, text, strlen(text));
}

static bool send_deep(int fd, size_t depth)
{
    char *text = calloc(2, depth + 1);
    if (text == NULL)
        die("memory", "deep");
    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    bool ok = send_text(fd, text);
    free(text);
    return ok;
}

static void send_huge(int fd, bool announced)
{
    static const char chunk_head[] = "HTTP/1.1 200 Liar\r\nTransfer-Encoding: chunked\r\n\r\n";
    static char block[65536];
    bool ok =
        announced ? send_head(fd, 200, GIB, "") : send_all(fd, chunk_head, sizeof(chunk_head) - 1);

    memset(block, ' ', sizeof(block));
    for (size_t sent = 0; ok && (!announced || sent < GIB); sent += sizeof(block))
        ok = (announced || send_all(fd, "10000\r\n", 7)) && send_all(fd, block, sizeof(block)) &&
             (announced || send_all(fd, "\r\n", 2));
}

static bool send_status(int fd, const struct lie *lie)
{
    char more[128] = "";
    if (lie->word[1] != NULL)
        (void)snprintf(more, sizeof(more), "Retry-After: %s\r\n", lie->word[1]);
    return send_head(fd, (unsigned)lie_number(lie, 0, 500), 0, more);
}

static bool send_redirect(int fd, const char *url)
{
    char more[256];
    (void)snprintf(more, sizeof(more), "Location: %s\r\n", url);
    return send_head(fd, 307, 0, more);
}

static void wait_for_end(int fd)
{
    char sink[4096];
    while (recv(fd, sink, sizeof(sink), 0) > 0)
        continue;
}

/* Lies that need no answer. true: told; *ret_open says whether the connection goes on. */
static bool lie_at_once(int fd, const struct control *control, bool *ret_open)
{
    const struct lie *lie;

    *ret_open = false;
    if ((lie = lie_find(control, "http")) != NULL)
        *ret_open = send_status(fd, lie);
    else if ((lie = lie_find(control, "redirect")) != NULL)
        *ret_open = send_redirect(fd, lie->word[0]);
    else if (lie_find(control, "garbage") != NULL)
        *ret_open = send_text(fd, "<html><body>Sign in to the hotel's network</body></html>");
    else if ((lie = lie_find(control, "deep")) != NULL)
        *ret_open = send_deep(fd, (size_t)lie_number(lie, 0, 1000));
    else if ((lie = lie_find(control, "huge")) != NULL)
        send_huge(fd, lie->word[0] != NULL && strcmp(lie->word[0], "announced") == 0);
    else if ((lie = lie_find(control, "hang")) != NULL && lie->word[0] == NULL)
        wait_for_end(fd);
    else
        return false;
    return true;
}

static bool send_dripping(int fd, struct ms_span body, uint64_t ms)
{
    bool ok = send_head(fd, 200, body.len, "");
    for (size_t i = 0; ok && i < body.len; i++) {
        sleep_ms(ms);
        ok = send_all(fd, body.ptr + i, 1);
    }
    return ok;
}

static bool send_gzip(int fd, struct ms_span body)
{
    struct ms_buf packed = MS_BUF_INIT(BODY_MAX);
    bool ok = ms_gzip(body, &packed) == MS_OK &&
              send_head(fd, 200, packed.len, "Content-Encoding: gzip\r\n") &&
              send_all(fd, packed.ptr, packed.len);
    ms_buf_done(&packed);
    return ok;
}

static bool send_body(int fd, const struct control *control, struct ms_span body)
{
    const struct lie *lie;

    if ((lie = lie_find(control, "drip")) != NULL)
        return send_dripping(fd, body, lie_number(lie, 0, 100));
    if (lie_find(control, "gzip") != NULL)
        return send_gzip(fd, body);
    if ((lie = lie_find(control, "cut")) != NULL) {
        size_t n = (size_t)lie_number(lie, 0, 0);
        (void)(send_head(fd, 200, body.len, "") && send_all(fd, body.ptr, n < body.len ? n : 0));
        return false;
    }
    return send_head(fd, 200, body.len, "") && send_all(fd, body.ptr, body.len);
}

static bool has_method(const json_t *message, const char *method)
{
    if (method == NULL)
        return false;
    for (size_t i = 0; i < json_array_size(message); i++)
        if (has_method(json_array_get(message, i), method))
            return true;
    const char *name = json_string_value(json_object_get(message, "method"));
    return name != NULL && strcmp(name, method) == 0;
}

static bool send_answer(int fd, const struct control *control, const json_t *message)
{
    const struct lie *too_large = lie_find(control, "batch");
    const struct lie *hang = lie_find(control, "hang");

    if (hang != NULL && has_method(message, hang->word[0])) {
        wait_for_end(fd);
        return false;
    }
    if (too_large != NULL && json_is_array(message) && strcmp(too_large->word[0], "413") == 0)
        return send_head(fd, 413, 0, "");
    json_t *answer = answer_message(control, proxy.upstream, message);
    if (answer == NULL)
        return send_head(fd, 502, 0, "");
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    if (text == NULL)
        die("memory", "answer");
    bool open = send_body(fd, control, ms_span_str(text));
    free(text);
    return open;
}

static bool serve_one(int fd)
{
    struct ms_buf request = MS_BUF_INIT(BODY_MAX);
    struct control control;
    const char *body = NULL;
    bool open = false;

    if (read_request(fd, &request, &body)) {
        char *text = read_control_file();
        json_t *message = json_loads(body, 0, NULL);
        read_control(text, &control);
        log_message(message);
        if (message == NULL)
            open = send_head(fd, 400, 0, "");
        else if (!lie_at_once(fd, &control, &open))
            open = send_answer(fd, &control, message);
        json_decref(message);
        free(text);
    }
    ms_buf_done(&request);
    return open;
}

static void *serve(void *arg)
{
    int fd = *(int *)arg;

    free(arg);
    while (serve_one(fd))
        continue;
    (void)close(fd);
    return NULL;
}

/* ---- start ---- */

static int listen_loopback(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        die("listening", strerror(errno));
    (void)printf("Listening on 127.0.0.1:%u\n", (unsigned)ntohs(addr.sin_port));
    (void)fflush(stdout);
    return fd;
}

static void parse_args(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--upstream") == 0)
            proxy.upstream = argv[i + 1];
        else if (strcmp(argv[i], "--control") == 0)
            proxy.control_file = argv[i + 1];
        else if (strcmp(argv[i], "--log") == 0)
            proxy.log_fd = open(argv[i + 1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        else
            die("unknown option", argv[i]);
    }
    if (proxy.upstream == NULL || proxy.control_file == NULL)
        die("usage", "rpcliar --upstream URL --control FILE [--log FILE]");
}

int main(int argc, char **argv)
{
    pthread_attr_t attr;

    parse_args(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int listener = listen_loopback();
    for (;;) {
        pthread_t thread;
        int *fd = malloc(sizeof(*fd));
        if (fd == NULL)
            die("memory", "connection");
        *fd = accept(listener, NULL, NULL);
        if (*fd < 0 || pthread_create(&thread, &attr, serve, fd) != 0)
            die("connection", strerror(errno));
    }
}
