/* resolver/source/workload.c - quotes to workload ids. */
#include "resolver/source/workload.h"

#include "base/hex.h"
#include "base/reader.h"

#include <stddef.h>
#include <strings.h>

#define QUOTE_HEADER_BYTES 48
#define QUOTE_V5_DESCRIPTOR_BYTES 6
#define QUOTE_BODY_BYTES 584
#define QUOTE_TEE_TDX 0x81u
#define QUOTE_V5_BODY_TD10 2u /* TD report of TDX 1.0 */
#define QUOTE_V5_BODY_TD15 3u /* and of 1.5, which has more behind it */

/* Offsets in the TD report body. */
#define BODY_TD_ATTRIBUTES 120
#define BODY_XFAM 128
#define BODY_MR_TD 136
#define BODY_MR_CONFIG_ID 184
#define BODY_RTMR0 328

static uint16_t le16(struct ms_span bytes, size_t at)
{
    return (uint16_t)(bytes.ptr[at] | bytes.ptr[at + 1] << 8);
}

/* Where the body starts, 0 when it is no TDX quote we know. */
static size_t body_offset(struct ms_span quote)
{
    uint16_t version = le16(quote, 0);
    uint32_t tee = (uint32_t)le16(quote, 4) | (uint32_t)le16(quote, 6) << 16;

    if (tee != QUOTE_TEE_TDX)
        return 0;
    if (version == 4)
        return QUOTE_HEADER_BYTES;
    uint16_t body = le16(quote, QUOTE_HEADER_BYTES);
    if (version == 5 && (body == QUOTE_V5_BODY_TD10 || body == QUOTE_V5_BODY_TD15))
        return QUOTE_HEADER_BYTES + QUOTE_V5_DESCRIPTOR_BYTES;
    return 0;
}

enum ms_err workload_from_quote(struct ms_span quote, struct workload_input *ret_input)
{
    if (quote.len < QUOTE_HEADER_BYTES + QUOTE_V5_DESCRIPTOR_BYTES)
        return MS_ERR_LENGTH;
    size_t at = body_offset(quote);
    if (at == 0)
        return MS_ERR_UNKNOWN;
    struct ms_span body = ms_span_sub(quote, at, QUOTE_BODY_BYTES);
    if (body.len < QUOTE_BODY_BYTES)
        return MS_ERR_LENGTH;
    struct workload_input in;
    memcpy(in.td_attributes, body.ptr + BODY_TD_ATTRIBUTES, sizeof(in.td_attributes));
    memcpy(in.xfam, body.ptr + BODY_XFAM, sizeof(in.xfam));
    memcpy(in.mr_td, body.ptr + BODY_MR_TD, sizeof(in.mr_td));
    memcpy(in.mr_config_id, body.ptr + BODY_MR_CONFIG_ID, sizeof(in.mr_config_id));
    memcpy(in.rtmr, body.ptr + BODY_RTMR0, sizeof(in.rtmr));
    *ret_input = in;
    return MS_OK;
}

/* The member of either name, whatever its case; NULL when there is none. */
static const char *name_in(json_t *object, const char *name, const char *index)
{
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value)
    {
        if (strcasecmp(key, name) == 0 || (index != NULL && strcmp(key, index) == 0))
            return key;
    }
    return NULL;
}

static bool bytes_at(const json_t *object, const char *key, uint8_t *out, size_t len)
{
    struct ms_span hex = ms_json_member_str(object, key);
    if (ms_span_starts(hex, "0x"))
        hex = ms_span_sub(hex, 2, hex.len);
    return ms_hex_decode(hex, out, len) == MS_OK;
}

static const struct member {
    const char *name, *index; /* index NULL: no register */
    size_t at, len;           /* in the struct */
} members[] = {
    {"mrconfigid", NULL, offsetof(struct workload_input, mr_config_id), WORKLOAD_REGISTER_BYTES},
    {"xfam", NULL, offsetof(struct workload_input, xfam), 8},
    {"tdattributes", NULL, offsetof(struct workload_input, td_attributes), 8},
    {"mrtd", "0", offsetof(struct workload_input, mr_td), WORKLOAD_REGISTER_BYTES},
    {"rtmr0", "1", offsetof(struct workload_input, rtmr[0]), WORKLOAD_REGISTER_BYTES},
    {"rtmr1", "2", offsetof(struct workload_input, rtmr[1]), WORKLOAD_REGISTER_BYTES},
    {"rtmr2", "3", offsetof(struct workload_input, rtmr[2]), WORKLOAD_REGISTER_BYTES},
    {"rtmr3", "4", offsetof(struct workload_input, rtmr[3]), WORKLOAD_REGISTER_BYTES},
};

enum ms_err workload_from_registers(json_t *registers, bool *ret_whole,
                                    struct workload_input *ret_input, struct ms_diag *diag)
{
    struct workload_input in = {0};
    bool whole = true;

    for (size_t i = 0; i < MS_ARRAY_LEN(members); i++) {
        const struct member *m = &members[i];
        bool ours = m->index == NULL; /* registers are judged by who reads registers */
        const char *key = name_in(registers, m->name, m->index);
        if (key == NULL) {
            whole = false;
            continue;
        }
        bool ok = bytes_at(registers, key, (uint8_t *)&in + m->at, m->len);
        whole = whole && ok;
        if (ours && !ok)
            return ms_diag_set(diag, MS_ERR_REGISTER, "%s is not %zu bytes in hex", m->name,
                               m->len);
        if (ours)
            (void)json_object_del(registers, key);
        if (ours && name_in(registers, m->name, NULL) != NULL)
            return ms_diag_set(diag, MS_ERR_REGISTER, "%s stands there twice", m->name);
    }
    *ret_whole = whole;
    *ret_input = in;
    return MS_OK;
}

void workload_missing(json_t *registers, struct ms_buf *out)
{
    uint8_t ignored[WORKLOAD_REGISTER_BYTES];

    for (size_t i = 0; i < MS_ARRAY_LEN(members); i++) {
        const char *key = name_in(registers, members[i].name, members[i].index);
        if (key == NULL || !bytes_at(registers, key, ignored, members[i].len))
            (void)ms_buf_addf(out, "%s%s", out->len > 0 ? ", " : "", members[i].name);
    }
}

static struct eth_hash hash_input(const struct workload_input *in)
{
    struct eth_keccak k;

    eth_keccak_init(&k);
    eth_keccak_add(&k, ms_span_of(in->mr_td, sizeof(in->mr_td)));
    eth_keccak_add(&k, ms_span_of(in->rtmr, sizeof(in->rtmr)));
    eth_keccak_add(&k, ms_span_of(in->mr_config_id, sizeof(in->mr_config_id)));
    eth_keccak_add(&k, ms_span_of(in->xfam, sizeof(in->xfam)));
    eth_keccak_add(&k, ms_span_of(in->td_attributes, sizeof(in->td_attributes)));
    return eth_keccak_end(&k);
}

struct eth_hash workload_id_v2(const struct workload_input *input)
{
    return hash_input(input);
}

struct eth_hash workload_id_v1(const struct workload_input *input)
{
    struct workload_input in = *input;

    in.xfam[7] ^= 0x03;
    in.td_attributes[4] &= (uint8_t)~0xd0u;
    return hash_input(&in);
}
