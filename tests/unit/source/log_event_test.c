/* Logs by name, and what they add or take away, whether the value is a topic or the data. */
#include "contracts-abi/dstack_abi.h"
#include "contracts-abi/safe_abi.h"
#include "resolver/source/log_event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct eth_hash compose_added = DSTACK_EVENT_COMPOSE_HASH_ADDED;
static const struct eth_hash compose_removed = DSTACK_EVENT_COMPOSE_HASH_REMOVED;
static const struct eth_hash owner_removed = SAFE_EVENT_REMOVED_OWNER;
static const struct eth_hash threshold = SAFE_EVENT_CHANGED_THRESHOLD;
static const uint8_t word[32] = {[31] = 7};

static void test_names(void **state)
{
    const struct eth_hash none = {{1}};
    (void)state;
    assert_string_equal(log_event_name(&compose_added), "ComposeHashAdded(bytes32)");
    assert_string_equal(log_event_name(&threshold), "ChangedThreshold(uint256)");
    assert_null(log_event_name(&none));
}

static void test_changes(void **state)
{
    struct eth_hash topics[2] = {compose_added};
    struct ms_span data = ms_span_of(word, sizeof(word)), nothing = {NULL, 0};
    struct log_change c;
    (void)state;
    assert_true(log_event_change(topics, 1, data, &c));
    assert_string_equal(c.kind, "dstack-compose-hash");
    assert_true(!c.removed && !c.is_address && c.value.b[31] == 7);
    topics[0] = compose_removed;
    assert_true(log_event_change(topics, 1, data, &c));
    assert_true(c.removed);
    topics[0] = owner_removed;
    memcpy(topics[1].b, word, sizeof(word));
    assert_true(log_event_change(topics, 2, nothing, &c));
    assert_string_equal(c.kind, "owner");
    assert_true(c.removed && c.is_address && c.value.b[31] == 7);
    assert_true(log_event_change(topics, 1, data, &c)); /* Safe 1.3 */
    /* neither here nor there, both, too short, no change at all */
    assert_false(log_event_change(topics, 1, nothing, &c));
    assert_false(log_event_change(topics, 2, data, &c));
    data.len--;
    assert_false(log_event_change(topics, 1, data, &c));
    topics[0] = threshold;
    data.len++;
    assert_false(log_event_change(topics, 1, data, &c));
    assert_false(log_event_change(topics, 0, data, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
