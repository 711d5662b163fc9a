/* Blobs of Safe signatures: the first byte is the threshold, the second the settings, the rest the
 * blob. Nobody can sign for the owners here, so that nothing is valid that the chain did not say
 * yes to. */
#include "sig/safe.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What stands in the corpus as claimed owners: 0x11.., 0x22.., 0x33.. */
static const struct eth_addr owners[] = {
    {{0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
      0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11}},
    {{0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
      0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22}},
    {{0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33,
      0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}}};

static void check_parts(const struct msig_safe_check *check, const struct msig_safe_result *result)
{
    const uint8_t *end = check->blob.ptr + check->blob.len;

    for (size_t i = 0; i < result->n_parts; i++) {
        const struct msig_safe_part *part = &result->parts[i];
        if (part->data.len > 0 &&
            (part->kind != MSIG_SAFE_CONTRACT || part->data.ptr < check->blob.ptr ||
             part->data.len > (size_t)(end - part->data.ptr)))
            abort();
        if (part->ask && part->kind != MSIG_SAFE_CONTRACT && part->kind != MSIG_SAFE_APPROVED)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum msig_safe_answer yes[MSIG_SAFE_PARTS_MAX];
    struct msig_safe_result first, second;

    if (size < 2)
        return 0;
    for (size_t i = 0; i < MS_ARRAY_LEN(yes); i++)
        yes[i] = MSIG_SAFE_YES;
    struct msig_safe_check check = {.hash = {{0x5a}},
                                    .blob = ms_span_of(data + 2, size - 2),
                                    .threshold = data[0],
                                    .owners = owners,
                                    .n_owners = MS_ARRAY_LEN(owners),
                                    .owners_unknown = (data[1] & 1) != 0,
                                    .low_s = (data[1] & 2) != 0,
                                    .message = (data[1] & 4) != 0};
    msig_safe_check(&check, &first);
    check_parts(&check, &first);
    if (first.verdict == MSIG_SAFE_VALID)
        abort();
    check.answers = yes;
    msig_safe_check(&check, &second);
    if (second.verdict == MSIG_SAFE_VALID &&
        (first.verdict != MSIG_SAFE_NEEDS_CHAIN || check.owners_unknown))
        abort();
    if (first.verdict == MSIG_SAFE_INVALID && second.verdict != MSIG_SAFE_INVALID)
        abort();
    return 0;
}
