/* The client against a daemon that says what it is told to: what is taken, what breaks the
 * connection, and that neither changes what was there before. Looks into the client where time
 * would have to pass otherwise. */
#define _GNU_SOURCE /* F_SEAL_SEAL and the like */

#include "proxy-plugin/lib/client.h"
#include "tests/support/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NEVER FEED_NEVER
#define BYTE_OLD 0x11
#define BYTE_NEW 0x22

static struct feed_fake fake;
static struct measured *m;
static struct measured_set *set;
static uint32_t sub;

/* ---- helpers ---- */

static struct feed_snapshot_in served(uint64_t generation)
{
    return (struct feed_snapshot_in){.generation = generation,
                                     .sequence = 5,
                                     .seed = 99,
                                     .fresh_until_ms = NEVER,
                                     .hard_until_ms = NEVER,
                                     .state = FEED_STATE_FRESH,
                                     .serve = true,
                                     .key = 1};
}

static enum measured_verdict check(struct measured_set *of, uint8_t byte)
{
    uint8_t value[48];
    struct measured_register reg = {0, value, sizeof(value)};

    memset(value, byte, sizeof(value));
    return measured_check(of, "dcap-tdx", &reg, 1, NULL);
}

static void assert_in_use(uint8_t byte)
{
    assert_int_equal(check(set, byte), MEASURED_APPROVED);
    assert_int_equal(check(set, 0x77), MEASURED_REFUSED);
}

static size_t open_files(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return n;
}

static bool is_readable(void)
{
    struct pollfd poll_fd = {.fd = measured_fd(m), .events = POLLIN};

    return poll(&poll_fd, 1, 0) == 1;
}

static struct measured_description describe(void)
{
    struct measured_description description;

    measured_describe(set, &description);
    return description;
}

static void assert_pump(int wanted)
{
    errno = 0;
    int result = measured_pump(m);
    if (wanted == 0 ? result != 0 : (result != -1 || errno != wanted))
        fail_msg("pump: %d, %s instead of %s", result, strerror(errno), strerror(wanted));
}

/* Through HELLO, WELCOME and the first SUBSCRIBE. */
static void shake_hands(void)
{
    m->retry_at_ms = 0;
    assert_pump(0);
    assert_true(feed_fake_accept(&fake, 1000));
    (void)feed_fake_want(&fake, FEED_HELLO);
    feed_fake_welcome(&fake);
    assert_pump(0);
}

static void send_snapshot(uint32_t to, const struct feed_snapshot_in *in, uint8_t byte)
{
    size_t size;
    uint8_t *bytes =
        in->serve ? feed_snapshot_of_byte(in, byte, &size) : feed_snapshot_new(in, &size);

    feed_fake_snapshot(&fake, to, in->generation, bytes, size);
    free(bytes);
}

static void send_served(uint32_t to, uint64_t generation, uint8_t byte)
{
    struct feed_snapshot_in in = served(generation);

    send_snapshot(to, &in, byte);
}

static int setup(void **state)
{
    (void)state;
    feed_fake_start(&fake);
    m = measured_open(fake.dir);
    assert_non_null(m);
    set = measured_subscribe(m, "sha256:aa");
    assert_non_null(set);
    shake_hands();
    sub = feed_fake_want(&fake, FEED_SUBSCRIBE);
    assert_int_not_equal(sub, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    measured_close(m);
    feed_fake_stop(&fake);
    return 0;
}

/* ---- the ordinary way ---- */

static void test_first_snapshot(void **state)
{
    (void)state;
    struct measured_match match = {0};
    uint8_t value[48];
    struct measured_register reg = {0, value, sizeof(value)};

    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
    assert_int_equal(describe().state, MEASURED_STATE_WAITING);
    assert_int_equal(describe().serves, 0);
    assert_false(is_readable());
    send_served(sub, 41, BYTE_OLD);
    assert_true(is_readable());
    assert_pump(0);
    assert_false(is_readable());
    assert_in_use(BYTE_OLD);
    memset(value, BYTE_OLD, sizeof(value));
    assert_int_equal(measured_check(set, "gcp-tdx", &reg, 1, &match), MEASURED_APPROVED);
    assert_string_equal(match.measurement_id, "id");
    assert_string_equal(match.release_version, "1.2");
    assert_int_equal(match.release_id, 7);
    assert_int_equal(match.sequence, 5);
    assert_int_equal(match.generation, 41);
    assert_int_equal(measured_check(set, "azure-tdx", &reg, 1, &match), MEASURED_REFUSED);
    assert_int_equal(measured_check(set, "sev", &reg, 1, &match), MEASURED_REFUSED);
    assert_int_equal(measured_check(set, NULL, &reg, 1, &match), MEASURED_UNKNOWN);
    assert_int_equal(measured_check(NULL, "dcap-tdx", &reg, 1, &match), MEASURED_UNKNOWN);
    assert_int_equal(measured_check(set, "dcap-tdx", NULL, 1, &match), MEASURED_REFUSED);
    assert_int_equal(describe().state, MEASURED_STATE_FRESH);
    assert_int_equal(describe().serves, 1);
    assert_int_equal(describe().generation, 41);
    assert_int_equal(describe().n_records, 1);
    assert_string_equal(measured_error(set), "");
}

static void test_replaced(void **state)
{
    (void)state;
    struct feed_snapshot_in nothing = served(43);

    send_served(sub, 41, BYTE_OLD);
    send_served(sub, 42, BYTE_NEW);
    assert_pump(0);
    assert_in_use(BYTE_NEW);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_REFUSED);
    nothing.state = FEED_STATE_CONFLICT;
    nothing.serve = false;
    send_snapshot(sub, &nothing, 0);
    assert_pump(0);
    assert_int_equal(check(set, BYTE_NEW), MEASURED_UNKNOWN);
    assert_int_equal(describe().state, MEASURED_STATE_CONFLICT);
    nothing.generation = 44;
    nothing.state = FEED_STATE_REVOKED;
    nothing.serve = true;
    size_t size;
    uint8_t *bytes = feed_snapshot_new(&nothing, &size);
    feed_fake_snapshot(&fake, sub, 44, bytes, size);
    free(bytes);
    assert_pump(0);
    assert_int_equal(check(set, BYTE_NEW), MEASURED_REFUSED);
    assert_int_equal(describe().state, MEASURED_STATE_REVOKED);
}

static void test_renewed(void **state)
{
    (void)state;
    int64_t now_ms = feed_boot_ms();
    struct feed_snapshot_in in = served(41);
    struct feed_renew renew = {.generation = 41, .state = FEED_STATE_FRESH};

    in.hard_until_ms = now_ms - 1;
    send_snapshot(sub, &in, BYTE_OLD);
    assert_pump(0);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
    assert_int_equal(describe().state, MEASURED_STATE_EXPIRED);
    renew.hard_until_ms = now_ms + 60000;
    renew.fresh_until_ms = now_ms - 1;
    feed_fake_renew(&fake, sub, &renew);
    assert_pump(0);
    assert_in_use(BYTE_OLD);
    assert_int_equal(describe().state, MEASURED_STATE_STALE_WHILE_REVALIDATE);
    assert_int_equal(describe().hard_until_ms, now_ms + 60000);
    renew.fresh_until_ms = now_ms + 60000;
    feed_fake_renew(&fake, sub, &renew);
    assert_pump(0);
    assert_int_equal(describe().state, MEASURED_STATE_FRESH);
    static const uint32_t states[][2] = {
        {FEED_STATE_SWR, 1},      {FEED_STATE_SIE, 1},      {FEED_STATE_HOLD, 1},
        {FEED_STATE_REVOKED, 1},  {FEED_STATE_EXPIRED, 0},  {FEED_STATE_CLOCK_SUSPECT, 0},
        {FEED_STATE_CONFLICT, 0}, {FEED_STATE_NEGATIVE, 0},
    };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        renew.state = states[i][0];
        feed_fake_renew(&fake, sub, &renew);
        assert_pump(0);
        assert_int_equal(describe().serves, states[i][1]);
        assert_int_equal(check(set, BYTE_OLD), states[i][1] ? MEASURED_APPROVED : MEASURED_UNKNOWN);
    }
    renew.state = FEED_STATE_FRESH;
    renew.hard_until_ms = now_ms - 1; /* nearer than before */
    feed_fake_renew(&fake, sub, &renew);
    assert_pump(0);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
}

static void test_refused_subscription(void **state)
{
    (void)state;
    struct measured_set *other = measured_subscribe(m, "sha256:bb");

    assert_pump(0);
    uint32_t other_sub = feed_fake_want(&fake, FEED_SUBSCRIBE);
    assert_true(other_sub > sub);
    send_served(other_sub, 1, BYTE_NEW);
    feed_fake_error(&fake, sub, "quota", "no more\nthan 5");
    assert_pump(0);
    assert_int_equal(describe().state, MEASURED_STATE_FAILED);
    assert_string_equal(measured_error(set), "quota: no more?than 5");
    assert_string_equal(measured_error(other), "");
    assert_int_equal(check(other, BYTE_NEW), MEASURED_APPROVED);
    /* later it is asked for again, under another number */
    assert_true(m->ask_again_at_ms > feed_boot_ms() + 20000);
    assert_true(m->ask_again_at_ms <= feed_boot_ms() + 60000);
    m->ask_again_at_ms = 0;
    assert_pump(0);
    uint32_t again = feed_fake_want(&fake, FEED_SUBSCRIBE);
    assert_true(again > other_sub);
    assert_int_equal(describe().state, MEASURED_STATE_FAILED);
    send_served(again, 2, BYTE_OLD);
    assert_pump(0);
    assert_int_equal(describe().state, MEASURED_STATE_FRESH);
    assert_string_equal(measured_error(set), "");
    /* an ERROR that may pass takes nothing away that was given */
    feed_fake_error(&fake, again, "quota", "no more");
    assert_pump(0);
    assert_in_use(BYTE_OLD);
    assert_int_equal(describe().state, MEASURED_STATE_FRESH);
    assert_string_equal(measured_error(set), "quota: no more");
    /* but for one that says that there is nothing of this name */
    m->ask_again_at_ms = 0;
    assert_pump(0);
    again = feed_fake_want(&fake, FEED_SUBSCRIBE);
    feed_fake_error(&fake, again, "alias", "no such alias");
    assert_pump(0);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
    assert_int_equal(describe().state, MEASURED_STATE_FAILED);
    measured_unsubscribe(other);
    assert_pump(0);
    assert_int_equal(feed_fake_want(&fake, FEED_UNSUBSCRIBE), other_sub);
}

static void test_unsubscribe(void **state)
{
    (void)state;
    size_t before = open_files();

    send_served(sub, 1, BYTE_OLD);
    assert_pump(0);
    measured_unsubscribe(set);
    measured_unsubscribe(NULL);
    set = measured_subscribe(m, "https://sha256:bb@host/");
    assert_pump(0);
    assert_int_equal(feed_fake_want(&fake, FEED_UNSUBSCRIBE), sub);
    uint32_t next = feed_fake_want(&fake, FEED_SUBSCRIBE);
    assert_int_not_equal(next, sub);
    /* what was under way for the one that left is nobody's, and breaks nothing */
    send_served(sub, 2, BYTE_OLD);
    feed_fake_error(&fake, sub, "quota", "late");
    assert_pump(0);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
    assert_int_equal(open_files(), before);
    send_served(next, 3, BYTE_NEW);
    assert_pump(0);
    assert_in_use(BYTE_NEW);
    /* one that nobody was asked for yet leaves no word */
    measured_unsubscribe(measured_subscribe(m, "sha256:cc"));
    assert_pump(0);
    uint8_t packet[64];
    assert_int_equal(feed_fake_read(&fake, packet, sizeof(packet), 50), -1);
}

static void test_arguments(void **state)
{
    (void)state;
    char *text = malloc(FEED_TEXT_MAX_BYTES + 2);

    assert_non_null(text);
    memset(text, 'x', FEED_TEXT_MAX_BYTES + 1);
    text[FEED_TEXT_MAX_BYTES + 1] = '\0';
    assert_null(measured_subscribe(m, text));
    assert_int_equal(errno, EMSGSIZE);
    assert_null(measured_subscribe(m, ""));
    assert_int_equal(errno, EINVAL);
    assert_null(measured_subscribe(m, NULL));
    assert_int_equal(errno, EINVAL);
    text[FEED_TEXT_MAX_BYTES] = '\0';
    assert_non_null(measured_subscribe(m, text));
    assert_pump(0);
    assert_true(feed_fake_want(&fake, FEED_SUBSCRIBE) > sub);
    memset(text, 'd', 200);
    text[200] = '\0';
    assert_null(measured_open(text));
    assert_int_equal(errno, ENAMETOOLONG);
    free(text);
    assert_string_equal(measured_state_name(MEASURED_STATE_STALE_IF_ERROR), "stale-if-error");
    assert_string_equal(measured_state_name((enum measured_state)99), "unknown");
}

static void test_text_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum feed_text kind;
    } rows[] = {{"https://a@b", FEED_TEXT_URL},
                {"http://a@b", FEED_TEXT_URL},
                {"httpsx://a", FEED_TEXT_SPECIFIER},
                {"eip155:1:0x", FEED_TEXT_SPECIFIER}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct {
            struct feed_message head;
            struct feed_subscribe body;
            char text[64];
        } packet = {0};
        assert_non_null(measured_subscribe(m, rows[i].text));
        assert_pump(0);
        ssize_t n = feed_fake_read(&fake, &packet, sizeof(packet), 1000);
        assert_int_equal(n, sizeof(packet.head) + sizeof(packet.body) + strlen(rows[i].text));
        assert_int_equal(packet.body.text, rows[i].kind);
        assert_string_equal(packet.text, rows[i].text);
    }
}

/* ---- what breaks the protocol ---- */

static void say_snapshot(uint32_t to, uint64_t generation, uint64_t size, const int *fds, size_t n)
{
    struct feed_snapshot body = {generation, size};

    feed_fake_say(&fake, FEED_SNAPSHOT, to, &body, sizeof(body), fds, n);
}

/* The snapshot of a generation, in a file with these seals, said to be `more` longer than it is. */
static void say_file(uint64_t generation, int seals, int more, size_t n_fds)
{
    struct feed_snapshot_in in = served(generation);
    size_t size;
    uint8_t *bytes = feed_snapshot_of_byte(&in, BYTE_NEW, &size);
    int fds[8];

    for (size_t i = 0; i < n_fds; i++)
        fds[i] = feed_memfd(bytes, size, seals);
    say_snapshot(sub, generation, (uint64_t)((int64_t)size + more), fds, n_fds);
    for (size_t i = 0; i < n_fds; i++)
        (void)close(fds[i]);
    free(bytes);
}

static void say_changed(uint64_t at, uint64_t value, size_t bytes)
{
    struct feed_snapshot_in in = served(10);
    size_t size;
    uint8_t *snapshot = feed_snapshot_of_byte(&in, BYTE_NEW, &size);

    memcpy(snapshot + at, &value, bytes);
    feed_fake_snapshot(&fake, sub, 10, snapshot, size);
    free(snapshot);
}

static void say_other_file(const char *path)
{
    struct feed_snapshot_in in = served(10);
    size_t size;
    uint8_t *bytes = feed_snapshot_of_byte(&in, BYTE_NEW, &size);
    char name[] = "/tmp/feedXXXXXX";
    int fd = path == NULL ? mkstemp(name) : open(path, O_RDWR | O_CLOEXEC);

    assert_int_not_equal(fd, -1);
    assert_int_equal(write(fd, bytes, size), size);
    say_snapshot(sub, 10, size, &fd, 1);
    (void)close(fd);
    if (path == NULL)
        (void)unlink(name);
    free(bytes);
}

static void bad_no_seals(void)
{
    say_file(10, 0, 0, 1);
}
static void bad_no_write_seal(void)
{
    say_file(10, FEED_SEALS_ALL & ~F_SEAL_WRITE, 0, 1);
}
static void bad_no_shrink_seal(void)
{
    say_file(10, FEED_SEALS_ALL & ~F_SEAL_SHRINK, 0, 1);
}
static void bad_no_grow_seal(void)
{
    say_file(10, FEED_SEALS_ALL & ~F_SEAL_GROW, 0, 1);
}
static void bad_no_seal_seal(void)
{
    say_file(10, FEED_SEALS_ALL & ~F_SEAL_SEAL, 0, 1);
}
static void bad_regular_file(void)
{
    say_other_file(NULL);
}
static void bad_device(void)
{
    say_other_file("/dev/null");
}
static void bad_longer(void)
{
    say_file(10, FEED_SEALS_ALL, 8, 1);
}
static void bad_shorter(void)
{
    say_file(10, FEED_SEALS_ALL, -8, 1);
}
static void bad_no_fd(void)
{
    say_file(10, FEED_SEALS_ALL, 0, 0);
}
static void bad_two_fds(void)
{
    say_file(10, FEED_SEALS_ALL, 0, 2);
}
static void bad_five_fds(void)
{
    say_file(10, FEED_SEALS_ALL, 0, 5);
}
static void bad_magic(void)
{
    say_changed(0, 0x31, 1);
}
static void bad_version(void)
{
    say_changed(offsetof(struct feed_header, version), 2, 4);
}
static void bad_size(void)
{
    say_changed(offsetof(struct feed_header, size), 4096, 8);
}
static void bad_key(void)
{
    say_changed(offsetof(struct feed_header, key), 2, 1);
}
static void bad_header_generation(void)
{
    say_changed(offsetof(struct feed_header, generation), 11, 8);
}
static void bad_same_generation(void)
{
    say_file(5, FEED_SEALS_ALL, 0, 1);
}
static void bad_lower_generation(void)
{
    say_file(4, FEED_SEALS_ALL, 0, 1);
}
static void bad_number(void)
{
    send_served(sub + 1, 10, BYTE_NEW);
}
static void bad_number_zero(void)
{
    send_served(0, 10, BYTE_NEW);
}
static void bad_renew_generation(void)
{
    feed_fake_renew(&fake, sub, &(struct feed_renew){.generation = 6, .state = FEED_STATE_FRESH});
}
static void bad_renew_state(void)
{
    feed_fake_renew(&fake, sub, &(struct feed_renew){.generation = 5, .state = 10});
}
static void bad_renew_reserved(void)
{
    feed_fake_renew(
        &fake, sub,
        &(struct feed_renew){.generation = 5, .state = FEED_STATE_FRESH, .reserved = 1});
}
static void bad_renew_with_fd(void)
{
    struct feed_renew renew = {.generation = 5, .state = FEED_STATE_FRESH};
    int fd = feed_memfd((const uint8_t *)"x", 1, FEED_SEALS_ALL);

    feed_fake_say(&fake, FEED_RENEW, sub, &renew, sizeof(renew), &fd, 1);
    (void)close(fd);
}
static void bad_renew_of_none(void)
{
    assert_non_null(measured_subscribe(m, "sha256:dd"));
    assert_pump(0);
    uint32_t other = feed_fake_want(&fake, FEED_SUBSCRIBE);
    feed_fake_renew(&fake, other, &(struct feed_renew){.generation = 5, .state = FEED_STATE_FRESH});
}
static void bad_second_welcome(void)
{
    feed_fake_welcome(&fake);
}
static void bad_type(void)
{
    feed_fake_say(&fake, (enum feed_type)133, 0, "", 0, NULL, 0);
}
static void bad_reader_type(void)
{
    feed_fake_say(&fake, FEED_UNSUBSCRIBE, sub, "", 0, NULL, 0);
}
static void bad_long_error(void)
{
    uint8_t body[FEED_CODE_BYTES + FEED_WHY_MAX_BYTES + 1] = "quota";

    feed_fake_say(&fake, FEED_ERROR, sub, body, sizeof(body), NULL, 0);
}
/* Cut to what a message may have it would be one. */
static void bad_longer_than_told(void)
{
    uint8_t packet[PLUG_MESSAGE_MAX_BYTES + 1] = {0};
    struct feed_message head = {FEED_MAGIC, FEED_ERROR, 0, sub, PLUG_MESSAGE_MAX_BYTES};

    memcpy(packet, &head, sizeof(head));
    memcpy(packet + sizeof(head), "quota", 5);
    assert_true(feed_fake_send(&fake, packet, sizeof(packet), NULL, 0));
}
static void bad_error_code(void)
{
    uint8_t body[FEED_CODE_BYTES] = "quota\0x";

    feed_fake_say(&fake, FEED_ERROR, sub, body, sizeof(body), NULL, 0);
}
static void bad_error_twice(void)
{
    feed_fake_error(&fake, sub, "quota", "x");
    feed_fake_error(&fake, sub, "quota", "x");
}
static void bad_head_size(void)
{
    struct feed_message head = {FEED_MAGIC, FEED_ERROR, 0, sub, 17};

    assert_true(feed_fake_send(&fake, &head, sizeof(head), NULL, 0));
}
static void bad_short(void)
{
    assert_true(feed_fake_send(&fake, "MSFD", 4, NULL, 0));
}
static void bad_head_magic(void)
{
    struct feed_message head = {FEED_MAGIC + 1, FEED_UNSUBSCRIBE, 0, sub, sizeof(head)};

    assert_true(feed_fake_send(&fake, &head, sizeof(head), NULL, 0));
}

static const struct {
    const char *name;
    void (*say)(void);
} bad[] = {
    {"no seals", bad_no_seals},
    {"no seal against writing", bad_no_write_seal},
    {"no seal against shrinking", bad_no_shrink_seal},
    {"no seal against growing", bad_no_grow_seal},
    {"no seal against seals", bad_no_seal_seal},
    {"a regular file", bad_regular_file},
    {"a device", bad_device},
    {"said longer than it is", bad_longer},
    {"said shorter than it is", bad_shorter},
    {"no descriptor", bad_no_fd},
    {"two descriptors", bad_two_fds},
    {"five descriptors", bad_five_fds},
    {"wrong magic", bad_magic},
    {"wrong version", bad_version},
    {"its header tells another size", bad_size},
    {"of another key", bad_key},
    {"its header tells another generation", bad_header_generation},
    {"the same generation", bad_same_generation},
    {"a lower generation", bad_lower_generation},
    {"for a number never given", bad_number},
    {"for number 0", bad_number_zero},
    {"RENEW of another generation", bad_renew_generation},
    {"RENEW to an unknown state", bad_renew_state},
    {"RENEW with reserved bits", bad_renew_reserved},
    {"RENEW with a descriptor", bad_renew_with_fd},
    {"RENEW of nothing", bad_renew_of_none},
    {"a second WELCOME", bad_second_welcome},
    {"an unknown type", bad_type},
    {"a reader's message", bad_reader_type},
    {"an ERROR too long", bad_long_error},
    {"a packet longer than it says", bad_longer_than_told},
    {"an ERROR's code not padded", bad_error_code},
    {"an ERROR after an ERROR", bad_error_twice},
    {"a packet that tells another size", bad_head_size},
    {"a packet without a head", bad_short},
    {"a packet of something else", bad_head_magic},
};

static void try_bad(size_t i)
{
    void *state = NULL;

    (void)setup(&state);
    send_served(sub, 5, BYTE_OLD);
    assert_pump(0);
    size_t before = open_files();
    bad[i].say();
    errno = 0;
    if (measured_pump(m) != -1 || errno != EPROTO)
        fail_msg("%s: was taken (%s)", bad[i].name, strerror(errno));
    if (open_files() != before - 1) /* the connection */
        fail_msg("%s: %zu descriptors instead of %zu", bad[i].name, open_files(), before - 1);
    if (check(set, BYTE_OLD) != MEASURED_APPROVED || check(set, BYTE_NEW) != MEASURED_REFUSED)
        fail_msg("%s: it changed what is in use", bad[i].name);
    uint8_t packet[64];
    if (feed_fake_read(&fake, packet, sizeof(packet), 1000) != 0)
        fail_msg("%s: the connection stands", bad[i].name);
    (void)teardown(&state);
}

static void test_bad_messages(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        try_bad(i);
}

/* ---- the beginning ---- */

static void begin(void)
{
    m->retry_at_ms = 0;
    assert_pump(0);
    assert_true(feed_fake_accept(&fake, 1000));
    (void)feed_fake_want(&fake, FEED_HELLO);
}

static void say_welcome(uint16_t low, uint16_t high, int64_t boot_ms)
{
    struct feed_hello hello = {.version_min = low, .version_max = high, .boot_ms = boot_ms};

    feed_fake_say(&fake, FEED_WELCOME, 0, &hello, sizeof(hello), NULL, 0);
}

static void test_welcome(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint16_t low, high;
        int64_t beside_ms;
        int want;
    } rows[] = {
        {"as it should be", 1, 1, 0, 0},
        {"a clock within the slack", 1, 1, 40, 0},
        {"another clock, ahead", 1, 1, 1000, EXDEV},
        {"another clock, behind", 1, 1, -1000, EXDEV},
        {"another version", 2, 2, 0, EPROTONOSUPPORT},
        {"two versions", 1, 2, 0, EPROTO},
    };

    feed_fake_hang_up(&fake);
    assert_pump(ECONNRESET);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        say_welcome(rows[i].low, rows[i].high, feed_boot_ms() + rows[i].beside_ms);
        assert_pump(rows[i].want);
        feed_fake_hang_up(&fake);
        assert_pump(rows[i].want == 0 ? ECONNRESET : rows[i].want);
    }
    begin();
    feed_fake_error(&fake, 0, "unknown", "version 9");
    assert_pump(EPROTONOSUPPORT);
    assert_string_equal(measured_error(set), "unknown: version 9");
    begin();
    send_served(1, 1, BYTE_OLD);
    assert_pump(EPROTO);
    assert_int_equal(check(set, BYTE_OLD), MEASURED_UNKNOWN);
    begin();
    assert_pump(0);
    m->hello_at_ms = feed_boot_ms() - PLUG_WELCOME_MS;
    assert_pump(ETIMEDOUT);
}

/* ---- a daemon that goes away ---- */

static void test_restart(void **state)
{
    (void)state;
    send_served(sub, 500, BYTE_OLD);
    feed_fake_error(&fake, 0, "shutdown", "the daemon stops");
    assert_pump(ECONNRESET);
    assert_string_equal(measured_error(set), "shutdown: the daemon stops");
    assert_in_use(BYTE_OLD);
    feed_fake_hang_up(&fake);
    feed_fake_unlisten(&fake);
    m->retry_at_ms = 0;
    assert_pump(ENOENT);
    assert_in_use(BYTE_OLD);
    feed_fake_listen(&fake);
    shake_hands();
    uint32_t again = feed_fake_want(&fake, FEED_SUBSCRIBE);
    assert_in_use(BYTE_OLD);
    assert_string_equal(measured_error(set), "");
    /* another daemon: it may count from the beginning, and resolve an alias to another key */
    struct feed_snapshot_in in = served(1);
    in.key = 9;
    send_snapshot(again, &in, BYTE_NEW);
    assert_pump(0);
    assert_in_use(BYTE_NEW);
}

/* Short deadlines, no daemon: approved at every moment before, unknown at every moment from then
 * on. */
static void test_deadline(void **state)
{
    (void)state;
    struct feed_snapshot_in in = served(1);
    size_t before = 0, after = 0;

    in.hard_until_ms = feed_boot_ms() + 300;
    send_snapshot(sub, &in, BYTE_OLD);
    assert_pump(0);
    feed_fake_hang_up(&fake);
    assert_pump(ECONNRESET);
    for (;;) {
        int64_t from_ms = feed_boot_ms();
        enum measured_verdict verdict = check(set, BYTE_OLD);
        int64_t to_ms = feed_boot_ms();
        if (to_ms < in.hard_until_ms) {
            assert_int_equal(verdict, MEASURED_APPROVED);
            before++;
        } else if (from_ms >= in.hard_until_ms) {
            assert_int_equal(verdict, MEASURED_UNKNOWN);
            after++;
        }
        if (from_ms >= in.hard_until_ms + 100)
            break;
    }
    assert_true(before > 100 && after > 100);
    assert_int_equal(describe().state, MEASURED_STATE_EXPIRED);
    assert_int_equal(describe().serves, 0);
}

/* The first waits of many readers fill 0 to 1 s evenly, the second ones 0 to 2 s, late ones 0 to 5
 * s. */
static void test_waits_are_spread(void **state)
{
    (void)state;
    static const int64_t max_ms[] = {1000, 2000, 4000, 5000, 5000};
    size_t tenths[5][10] = {0};

    feed_fake_unlisten(&fake);
    for (size_t reader = 0; reader < 1000; reader++) {
        struct measured *one = measured_open(fake.dir);
        assert_non_null(one);
        for (size_t i = 0; i < 5; i++) {
            one->retry_at_ms = 0;
            int64_t from_ms = feed_boot_ms();
            assert_int_equal(measured_pump(one), -1);
            int64_t wait_ms = one->retry_at_ms - from_ms;
            assert_true(wait_ms >= 0 && wait_ms <= max_ms[i] + 100);
            if (wait_ms >= max_ms[i])
                wait_ms = max_ms[i] - 1;
            tenths[i][wait_ms * 10 / max_ms[i]]++;
        }
        measured_close(one);
    }
    for (size_t i = 0; i < 5; i++)
        for (size_t t = 0; t < 10; t++)
            if (tenths[i][t] < 50 || tenths[i][t] > 160) /* 100 but for chance: 5 and 6 sigma */
                fail_msg("wait %zu: %zu of 1000 in tenth %zu", i, tenths[i][t], t);
}

/* The same in real time: who lost one daemon is back within the second, and not all at once. */
static void test_crowd_comes_back(void **state)
{
    (void)state;
    struct measured *crowd[40];
    int conns[40];
    int64_t first_ms = 0, last_ms = 0, hung_up_ms;
    size_t n = sizeof(crowd) / sizeof(crowd[0]), back = 0;

    for (size_t i = 0; i < n; i++) {
        crowd[i] = measured_open(fake.dir);
        assert_non_null(crowd[i]);
        assert_int_equal(measured_pump(crowd[i]), 0);
        assert_true(feed_fake_accept(&fake, 1000));
        (void)feed_fake_want(&fake, FEED_HELLO);
        feed_fake_welcome(&fake);
        assert_int_equal(measured_pump(crowd[i]), 0);
        conns[i] = fake.conn;
        fake.conn = -1;
    }
    hung_up_ms = feed_boot_ms();
    for (size_t i = 0; i < n; i++)
        (void)close(conns[i]);
    while (back < n && feed_boot_ms() < hung_up_ms + 3000) {
        for (size_t i = 0; i < n; i++) {
            struct pollfd poll_fd = {.fd = measured_fd(crowd[i]), .events = POLLIN};
            if (poll(&poll_fd, 1, 0) == 1)
                (void)measured_pump(crowd[i]);
        }
        while (back < n && feed_fake_accept(&fake, 1)) {
            last_ms = feed_boot_ms();
            first_ms = back == 0 ? last_ms : first_ms;
            conns[back++] = fake.conn; /* it stays, so that each reader comes once */
            fake.conn = -1;
        }
    }
    assert_int_equal(back, n);
    print_message("back after %lld to %lld ms\n", (long long)(first_ms - hung_up_ms),
                  (long long)(last_ms - hung_up_ms));
    assert_true(last_ms - first_ms > 300 && last_ms - hung_up_ms < 1200);
    for (size_t i = 0; i < n; i++) {
        measured_close(crowd[i]);
        (void)close(conns[i]);
    }
}

/* ---- bounds ---- */

static void test_pump_is_bounded(void **state)
{
    (void)state;
    struct feed_renew renew = {.generation = 5, .state = FEED_STATE_FRESH};
    int64_t told = 0;

    send_served(sub, 5, BYTE_OLD);
    assert_pump(0);
    for (int pumps = 1; pumps <= 5; pumps++) {
        while (told < 64 * pumps + 60) {
            renew.hard_until_ms = ++told;
            feed_fake_renew(&fake, sub, &renew);
        }
        assert_pump(0);
        assert_int_equal(describe().hard_until_ms, (int64_t)PLUG_PUMP_MESSAGES * pumps);
        assert_true(is_readable());
    }
}

static void send_large(uint64_t generation, size_t more)
{
    struct feed_snapshot_in in = served(generation);
    size_t size;
    uint8_t *bytes = feed_snapshot_of_byte(&in, BYTE_OLD, &size);

    bytes = realloc(bytes, size + more);
    assert_non_null(bytes);
    memset(bytes + size, 'x', more);
    struct feed_header *header = (struct feed_header *)(void *)bytes;
    header->size += more;
    header->strings_bytes += (uint32_t)more;
    feed_fake_snapshot(&fake, sub, generation, bytes, size + more);
    free(bytes);
}

static void test_snapshots_of_a_pump_are_bounded(void **state)
{
    (void)state;
    for (uint64_t generation = 1; generation <= 5; generation++)
        send_large(generation, 3 << 20);
    assert_pump(0);
    assert_int_equal(describe().generation, 2);
    assert_true(is_readable());
    assert_pump(0);
    assert_int_equal(describe().generation, 4);
}

/* A daemon that does not read: what is to be said waits, in order, and nothing is lost. */
static void test_socket_full(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    char text[1001];
    uint32_t last = sub;

    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (size_t i = 0; i < MANY; i++)
        assert_non_null(measured_subscribe(m, text));
    for (size_t i = 0; i < 100; i++)
        assert_pump(0);
    assert_true(m->n_asked < MANY);
    assert_false(is_readable());
    for (size_t i = 0; i < MANY; i++) {
        uint32_t number = feed_fake_want(&fake, FEED_SUBSCRIBE);
        assert_int_equal(number, last + 1);
        last = number;
        assert_pump(0);
    }
    assert_int_equal(m->n_asked, MANY + 1);
    assert_false(is_readable());
}

static void test_too_many_sets(void **state)
{
    (void)state;
    for (size_t i = 1; i < FEED_SUBS_MAX; i++)
        assert_non_null(measured_subscribe(m, "x"));
    assert_null(measured_subscribe(m, "x"));
    assert_int_equal(errno, ENOSPC);
    measured_unsubscribe(set);
    set = measured_subscribe(m, "x");
    assert_non_null(set);
}

/* ---- memory ---- */

static size_t mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[1024];
    size_t n = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "memfd:snapshot") != NULL;
    (void)fclose(maps);
    return n;
}

static void test_replaced_is_freed(void **state)
{
    (void)state;
    struct feed_renew renew = {
        .generation = 100, .hard_until_ms = NEVER, .state = FEED_STATE_FRESH};

    for (uint64_t generation = 1; generation <= 100; generation++) {
        send_served(sub, generation, BYTE_OLD);
        assert_pump(0);
    }
    assert_pump(0);
    assert_int_equal(mappings(), 1);
    /* a check that is under way keeps what it may have got, through however many changes */
    struct plug_shard *mine = plug_reclaim_enter(&m->reclaim);
    feed_fake_renew(&fake, sub, &renew);
    assert_pump(0);
    send_served(sub, 101, BYTE_OLD);
    assert_pump(0);
    send_served(sub, 102, BYTE_OLD);
    for (size_t i = 0; i < 10; i++)
        assert_pump(0);
    assert_int_equal(mappings(), 3);
    /* further checks neither keep nor disturb */
    struct plug_shard *later = plug_reclaim_enter(&m->reclaim);
    assert_pump(0);
    plug_reclaim_leave(mine);
    for (size_t i = 0; i < 3; i++)
        assert_pump(0);
    assert_true(mappings() <= 3);
    plug_reclaim_leave(later);
    /* while something waits the descriptor becomes readable by itself */
    struct pollfd poll_fd = {.fd = measured_fd(m), .events = POLLIN};
    for (size_t i = 0; i < 5 && mappings() > 1; i++) {
        assert_int_equal(poll(&poll_fd, 1, 1000), 1);
        assert_pump(0);
    }
    assert_int_equal(mappings(), 1);
    assert_pump(0);
    assert_int_equal(poll(&poll_fd, 1, 120), 0);
}

static void test_fork(void **state)
{
    (void)state;
    int status = 1;

    send_served(sub, 1, BYTE_OLD);
    assert_pump(0);
    pid_t pid = fork();
    assert_int_not_equal(pid, -1);
    if (pid == 0) {
        bool good = check(set, BYTE_OLD) == MEASURED_APPROVED;
        measured_close(m);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    send_served(sub, 2, BYTE_NEW);
    assert_true(is_readable());
    assert_pump(0);
    assert_in_use(BYTE_NEW);
}

static void test_close(void **state)
{
    (void)state;
    size_t before = open_files();

    send_served(sub, 1, BYTE_OLD);
    assert_pump(0);
    send_served(sub, 2, BYTE_OLD);
    struct plug_shard *mine = plug_reclaim_enter(&m->reclaim);
    assert_pump(0); /* so that something is retired when it closes */
    plug_reclaim_leave(mine);
    measured_close(m);
    assert_int_equal(open_files(), before - 3);
    assert_int_equal(mappings(), 0);
    measured_close(NULL);
    m = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_first_snapshot),
        TEST(test_replaced),
        TEST(test_renewed),
        TEST(test_refused_subscription),
        TEST(test_unsubscribe),
        TEST(test_arguments),
        TEST(test_text_kinds),
        cmocka_unit_test(test_bad_messages),
        TEST(test_welcome),
        TEST(test_restart),
        TEST(test_deadline),
        TEST(test_waits_are_spread),
        TEST(test_crowd_comes_back),
        TEST(test_pump_is_bounded),
        TEST(test_snapshots_of_a_pump_are_bounded),
        TEST(test_socket_full),
        TEST(test_too_many_sets),
        TEST(test_replaced_is_freed),
        TEST(test_fork),
        TEST(test_close),
    };
    return cmocka_run_group_tests_name("plugin.client", tests, NULL, NULL);
}
