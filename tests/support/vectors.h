/* tests/support/vectors.h - reading published and generated vectors, and counting their cases.
 *
 * The folder is $MEASURED_VECTORS, else ../shared/vectors, else tests/vectors (relative to the
 * source tree). A missing file is skipped and said so; every case of a file that is there runs.
 * Each file ends with a line `TOPIC/FILE: N passed, N failed, N skipped`. */
#ifndef MS_TESTS_VECTORS_H
#define MS_TESTS_VECTORS_H

#include "base/buf.h"
#include "base/json.h"

struct vec_count {
    const char *topic, *file;
    size_t passed, failed, skipped;
};

/* Path of TOPIC/FILE (file may be NULL for the folder itself); static storage, overwritten by the
 * next call. */
const char *vec_path(const char *topic, const char *file);
bool vec_exists(const char *topic, const char *file);

/* Whole file into buf. false when it is missing or larger than buf's max. */
bool vec_read(const char *path, struct ms_buf *buf);

/* The JSON of TOPIC/FILE, or NULL after printing the skip line when the file is missing; a file
 * that is there but does not parse fails the count. Root is the caller's. */
json_t *vec_load(struct vec_count *count, const char *topic, const char *file);

/* The array of cases: root itself or its member "cases". Borrowed. */
const json_t *vec_cases(const json_t *root);

/* One case a call, for every case of TOPIC/FILE, with the closing line; whether nothing failed. */
bool vec_run(const char *topic, const char *file,
             void (*run)(struct vec_count *count, const json_t *c));

/* Count one case; on failure print its id and what went wrong. */
void vec_check(struct vec_count *count, bool ok, const char *id, const char *fmt, ...)
    MS_PRINTF(4, 5);
void vec_skip(struct vec_count *count, const char *id, const char *why);

/* Print the closing line; returns whether nothing failed. */
bool vec_end(const struct vec_count *count);

/* String member or NULL; hex member ("0x.." or bare, any length) decoded into buf. */
const char *vec_str(const json_t *c, const char *name);
bool vec_hex(const char *text, struct ms_buf *buf);

/* Every regular file of TOPIC/FOLDER, sorted by name; calls fn(name, path, arg). Returns how many.
 */
size_t vec_each_file(const char *topic, const char *folder,
                     void (*fn)(const char *name, const char *path, void *arg), void *arg);

#endif
