#define _GNU_SOURCE /* program_invocation_short_name */
#include "tests/support/tools/rigfile.h"

#include "base/hex.h"
#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void rig_die(const char *what, const char *text)
{
    (void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, text);
    exit(2);
}

void rig_read_file(const char *path, struct ms_buf *out)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        rig_die("cannot open", path);
    for (size_t n = 1; n > 0;) {
        uint8_t *room = ms_buf_room(out, 65536);
        if (room == NULL)
            rig_die("too large", path);
        n = fread(room, 1, 65536, file);
        out->len += n;
    }
    if (ferror(file) != 0)
        rig_die("cannot read", path);
    (void)fclose(file);
}

void rig_add_code(struct ms_buf *out, const char *path, const char *member)
{
    static const struct ms_json_limits limits = {RIG_FILE_MAX_BYTES, 64, (size_t)1 << 20, 0};
    struct ms_buf text = MS_BUF_INIT(RIG_FILE_MAX_BYTES + 65536);
    struct ms_diag diag = {0};
    json_t *root = NULL;

    rig_read_file(path, &text);
    if (ms_json_parse(ms_buf_span(&text), &limits, &root, &diag) != MS_OK)
        rig_die(path, diag.text);
    const json_t *code = json_object_get(root, member);
    if (json_is_object(code))
        code = json_object_get(code, "object");
    struct ms_span hex = ms_span_str(json_string_value(code));
    if (ms_span_starts(hex, "0x"))
        hex = ms_span_sub(hex, 2, hex.len);
    uint8_t *room = ms_buf_room(out, hex.len / 2);
    if (hex.len == 0 || room == NULL || ms_hex_decode(hex, room, hex.len / 2) != MS_OK)
        rig_die(path, "no code in hexadecimal");
    out->len += hex.len / 2;
    json_decref(root);
    ms_buf_done(&text);
}

int rig_print_hex(const struct ms_buf *bytes)
{
    struct ms_buf text = MS_BUF_INIT(5 * RIG_FILE_MAX_BYTES);

    (void)ms_buf_add_str(&text, "0x");
    (void)ms_buf_add_hex(&text, ms_buf_span(bytes));
    const char *hex = ms_buf_str(&text);
    if (ms_buf_err(bytes) != MS_OK || hex == NULL)
        rig_die("result", "out of memory");
    bool ok = printf("%s\n", hex) > 0 && fflush(stdout) == 0;
    ms_buf_done(&text);
    return ok ? 0 : 2;
}
