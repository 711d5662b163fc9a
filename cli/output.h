/* cli/output.h - files replaced as a whole: once, or kept by one writer for a while.
 *
 * Beside FILE there are .FILE.measuredctl-PID while it is written and, while it is kept,
 * .FILE.measuredctl-lock, which holds off a second writer. Single-threaded. */
#ifndef MS_CLI_OUTPUT_H
#define MS_CLI_OUTPUT_H

#include "base/buf.h"

#include <sys/types.h>

#define OUTPUT_PATH_MAX_BYTES 4096u

#define OUTPUT_FILE_MODE 0640

/* Replace `path` by a new file of these bytes, durably: a temporary file beside it, fsync, rename,
 * fsync of the folder. A reader sees the old or the new, never a part. MS_ERR_IO, diag says what
 * failed; the old file is then still there, unless only the folder's fsync failed. */
MS_MUST_USE enum ms_err output_write(const char *path, struct ms_span text, struct ms_diag *diag);

/* ---- a file that is kept ---- */
struct output_file {
    const char *path; /* borrowed */
    mode_t mode;
    bool has_group;
    gid_t group;
    char dir_name[OUTPUT_PATH_MAX_BYTES];
    char name[256], temporary[300], lock_name[300];
    int dir, lock; /* -1 when closed */
};

/* Three or four octal digits; nothing that lets everybody write. MS_ERR_ARGUMENT */
MS_MUST_USE enum ms_err output_mode(const char *text, mode_t *ret_mode, struct ms_diag *diag);
/* The name or number of a group. MS_ERR_ARGUMENT */
MS_MUST_USE enum ms_err output_group(const char *text, gid_t *ret_group, struct ms_diag *diag);

void output_init(struct output_file *file);
/* path, mode and group are set. Take the lock, and remove what a writer that died left behind.
 * MS_ERR_IO: no such folder, another writer, or what is there is no regular file: a symbolic link
 * is neither followed nor replaced. output_close all the same. */
MS_MUST_USE enum ms_err output_open(struct output_file *file, struct ms_diag *diag);
void output_close(struct output_file *file);

/* What it holds; false when there is no such file, it does not fit into buf, or its mode or group
 * is not what it has to be. */
bool output_load(const struct output_file *file, struct ms_buf *buf);

/* As output_write; the folder may have been made anew meanwhile. MS_ERR_IO also when the file has
 * become a symbolic link or another writer's. */
MS_MUST_USE enum ms_err output_replace(struct output_file *file, struct ms_span text,
                                       struct ms_diag *diag);
/* MS_OK when there is none any more. MS_ERR_IO */
MS_MUST_USE enum ms_err output_remove(struct output_file *file, struct ms_diag *diag);

#endif
