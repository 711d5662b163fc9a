/* cli/child.h - programs that `watch` starts, each in a process group of its own.
 *
 * The caller has blocked SIGCHLD and learns of it through a signalfd. Single-threaded: a child
 * bound to us ends with the thread that started it. */
#ifndef MS_CLI_CHILD_H
#define MS_CLI_CHILD_H

#include "base/err.h"
#include "base/span.h"

#include <sys/types.h>

struct child_plan {
    char *const *argv; /* argv[0] is looked for in PATH */
    bool words_only;   /* its standard output becomes our standard error */
    bool bound;        /* it is killed when we die, however we die */
};

/* Start it with empty standard input, no signal blocked, and those we take at their defaults.
 * MS_OK: it runs that program. MS_ERR_IO: it does not, and diag says why. */
MS_MUST_USE enum ms_err child_start(const struct child_plan *plan, pid_t *ret_pid,
                                    struct ms_diag *diag);
/* A signal for it and all of its group. */
void child_signal(pid_t pid, int signal_number);
/* Whether it has ended, and how (wait(2)). whole  what is left of its group is killed then. */
bool child_ended(pid_t pid, bool whole, int *ret_status);
/* "exit status 3", "signal 9" */
void child_end_text(int status, char *out, size_t size);

/* The number of a signal "HUP" or "SIGHUP"; 0 when there is none. */
int child_signal_of(const char *name);
/* Send it to the process that a file names, a decimal number on a line. The file has to be ours or
 * root's and not writable by everybody. MS_ERR_IO */
MS_MUST_USE enum ms_err child_signal_file(const char *pid_file, int signal_number,
                                          struct ms_diag *diag);

#endif
