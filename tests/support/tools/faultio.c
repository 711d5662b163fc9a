/* tests/support/tools/faultio.c - a library for LD_PRELOAD that makes the disk under a database
 * fail: while the file $FAULTIO exists, writing, syncing, truncating and opening files whose name
 * has "measured.db" in it fails with the error whose number that file holds. Never installed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* The error to give, 0 for none. */
static int fault(void)
{
    const char *path = getenv("FAULTIO");
    char text[16] = "";

    if (path == NULL || access(path, F_OK) != 0)
        return 0;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(text, sizeof(text), file) == NULL)
        text[0] = '\0';
    (void)fclose(file);
    return (int)strtol(text, NULL, 10);
}

static int fault_of(int fd)
{
    char link[64], path[4096];
    int error = fault();

    if (error == 0)
        return 0;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n < 0)
        return 0;
    path[n] = '\0';
    return strstr(path, "measured.db") == NULL ? 0 : error;
}

ssize_t pwrite64(int fd, const void *ptr, size_t len, off64_t at)
{
    int error = fault_of(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return NEXT(pwrite64)(fd, ptr, len, at);
}

ssize_t pwrite(int fd, const void *ptr, size_t len, off_t at)
{
    return pwrite64(fd, ptr, len, at);
}

ssize_t write(int fd, const void *ptr, size_t len)
{
    int error = fault_of(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return NEXT(write)(fd, ptr, len);
}

int fsync(int fd)
{
    int error = fault_of(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    int error = fault_of(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return NEXT(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size)
{
    int error = fault_of(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return NEXT(ftruncate64)(fd, size);
}
