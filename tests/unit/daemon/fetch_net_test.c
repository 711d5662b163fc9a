/* Which addresses are global, and what the configuration may permit or pin. */
#include "resolver/daemon/fetch_net.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/un.h>

#include <cmocka.h>

/* Both ends of every block of the special-purpose registries, and the addresses just outside. */
static const struct {
    const char *addr;
    bool global;
} addrs[] = {
    {"0.0.0.0", false},
    {"0.255.255.255", false},
    {"1.0.0.0", true},
    {"9.255.255.255", true},
    {"10.0.0.0", false},
    {"10.255.255.255", false},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.64.0.0", false},
    {"100.127.255.255", false},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"127.0.0.1", false},
    {"127.255.255.255", false},
    {"128.0.0.0", true},
    {"169.253.255.255", true},
    {"169.254.0.0", false},
    {"169.254.169.254", false},
    {"169.254.255.255", false},
    {"169.255.0.0", true},
    {"172.15.255.255", true},
    {"172.16.0.0", false},
    {"172.31.255.255", false},
    {"172.32.0.0", true},
    {"191.255.255.255", true},
    {"192.0.0.0", false},
    {"192.0.0.255", false},
    {"192.0.1.0", true},
    {"192.0.2.0", false},
    {"192.0.2.255", false},
    {"192.0.3.0", true},
    {"192.88.98.255", true},
    {"192.88.99.0", false},
    {"192.88.99.255", false},
    {"192.88.100.0", true},
    {"192.167.255.255", true},
    {"192.168.0.0", false},
    {"192.168.255.255", false},
    {"192.169.0.0", true},
    {"198.17.255.255", true},
    {"198.18.0.0", false},
    {"198.19.255.255", false},
    {"198.20.0.0", true},
    {"198.51.99.255", true},
    {"198.51.100.0", false},
    {"198.51.100.255", false},
    {"198.51.101.0", true},
    {"203.0.112.255", true},
    {"203.0.113.0", false},
    {"203.0.113.255", false},
    {"203.0.114.0", true},
    {"223.255.255.255", true},
    {"224.0.0.0", false},
    {"239.255.255.255", false},
    {"240.0.0.0", false},
    {"255.255.255.255", false},
    {"8.8.8.8", true},
    {"::", false},
    {"::1", false},
    {"::2", false},
    {"::8.8.8.8", false},
    {"::ffff:8.8.8.8", false},
    {"::ffff:127.0.0.1", false},
    {"::ffff:0:8.8.8.8", false},
    {"64:ff9b::8.8.8.8", true},
    {"64:ff9b::10.0.0.1", false},
    {"64:ff9b::127.0.0.1", false},
    {"64:ff9b::a9fe:a9fe", false},
    {"64:ff9b::1:0:8.8.8.8", false},
    {"64:ff9b:1::8.8.8.8", false},
    {"100::", false},
    {"100:0:0:1::", false},
    {"1fff:ffff::", false},
    {"2000::", true},
    {"2001::", false},
    {"2001:0:808:808::1", false},
    {"2001:1::1", false},
    {"2001:20::", false},
    {"2001:1ff:ffff::", false},
    {"2001:200::", true},
    {"2001:db7:ffff::", true},
    {"2001:db8::", false},
    {"2001:db8:ffff:ffff::1", false},
    {"2001:db9::", true},
    {"2001:ffff::", true},
    {"2002::", false},
    {"2002:808:808::1", false},
    {"2002:7f00:1::", false},
    {"2003::", true},
    {"2606:4700::1111", true},
    {"2620:4f:8000::", true},
    {"3ffe:ffff::", true},
    {"3fff::", false},
    {"3fff:fff:ffff::", false},
    {"3fff:1000::", true},
    {"4000::", false},
    {"5f00::", false},
    {"fbff::", false},
    {"fc00::", false},
    {"fdff:ffff::1", false},
    {"fe80::1", false},
    {"febf::1", false},
    {"fec0::1", false},
    {"ff02::1", false},
    {"ffff::", false},
};

static void make_sockaddr(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(443)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(443)};

    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(ret, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(ret, &in6, sizeof(in6));
    else
        fail_msg("%s is no address", text);
}

static void test_global(void **state)
{
    (void)state;
    struct sockaddr_storage addr;
    for (size_t i = 0; i < MS_ARRAY_LEN(addrs); i++) {
        make_sockaddr(addrs[i].addr, &addr);
        if (net_addr_is_global((struct sockaddr *)&addr) != addrs[i].global)
            fail_msg("%s", addrs[i].addr);
    }
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    assert_false(net_addr_is_global((struct sockaddr *)&un));
}

static void test_loopback(void **state)
{
    (void)state;
    static const struct {
        const char *addr;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", true}, {"127.9.9.9", true},        {"128.0.0.1", false},       {"::1", true},
        {"::2", false},      {"::ffff:127.0.0.1", true}, {"::ffff:10.0.0.1", false}, {"::", false}};
    struct sockaddr_storage addr;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        make_sockaddr(rows[i].addr, &addr);
        if (net_addr_is_loopback((struct sockaddr *)&addr) != rows[i].loopback)
            fail_msg("%s", rows[i].addr);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(addrs); i++) {
        struct net_addr addr, again;
        struct sockaddr_storage storage;
        char text[NET_ADDR_TEXT_MAX];
        if (strstr(addrs[i].addr, "::ffff:") == addrs[i].addr)
            continue; /* mapped addresses become IPv4 */
        assert_int_equal(net_addr_parse(ms_span_str(addrs[i].addr), &addr), MS_OK);
        addr.port = 8443;
        assert_true(net_addr_to_sockaddr(&addr, &storage) > 0);
        assert_true(net_addr_from_sockaddr((struct sockaddr *)&storage, &again));
        assert_memory_equal(addr.b, again.b, sizeof(addr.b));
        assert_int_equal(again.port, 8443);
        net_addr_text(&addr, text);
        assert_int_equal(net_addr_parse(ms_span_str(text), &again), MS_OK);
        assert_memory_equal(addr.b, again.b, sizeof(addr.b));
    }
}

static void test_parse_addr(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
    } rows[] = {{"1.2.3.4", true},       {"[::1]", true},     {"::1", true},
                {"[1.2.3.4]", false},    {"", false},         {"[]", false},
                {"1.2.3", false},        {"01.2.3.4", false}, {"0x7f.1", false},
                {"fe80::1%eth0", false}, {"1.2.3.4 ", false}, {"[::1", false},
                {"::1]", false}};
    struct net_addr addr;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++)
        if ((net_addr_parse(ms_span_str(rows[i].text), &addr) == MS_OK) != rows[i].ok)
            fail_msg("%s", rows[i].text);
    assert_int_equal(net_addr_parse(ms_span_of("1.2.3.4\0", 8), &addr), MS_ERR_SYNTAX);
}

static void test_permits(void **state)
{
    (void)state;
    static const char *const items[] = {"10.1.0.0/16", "fd00::/9", "Host.Test", "192.168.1.1",
                                        "64:ff9b::/96"};
    static const struct {
        const char *host, *addr;
        bool permitted;
    } rows[] = {
        {"x.test", "10.1.255.255", true},      {"x.test", "10.2.0.0", false},
        {"x.test", "::ffff:10.1.0.1", true},   {"x.test", "fd7f::1", true},
        {"x.test", "fd80::1", false},          {"hOST.tEST", "127.0.0.1", true},
        {"a.host.test", "127.0.0.1", false},   {"x.test", "192.168.1.1", true},
        {"x.test", "192.168.1.2", false},      {"x.test", "a01::", false},
        {"x.test", "64:ff9b::10.9.9.9", true},
    };
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct net_permit permits[MS_ARRAY_LEN(items)];
    for (size_t i = 0; i < MS_ARRAY_LEN(items); i++)
        assert_int_equal(net_permit_parse(ms_span_str(items[i]), &arena, &permits[i], NULL), MS_OK);
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct sockaddr_storage storage;
        struct net_addr addr;
        make_sockaddr(rows[i].addr, &storage);
        assert_true(net_addr_from_sockaddr((struct sockaddr *)&storage, &addr));
        if (net_permits(permits, MS_ARRAY_LEN(items), rows[i].host, &addr) != rows[i].permitted)
            fail_msg("%s at %s", rows[i].host, rows[i].addr);
    }
    ms_arena_done(&arena);
}

static void test_pins(void **state)
{
    (void)state;
    struct ms_arena arena = MS_ARENA_INIT(4096);
    struct net_pin pins[2];
    assert_int_equal(net_pin_parse(ms_span_str("A.test:443:::1"), &arena, &pins[0], NULL), MS_OK);
    assert_int_equal(net_pin_parse(ms_span_str("a.test:444:[::2]"), &arena, &pins[1], NULL), MS_OK);
    assert_ptr_equal(net_pin_find(pins, 2, "a.TEST", 443), &pins[0]);
    assert_ptr_equal(net_pin_find(pins, 2, "a.test", 444), &pins[1]);
    assert_null(net_pin_find(pins, 2, "a.test", 445));
    assert_null(net_pin_find(pins, 2, "b.test", 443));
    assert_int_equal(pins[1].addr.b[15], 2);
    ms_arena_done(&arena);
}

static void test_rpc_url(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum ms_err want;
        const char *host;
        uint16_t port;
    } rows[] = {
        {"https://r.test", MS_OK, "r.test", 443},
        {"HTTPS://r.test:1?k=@", MS_OK, "r.test", 1},
        {"https://r.test/@x:y", MS_OK, "r.test", 443},
        {"https://10.0.0.1:8545/", MS_OK, "10.0.0.1", 8545},
        {"http://127.0.0.1:8545", MS_OK, "127.0.0.1", 8545},
        {"http://127.3.2.1", MS_OK, "127.3.2.1", 80},
        {"http://[::1]:8545/x", MS_OK, "::1", 8545},
        {"http://LocalHost/", MS_OK, "LocalHost", 80},
        {"http://[::1%25lo]/", MS_ERR_URL, NULL, 0},
        {"http://10.0.0.1/", MS_ERR_SCHEME, NULL, 0},
        {"http://localhost.test/", MS_ERR_SCHEME, NULL, 0},
        {"http://0x7f.1/", MS_ERR_SCHEME, NULL, 0},
        {"http://[::ffff:127.0.0.1]/", MS_ERR_SCHEME, NULL, 0},
        {"https:/r.test", MS_ERR_SCHEME, NULL, 0},
        {"https://@r.test", MS_ERR_URL, NULL, 0},
        {"https://r.test\\@x", MS_ERR_URL, NULL, 0},
        {"https://r.test#x", MS_ERR_URL, NULL, 0},
        {"https://r.test:/", MS_ERR_URL, NULL, 0},
        {"https://r.test:65536", MS_ERR_URL, NULL, 0},
        {"https://[::1]x", MS_ERR_URL, NULL, 0},
        {"https://[r.test]", MS_ERR_URL, NULL, 0},
        {"https://[", MS_ERR_URL, NULL, 0},
        {"https://r%2etest/", MS_ERR_URL, NULL, 0},
    };
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct net_url url;
        enum ms_err err = net_rpc_url_parse(ms_span_str(rows[i].url), &url, NULL);
        if (err != rows[i].want ||
            (err == MS_OK && (!ms_span_eq_str(url.host, rows[i].host) || url.port != rows[i].port)))
            fail_msg("%s: %s", rows[i].url, ms_err_name(err));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),     cmocka_unit_test(test_loopback),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_parse_addr),
        cmocka_unit_test(test_permits),    cmocka_unit_test(test_pins),
        cmocka_unit_test(test_rpc_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
