/* tests/support/tools/fileproxy.c - a proxy as far as its list goes: reads the file once, at its
 * start, by the rules of cvm-reverse-proxy, written anew for tests. Never installed.
 *
 *   fileproxy LOG FILE [deaf|child|die]
 *
 * Appends to LOG "PID MILLISECONDS WORDS": `open`, nothing is checked, because the list is empty or
 * null; `holds ID ID ...`; or `refuses to start`, and ends with 1. Then it waits for SIGTERM,
 * SIGINT or SIGHUP, appends `signal N` and ends with 0, but goes on after SIGHUP with what it
 * holds. deaf   SIGTERM and SIGINT are ignored child  a second process of its group waits too, for
 * ever die    ends with 3 once it has read the list
 *
 * Rules: the document is an array of objects; attestation_type is azure-tdx or dcap-tdx; a
 * register has `expected` (anything else in it is read over), hex of 48 bytes for DCAP and 32 for
 * Azure. One record that breaks them, and it does not start. */
#define _GNU_SOURCE

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *path, const char *words)
{
    struct timespec now;
    char line[1200];

    (void)clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(line, sizeof(line), "%ld %lld %s\n", (long)getpid(),
                     (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, words);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || n < 0 || write(fd, line, (size_t)n) != n)
        _exit(9);
    (void)close(fd);
}

static bool record_ok(const json_t *record)
{
    const char *type = json_string_value(json_object_get(record, "attestation_type"));
    json_t *registers = json_object_get(record, "measurements"), *value;
    const char *name;

    if (type == NULL || (strcmp(type, "azure-tdx") != 0 && strcmp(type, "dcap-tdx") != 0))
        return false;
    size_t digits = strcmp(type, "azure-tdx") == 0 ? 64 : 96;
    json_object_foreach(registers, name, value)
    {
        const char *hex = json_string_value(json_object_get(value, "expected"));
        if (hex == NULL || strlen(hex) != digits || strspn(hex, "0123456789abcdefABCDEF") != digits)
            return false;
    }
    return true;
}

/* What it holds from now on, as words; false: it does not start. */
static bool take_list(const char *path, char *words, size_t size)
{
    json_t *root = json_load_file(path, JSON_DECODE_ANY, NULL), *record;
    size_t at = 0, len = (size_t)snprintf(words, size, "holds");
    bool ok = json_is_array(root) || json_is_null(root);

    json_array_foreach(root, at, record)
    {
        const char *id = json_string_value(json_object_get(record, "measurement_id"));
        ok = ok && record_ok(record);
        if (len < size)
            len += (size_t)snprintf(words + len, size - len, " %s", id == NULL ? "?" : id);
    }
    if (ok && json_array_size(root) == 0)
        (void)snprintf(words, size, "open");
    json_decref(root);
    return ok;
}

int main(int argc, char **argv)
{
    char words[1000];
    sigset_t set;
    int got = 0;

    if (argc < 3)
        return 2;
    const char *how = argc > 3 ? argv[3] : "";
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    bool ok = take_list(argv[2], words, sizeof(words));
    tell(argv[1], ok ? words : "refuses to start");
    if (!ok || strcmp(how, "die") == 0)
        return ok ? 3 : 1;
    if (strcmp(how, "child") == 0 && fork() == 0)
        for (;;)
            (void)pause();
    while (sigwait(&set, &got) == 0) {
        (void)snprintf(words, sizeof(words), "signal %d", got);
        tell(argv[1], words);
        if (got != SIGHUP && strcmp(how, "deaf") != 0)
            return 0;
    }
    return 4;
}
