/* cli/version.c - version numbers. */
#include "cli/version.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

static const struct {
    unsigned shift;
    uint64_t max;
} parts[] = {{48, UINT16_MAX}, {32, UINT16_MAX}, {0, UINT32_MAX}};

bool version_parse(struct ms_span text, uint64_t *ret_version)
{
    struct ms_span rest = text, part;
    uint64_t version = 0, number = 0;

    if (ms_span_u64(text, ret_version))
        return true;
    for (size_t i = 0; i < MS_ARRAY_LEN(parts); i++) {
        part = rest;
        if (i + 1 < MS_ARRAY_LEN(parts) && !ms_span_cut(rest, '.', &part, &rest))
            return false;
        if (!ms_span_u64(part, &number) || number > parts[i].max)
            return false;
        version |= number << parts[i].shift;
    }
    *ret_version = version;
    return true;
}

void version_note(uint64_t version, char out[VERSION_NOTE])
{
    out[0] = '\0';
    if (version >> 32 != 0)
        (void)snprintf(out, VERSION_NOTE, "%" PRIu64 ".%" PRIu64 ".%" PRIu64, version >> 48,
                       version >> 32 & UINT16_MAX, version & UINT32_MAX);
}

void version_text(uint64_t version, char out[VERSION_TEXT])
{
    char note[VERSION_NOTE];

    version_note(version, note);
    if (note[0] == '\0')
        (void)snprintf(out, VERSION_TEXT, "%" PRIu64, version);
    else
        (void)snprintf(out, VERSION_TEXT, "%" PRIu64 " (%s)", version, note);
}
