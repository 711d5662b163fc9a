/* cli/child.c - starting, ending and telling processes. */
#define _GNU_SOURCE /* pipe2, execvp, sigabbrev_np */

#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PID_TEXT_MAX 32u

/* ---- starting ---- */

/* Between fork and exec; nothing here takes a lock. */
static bool prepare(const struct child_plan *plan, pid_t parent)
{
    sigset_t none;
    int nothing = open("/dev/null", O_RDONLY);

    if (setpgid(0, 0) != 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 ||
        (plan->words_only && dup2(STDERR_FILENO, STDOUT_FILENO) < 0))
        return false;
    if (nothing != STDIN_FILENO)
        (void)close(nothing);
    if (plan->bound) {
        /* it need not be asked: who would tell it that its list is no longer watched? */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
            return false;
        if (getppid() != parent) { /* we died before that */
            errno = ESRCH;
            return false;
        }
    }
    /* a shell's background jobs ignore SIGINT, but we hand it on */
    return sigemptyset(&none) == 0 && signal(SIGPIPE, SIG_DFL) != SIG_ERR &&
           signal(SIGINT, SIG_DFL) != SIG_ERR && signal(SIGTERM, SIG_DFL) != SIG_ERR &&
           sigprocmask(SIG_SETMASK, &none, NULL) == 0;
}

static _Noreturn void become(const struct child_plan *plan, pid_t parent, int tell)
{
    if (prepare(plan, parent))
        (void)execvp(plan->argv[0], plan->argv);
    int why = errno;
    ssize_t told = write(tell, &why, sizeof(why));
    _exit(told == (ssize_t)sizeof(why) ? 127 : 126);
}

/* 0 when the program runs: exec has closed the pipe. */
static int hear(int fd)
{
    int why = 0;
    ssize_t n;

    do
        n = read(fd, &why, sizeof(why));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(why) ? why : 0;
}

enum ms_err child_start(const struct child_plan *plan, pid_t *ret_pid, struct ms_diag *diag)
{
    int ends[2];
    pid_t parent = getpid();

    if (pipe2(ends, O_CLOEXEC) != 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", plan->argv[0], strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        become(plan, parent, ends[1]);
    int why = pid < 0 ? errno : 0;
    (void)close(ends[1]);
    if (pid > 0 && (why = hear(ends[0])) != 0)
        (void)waitpid(pid, NULL, 0);
    (void)close(ends[0]);
    if (why != 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", plan->argv[0], strerror(why));
    *ret_pid = pid;
    return MS_OK;
}

/* ---- ending ---- */

void child_signal(pid_t pid, int signal_number)
{
    if (pid > 0)
        (void)kill(-pid, signal_number);
}

bool child_ended(pid_t pid, bool whole, int *ret_status)
{
    siginfo_t info = {.si_pid = 0};

    if (pid <= 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
        info.si_pid != pid)
        return false;
    /* before its number can be another's */
    if (whole)
        (void)kill(-pid, SIGKILL);
    return waitpid(pid, ret_status, 0) == pid;
}

void child_end_text(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(out, size, "signal %d", WTERMSIG(status));
    else
        (void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

/* ---- telling ---- */

int child_signal_of(const char *name)
{
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcmp(known, name) == 0)
            return i;
    }
    return 0;
}

/* The number in it; 0 and errno, or EBADMSG when it holds something else. */
static pid_t read_pid(int fd)
{
    char text[PID_TEXT_MAX];
    struct stat is;
    uint64_t number;
    ssize_t n;

    if (fstat(fd, &is) != 0)
        return 0;
    errno = EPERM;
    if (!S_ISREG(is.st_mode) || (is.st_mode & S_IWOTH) != 0 ||
        (is.st_uid != 0 && is.st_uid != geteuid()))
        return 0;
    n = read(fd, text, sizeof(text));
    if (n < 0)
        return 0;
    errno = EBADMSG;
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    /* 0, 1 and what would be negative mean others than a consumer */
    if (!ms_span_u64(ms_span_of(text, (size_t)n), &number) || number < 2 || number > INT32_MAX)
        return 0;
    return (pid_t)number;
}

enum ms_err child_signal_file(const char *pid_file, int signal_number, struct ms_diag *diag)
{
    int fd = open(pid_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", pid_file, strerror(errno));
    pid_t pid = read_pid(fd);
    int why = errno;
    (void)close(fd);
    if (pid == 0)
        return ms_diag_set(diag, MS_ERR_IO, "%s: %s", pid_file,
                           why == EBADMSG ? "no process id in it"
                           : why == EPERM ? "others than we and root can write it"
                                          : strerror(why));
    if (kill(pid, signal_number) != 0)
        return ms_diag_set(diag, MS_ERR_IO, "process %ld of %s: %s", (long)pid, pid_file,
                           strerror(errno));
    return MS_OK;
}
