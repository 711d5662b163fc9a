/* What is known of a dstack app: a contract's own word, and nothing that loosens it where it does
 * not read. */
#include "resolver/source/dstack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define APP "0x00112233445566778899AabbccddeEff00112233"
#define DEVICE "0x" D16 D16 D16 D16
#define D16 "00112233445566ff"
#define HEAD "{\"adapter\":\"dstack-app\",\"address\":\"" APP "\","

static const struct {
    const char *name, *governance, *adapter;
    enum ms_err err;
    bool is_app, any_device, tcb;
    size_t n_devices;
} rows[] = {
    {"a registry says nothing of devices", "{\"adapter\":\"registry\"}", "registry", MS_OK, false,
     true, false, 0},
    {"no governance at all", NULL, NULL, MS_OK, false, true, false, 0},
    {"any device",
     HEAD "\"allow_any_device\":true,\"require_tcb_up_to_date\":false,\"devices\":[]}",
     "dstack-app", MS_OK, true, true, false, 0},
    {"no device", HEAD "\"allow_any_device\":false,\"require_tcb_up_to_date\":true,\"devices\":[]}",
     "dstack-app", MS_OK, true, false, true, 0},
    {"one device",
     HEAD "\"allow_any_device\":false,\"require_tcb_up_to_date\":false,\"devices\":[\"" DEVICE
          "\"]}",
     NULL, MS_OK, true, false, false, 1},
    {"a flag is missing", HEAD "\"require_tcb_up_to_date\":false,\"devices\":[]}", "dstack-app",
     MS_ERR_INTERNAL, false, false, false, 0},
    {"the TCB is missing", HEAD "\"allow_any_device\":true,\"devices\":[]}", "dstack-app",
     MS_ERR_INTERNAL, false, false, false, 0},
    {"no list", HEAD "\"allow_any_device\":false,\"require_tcb_up_to_date\":false}", "dstack-app",
     MS_ERR_INTERNAL, false, false, false, 0},
    {"a device of 31 bytes",
     HEAD
     "\"allow_any_device\":false,\"require_tcb_up_to_date\":false,\"devices\":[\"0x" D16 D16 D16
     "00112233445566\"]}",
     "dstack-app", MS_ERR_INTERNAL, false, false, false, 0},
    {"an app without governance", NULL, "dstack-app", MS_ERR_INTERNAL, false, false, false, 0},
    {"no address",
     "{\"adapter\":\"dstack-app\",\"allow_any_device\":true,\"require_tcb_up_to_date\":false,"
     "\"devices\":[]}",
     "dstack-app", MS_ERR_INTERNAL, false, false, false, 0},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < MS_ARRAY_LEN(rows); i++) {
        struct source_result result = {.adapter = rows[i].adapter};
        struct rec_dstack about = {0};
        bool is_app = false;
        if (rows[i].governance != NULL)
            result.governance = json_loads(rows[i].governance, 0, NULL);
        enum ms_err err = source_dstack(&result, &about, &is_app);
        if (err != rows[i].err || is_app != rows[i].is_app ||
            about.any_device != rows[i].any_device || about.tcb_up_to_date != rows[i].tcb ||
            about.n_devices != rows[i].n_devices || about.has_app != is_app)
            fail_msg("%s: %s", rows[i].name, ms_err_name(err));
        if (is_app)
            assert_int_equal(about.app[19], 0x33);
        if (about.n_devices > 0)
            assert_int_equal(about.devices[0][31], 0xff);
        json_decref(result.governance);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
