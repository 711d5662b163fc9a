/* tests/support/tools/witness.c - a witness of transparency logs on loopback for tests. Never
 * installed.
 *
 *   witness --name NAME --seed DIGIT --state FILE --mode FILE [--log FILE] < VKEY
 *
 * Takes the key of one log on standard input, prints its own as `Key NAME+...` and `Listening on
 * 127.0.0.1:PORT`, and answers POST /add-checkpoint as c2sp.org/tlog-witness asks: 404, 403, 400,
 * 409 with its size, 422, or 200 and its cosignature; what it saw last (size and root) is in the
 * state file. A word in the mode file changes that: `broken` 500, `forged` a signature
 * that its key did not make, `silent` nothing but the status 200, `ahead` 409 with a larger size
 * than that of the checkpoint. --log gets one line a request, "STATUS old OLD size SIZE".
 *
 * One connection after the other; ends at SIGTERM. */
#define _GNU_SOURCE /* strcasestr */

#include "base/hex.h"
#include "sig/tlog_text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t)512 << 10)

static struct {
    const char *name, *seed, *state, *mode, *log;
    struct msig_vkey log_key;
    struct msig_skey key;
    uint64_t size; /* what it saw last */
    struct ms_sha256 root;
} w;

static _Noreturn void die(const char *why)
{
    (void)fprintf(stderr, "witness: %s\n", why);
    exit(1);
}

static void read_text(const char *path, char *out, size_t size)
{
    FILE *file = path == NULL ? NULL : fopen(path, "rb");
    size_t n = file == NULL ? 0 : fread(out, 1, size - 1, file);

    out[n] = '\0';
    if (file != NULL)
        (void)fclose(file);
}

static void load_state(void)
{
    char text[256];
    struct ms_span size, root;

    read_text(w.state, text, sizeof(text));
    if (text[0] == '\0')
        return;
    if (!ms_span_cut(ms_span_str(text), ' ', &size, &root) || !ms_span_u64(size, &w.size) ||
        ms_hex_decode(ms_span_sub(root, 0, 64), w.root.b, sizeof(w.root.b)) != MS_OK)
        die("its state file is not SIZE ROOT");
}

static void save_state(const struct msig_checkpoint *c)
{
    char root[2 * MS_SHA256_BYTES + 1];
    FILE *file = fopen(w.state, "wb");

    if (file == NULL)
        die("cannot write the state file");
    w.size = c->size;
    w.root = c->root;
    ms_sha256_hex(&c->root, root);
    (void)fprintf(file, "%" PRIu64 " %s\n", c->size, root);
    (void)fclose(file);
}

static bool mode_is(const char *word)
{
    char text[64];

    read_text(w.mode, text, sizeof(text));
    return strncmp(text, word, strlen(word)) == 0;
}

/* ---- add-checkpoint ---- */

static unsigned refuse_size(uint64_t size, struct ms_buf *out)
{
    (void)ms_buf_addf(out, "%" PRIu64 "\n", size);
    return 409;
}

static unsigned cosign(const struct msig_note *note, struct ms_buf *out)
{
    if (!mode_is("silent") && msig_note_sign(&w.key, note->text, (int64_t)time(NULL), out) != MS_OK)
        die("cannot sign");
    if (mode_is("forged")) /* its name and id, and no signature of its key */
        out->ptr[out->len - 10] = out->ptr[out->len - 10] == 'A' ? 'B' : 'A';
    return 200;
}

static unsigned add_checkpoint(struct ms_span body, struct ms_buf *out, uint64_t *ret_old,
                               uint64_t *ret_size)
{
    static struct msig_note note;
    struct msig_tlog_growth growth;
    struct msig_checkpoint c;

    if (msig_tlog_growth_parse(body, &growth, NULL) != MS_OK ||
        msig_note_parse(growth.checkpoint, &note, NULL) != MS_OK ||
        msig_checkpoint_parse(note.text, &c, NULL) != MS_OK)
        return 400;
    *ret_old = growth.old_size;
    *ret_size = c.size;
    if (mode_is("broken"))
        return 500;
    if (strcmp(c.origin, w.log_key.name) != 0)
        return 404;
    if (msig_note_verify(&note, &w.log_key, NULL, NULL) != MS_OK)
        return 403;
    if (growth.old_size > c.size)
        return 400;
    if (mode_is("ahead"))
        return refuse_size(c.size + 7, out);
    if (growth.old_size != w.size)
        return refuse_size(w.size, out);
    if (w.size == c.size && w.size > 0 && !ms_sha256_eq(&w.root, &c.root))
        return refuse_size(w.size, out);
    if (growth.old_size == 0 && growth.path.n > 0)
        return 422;
    if (w.size > 0 &&
        msig_tlog_verify_consistency(&growth.path, w.size, c.size, &w.root, &c.root) != MS_OK)
        return 422;
    unsigned status = cosign(&note, out);
    save_state(&c);
    return status;
}

/* ---- http ---- */

/* The whole request; NULL: it is none. */
static bool read_request(int fd, struct ms_buf *in, struct ms_span *ret_body)
{
    size_t want = 0;

    for (;;) {
        uint8_t *room = ms_buf_room(in, 4096);
        ssize_t n = room == NULL ? 0 : read(fd, room, 4096);
        if (n <= 0)
            return false;
        in->len += (size_t)n;
        const char *text = ms_buf_str(in);
        const char *end = text == NULL ? NULL : strstr(text, "\r\n\r\n");
        const char *length = text == NULL ? NULL : strcasestr(text, "content-length:");
        if (end == NULL)
            continue;
        if (length != NULL && length < end)
            want = strtoul(length + 15, NULL, 10);
        size_t head = (size_t)(end - text) + 4;
        if (in->len - head >= want) {
            *ret_body = ms_span_of(in->ptr + head, want);
            return true;
        }
    }
}

static void note_request(unsigned status, uint64_t old, uint64_t size)
{
    FILE *file = w.log == NULL ? NULL : fopen(w.log, "ab");

    if (file == NULL)
        return;
    (void)fprintf(file, "%u old %" PRIu64 " size %" PRIu64 "\n", status, old, size);
    (void)fclose(file);
}

static void serve(int fd)
{
    struct ms_buf in = MS_BUF_INIT(REQUEST_MAX), body = MS_BUF_INIT(65536),
                  out = MS_BUF_INIT(65536);
    struct ms_span request;
    uint64_t old = 0, size = 0;

    if (read_request(fd, &in, &request)) {
        bool right = ms_span_starts(ms_buf_span(&in), "POST /w/add-checkpoint ");
        unsigned status = right ? add_checkpoint(request, &body, &old, &size) : 404;
        (void)ms_buf_addf(&out,
                          "HTTP/1.1 %u Status\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                          "Connection: close\r\n\r\n",
                          status, status == 409 ? "text/x.tlog.size" : "text/plain", body.len);
        (void)ms_buf_add(&out, ms_buf_span(&body));
        note_request(status, old, size);
        if (write(fd, out.ptr, out.len) != (ssize_t)out.len)
            (void)fprintf(stderr, "witness: the client is gone\n");
    }
    ms_buf_done(&in);
    ms_buf_done(&body);
    ms_buf_done(&out);
}

static int listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 16) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) != 0)
        die("cannot listen");
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void make_keys(void)
{
    uint8_t seed[MSIG_NOTE_KEY_BYTES];

    memset(seed, w.seed[0], sizeof(seed));
    if (msig_skey_make(ms_span_str(w.name), MSIG_NOTE_COSIGNATURE, seed, &w.key) != MS_OK)
        die("bad name");
}

int main(int argc, char **argv)
{
    struct {
        const char *option, **value;
    } options[] = {{"--name", &w.name},
                   {"--seed", &w.seed},
                   {"--state", &w.state},
                   {"--mode", &w.mode},
                   {"--log", &w.log}};
    char line[1024] = "";
    struct ms_buf key = MS_BUF_INIT(1024);
    uint16_t port = 0;

    for (int i = 1; i + 1 < argc; i += 2)
        for (size_t o = 0; o < MS_ARRAY_LEN(options); o++)
            if (strcmp(argv[i], options[o].option) == 0)
                *options[o].value = argv[i + 1];
    if (w.name == NULL || w.seed == NULL || w.state == NULL)
        die("usage: witness --name NAME --seed DIGIT --state FILE --mode FILE [--log FILE] < VKEY");
    if (fgets(line, sizeof(line), stdin) == NULL)
        die("no key of a log on standard input");
    line[strcspn(line, "\n")] = '\0';
    if (msig_vkey_parse(ms_span_str(line), &w.log_key, NULL) != MS_OK)
        die("no key of a log on standard input");
    make_keys();
    load_state();
    (void)signal(SIGPIPE, SIG_IGN);
    int fd = listen_on_loopback(&port);
    (void)msig_vkey_print(&w.key.public, &key);
    printf("Key %s\nListening on 127.0.0.1:%u\n", ms_buf_str(&key), port);
    (void)fflush(stdout);
    ms_buf_done(&key);
    for (;;) {
        int client = accept(fd, NULL, NULL);
        if (client < 0)
            continue;
        serve(client);
        (void)close(client);
    }
}
