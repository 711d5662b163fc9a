/* tests/support/tools/registry_calldata.c - what to send to a MeasurementRegistry on a test chain,
 * as hex on stdout. For tests and the demo only: written from the Solidity ABI specification
 * without eth/, so that a fault in our own ABI code cannot hide behind itself.
 *
 *   registry_calldata deploy ABI.json OWNER GUARDIAN MIN_DELAY
 *   registry_calldata approve VERSION NOT_BEFORE NOT_AFTER FORMAT URI PAYLOAD_FILE chain|off
 *   registry_calldata revoke ID REASON
 *   registry_calldata heartbeat VALID_UNTIL
 *   registry_calldata sha256 FILE
 *
 * Exits 0, or 2 with a sentence on stderr. */
#include "base/digest.h"
#include "base/hex.h"
#include "tests/support/tools/rigfile.h"

#include <string.h>

#define WORD 32

/* bytes4(keccak256(signature)), from the selectors listed with the interface. */
#define SEL_APPROVE 0xd8630b0bu
#define SEL_REVOKE 0x1051c899u
#define SEL_HEARTBEAT 0x9bf6fa57u

static uint64_t number(const char *text)
{
    uint64_t value = 0;
    if (!ms_span_u64(ms_span_str(text), &value))
        rig_die("not a decimal number", text);
    return value;
}

static void add_selector(struct ms_buf *out, uint32_t selector)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        (void)ms_buf_add_byte(out, (uint8_t)(selector >> shift));
}

static void add_u64(struct ms_buf *out, uint64_t value)
{
    uint8_t word[WORD] = {0};
    for (size_t i = 0; i < 8; i++)
        word[WORD - 1 - i] = (uint8_t)(value >> (8 * i));
    (void)ms_buf_add(out, ms_span_of(word, WORD));
}

static void add_address(struct ms_buf *out, const char *text)
{
    uint8_t word[WORD] = {0};
    struct ms_span hex = ms_span_str(text);

    if (!ms_span_starts(hex, "0x") ||
        ms_hex_decode(ms_span_sub(hex, 2, hex.len), word + 12, 20) != MS_OK)
        rig_die("not an address", text);
    (void)ms_buf_add(out, ms_span_of(word, WORD));
}

static size_t padded(size_t len)
{
    return (len + WORD - 1) / WORD * WORD;
}

static void add_bytes(struct ms_buf *out, struct ms_span bytes)
{
    static const uint8_t zero[WORD];
    add_u64(out, bytes.len);
    (void)ms_buf_add(out, bytes);
    (void)ms_buf_add(out, ms_span_of(zero, padded(bytes.len) - bytes.len));
}

static void deploy(struct ms_buf *out, char **arg)
{
    rig_add_code(out, arg[0], "bytecode");
    add_address(out, arg[1]);
    add_address(out, arg[2]);
    add_u64(out, number(arg[3]));
}

/* approve(Draft,bytes), both dynamic: two offsets, the draft with its string, the bytes. */
static void approve(struct ms_buf *out, char **arg)
{
    struct ms_buf payload = MS_BUF_INIT(RIG_FILE_MAX_BYTES);
    struct ms_span uri = ms_span_str(arg[4]);
    bool on_chain = strcmp(arg[6], "chain") == 0;

    if (!on_chain && strcmp(arg[6], "off") != 0)
        rig_die("neither 'chain' nor 'off'", arg[6]);
    rig_read_file(arg[5], &payload);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&payload));

    add_selector(out, SEL_APPROVE);
    add_u64(out, 2 * WORD);
    add_u64(out, 2 * WORD + 7 * WORD + WORD + padded(uri.len));
    for (int i = 0; i < 4; i++) /* version, notBefore, notAfter, payloadFormat */
        add_u64(out, number(arg[i]));
    add_u64(out, payload.len);
    (void)ms_buf_add(out, ms_span_of(hash.b, sizeof(hash.b)));
    add_u64(out, 7 * WORD); /* the string begins behind the draft's seven words */
    add_bytes(out, uri);
    add_bytes(out, on_chain ? ms_buf_span(&payload) : ms_span_of(NULL, 0));
    ms_buf_done(&payload);
}

static void revoke(struct ms_buf *out, char **arg)
{
    add_selector(out, SEL_REVOKE);
    add_u64(out, number(arg[0]));
    add_u64(out, number(arg[1]));
}

static void heartbeat(struct ms_buf *out, char **arg)
{
    add_selector(out, SEL_HEARTBEAT);
    add_u64(out, number(arg[0]));
}

static void file_hash(struct ms_buf *out, char **arg)
{
    struct ms_buf bytes = MS_BUF_INIT(RIG_FILE_MAX_BYTES);
    rig_read_file(arg[0], &bytes);
    struct ms_sha256 hash = ms_sha256(ms_buf_span(&bytes));
    (void)ms_buf_add(out, ms_span_of(hash.b, sizeof(hash.b)));
    ms_buf_done(&bytes);
}

static const struct {
    const char *name;
    int args;
    void (*make)(struct ms_buf *out, char **arg);
} commands[] = {
    {"deploy", 4, deploy},       {"approve", 7, approve},  {"revoke", 2, revoke},
    {"heartbeat", 1, heartbeat}, {"sha256", 1, file_hash},
};

int main(int argc, char **argv)
{
    struct ms_buf out = MS_BUF_INIT(2 * RIG_FILE_MAX_BYTES);

    for (size_t i = 0; i < MS_ARRAY_LEN(commands); i++) {
        if (argc - 2 != commands[i].args || strcmp(argv[1], commands[i].name) != 0)
            continue;
        commands[i].make(&out, argv + 2);
        int status = rig_print_hex(&out);
        ms_buf_done(&out);
        return status;
    }
    rig_die("usage", "deploy|approve|revoke|heartbeat|sha256 ..., see the head of the source");
}
