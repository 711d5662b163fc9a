/* resolver/daemon/build.c - the program's own file. */
#define _GNU_SOURCE /* O_CLOEXEC */
#include "resolver/daemon/build.h"

#include "base/digest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MS_VERSION
#define MS_VERSION "unknown"
#endif

static char text[64 + 2 * MS_SHA256_BYTES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void hash_file(int fd, char out[2 * MS_SHA256_BYTES + 1])
{
    struct stat st;

    out[0] = '\0';
    if (fstat(fd, &st) != 0 || st.st_size <= 0)
        return;
    void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return;
    struct ms_sha256 hash = ms_sha256(ms_span_of(bytes, (size_t)st.st_size));
    ms_sha256_hex(&hash, out);
    (void)munmap(bytes, (size_t)st.st_size);
}

static void make(void)
{
    char hex[2 * MS_SHA256_BYTES + 1] = "";
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        hash_file(fd, hex);
        (void)close(fd);
    }
    (void)snprintf(text, sizeof(text), "%s%s%s", MS_VERSION, hex[0] == '\0' ? "" : " sha256:", hex);
}

const char *build_id(void)
{
    (void)pthread_once(&once, make);
    return text;
}
