/* tests/support/vectors.c - reading vectors and counting cases. */
#define _POSIX_C_SOURCE 200809L /* opendir, strdup */

#include "tests/support/vectors.h"

#include "base/hex.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define VEC_FILE_MAX ((size_t)64 << 20)
#define VEC_SHOWN_MAX 40 /* failures printed a file */

static const char *root_dir(void)
{
    const char *dir = getenv("MEASURED_VECTORS");
    struct stat st;

    if (dir != NULL && dir[0] != '\0')
        return dir;
    if (stat("../shared/vectors", &st) == 0)
        return "../shared/vectors";
    return "tests/vectors";
}

const char *vec_path(const char *topic, const char *file)
{
    static char path[4096];
    if (file == NULL)
        (void)snprintf(path, sizeof(path), "%s/%s", root_dir(), topic);
    else
        (void)snprintf(path, sizeof(path), "%s/%s/%s", root_dir(), topic, file);
    return path;
}

bool vec_exists(const char *topic, const char *file)
{
    struct stat st;
    return stat(vec_path(topic, file), &st) == 0;
}

bool vec_read(const char *path, struct ms_buf *buf)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    for (;;) {
        uint8_t *room = ms_buf_room(buf, 65536);
        if (room == NULL)
            break;
        size_t n = fread(room, 1, 65536, file);
        buf->len += n;
        if (n == 0)
            break;
    }
    bool ok = ferror(file) == 0 && ms_buf_err(buf) == MS_OK;
    (void)fclose(file);
    return ok;
}

json_t *vec_load(struct vec_count *count, const char *topic, const char *file)
{
    static const struct ms_json_limits limits = {VEC_FILE_MAX, 256, (size_t)1 << 24,
                                                 MS_JSON_ALLOW_NUL};
    struct ms_buf text = MS_BUF_INIT(VEC_FILE_MAX + 65536);
    struct ms_diag diag = {0};
    json_t *root = NULL;

    *count = (struct vec_count){.topic = topic, .file = file};
    if (!vec_exists(topic, file)) {
        printf("%s/%s: not there, skipped\n", topic, file);
        return NULL;
    }
    if (!vec_read(vec_path(topic, file), &text) ||
        ms_json_parse(ms_buf_span(&text), &limits, &root, &diag) != MS_OK)
        vec_check(count, false, "file", "cannot read: %s", diag.text);
    ms_buf_done(&text);
    return root;
}

const json_t *vec_cases(const json_t *root)
{
    const json_t *cases = json_object_get(root, "cases");
    return cases != NULL ? cases : root;
}

void vec_check(struct vec_count *count, bool ok, const char *id, const char *fmt, ...)
{
    if (ok) {
        count->passed++;
        return;
    }
    if (++count->failed > VEC_SHOWN_MAX)
        return;
    va_list args;
    va_start(args, fmt);
    printf("FAILED %s/%s %s: ", count->topic, count->file, id == NULL ? "?" : id);
    (void)vprintf(fmt, args);
    printf("\n");
    va_end(args);
}

void vec_skip(struct vec_count *count, const char *id, const char *why)
{
    count->skipped++;
    printf("skipped %s/%s %s: %s\n", count->topic, count->file, id == NULL ? "?" : id, why);
}

bool vec_end(const struct vec_count *count)
{
    printf("%s/%s: %zu passed, %zu failed, %zu skipped\n", count->topic, count->file, count->passed,
           count->failed, count->skipped);
    return count->failed == 0;
}

const char *vec_str(const json_t *c, const char *name)
{
    return json_string_value(json_object_get(c, name));
}

bool vec_hex(const char *text, struct ms_buf *buf)
{
    struct ms_span hex = ms_span_str(text);

    ms_buf_reset(buf);
    if (text == NULL)
        return false;
    if (ms_span_starts(hex, "0x"))
        hex = ms_span_sub(hex, 2, hex.len);
    if (hex.len == 0)
        return true;
    uint8_t *room = ms_buf_room(buf, hex.len / 2);
    if (room == NULL || ms_hex_decode(hex, room, hex.len / 2) != MS_OK)
        return false;
    buf->len = hex.len / 2;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

size_t vec_each_file(const char *topic, const char *folder,
                     void (*fn)(const char *name, const char *path, void *arg), void *arg)
{
    char *names[4096];
    char dir_path[4096], path[8192];
    size_t n = 0;

    (void)snprintf(dir_path, sizeof(dir_path), "%s", vec_path(topic, folder));
    DIR *dir = opendir(dir_path);
    if (dir == NULL)
        return 0;
    for (struct dirent *e = readdir(dir); e != NULL && n < MS_ARRAY_LEN(names); e = readdir(dir))
        if (e->d_name[0] != '.')
            names[n++] = strdup(e->d_name);
    (void)closedir(dir);
    qsort(names, n, sizeof(names[0]), by_name);
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir_path, names[i]);
        fn(names[i], path, arg);
        free(names[i]);
    }
    return n;
}

bool vec_run(const char *topic, const char *file,
             void (*run)(struct vec_count *count, const json_t *c))
{
    struct vec_count count;
    json_t *root = vec_load(&count, topic, file);
    size_t i;
    const json_t *c;

    if (root == NULL)
        return count.failed == 0;
    json_array_foreach(vec_cases(root), i, c) run(&count, c);
    json_decref(root);
    return vec_end(&count);
}
