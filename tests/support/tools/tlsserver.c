/* tests/support/tools/tlsserver.c - an https server on loopback for tests and the demo. Never
 * installed.
 *
 *   tlsserver --dir DIR --ca FILE [--host NAME]... [--log FILE] [--port N] [--expired] [--save
 * FILE] tlsserver --dir DIR --plain [--log FILE] [--port N]
 *
 * Makes a throw-away P-256 CA, writes its certificate to FILE, and serves DIR with a certificate
 * for the hosts (default localhost; --expired: one that ended yesterday), which --save keeps with
 * its key for another server. --plain is http without TLS. When it answers it prints `Listening on
 * 127.0.0.1:PORT` to stdout.
 *
 * GET /a/b.json answers DIR/a/b.json with an ETag (its SHA-256) and 304 to a matching
 * If-None-Match; no such file: 404. DIR/a/b.json.http, read anew at each request, changes the
 * answer, one line each: !status 503      !delay-ms 1500      !no-etag      !cut 10 (close after 10
 * bytes of body)      !drip-ms 200 (a byte of body every 200 ms)      !length 1073741824
 * (announced, not kept)      !endless (no length; the body, then spaces until the other side
 * closes) any other line is sent as a header, "Cache-Control: max-age=60"
 * --log gets one line a request, `GET /a/b.json 200`, so a test counts requests with wc.
 *
 * One thread a connection; ends at SIGTERM or SIGINT. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define BODY_MAX ((size_t)32 << 20)
#define HEAD_MAX 16384
#define HOSTS_MAX 16
#define DAY_S (24L * 60 * 60)

static struct {
    const char *dir, *ca_file, *log_file, *save_file, *save_expired_file;
    const char *hosts[HOSTS_MAX];
    size_t n_hosts;
    uint16_t port;
    bool plain, expired;
    SSL_CTX *tls;
    int log_fd;
} server = {.log_fd = -1};

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "tlsserver: %s: %s\n", what, errno != 0 ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

/* ---- certificates ---- */

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (ext == NULL || X509_add_ext(cert, ext, -1) != 1)
        die("certificate extension");
    X509_EXTENSION_free(ext);
}

/* A certificate for `key`, named `name`, to be signed by issuer (NULL: by itself). */
static X509 *make_cert(EVP_PKEY *key, const char *name, X509 *issuer, long from_s, long to_s)
{
    X509 *cert = X509_new();
    if (cert == NULL || X509_set_version(cert, X509_VERSION_3) != 1)
        die("certificate");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), (uint64_t)now.tv_nsec + 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), to_s);
    (void)X509_set_pubkey(cert, key);
    X509_NAME *subject = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, issuer == NULL ? subject : X509_get_subject_name(issuer));
    if (issuer == NULL) {
        add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
        add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    }
    add_extension(cert, issuer == NULL ? cert : issuer, NID_subject_key_identifier, "hash");
    return cert;
}

static void sign_cert(X509 *cert, EVP_PKEY *key)
{
    if (X509_sign(cert, key, EVP_sha256()) == 0)
        die("signing a certificate");
}

static void add_hosts(X509 *cert, X509 *ca)
{
    char names[4096] = "";
    size_t len = 0;
    for (size_t i = 0; i < server.n_hosts; i++) {
        struct in_addr v4;
        bool ip = inet_pton(AF_INET, server.hosts[i], &v4) == 1;
        int n = snprintf(names + len, sizeof(names) - len, "%s%s:%s", i == 0 ? "" : ",",
                         ip ? "IP" : "DNS", server.hosts[i]);
        if (n < 0 || (size_t)n >= sizeof(names) - len)
            die("host names");
        len += (size_t)n;
    }
    add_extension(cert, ca, NID_subject_alt_name, names);
}

static void save(const char *name, const X509 *cert, const EVP_PKEY *key)
{
    FILE *file = name == NULL ? NULL : fopen(name, "w");
    if (name != NULL &&
        (file == NULL || PEM_write_X509(file, cert) != 1 ||
         PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) != 1 || fclose(file) != 0))
        die(name);
}

static void make_tls(void)
{
    EVP_PKEY *ca_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    if (ca_key == NULL || key == NULL)
        die("key");
    X509 *ca = make_cert(ca_key, "measured test CA", NULL, -DAY_S * 3, DAY_S * 30);
    sign_cert(ca, ca_key);
    X509 *cert =
        make_cert(key, server.hosts[0], ca, -DAY_S * 2, server.expired ? -DAY_S : DAY_S * 30);
    add_hosts(cert, ca);
    sign_cert(cert, ca_key);

    FILE *file = fopen(server.ca_file, "w");
    if (file == NULL || PEM_write_X509(file, ca) != 1 || fclose(file) != 0)
        die(server.ca_file);
    save(server.save_file, cert, key);
    X509 *past = make_cert(key, server.hosts[0], ca, -DAY_S * 2, -DAY_S);
    add_hosts(past, ca);
    sign_cert(past, ca_key);
    save(server.save_expired_file, past, key);
    X509_free(past);
    server.tls = SSL_CTX_new(TLS_server_method());
    if (server.tls == NULL || SSL_CTX_use_certificate(server.tls, cert) != 1 ||
        SSL_CTX_use_PrivateKey(server.tls, key) != 1)
        die("TLS");
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
}

/* ---- one connection ---- */

struct conn {
    int fd;
    SSL *ssl; /* NULL with --plain */
};

static bool conn_write(struct conn *c, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        size_t n = 0;
        if (c->ssl != NULL) {
            if (SSL_write_ex(c->ssl, p, len, &n) != 1)
                return false;
        } else {
            ssize_t sent = send(c->fd, p, len, MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            n = (size_t)sent;
        }
        p += n;
        len -= n;
    }
    return true;
}

/* Bytes read, 0 at the end or on error. */
static size_t conn_read(struct conn *c, void *into, size_t len)
{
    size_t n = 0;
    if (c->ssl != NULL)
        return SSL_read_ex(c->ssl, into, len, &n) == 1 ? n : 0;
    ssize_t got = recv(c->fd, into, len, 0);
    return got > 0 ? (size_t)got : 0;
}

struct request {
    char method[16], path[1024], if_none_match[128];
    size_t body_len;
    bool close;
};

struct answer {
    int status;
    long delay_ms, drip_ms;
    size_t cut, length;
    bool no_etag, has_cut, has_length, endless;
    char headers[4096];
    size_t headers_len;
    char etag[67]; /* quotes and 64 digits */
    char *body;
    size_t body_len;
};

static void copy_text(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from);
}

/* "GET /path HTTP/1.1" */
static bool take_request_line(struct request *rq, char *line)
{
    char *save = NULL, *method = strtok_r(line, " ", &save), *path = strtok_r(NULL, " ", &save);
    if (method == NULL || path == NULL || strlen(path) >= sizeof(rq->path))
        return false;
    copy_text(rq->method, sizeof(rq->method), method);
    copy_text(rq->path, sizeof(rq->path), path);
    return true;
}

/* One header line of a request. */
static void take_header(struct request *rq, char *line)
{
    char *value = strchr(line, ':');
    if (value == NULL)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    if (strcasecmp(line, "Content-Length") == 0)
        rq->body_len = (size_t)strtoull(value, NULL, 10);
    else if (strcasecmp(line, "If-None-Match") == 0)
        copy_text(rq->if_none_match, sizeof(rq->if_none_match), value);
    else if (strcasecmp(line, "Connection") == 0 && strcasecmp(value, "close") == 0)
        rq->close = true;
}

/* Read up to the empty line, parse it, and swallow the body. false: nothing more to do here. */
static bool read_request(struct conn *c, struct request *rq)
{
    char head[HEAD_MAX + 1];
    size_t len = 0;
    char *end = NULL;

    memset(rq, 0, sizeof(*rq));
    while (end == NULL) {
        size_t n = conn_read(c, head + len, HEAD_MAX - len);
        if (n == 0)
            return false;
        len += n;
        head[len] = '\0';
        end = strstr(head, "\r\n\r\n");
    }
    size_t have = len - (size_t)(end + 4 - head); /* of the body */
    *end = '\0';
    char *save = NULL, *line = strtok_r(head, "\r\n", &save);
    if (line == NULL || !take_request_line(rq, line))
        return false;
    while ((line = strtok_r(NULL, "\r\n", &save)) != NULL)
        take_header(rq, line);
    while (have < rq->body_len) {
        char sink[4096];
        size_t left = rq->body_len - have;
        size_t n = conn_read(c, sink, left < sizeof(sink) ? left : sizeof(sink));
        if (n == 0)
            return false;
        have += n;
    }
    return true;
}

static char *read_whole(const char *path, size_t *ret_len)
{
    struct stat st;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || (size_t)st.st_size > BODY_MAX) {
        (void)fclose(file);
        return NULL;
    }
    char *bytes = malloc((size_t)st.st_size + 1);
    if (bytes == NULL)
        die("memory");
    *ret_len = fread(bytes, 1, (size_t)st.st_size, file);
    bytes[*ret_len] = '\0';
    (void)fclose(file);
    return bytes;
}

/* Lines of the .http file beside the document. */
static void take_directives(struct answer *a, char *text)
{
    char *save = NULL;
    for (char *line = strtok_r(text, "\r\n", &save); line != NULL;
         line = strtok_r(NULL, "\r\n", &save)) {
        if (strncmp(line, "!status ", 8) == 0)
            a->status = (int)strtol(line + 8, NULL, 10);
        else if (strncmp(line, "!delay-ms ", 10) == 0)
            a->delay_ms = strtol(line + 10, NULL, 10);
        else if (strcmp(line, "!no-etag") == 0)
            a->no_etag = true;
        else if (strcmp(line, "!endless") == 0)
            a->endless = true;
        else if (strncmp(line, "!drip-ms ", 9) == 0)
            a->drip_ms = strtol(line + 9, NULL, 10);
        else if (strncmp(line, "!length ", 8) == 0) {
            a->has_length = true;
            a->length = (size_t)strtoull(line + 8, NULL, 10);
        } else if (strncmp(line, "!cut ", 5) == 0) {
            a->has_cut = true;
            a->cut = (size_t)strtoull(line + 5, NULL, 10);
        } else if (line[0] == '!')
            (void)fprintf(stderr, "tlsserver: unknown directive %s\n", line);
        else {
            int n = snprintf(a->headers + a->headers_len, sizeof(a->headers) - a->headers_len,
                             "%s\r\n", line);
            if (n > 0 && (size_t)n < sizeof(a->headers) - a->headers_len)
                a->headers_len += (size_t)n;
        }
    }
}

static void make_etag(struct answer *a)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    if (EVP_Digest(a->body, a->body_len, hash, &len, EVP_sha256(), NULL) != 1)
        die("SHA-256");
    a->etag[0] = '"';
    for (unsigned int i = 0; i < len; i++)
        (void)snprintf(a->etag + 1 + 2 * (size_t)i, 3, "%02x", hash[i]);
    copy_text(a->etag + 1 + 2 * (size_t)len, 2, "\"");
}

static void find_answer(const struct request *rq, struct answer *a)
{
    char path[4096], control[4200];
    size_t control_len = 0;

    memset(a, 0, sizeof(*a));
    a->status = 200;
    size_t path_len = strcspn(rq->path, "?#");
    if (rq->path[0] != '/' || strstr(rq->path, "..") != NULL) {
        a->status = 400;
        return;
    }
    (void)snprintf(path, sizeof(path), "%s%.*s", server.dir, (int)path_len, rq->path);
    (void)snprintf(control, sizeof(control), "%s.http", path);
    a->body = read_whole(path, &a->body_len);
    if (a->body == NULL)
        a->status = 404;
    else
        make_etag(a);
    char *text = read_whole(control, &control_len);
    if (text != NULL)
        take_directives(a, text);
    free(text);
    if (a->body != NULL && a->status == 200 && !a->no_etag &&
        strcmp(rq->if_none_match, a->etag) == 0)
        a->status = 304;
}

static void sleep_ms(long ms)
{
    struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&wait, NULL);
}

/* A body that is not sent as it should be; the connection ends with it. */
static void send_oddly(struct conn *c, const struct answer *a, size_t len)
{
    static char spaces[16384];
    bool open = true;

    memset(spaces, ' ', sizeof(spaces));
    if (a->drip_ms == 0)
        open = conn_write(c, a->body, len);
    for (size_t i = 0; a->drip_ms > 0 && open && i < len; i++) {
        sleep_ms(a->drip_ms);
        open = conn_write(c, a->body + i, 1);
    }
    while (open && (a->endless || a->has_length))
        open = conn_write(c, spaces, sizeof(spaces));
}

static bool send_answer(struct conn *c, const struct request *rq, const struct answer *a)
{
    char head[HEAD_MAX];
    bool bodiless = a->status == 304 || a->status == 204;
    size_t body_len = bodiless ? 0 : a->body_len;
    bool etag = a->etag[0] != '\0' && !a->no_etag && strstr(a->headers, "ETag:") == NULL;

    if (a->delay_ms > 0)
        sleep_ms(a->delay_ms);
    char length[64] = "";
    if (!a->endless)
        (void)snprintf(length, sizeof(length), "Content-Length: %zu\r\n",
                       a->has_length ? a->length : body_len);
    bool typed = strstr(a->headers, "Content-Type:") != NULL;
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %d Test\r\n%s%s%s%s%s%s\r\n", a->status, length,
                     typed ? "" : "Content-Type: application/json\r\n", etag ? "ETag: " : "",
                     etag ? a->etag : "", etag ? "\r\n" : "", a->headers);
    if (n < 0 || (size_t)n >= sizeof(head) || !conn_write(c, head, (size_t)n))
        return false;
    if (a->drip_ms > 0 || a->has_length || a->endless) {
        send_oddly(c, a, body_len);
        return false;
    }
    if (a->has_cut && a->cut < body_len) {
        (void)conn_write(c, a->body, a->cut);
        return false;
    }
    return strcmp(rq->method, "HEAD") == 0 || body_len == 0 || conn_write(c, a->body, body_len);
}

static void log_request(const struct request *rq, int status)
{
    char line[1200];
    if (server.log_fd < 0)
        return;
    int n = snprintf(line, sizeof(line), "%s %s %d\n", rq->method, rq->path, status);
    if (n > 0 && (size_t)n < sizeof(line) && write(server.log_fd, line, (size_t)n) != n)
        die(server.log_file);
}

static void *serve(void *arg)
{
    struct conn c = {.fd = *(int *)arg};
    struct request rq;
    bool open = true;

    free(arg);
    if (!server.plain) {
        c.ssl = SSL_new(server.tls);
        open = c.ssl != NULL && SSL_set_fd(c.ssl, c.fd) == 1 && SSL_accept(c.ssl) == 1;
    }
    while (open && read_request(&c, &rq)) {
        struct answer a;
        find_answer(&rq, &a);
        log_request(&rq, a.status);
        open = send_answer(&c, &rq, &a) && !rq.close;
        free(a.body);
    }
    if (c.ssl != NULL) {
        (void)SSL_shutdown(c.ssl);
        SSL_free(c.ssl);
    }
    (void)close(c.fd);
    return NULL;
}

/* ---- start ---- */

static int listen_loopback(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    socklen_t len = sizeof(addr);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        die("listening");
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    (void)printf("Listening on 127.0.0.1:%u\n", (unsigned)ntohs(addr.sin_port));
    (void)fflush(stdout);
    return fd;
}

static const char *value_of(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc)
        die("an option lacks its value");
    return argv[++*i];
}

static void parse_args(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--dir") == 0)
            server.dir = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--ca") == 0)
            server.ca_file = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--save") == 0)
            server.save_file = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--save-expired") == 0)
            server.save_expired_file = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--log") == 0)
            server.log_file = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--port") == 0)
            server.port = (uint16_t)strtoul(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--host") == 0 && server.n_hosts < HOSTS_MAX)
            server.hosts[server.n_hosts++] = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--plain") == 0)
            server.plain = true;
        else if (strcmp(argv[i], "--expired") == 0)
            server.expired = true;
        else
            die(argv[i]);
    }
    if (server.dir == NULL || (server.ca_file == NULL && !server.plain))
        die("--dir and --ca (or --plain) are needed");
    if (server.n_hosts == 0)
        server.hosts[server.n_hosts++] = "localhost";
}

static void stop(int signo)
{
    (void)signo;
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sigaction ends = {.sa_handler = stop}, ignored = {.sa_handler = SIG_IGN};

    parse_args(argc, argv);
    (void)sigaction(SIGTERM, &ends, NULL);
    (void)sigaction(SIGINT, &ends, NULL);
    (void)sigaction(SIGPIPE, &ignored, NULL);
    if (!server.plain)
        make_tls();
    if (server.log_file != NULL) {
        server.log_fd = open(server.log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (server.log_fd < 0)
            die(server.log_file);
    }
    int listener = listen_loopback();
    for (;;) {
        pthread_t thread;
        int *fd = malloc(sizeof(*fd));
        if (fd == NULL)
            die("memory");
        *fd = accept(listener, NULL, NULL);
        if (*fd < 0 || pthread_create(&thread, NULL, serve, fd) != 0) {
            if (*fd >= 0)
                (void)close(*fd);
            free(fd);
            continue;
        }
        (void)pthread_detach(thread);
    }
}
