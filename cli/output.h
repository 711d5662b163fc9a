/* cli/output.h - what `watch` does to the world: a file replaced as a whole, a command run. */
#ifndef MS_CLI_OUTPUT_H
#define MS_CLI_OUTPUT_H

#include "base/err.h"
#include "base/span.h"

#include <sys/types.h>

#define OUTPUT_FILE_MODE 0640

/* Replace `path` by a new file of these bytes, durably: a temporary file beside it, fsync, rename,
 * fsync of the folder. A reader sees the old or the new, never a part. MS_ERR_IO, diag says what
 * failed; the old file is then still there, unless only the folder's fsync failed. */
MS_MUST_USE enum ms_err output_write(const char *path, struct ms_span text, struct ms_diag *diag);

struct output_env { /* of a command; none is NULL */
    const char *state, *sequence, *file;
};

/* Start /bin/sh -c COMMAND with MEASURED_STATE, MEASURED_SEQUENCE and MEASURED_FILE, its signals as
 * usual. words_only  its standard output becomes our standard error. MS_ERR_IO */
MS_MUST_USE enum ms_err output_run(const char *command, const struct output_env *env,
                                   bool words_only, pid_t *ret_pid, struct ms_diag *diag);

#endif
