/* What dstack's KMS sends: every member, its length, its case; nothing is guessed or padded. */
#include "resolver/records/boot_info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define H8 "0123456789abcdef"
#define H20 H8 H8 "01234567"
#define H31 H8 H8 H8 "0123456789abcd"
#define H32 H8 H8 H8 H8
#define CAPS "0123456789ABCDEF0123456789aBcDeF0123456789ABCDEF0123456789ABCDEF"

static const uint8_t want8[8] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

/* A member as JSON, or NULL: left out. */
struct members {
    const char *variant, *mr, *image, *system, *app, *compose, *instance, *device, *tcb,
        *advisories, *more;
};

static const struct members whole = {"\"dstack-tdx\"", "\"" H32 "\"", "\"" H32 "\"", "\"" H32 "\"",
                                     "\"" H20 "\"",    "\"" H32 "\"", "\"" H20 "\"", "\"" H32 "\"",
                                     "\"UpToDate\"",   "[]",          NULL};

static void add(char *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    size_t len = strlen(out);
    (void)snprintf(out + len, 16384 - len, "%s\"%s\":%s", len > 1 ? "," : "", name, value);
}

static enum ms_err parse(const char *text, struct ms_arena *arena, struct boot_info *ret,
                         struct ms_diag *diag)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len == 0 ? 1 : len); /* exact size, for ASan */

    assert_non_null(copy);
    memcpy(copy, text, len);
    enum ms_err err = boot_info_parse(ms_span_of(copy, len), arena, ret, diag);
    free(copy);
    return err;
}

static enum ms_err parse_members(const struct members *m, struct ms_arena *arena,
                                 struct boot_info *ret, struct ms_diag *diag)
{
    char text[16384] = "{";

    add(text, "teeVariant", m->variant);
    add(text, "mrAggregated", m->mr);
    add(text, "osImageHash", m->image);
    add(text, "mrSystem", m->system);
    add(text, "appId", m->app);
    add(text, "composeHash", m->compose);
    add(text, "instanceId", m->instance);
    add(text, "deviceId", m->device);
    add(text, "keyProviderInfo", "\"00ff\"");
    add(text, "tcbStatus", m->tcb);
    add(text, "advisoryIds", m->advisories);
    add(text, "anything", m->more);
    (void)strncat(text, "}", 2);
    return parse(text, arena, ret, diag);
}

static void check_hash(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        assert_int_equal(bytes[i], want8[i % 8]);
}

static void check_all(const struct boot_info *info)
{
    check_hash(info->app_id, sizeof(info->app_id));
    check_hash(info->compose_hash, sizeof(info->compose_hash));
    check_hash(info->device_id, sizeof(info->device_id));
    check_hash(info->mr_aggregated, sizeof(info->mr_aggregated));
    check_hash(info->os_image_hash, sizeof(info->os_image_hash));
    if (info->has_instance_id)
        check_hash(info->instance_id, sizeof(info->instance_id));
    if (info->has_mr_system)
        check_hash(info->mr_system, sizeof(info->mr_system));
}

/* Every hash: its length to the byte, letters of both cases, one prefix. */
static void test_hashes(void **state)
{
    static const struct {
        const char *name;
        size_t offset, bytes;
        bool may_be_empty, may_miss;
    } fields[] = {
        {"mrAggregated", offsetof(struct members, mr), 32, false, false},
        {"osImageHash", offsetof(struct members, image), 32, false, false},
        {"mrSystem", offsetof(struct members, system), 32, true, true},
        {"appId", offsetof(struct members, app), 20, false, false},
        {"composeHash", offsetof(struct members, compose), 32, false, false},
        {"instanceId", offsetof(struct members, instance), 20, true, false},
        {"deviceId", offsetof(struct members, device), 32, false, false},
    };
    static const struct {
        const char *name, *value;
        enum ms_err want32, want20;
    } cases[] = {
        {"20 bytes", "\"" H20 "\"", MS_ERR_LENGTH, MS_OK},
        {"31 bytes", "\"" H31 "\"", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"32 bytes", "\"" H32 "\"", MS_OK, MS_ERR_LENGTH},
        {"33 bytes", "\"" H32 "01\"", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"an odd digit", "\"" H31 "e\"", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"0x, 32 bytes", "\"0x" H32 "\"", MS_OK, MS_ERR_LENGTH},
        {"0x, 31 bytes", "\"0x" H31 "\"", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"0x, 20 bytes", "\"0x" H20 "\"", MS_ERR_LENGTH, MS_OK},
        {"0x twice", "\"0x0x" H31 "\"", MS_ERR_ARGUMENT, MS_ERR_LENGTH},
        {"0X", "\"0X" H31 "\"", MS_ERR_ARGUMENT, MS_ERR_LENGTH},
        {"capitals", "\"" CAPS "\"", MS_OK, MS_ERR_LENGTH},
        {"a space", "\" " H31 "0\"", MS_ERR_ARGUMENT, MS_ERR_LENGTH},
        {"no digit", "\"" H31 "0g\"", MS_ERR_ARGUMENT, MS_ERR_LENGTH},
        {"0x alone", "\"0x\"", MS_ERR_LENGTH, MS_ERR_LENGTH},
        {"null", "null", MS_ERR_ARGUMENT, MS_ERR_ARGUMENT},
        {"a number", "12", MS_ERR_ARGUMENT, MS_ERR_ARGUMENT},
        {"a list", "[\"" H32 "\"]", MS_ERR_ARGUMENT, MS_ERR_ARGUMENT},
    };
    (void)state;
    for (size_t f = 0; f < MS_ARRAY_LEN(fields); f++) {
        for (size_t i = 0; i < MS_ARRAY_LEN(cases) + 2; i++) {
            bool empty = i == MS_ARRAY_LEN(cases), missing = i == MS_ARRAY_LEN(cases) + 1;
            struct ms_arena arena = MS_ARENA_INIT(65536);
            struct boot_info info = {0};
            struct ms_diag diag = {0};
            struct members m = whole;
            const char *value = empty ? "\"\"" : missing ? NULL : cases[i].value;
            enum ms_err want = empty     ? (fields[f].may_be_empty ? MS_OK : MS_ERR_LENGTH)
                               : missing ? (fields[f].may_miss ? MS_OK : MS_ERR_ARGUMENT)
                               : fields[f].bytes == 32 ? cases[i].want32
                                                       : cases[i].want20;
            memcpy((char *)&m + fields[f].offset, &value, sizeof(value));
            enum ms_err err = parse_members(&m, &arena, &info, &diag);
            const char *name = empty ? "empty" : missing ? "missing" : cases[i].name;
            if (err != want || (err != MS_OK && strstr(diag.text, fields[f].name) == NULL))
                fail_msg("%s, %s: %s (%s)", fields[f].name, name, ms_err_name(err), diag.text);
            if (err == MS_OK)
                check_all(&info);
            ms_arena_done(&arena);
        }
    }
}

static void test_texts(void **state)
{
    static const struct {
        const char *name, *tcb, *variant, *advisories;
        enum ms_err want;
        bool has_advisories;
        size_t n;
    } cases[] = {
        {"as sent", "\"UpToDate\"", "\"dstack-tdx\"", "[]", MS_OK, true, 0},
        {"no status is a status", "\"\"", "\"\"", "[]", MS_OK, true, 0},
        {"no variant", "\"UpToDate\"", NULL, "[]", MS_OK, true, 0},
        {"advisories not said", "\"UpToDate\"", NULL, NULL, MS_OK, false, 0},
        {"two", "\"OutOfDate\"", NULL, "[\"INTEL-SA-00001\",\"INTEL-SA-00002\"]", MS_OK, true, 2},
        {"status missing", NULL, NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"status null", "null", NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"status true", "true", NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"control byte", "\"UpToDate\\n\"", NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"not ASCII", "\"UpToD\\u00e4te\"", NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"variant with a bell", "\"UpToDate\"", "\"\\u0007\"", "[]", MS_ERR_ARGUMENT, false, 0},
        {"variant 7", "\"UpToDate\"", "7", "[]", MS_ERR_ARGUMENT, false, 0},
        {"advisories null", "\"UpToDate\"", NULL, "null", MS_ERR_ARGUMENT, false, 0},
        {"advisories a string", "\"UpToDate\"", NULL, "\"x\"", MS_ERR_ARGUMENT, false, 0},
        {"an advisory 1", "\"UpToDate\"", NULL, "[1]", MS_ERR_ARGUMENT, false, 0},
        {"NUL", "\"UpToDate\\u0000\"", NULL, "[]", MS_ERR_JSON, false, 0},
        {"65 bytes", "\"" H32 "0\"", NULL, "[]", MS_ERR_ARGUMENT, false, 0},
        {"64 bytes", "\"" H32 "\"", NULL, "[\"" H32 "\"]", MS_OK, true, 1},
    };
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct boot_info info = {0};
        struct members m = whole;
        m.tcb = cases[i].tcb;
        m.variant = cases[i].variant;
        m.advisories = cases[i].advisories;
        enum ms_err err = parse_members(&m, &arena, &info, NULL);
        if (err != cases[i].want || info.n_advisories != cases[i].n ||
            info.has_advisories != cases[i].has_advisories)
            fail_msg("%s: %s", cases[i].name, ms_err_name(err));
        if (err == MS_OK && strcmp(cases[i].name, "as sent") == 0) {
            assert_string_equal(info.tcb_status, "UpToDate");
            assert_string_equal(info.tee_variant, "dstack-tdx");
        }
        if (cases[i].n == 2)
            assert_string_equal(info.advisories[1], "INTEL-SA-00002");
        ms_arena_done(&arena);
    }
}

static void test_many_advisories(void **state)
{
    (void)state;
    for (size_t n = BOOT_ADVISORIES_MAX; n <= BOOT_ADVISORIES_MAX + 1; n++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct boot_info info = {0};
        struct members m = whole;
        char list[1024] = "[";
        for (size_t i = 0; i < n; i++)
            (void)strncat(list, i == 0 ? "\"a\"" : ",\"a\"", 5);
        (void)strncat(list, "]", 2);
        m.advisories = list;
        enum ms_err err = parse_members(&m, &arena, &info, NULL);
        assert_int_equal(err, n > BOOT_ADVISORIES_MAX ? MS_ERR_ARGUMENT : MS_OK);
        ms_arena_done(&arena);
    }
}

static void test_shapes(void **state)
{
    static const struct {
        const char *name, *text;
        enum ms_err want;
    } cases[] = {
        {"nothing", "", MS_ERR_JSON},
        {"a list", "[]", MS_ERR_ARGUMENT},
        {"null", "null", MS_ERR_ARGUMENT},
        {"an empty object", "{}", MS_ERR_ARGUMENT},
        {"cut", "{\"appId\":\"" H20 "\"", MS_ERR_JSON},
        {"twice", "{\"appId\":\"" H20 "\",\"appId\":\"" H20 "\"}", MS_ERR_JSON_DUPLICATE},
        {"too deep", "{\"a\":[[[[[[[[[[1]]]]]]]]]]}", MS_ERR_DEPTH},
        {"snake case", "{\"app_id\":\"" H20 "\"}", MS_ERR_ARGUMENT},
    };
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(cases); i++) {
        struct ms_arena arena = MS_ARENA_INIT(65536);
        struct boot_info info = {0}, zero = {0};
        enum ms_err err = parse(cases[i].text, &arena, &info, NULL);
        if (err != cases[i].want || memcmp(&info, &zero, sizeof(info)) != 0)
            fail_msg("%s: %s", cases[i].name, ms_err_name(err));
        ms_arena_done(&arena);
    }
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct boot_info info = {0};
    struct members m = whole;
    m.more = "{\"of\":[\"later\",1]}"; /* members not known are of no interest */
    assert_int_equal(parse_members(&m, &arena, &info, NULL), MS_OK);
    check_all(&info);
    assert_true(info.has_instance_id && info.has_mr_system);
    m.more = "\"x\",\"appId\":\"" H20 "\"";
    assert_int_equal(parse_members(&m, &arena, &info, NULL), MS_ERR_JSON_DUPLICATE);
    ms_arena_done(&arena);
    struct ms_arena tiny = MS_ARENA_INIT(8);
    assert_int_equal(parse_members(&whole, &tiny, &info, NULL), MS_ERR_MEMORY);
    ms_arena_done(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_many_advisories),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
