/* fuzz/fuzz_boot_info.c - what dstack's KMS sends.
 *
 * Beside not crashing: a refusal says why; what was read is bounded and printable, and the
 * candidates made of it are of three kinds; and without governance nobody boots. */
#include "resolver/source/boot_rules.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(const char *text)
{
    require(strlen(text) <= BOOT_TEXT_MAX);
    for (; *text != '\0'; text++)
        require(*text >= 0x20 && *text <= 0x7e);
}

static void check_info(const struct boot_info *info)
{
    static const struct source_result nothing;
    static const struct boot_policy anything_goes = {.any_device = true};
    const struct boot_governance governance = {&nothing, 0, NULL};
    struct source_candidate candidates[BOOT_CANDIDATES];

    check_text(info->tcb_status);
    check_text(info->tee_variant);
    require(info->n_advisories <= BOOT_ADVISORIES_MAX);
    for (size_t i = 0; i < info->n_advisories; i++)
        check_text(info->advisories[i]);
    for (enum boot_whom whom = BOOT_APP; whom <= BOOT_KMS; whom++) {
        struct ms_diag why = {0};
        boot_candidates(info, whom, candidates);
        require(candidates[0].kind != candidates[1].kind &&
                candidates[1].kind != candidates[2].kind &&
                candidates[0].kind != candidates[2].kind);
        require(!boot_allowed(info, whom, &governance, &anything_goes, &why));
        require(why.text[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ms_arena arena = MS_ARENA_INIT(65536);
    struct boot_info info = {0};
    struct ms_diag diag = {0};

    enum ms_err err = boot_info_parse(ms_span_of(data, size), &arena, &info, &diag);
    require(err == MS_OK || err == MS_ERR_MEMORY || diag.text[0] != '\0');
    if (err == MS_OK)
        check_info(&info);
    ms_arena_done(&arena);
    return 0;
}
