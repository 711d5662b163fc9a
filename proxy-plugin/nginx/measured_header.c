/*
 * proxy-plugin/nginx/measured_header.c - reading the two headers.
 *
 * Everything that may be accepted consists of objects, lists and strings, and
 * its strings of letters and digits.  So this reads no other JSON: a number or
 * a letter beyond ASCII is in no document that would be accepted.
 */

#include "proxy-plugin/nginx/measured_header.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define AZURE_REGISTERS   24    /* PCR 0..23 */
#define DCAP_REGISTERS    5     /* MRTD, RTMR 0..3 */
#define STRING_MAX_BYTES  (2 * MEASURED_HEADER_VALUE_BYTES)


struct string {
    size_t  len;
    char    text[STRING_MAX_BYTES];
};


struct reader {
    enum measured_header_type   type;
    const char                 *at, *end;
    const char                 *wrong;      /* NULL: nothing so far */
    uint32_t                    seen;       /* registers, a bit each */
    struct measured_presented  *out;
};


static const char *const  type_names[] = {
    [MEASURED_HEADER_UNKNOWN] = NULL,
    [MEASURED_HEADER_DCAP_TDX] = "dcap-tdx",
    [MEASURED_HEADER_GCP_TDX] = "gcp-tdx",
    [MEASURED_HEADER_QEMU_TDX] = "qemu-tdx",
    [MEASURED_HEADER_AZURE_TDX] = "azure-tdx",
};


enum measured_header_type
measured_header_type(const char *text, size_t len)
{
    enum measured_header_type  type;

    for (type = MEASURED_HEADER_DCAP_TDX;
         type <= MEASURED_HEADER_AZURE_TDX;
         type++)
    {
        if (strlen(type_names[type]) == len
            && memcmp(type_names[type], text, len) == 0)
        {
            return type;
        }
    }

    return MEASURED_HEADER_UNKNOWN;
}


const char *
measured_header_type_name(enum measured_header_type type)
{
    return type_names[type];
}


/* ---- JSON ---- */

/* The first thing that is wrong is what is told. */

static bool
fail(struct reader *r, const char *why)
{
    if (r->wrong == NULL) {
        r->wrong = why;
    }

    return false;
}


static int
peek(struct reader *r)
{
    while (r->at < r->end
           && (*r->at == ' ' || *r->at == '\t'
               || *r->at == '\n' || *r->at == '\r'))
    {
        r->at++;
    }

    return r->at < r->end ? (unsigned char) *r->at : -1;
}


static bool
take(struct reader *r, char c)
{
    if (peek(r) != (unsigned char) c) {
        return false;
    }

    r->at++;
    return true;
}


static bool
want(struct reader *r, char c)
{
    return take(r, c) ? true : fail(r, "it is not JSON of one of its shapes");
}


/* Value of each digit plus one; 0 is no digit.  A header is mostly digits. */

static const unsigned char  digit_plus_one[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
    ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};


static int
hex_digit(char c)
{
    return digit_plus_one[(unsigned char) c] - 1;
}


/*
 * After a backslash.  Of all that can be written so, only ASCII as \u00XX may
 * stand in what is accepted.
 */

static bool
read_escape(struct reader *r, char *ret_c)
{
    int  c, digit, i;

    if (r->end - r->at < 5 || *r->at++ != 'u') {
        return false;
    }

    for (c = 0, i = 0; i < 4; i++) {
        digit = hex_digit(*r->at++);
        if (digit == -1) {
            return false;
        }

        c = c * 16 + digit;
    }

    *ret_c = (char) c;
    return c >= 0x20 && c < 0x7f;
}


static bool
is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}


static bool
read_string(struct reader *r, struct string *s)
{
    char         c;
    size_t       n;
    const char  *from;

    if (!want(r, '"')) {
        return false;
    }

    for (s->len = 0; /* void */ ; s->text[s->len++] = c) {
        from = r->at;

        while (r->at < r->end && is_plain(*r->at)) {
            r->at++;
        }

        n = (size_t) (r->at - from);

        if (n > sizeof(s->text) - s->len) {
            break;
        }

        memcpy(&s->text[s->len], from, n);
        s->len += n;

        if (r->at == r->end) {
            return fail(r, "it ends in the middle");
        }

        c = *r->at++;

        if (c == '"') {
            return true;
        }

        if (c != '\\' || !read_escape(r, &c)) {
            return fail(r, "a name or value in it has bytes that belong in none");
        }

        if (s->len == sizeof(s->text)) {
            break;
        }
    }

    return fail(r, "a name or value in it is too long");
}


static bool
is(const struct string *s, const char *text)
{
    return strlen(text) == s->len && memcmp(text, s->text, s->len) == 0;
}


/* ---- registers ---- */

static bool
begins(const struct string *s, const char *lower)
{
    size_t  i, len;

    len = strlen(lower);

    for (i = 0; i < len; i++) {
        /* names have letters and digits: only of letters is this a lower case */
        if (i >= s->len
            || ((s->text[i] >= 'A' && s->text[i] <= 'Z')
                ? s->text[i] | 0x20 : s->text[i]) != lower[i])
        {
            return false;
        }
    }

    return true;
}


/* Decimal digits from `from` on, without a needless zero; -1 is none. */

static int
number_from(const struct string *s, size_t from)
{
    int     n;
    size_t  i;

    if (s->len == from || s->len - from > 2
        || (s->len - from == 2 && s->text[from] == '0'))
    {
        return -1;
    }

    for (n = 0, i = from; i < s->len; i++) {
        if (s->text[i] < '0' || s->text[i] > '9') {
            return -1;
        }

        n = n * 10 + (s->text[i] - '0');
    }

    return n;
}


/* "0", "mrtd", "rtmr0", "pcr4"; names in any case.  -1: no such register. */

static int
register_index(enum measured_header_type type, const struct string *name)
{
    int  n;

    n = number_from(name, 0);

    if (type == MEASURED_HEADER_AZURE_TDX) {
        if (n == -1 && begins(name, "pcr")) {
            n = number_from(name, 3);
        }

        return n < AZURE_REGISTERS ? n : -1;
    }

    if (n == -1 && name->len == 4 && begins(name, "mrtd")) {
        return 0;
    }

    if (n == -1 && begins(name, "rtmr")) {
        n = number_from(name, 4);
        return n >= 0 && n + 1 < DCAP_REGISTERS ? n + 1 : -1;
    }

    return n < DCAP_REGISTERS ? n : -1;
}


static bool
read_value(struct reader *r, int index)
{
    int                         bad, high, low;
    size_t                      i, size;
    unsigned char              *value;
    struct string               hex;
    struct measured_presented  *out;

    if (!read_string(r, &hex)) {
        return false;
    }

    out = r->out;

    if (out->n == MEASURED_HEADER_REGISTERS_MAX) {
        return fail(r, "it has more than 24 register values");
    }

    size = r->type == MEASURED_HEADER_AZURE_TDX ? 32 : 48;
    value = out->values[out->n];

    if (hex.len != 2 * size) {
        return fail(r, "a value in it has another length than this type's");
    }

    for (bad = 0, i = 0; i < size; i++) {
        high = hex_digit(hex.text[2 * i]);
        low = hex_digit(hex.text[2 * i + 1]);
        bad |= high | low;      /* -1 stays */
        value[i] = (unsigned char) ((unsigned) high << 4 | (unsigned) low);
    }

    if (bad == -1) {
        return fail(r, "a value in it is not hexadecimal");
    }

    out->regs[out->n].index = (uint32_t) index;
    out->regs[out->n].value = value;
    out->regs[out->n].size = size;
    out->n++;

    return true;
}


/* Every value of a list may have been the peer's, so all are presented. */

static bool
read_values(struct reader *r, int index, bool lists)
{
    if (!lists || !take(r, '[')) {
        return read_value(r, index);
    }

    do {
        if (!read_value(r, index)) {
            return false;
        }
    } while (take(r, ','));

    return want(r, ']');
}


/* From the name of the first register on, to the end of their object. */

static bool
read_registers(struct reader *r, struct string *name, bool lists)
{
    int  index;

    for ( ;; ) {
        index = register_index(r->type, name);

        if (index == -1) {
            return fail(r, "it names a register that this type does not have");
        }

        if (r->seen >> index & 1) {
            return fail(r, "it names a register twice");
        }

        r->seen |= (uint32_t) 1 << index;

        if (!want(r, ':') || !read_values(r, index, lists)) {
            return false;
        }

        if (!take(r, ',')) {
            return want(r, '}');
        }

        if (!read_string(r, name)) {
            return false;
        }
    }
}


/* ---- the two shapes ---- */

/* `image` tells no registers, `no_attestation` no peer. */

static bool
read_kind(struct reader *r)
{
    struct string  kind;

    if (!read_string(r, &kind)) {
        return false;
    }

    return is(&kind, r->type == MEASURED_HEADER_AZURE_TDX ? "azure" : "dcap")
           ? true
           : fail(r, "it is a matched policy of another type");
}


/* Exactly `type` and `measurements`, in either order. */

static bool
read_matched_policy(struct reader *r, struct string *name)
{
    bool  has_kind, has_registers, ok;

    has_kind = has_registers = false;

    for ( ;; ) {
        if (!want(r, ':')) {
            return false;
        }

        if (is(name, "type") && !has_kind) {
            has_kind = true;
            ok = read_kind(r);

        } else if (is(name, "measurements") && !has_registers) {
            has_registers = true;
            ok = want(r, '{') && read_string(r, name)
                 && read_registers(r, name, true);

        } else {
            return fail(r, "a matched policy has one type and one measurements");
        }

        if (!ok) {
            return false;
        }

        if (!take(r, ',')) {
            break;
        }

        if (!read_string(r, name)) {
            return false;
        }
    }

    if (!has_kind || !has_registers) {
        return fail(r, "a matched policy has one type and one measurements");
    }

    return want(r, '}');
}


const char *
measured_header_read(enum measured_header_type type, const char *text,
    size_t len, struct measured_presented *presented)
{
    bool           ok;
    struct reader  r;
    struct string  name;

    presented->n = 0;

    if (type == MEASURED_HEADER_UNKNOWN) {
        return "the attestation type is not known";
    }

    if (len > MEASURED_HEADER_MAX_BYTES) {
        return "it is too long";
    }

    r = (struct reader) { .type = type, .at = text, .end = text + len,
                          .out = presented };

    ok = want(&r, '{') && read_string(&r, &name);

    if (ok) {
        ok = is(&name, "type") || is(&name, "measurements")
             ? read_matched_policy(&r, &name)
             : read_registers(&r, &name, false);
    }

    if (ok && peek(&r) == -1) {
        return NULL;
    }

    presented->n = 0;
    return ok ? "something follows it" : r.wrong;
}
