/* Shares of clients: limits, refusals, who has the most, and that nothing is left of who is gone.
 */
#include "resolver/daemon/clients.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct client_limits limits = {
    .max = {[CLIENT_CONNECTIONS] = 3, [CLIENT_WAITING] = 2, [CLIENT_WATCHERS] = 1}};
static const uint64_t alice = 1001, bob = 1002;

static void take(struct clients *c, uint64_t client, enum client_share share, enum ms_err want)
{
    struct ms_diag diag = {0};
    enum ms_err err = clients_take(c, client, share, &diag);
    if (err != want)
        fail_msg("%s of %llu: %s", client_share_name(share), (unsigned long long)client,
                 ms_err_name(err));
}

static void test_one_cannot_take_all(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);
    struct ms_diag diag = {0};

    for (size_t i = 0; i < 3; i++)
        take(c, alice, CLIENT_CONNECTIONS, MS_OK);
    assert_int_equal(clients_take(c, alice, CLIENT_CONNECTIONS, &diag), MS_ERR_QUOTA);
    assert_string_equal(diag.text, "this user has 3 connections open, and one may have 3");
    take(c, bob, CLIENT_CONNECTIONS, MS_OK);
    take(c, alice, CLIENT_WAITING, MS_OK); /* shares are apart */
    clients_give(c, alice, CLIENT_CONNECTIONS);
    take(c, alice, CLIENT_CONNECTIONS, MS_OK);
    take(c, alice, CLIENT_CONNECTIONS, MS_ERR_QUOTA);
    clients_free(c);
}

static void test_nobody_is_unlimited(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);

    for (size_t i = 0; i < 100; i++) {
        take(c, CLIENT_NONE, CLIENT_CONNECTIONS, MS_OK);
        take(c, alice, CLIENT_ENTRIES, MS_OK); /* no limit of its own */
        take(NULL, alice, CLIENT_CONNECTIONS, MS_OK);
    }
    clients_give(NULL, alice, CLIENT_CONNECTIONS);
    clients_free(c);
    clients_free(NULL);
}

/* uid 0 is a client like others, and TCP is none of the uids. */
static void test_names(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);

    take(c, client_of_uid(0), CLIENT_WATCHERS, MS_OK);
    take(c, client_of_uid(0), CLIENT_WATCHERS, MS_ERR_QUOTA);
    take(c, client_of_uid((uid_t)-1), CLIENT_WATCHERS, MS_OK);
    take(c, CLIENT_TCP, CLIENT_WATCHERS, MS_OK);
    take(c, CLIENT_TCP, CLIENT_WATCHERS, MS_ERR_QUOTA);
    json_t *list = clients_json(c, 10);
    assert_int_equal(json_array_size(list), 3);
    json_decref(list);
    list = clients_json(c, 2);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
    clients_free(c);
}

static void test_largest(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);

    assert_int_equal(clients_largest(c, CLIENT_ENTRIES, NULL), CLIENT_NONE);
    for (size_t i = 0; i < 3; i++)
        take(c, alice, CLIENT_ENTRIES, MS_OK);
    for (size_t i = 0; i < 2; i++)
        take(c, bob, CLIENT_ENTRIES, MS_OK);
    assert_int_equal(clients_largest(c, CLIENT_ENTRIES, NULL), alice);
    for (size_t i = 0; i < 2; i++)
        clients_give(c, alice, CLIENT_ENTRIES);
    assert_int_equal(clients_largest(c, CLIENT_ENTRIES, NULL), bob);
    clients_free(c);
}

/* A lower limit takes nothing away, and lets nothing more in. */
static void test_other_limits(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);
    struct client_limits lower = limits;

    take(c, alice, CLIENT_WAITING, MS_OK);
    take(c, alice, CLIENT_WAITING, MS_OK);
    lower.max[CLIENT_WAITING] = 1;
    clients_set_limits(c, &lower);
    clients_give(c, alice, CLIENT_WAITING);
    take(c, alice, CLIENT_WAITING, MS_ERR_QUOTA);
    clients_give(c, alice, CLIENT_WAITING);
    take(c, alice, CLIENT_WAITING, MS_OK);
    clients_free(c);
}

/* However many have come and gone, what is left is who is there; refusals are remembered. */
static void test_gone_are_forgotten(void **state)
{
    (void)state;
    struct clients *c = clients_new(&limits);
    struct ms_buf text = MS_BUF_INIT(4096);

    for (uint64_t client = 1; client <= 5000; client++)
        take(c, client, CLIENT_WATCHERS, MS_OK);
    take(c, 77, CLIENT_WATCHERS, MS_ERR_QUOTA);
    for (uint64_t client = 1; client < 5000; client++)
        clients_give(c, client, CLIENT_WATCHERS);
    clients_metrics_render(c, &text);
    assert_non_null(strstr(ms_buf_str(&text), "\nmeasured_clients 1\n"));
    assert_non_null(
        strstr(ms_buf_str(&text), "measured_quota_refusals_total{share=\"watchers\"} 1\n"));
    assert_non_null(
        strstr(ms_buf_str(&text), "measured_quota_refusals_total{share=\"waiting\"} 0\n"));
    ms_buf_done(&text);
    clients_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_cannot_take_all),
        cmocka_unit_test(test_nobody_is_unlimited),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_other_limits),
        cmocka_unit_test(test_gone_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
