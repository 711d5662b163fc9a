/* sig/fields.c - strict members. */
#include "sig/fields.h"

#define INTEGER_MAX ((json_int_t)1 << 53) /* what every JSON parser reads exactly */

static void fault(struct msig_fields *f, enum ms_err err, const char *name, const char *what)
{
    if (f->err == MS_OK)
        f->err = ms_diag_set(f->diag, err, "%s: %s %s", f->where, name, what);
}

void msig_fields_init(struct msig_fields *f, const json_t *object, const char *where,
                      struct ms_diag *diag)
{
    *f = (struct msig_fields){.object = object, .where = where, .diag = diag};
    if (!json_is_object(object))
        f->err = ms_diag_set(diag, MS_ERR_SYNTAX, "%s: missing or no object", where);
}

static const json_t *member(struct msig_fields *f, const char *name)
{
    if (f->err != MS_OK)
        return NULL;
    if (f->n_names == MSIG_FIELDS_MAX) {
        fault(f, MS_ERR_INTERNAL, name, "is one member too many");
        return NULL;
    }
    f->names[f->n_names++] = name;
    const json_t *value = json_object_get(f->object, name);
    if (value == NULL)
        fault(f, MS_ERR_SYNTAX, name, "is missing");
    return value;
}

static struct ms_span string(struct msig_fields *f, const char *name)
{
    const json_t *value = member(f, name);

    if (value == NULL)
        return (struct ms_span){0};
    if (!json_is_string(value)) {
        fault(f, MS_ERR_SYNTAX, name, "is no string");
        return (struct ms_span){0};
    }
    return ms_span_of(json_string_value(value), json_string_length(value));
}

uint64_t msig_fields_u64(struct msig_fields *f, const char *name, uint64_t max)
{
    const json_t *value = member(f, name);
    uint64_t number = 0;

    if (value == NULL)
        return 0;
    if (json_is_integer(value)) {
        json_int_t integer = json_integer_value(value);
        if (integer < 0 || integer > INTEGER_MAX)
            fault(f, MS_ERR_RANGE, name, "is negative or above 2^53; write it as a string");
        number = integer < 0 ? 0 : (uint64_t)integer;
    } else if (!json_is_string(value) ||
               !ms_span_u64(ms_span_of(json_string_value(value), json_string_length(value)),
                            &number)) {
        fault(f, MS_ERR_SYNTAX, name, "is no integer and no decimal string up to 2^64-1");
    }
    if (number > max)
        fault(f, MS_ERR_RANGE, name, "is too large for its type");
    return f->err == MS_OK ? number : 0;
}

void msig_fields_bytes32(struct msig_fields *f, const char *name, uint8_t out[32])
{
    struct ms_span text = string(f, name);

    if (f->err != MS_OK)
        return;
    enum ms_err err = eth_data_fixed(text, out, 32);
    if (err != MS_OK)
        fault(f, err, name, "is not 0x and 64 hex digits");
}

struct ms_span msig_fields_text(struct msig_fields *f, const char *name, size_t max,
                                struct ms_arena *arena)
{
    struct ms_span text = string(f, name);

    if (f->err != MS_OK)
        return (struct ms_span){0};
    if (text.len > max) {
        fault(f, MS_ERR_LIMIT, name, "is too long");
        return (struct ms_span){0};
    }
    const char *copy = ms_arena_strdup(arena, text);
    if (copy == NULL) {
        fault(f, MS_ERR_MEMORY, name, "does not fit into memory");
        return (struct ms_span){0};
    }
    return ms_span_of(copy, text.len);
}

const json_t *msig_fields_array(struct msig_fields *f, const char *name)
{
    const json_t *value = member(f, name);

    if (value != NULL && !json_is_array(value))
        fault(f, MS_ERR_SYNTAX, name, "is no array");
    return f->err == MS_OK ? value : NULL;
}

static bool listed(const struct msig_signers *list, const struct eth_addr *addr)
{
    for (size_t i = 0; i < list->n; i++)
        if (eth_addr_eq(&list->addrs[i], addr))
            return true;
    return false;
}

void msig_fields_addrs(struct msig_fields *f, const char *name, struct msig_signers *out)
{
    const json_t *array = msig_fields_array(f, name), *text;
    enum eth_checksum checksum; /* any case: the value is what is signed */
    size_t i;

    out->n = 0;
    if (array != NULL && json_array_size(array) > MSIG_SIGNERS_MAX)
        fault(f, MS_ERR_LIMIT, name, "has too many addresses");
    json_array_foreach(array, i, text)
    {
        struct eth_addr addr;
        if (f->err != MS_OK)
            return;
        if (eth_addr_parse(ms_span_of(json_string_value(text), json_string_length(text)), &addr,
                           &checksum, NULL) != MS_OK)
            fault(f, MS_ERR_ADDRESS, name, "has an item that is no address");
        else if (eth_addr_is_zero(&addr) || listed(out, &addr))
            fault(f, MS_ERR_SIGNERS, name, "has the zero address, or one twice");
        else
            out->addrs[out->n++] = addr;
    }
}

static bool asked_for(const struct msig_fields *f, const char *name)
{
    for (size_t i = 0; i < f->n_names; i++)
        if (strcmp(f->names[i], name) == 0)
            return true;
    return false;
}

enum ms_err msig_fields_end(struct msig_fields *f)
{
    const char *name;
    json_t *value;

    if (f->err != MS_OK)
        return f->err;
    /* jansson's iterators take no const tree, and do not change it */
    for (void *at = json_object_iter((json_t *)(uintptr_t)f->object); at != NULL && f->err == MS_OK;
         at = json_object_iter_next((json_t *)(uintptr_t)f->object, at)) {
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        if (value != NULL && !asked_for(f, name))
            fault(f, MS_ERR_UNKNOWN, name, "is no member known here");
    }
    return f->err;
}
