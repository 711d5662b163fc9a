/* resolver/daemon/tlog.c - signing the transparency log. */
#define _GNU_SOURCE
#include "resolver/daemon/tlog.h"

#include "resolver/daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_MAX_BYTES 4096
#define ARENA_BYTES ((size_t)2 * MSIG_NOTE_MAX_BYTES)
#define INBOX_MAX 64u
#define RETRY_MS 5000 /* after the database failed */

struct cosigned {
    struct cosigned *next;
    uint64_t size;
    struct ms_buf note, line;
};

struct tlog {
    char dir[PATH_MAX_BYTES];
    struct msig_skey key;
    char vkey[MSIG_NOTE_TEXT_KEY_MAX + 1];
    tlog_signed_fn *signed_fn;
    void *arg;
    /* the turn's own: */
    bool has_last;
    struct msig_checkpoint last;
    int64_t next_ms; /* not before */
    bool told_at_start;
    /* any thread's, under the lock: */
    pthread_mutex_t lock;
    struct cosigned *inbox;
    size_t n_inbox;
    struct tlog_counts counts;
};

/* ---- files ---- */

static enum ms_err path_of(const char *dir, const char *name, char ret_path[PATH_MAX_BYTES],
                           struct ms_diag *diag)
{
    int n = snprintf(ret_path, PATH_MAX_BYTES, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_MAX_BYTES)
        return ms_diag_set(diag, MS_ERR_ARGUMENT, "the path of the state directory is too long");
    return MS_OK;
}

static enum ms_err io_error(struct ms_diag *diag, const char *what, const char *path)
{
    return ms_diag_set(diag, MS_ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static bool write_all(int fd, struct ms_span text)
{
    while (text.len > 0) {
        ssize_t n = write(fd, text.ptr, text.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text = ms_span_sub(text, (size_t)n, text.len);
    }
    return true;
}

/* A whole file or none, 0600 whatever the umask. */
static enum ms_err write_file(const char *dir, const char *name, struct ms_span text,
                              struct ms_diag *diag)
{
    char fresh[PATH_MAX_BYTES], path[PATH_MAX_BYTES], fresh_name[64];

    (void)snprintf(fresh_name, sizeof(fresh_name), "%s.new", name);
    enum ms_err err = path_of(dir, fresh_name, fresh, diag);
    if (err == MS_OK)
        err = path_of(dir, name, path, diag);
    if (err != MS_OK)
        return err;
    (void)unlink(fresh); /* left by a crash: the database's lock is held */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return io_error(diag, "create", fresh);
    bool ok = fchmod(fd, 0600) == 0 && write_all(fd, text) && fsync(fd) == 0;
    if (close(fd) != 0 || !ok || rename(fresh, path) != 0) {
        err = io_error(diag, "write", path);
        (void)unlink(fresh);
        return err;
    }
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0 || fsync(dir_fd) != 0)
        err = io_error(diag, "sync", dir);
    if (dir_fd >= 0)
        (void)close(dir_fd);
    return err;
}

/* ret_found false: there is none. */
static enum ms_err read_file(const char *path, bool secret, struct ms_buf *out, bool *ret_found,
                             struct ms_diag *diag)
{
    struct stat st;
    enum ms_err err = MS_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    *ret_found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? MS_OK : io_error(diag, "open", path);
    if (fstat(fd, &st) != 0)
        err = io_error(diag, "examine", path);
    else if (!S_ISREG(st.st_mode) || (secret && (st.st_mode & 077) != 0))
        err =
            ms_diag_set(diag, MS_ERR_IO,
                        "%s must be a regular file that only its owner can read (chmod 600)", path);
    while (err == MS_OK && ms_buf_err(out) == MS_OK) {
        uint8_t piece[1024];
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n > 0)
            (void)ms_buf_add(out, ms_span_of(piece, (size_t)n));
        else if (n < 0 && errno != EINTR)
            err = io_error(diag, "read", path);
        ms_wipe(piece, sizeof(piece));
        if (n == 0)
            break;
    }
    if (err == MS_OK && ms_buf_err(out) != MS_OK)
        err = ms_diag_set(diag, MS_ERR_IO, "%s is larger than it can be", path);
    (void)close(fd);
    return err;
}

/* ---- the key ---- */

enum ms_err tlog_default_origin(const char *host, struct ms_buf *out)
{
    (void)ms_buf_add_str(out, "measured.");
    for (size_t i = 0; host[i] != '\0' && i < 200; i++) {
        bool plain = (host[i] >= 'a' && host[i] <= 'z') || (host[i] >= 'A' && host[i] <= 'Z') ||
                     (host[i] >= '0' && host[i] <= '9') || host[i] == '-' || host[i] == '.';
        (void)ms_buf_add_byte(out, plain ? (uint8_t)host[i] : '-');
    }
    return ms_buf_add_str(out, host[0] == '\0' ? "localhost/log" : "/log");
}

static enum ms_err make_key(struct tlog *tlog, const char *origin, struct ms_diag *diag)
{
    struct ms_buf name = MS_BUF_INIT(MSIG_NOTE_NAME_MAX), text = MS_BUF_INIT(1024);
    uint8_t seed[MSIG_NOTE_KEY_BYTES];
    char host[256] = "";

    (void)gethostname(host, sizeof(host) - 1);
    if (origin != NULL)
        (void)ms_buf_add_str(&name, origin);
    else
        (void)tlog_default_origin(host, &name);
    enum ms_err err = ms_buf_err(&name);
    if (err == MS_OK && RAND_priv_bytes(seed, sizeof(seed)) != 1)
        err = ms_diag_set(diag, MS_ERR_IO, "no random bytes for the key of the log");
    if (err == MS_OK)
        err = msig_skey_make(ms_buf_span(&name), MSIG_NOTE_ED25519, seed, &tlog->key);
    if (err == MS_OK)
        (void)msig_skey_print(&tlog->key, &text);
    if (err == MS_OK)
        (void)ms_buf_add_byte(&text, '\n');
    if (err == MS_OK)
        err = ms_buf_err(&text);
    if (err == MS_OK)
        err = write_file(tlog->dir, TLOG_KEY_NAME, ms_buf_span(&text), diag);
    ms_wipe(seed, sizeof(seed));
    if (text.ptr != NULL)
        ms_wipe(text.ptr, text.len);
    ms_buf_done(&text);
    ms_buf_done(&name);
    return err;
}

static enum ms_err use_key(struct tlog *tlog, struct ms_span text, const char *path,
                           const char *origin, struct ms_diag *diag)
{
    struct ms_diag why = {0};

    if (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    enum ms_err err = msig_skey_parse(text, &tlog->key, &why);
    if (err == MS_OK && tlog->key.public.type != MSIG_NOTE_ED25519)
        err = ms_diag_set(&why, MS_ERR_SYNTAX, "it is a witness's key");
    if (err != MS_OK)
        return ms_diag_set(diag, err == MS_ERR_MEMORY ? err : MS_ERR_CONFIG,
                           "%s: %s; restore it, or move it away to go on under a new key", path,
                           ms_diag_text(&why, err));
    if (origin != NULL && strcmp(origin, tlog->key.public.name) != 0)
        return ms_diag_set(diag, MS_ERR_CONFIG,
                           "%s is the key of the log %s, but [log] says origin = %s: change that, "
                           "or move the key away to go on under a new one",
                           path, tlog->key.public.name, origin);
    return MS_OK;
}

static enum ms_err load_key(struct tlog *tlog, const char *origin, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(4096), vkey = MS_BUF_INIT(sizeof(tlog->vkey) - 1);
    char path[PATH_MAX_BYTES];
    bool found = false;

    enum ms_err err = path_of(tlog->dir, TLOG_KEY_NAME, path, diag);
    if (err == MS_OK)
        err = read_file(path, true, &text, &found, diag);
    if (err == MS_OK)
        err = found ? use_key(tlog, ms_buf_span(&text), path, origin, diag)
                    : make_key(tlog, origin, diag);
    if (err == MS_OK)
        err = msig_vkey_print(&tlog->key.public, &vkey);
    if (err == MS_OK)
        memcpy(tlog->vkey, vkey.ptr, vkey.len);
    if (text.ptr != NULL)
        ms_wipe(text.ptr, text.len);
    ms_buf_done(&text);
    ms_buf_done(&vkey);
    return err;
}

/* ---- what was signed before ---- */

static void freeze(struct tlog *tlog, const char *cause)
{
    (void)pthread_mutex_lock(&tlog->lock);
    tlog->counts.frozen = true;
    (void)pthread_mutex_unlock(&tlog->lock);
    log_line(LOG_LEVEL_ERROR, "log", "frozen", log_str("cause", cause),
             log_str("help", "no checkpoint is signed any more: restore the database, or move "
                             "log.key and log.checkpoint away to go on under a new key"));
}

static bool is_frozen(struct tlog *tlog)
{
    struct tlog_counts counts;
    tlog_count(tlog, &counts);
    return counts.frozen;
}

/* One that this key signed must be continued; another key's says nothing of it. What is damaged
 * might have been ours, and stops the log as well: else a spoilt byte would make it forget. */
static enum ms_err hold_to(struct tlog *tlog, struct cache *cache, struct ms_span text,
                           bool *ret_ours, struct ms_diag *diag)
{
    struct msig_note *note = malloc(sizeof(*note));
    struct msig_checkpoint c;
    struct ms_diag why = {0};

    if (note == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = msig_checkpoint_open(text, &tlog->key.public, note, &c, &why);
    free(note);
    *ret_ours = err == MS_OK;
    if (err == MS_ERR_NOT_FOUND) {
        log_line(LOG_LEVEL_NOTICE, "log", "other-checkpoint",
                 log_str("cause", ms_diag_text(&why, err)));
        return MS_OK;
    }
    if (err != MS_OK)
        return ms_diag_set(diag, err, "the last checkpoint is damaged: %s",
                           ms_diag_text(&why, err));
    err = cache_log_continues(cache, &c, diag);
    if (err == MS_OK && (!tlog->has_last || c.size > tlog->last.size)) {
        tlog->last = c;
        tlog->has_last = true;
    }
    return err;
}

static enum ms_err hold_to_file(struct tlog *tlog, struct cache *cache, struct ms_diag *diag)
{
    struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES);
    char path[PATH_MAX_BYTES];
    bool found = false, ours = false;

    enum ms_err err = path_of(tlog->dir, TLOG_CHECKPOINT_NAME, path, diag);
    if (err == MS_OK)
        err = read_file(path, false, &text, &found, diag);
    if (err == MS_OK && found)
        err = hold_to(tlog, cache, ms_buf_span(&text), &ours, diag);
    ms_buf_done(&text);
    return err;
}

static enum ms_err hold_to_database(struct tlog *tlog, struct cache *cache, struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct cache_checkpoint row;
    bool found = false, ours = false;

    enum ms_err err = cache_checkpoint_last(cache, &arena, &row, &found, diag);
    if (err == MS_OK && found)
        err = hold_to(tlog, cache, ms_span_str(row.note), &ours, diag);
    if (err == MS_OK && ours && tlog->last.size == row.size) {
        tlog->counts.size = row.size;
        tlog->counts.cosigned_size = row.cosignatures > 0 ? row.size : 0;
    }
    ms_arena_done(&arena);
    return err;
}

enum ms_err tlog_new(const char *state_dir, const char *origin, struct cache *cache,
                     tlog_signed_fn *signed_fn, void *arg, struct tlog **ret_tlog,
                     struct ms_diag *diag)
{
    struct ms_diag why = {0};
    struct tlog *tlog = calloc(1, sizeof(*tlog));

    if (tlog == NULL)
        return MS_ERR_MEMORY;
    (void)pthread_mutex_init(&tlog->lock, NULL);
    tlog->signed_fn = signed_fn;
    tlog->arg = arg;
    int n = snprintf(tlog->dir, sizeof(tlog->dir), "%s", state_dir);
    enum ms_err err = n < 0 || n >= PATH_MAX_BYTES ? MS_ERR_ARGUMENT : MS_OK;
    if (err == MS_OK)
        err = load_key(tlog, origin, diag);
    if (err != MS_OK) {
        tlog_free(tlog);
        return err;
    }
    err = hold_to_database(tlog, cache, &why);
    if (err == MS_OK)
        err = hold_to_file(tlog, cache, &why);
    if (err != MS_OK) /* a log that cannot be read cannot be signed either */
        freeze(tlog, ms_diag_text(&why, err));
    *ret_tlog = tlog;
    return MS_OK;
}

static void free_inbox(struct cosigned *c)
{
    while (c != NULL) {
        struct cosigned *next = c->next;
        ms_buf_done(&c->note);
        ms_buf_done(&c->line);
        free(c);
        c = next;
    }
}

void tlog_free(struct tlog *tlog)
{
    if (tlog == NULL)
        return;
    free_inbox(tlog->inbox);
    (void)pthread_mutex_destroy(&tlog->lock);
    ms_wipe(&tlog->key, sizeof(tlog->key));
    free(tlog);
}

/* ---- signing ---- */

static enum ms_err sign_head(struct tlog *tlog, const struct cache_log_head *head,
                             struct ms_buf *out)
{
    struct msig_checkpoint c = {.size = head->size, .root = head->root};
    struct ms_buf body = MS_BUF_INIT(1024);

    (void)snprintf(c.origin, sizeof(c.origin), "%s", tlog->key.public.name);
    enum ms_err err = msig_checkpoint_print(&c, &body);
    (void)ms_buf_add(out, ms_buf_span(&body));
    (void)ms_buf_add_byte(out, '\n');
    if (err == MS_OK)
        err = msig_note_sign(&tlog->key, ms_buf_span(&body), 0, out);
    ms_buf_done(&body);
    return err == MS_OK ? ms_buf_err(out) : err;
}

/* Durable in both places before anybody sees it. */
static enum ms_err keep_checkpoint(struct tlog *tlog, struct cache *cache,
                                   const struct cache_log_head *head, struct ms_buf *note,
                                   struct ms_now now, struct ms_diag *diag)
{
    struct cache_checkpoint row = {.size = head->size,
                                   .time_s = now.wall_s < 0 ? 0 : now.wall_s,
                                   .vkey = tlog->vkey,
                                   .note = ms_buf_str(note)};

    if (row.note == NULL)
        return MS_ERR_MEMORY;
    enum ms_err err = write_file(tlog->dir, TLOG_CHECKPOINT_NAME, ms_buf_span(note), diag);
    return err == MS_OK ? cache_checkpoint_put(cache, &row, diag) : err;
}

static enum ms_err sign_now(struct tlog *tlog, struct cache *cache,
                            const struct cache_log_head *head, struct ms_now now,
                            struct ms_diag *diag)
{
    struct ms_buf note = MS_BUF_INIT(4096);

    /* a log must never sign two trees of which one does not continue the other */
    enum ms_err err = tlog->has_last ? cache_log_continues(cache, &tlog->last, diag) : MS_OK;
    if (err == MS_ERR_CONFLICT) {
        freeze(tlog, ms_diag_text(diag, err));
        return err;
    }
    if (err == MS_OK)
        err = sign_head(tlog, head, &note);
    if (err == MS_OK)
        err = keep_checkpoint(tlog, cache, head, &note, now, diag);
    if (err == MS_OK) {
        tlog->last = (struct msig_checkpoint){.size = head->size, .root = head->root};
        tlog->has_last = true;
        (void)pthread_mutex_lock(&tlog->lock);
        tlog->counts.size = head->size;
        tlog->counts.checkpoints++;
        (void)pthread_mutex_unlock(&tlog->lock);
        if (tlog->signed_fn != NULL)
            tlog->signed_fn(tlog->arg, head->size, ms_buf_span(&note));
    }
    ms_buf_done(&note);
    return err;
}

/* ---- cosignatures ---- */

enum ms_err tlog_cosigned(struct tlog *tlog, uint64_t size, struct ms_span note,
                          struct ms_span line)
{
    struct cosigned *c = calloc(1, sizeof(*c));
    enum ms_err err = c == NULL ? MS_ERR_MEMORY : MS_OK;

    if (c == NULL)
        return err;
    c->size = size;
    c->note.max = c->line.max = MSIG_NOTE_MAX_BYTES;
    (void)ms_buf_add(&c->note, note);
    (void)ms_buf_add(&c->line, line);
    err = ms_buf_err(&c->note) != MS_OK ? ms_buf_err(&c->note) : ms_buf_err(&c->line);
    (void)pthread_mutex_lock(&tlog->lock);
    if (err == MS_OK && tlog->n_inbox == INBOX_MAX)
        err = MS_ERR_OVERLOAD;
    if (err == MS_OK) {
        c->next = tlog->inbox;
        tlog->inbox = c;
        tlog->n_inbox++;
    }
    (void)pthread_mutex_unlock(&tlog->lock);
    if (err != MS_OK)
        free_inbox(c);
    return err;
}

static bool has_line(struct ms_span note, struct ms_span line)
{
    while (note.len >= line.len) {
        if (memcmp(note.ptr, line.ptr, line.len) == 0)
            return true;
        note = ms_span_sub(note, 1, note.len);
    }
    return false;
}

/* The line goes under the checkpoint that is stored, else under the one that was sent. */
static enum ms_err keep_cosignature(struct tlog *tlog, struct cache *cache, struct cosigned *c,
                                    struct ms_diag *diag)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct ms_buf text = MS_BUF_INIT(MSIG_NOTE_MAX_BYTES);
    struct cache_checkpoint row = {0};
    bool found = false;

    enum ms_err err = cache_checkpoint_next(cache, c->size, &arena, &row, &found, diag);
    if (!found || row.size != c->size)
        row = (struct cache_checkpoint){
            .size = c->size, .vkey = tlog->vkey, .note = ms_buf_str(&c->note)};
    if (err == MS_OK && row.note != NULL &&
        !has_line(ms_span_str(row.note), ms_buf_span(&c->line)) &&
        row.cosignatures < MSIG_NOTE_LINES_MAX - 1) {
        (void)ms_buf_add_str(&text, row.note);
        (void)ms_buf_add(&text, ms_buf_span(&c->line));
        row.note = ms_buf_str(&text);
        row.cosignatures++;
        err = row.note == NULL ? MS_ERR_MEMORY : cache_checkpoint_put(cache, &row, diag);
    }
    if (err == MS_OK) {
        (void)pthread_mutex_lock(&tlog->lock);
        tlog->counts.cosignatures++;
        if (c->size > tlog->counts.cosigned_size)
            tlog->counts.cosigned_size = c->size;
        (void)pthread_mutex_unlock(&tlog->lock);
    }
    ms_buf_done(&text);
    ms_arena_done(&arena);
    return err;
}

static void take_inbox(struct tlog *tlog, struct cache *cache)
{
    (void)pthread_mutex_lock(&tlog->lock);
    struct cosigned *all = tlog->inbox;
    tlog->inbox = NULL;
    tlog->n_inbox = 0;
    (void)pthread_mutex_unlock(&tlog->lock);
    for (struct cosigned *c = all; c != NULL; c = c->next) {
        struct ms_diag diag = {0};
        enum ms_err err = keep_cosignature(tlog, cache, c, &diag);
        if (err != MS_OK)
            log_line(LOG_LEVEL_WARNING, "log", "cosignature-lost",
                     log_str("cause", ms_diag_text(&diag, err)));
    }
    free_inbox(all);
}

/* ---- the turn ---- */

/* The checkpoint that is there when the daemon starts is told like a new one: a witness may not
 * have seen it. */
static void tell_at_start(struct tlog *tlog, struct cache *cache)
{
    struct ms_arena arena = MS_ARENA_INIT(ARENA_BYTES);
    struct cache_checkpoint row;
    bool found = false;

    tlog->told_at_start = true;
    if (tlog->signed_fn != NULL && tlog->has_last &&
        cache_checkpoint_last(cache, &arena, &row, &found, NULL) == MS_OK && found &&
        row.size == tlog->last.size && strcmp(row.vkey, tlog->vkey) == 0)
        tlog->signed_fn(tlog->arg, row.size, ms_span_str(row.note));
    ms_arena_done(&arena);
}

int64_t tlog_turn(struct tlog *tlog, struct cache *cache, struct ms_now now)
{
    struct cache_log_head head;
    struct ms_diag diag = {0};

    take_inbox(tlog, cache);
    if (is_frozen(tlog))
        return -1;
    if (!tlog->told_at_start)
        tell_at_start(tlog, cache);
    if (now.boot_ms < tlog->next_ms)
        return tlog->next_ms - now.boot_ms;
    enum ms_err err = cache_log_head(cache, &head, &diag);
    if (err == MS_OK && tlog->has_last && head.size == tlog->last.size)
        return -1;
    if (err == MS_OK)
        err = sign_now(tlog, cache, &head, now, &diag);
    tlog->next_ms = now.boot_ms + (err == MS_OK ? TLOG_SIGN_MS : RETRY_MS);
    if (is_frozen(tlog))
        return -1;
    if (err == MS_OK)
        return TLOG_SIGN_MS;
    log_line(LOG_LEVEL_ERROR, "log", "cannot-sign", log_str("cause", ms_diag_text(&diag, err)));
    return RETRY_MS;
}

void tlog_count(struct tlog *tlog, struct tlog_counts *ret_counts)
{
    (void)pthread_mutex_lock(&tlog->lock);
    *ret_counts = tlog->counts;
    (void)pthread_mutex_unlock(&tlog->lock);
}

enum ms_err tlog_vkey(const struct tlog *tlog, struct ms_buf *out)
{
    return ms_buf_add_str(out, tlog->vkey);
}
