/* check.c - may a peer be trusted? Prints approved, refused or unknown whenever the answer changes.
 *
 *     cc -o check check.c $(pkg-config --cflags --libs measured)
 *     ./check SPECIFIER|URL TYPE INDEX=HEX ...          e.g. ./check eip155:1:0x.. dcap-tdx
 * 0=aabb..
 *
 * A proxy has its own event loop and asks measured_check for each peer, from any thread. */
#include <measured/measured.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define REGISTERS 24

static unsigned digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c);

    return at == NULL ? 16 : (unsigned)(at - digits);
}

/* INDEX=HEX; false when it is not that. */
static bool read_register(const char *text, unsigned char value[48], struct measured_register *reg)
{
    *reg = (struct measured_register){.value = value};
    for (; digit(*text) < 10 && reg->index < 100; text++)
        reg->index = reg->index * 10 + digit(*text);
    if (*text++ != '=')
        return false;
    for (; reg->size < 48 && digit(text[0]) < 16 && digit(text[1]) < 16; text += 2)
        value[reg->size++] = (unsigned char)(digit(text[0]) << 4 | digit(text[1]));
    return *text == '\0' && reg->size > 0;
}

static const char *word(int verdict)
{
    return verdict == MEASURED_APPROVED  ? "approved"
           : verdict == MEASURED_REFUSED ? "refused"
                                         : "unknown";
}

int main(int argc, char **argv)
{
    static unsigned char values[REGISTERS][48];
    struct measured_register regs[REGISTERS];
    size_t n = 0;

    bool good = argc >= 4 && argc <= 3 + REGISTERS;
    for (; good && n + 3 < (size_t)argc; n++)
        good = read_register(argv[n + 3], values[n], &regs[n]);
    if (!good) {
        fprintf(stderr, "usage: check SPECIFIER|URL TYPE INDEX=HEX ...\n");
        return 2;
    }

    struct measured *m = measured_open(NULL);
    struct measured_set *set = m == NULL ? NULL : measured_subscribe(m, argv[1]);
    if (set == NULL) {
        perror("measured");
        return 3;
    }
    int said = -1;
    for (;;) {
        struct pollfd poll_fd = {.fd = measured_fd(m), .events = POLLIN};
        struct measured_description now;
        struct measured_match match;

        /* At least once a second: a deadline passes without any message. */
        (void)poll(&poll_fd, 1, 1000);
        if (measured_pump(m) != 0 && said == -1)
            fprintf(stderr, "check: no daemon yet: %s\n", strerror(errno));
        int verdict = (int)measured_check(set, argv[2], regs, n, &match);
        measured_describe(set, &now);
        if (verdict == said || now.state == MEASURED_STATE_WAITING)
            continue;
        said = verdict;
        printf("%s %s %s\n", word(verdict), measured_state_name(now.state),
               verdict == MEASURED_APPROVED ? match.measurement_id : measured_error(set));
        fflush(stdout);
    }
}
