/* resolver/entry/pack.c - bundles made small.
 *
 * Deflated is: pieces, each a length (4 bytes, big-endian) and its bytes, in turn of the text
 * itself and of what base64 says in it; the last is of the text. */
#include "resolver/entry/pack.h"

#include "base/base64.h"
#include "base/gzip.h"
#include "base/reader.h"

#define BODY "\"body\":\""
#define BODY_MIN 48u /* digits: fewer are not worth the two lengths */
#define LENGTH_BYTES 4u

#define ZEROS32 "00000000000000000000000000000000"
#define ZEROS64 ZEROS32 ZEROS32
#define WEB "[{\"measurement_id\":\"\",\"attestation_type\":\""

/* What bundles share, the most usual at the end, where it costs least. Never edited: what is stored
 * was written with it. zlib knows it by its Adler-32. */
static const char dictionary[] =
    "[{\"id\":1,\"jsonrpc\":\"2.0\",\"result\":\"0x1\"},{\"id\":2,\"jsonrpc\":\"2.0\",\"result\":"
    "{\"baseFeePerGas\":\"0x7\",\"blobGasUsed\":\"0x0\",\"difficulty\":\"0x0\",\"excessBlobGas\":"
    "\"0x0\",\"extraData\":\"0x\",\"gasLimit\":\"0x2255100\",\"gasUsed\":\"0x0\",\"hash\":\"0x\","
    "\"logsBloom\":\"0x\",\"miner\":\"0x\",\"mixHash\":\"0x\",\"nonce\":\"0x0000000000000000\","
    "\"number\":\"0x\",\"parentBeaconBlockRoot\":\"0x\",\"parentHash\":\"0x\",\"receiptsRoot\":"
    "\"0x\",\"requestsHash\":\"0x\",\"sha3Uncles\":\"0x\",\"size\":\"0x\",\"stateRoot\":\"0x\","
    "\"timestamp\":\"0x6\",\"totalDifficulty\":\"0xc70d815d562d3cfa955\",\"transactions\":[\"0x\"],"
    "\"transactionsRoot\":\"0x\",\"uncles\":[],\"withdrawals\":[{\"address\":\"0x\",\"amount\":"
    "\"0x\",\"index\":\"0x\",\"validatorIndex\":\"0x\"}],\"withdrawalsRoot\":\"0x\"}}]"
    "{\"accountProof\":[\"0xf90211a0\",\"0xf8\"],\"address\":\"0x\",\"balance\":\"0x0\","
    "\"codeHash\":\"0x\",\"nonce\":\"0x1\",\"storageHash\":\"0x\",\"storageProof\":[{\"key\":"
    "\"0x\","
    "\"proof\":[\"0x\"],\"value\":\"0x\"}]}"
    ",\"providers\":[{\"benched\":false,\"chain\":1,\"group\":\"a\",\"name\":\"a\",\"proofs\":2,"
    "\"trusted\":true}],\"quorum\":2},\"previous\":{\"etag\":\"\",\"final\":{\"hash\":\"\","
    "\"number\":},\"floor\":0,\"hosts\":[\"\"],\"last-modified\":\"\",\"set\":\"\"},"
    "{\"error\":\"timeout\",\"id\":,\"time\":},{\"body\":\"\",\"headers\":{},\"id\":1,\"status\":"
    "404,\"time\":17" WEB "azure-tdx\",\"measurements\":{\"4\":{\"expected\":\"" ZEROS64
    "\"}}}]" WEB "dcap-tdx\",\"measurements\":{\"0\":{\"expected\":\"" ZEROS64 ZEROS32
    "\"},\"1\":{\"expected\":\"\"},\"2\":{\"expected\":\"\"}}}]"
    "\",\"headers\":{\"cache-control\":\"max-age=60\",\"content-type\":\"application/json\","
    "\"date\":\" GMT\",\"etag\":\"\",\"last-modified\":\" 2026 \"},\"id\":1,\"peer\":\"\","
    "\"status\":200,\"time\":17"
    "{\"answers\":[{" BODY "{\"payloads\":{\"0x\":\""
    /* [{"measurement_id":"","attestation_type":"dcap-tdx","measurements":{"0":{"expected":"000 */
    "W3sibWVhc3VyZW1lbnRfaWQiOiIiLCJhdHRlc3RhdGlvbl90eXBlIjoiZGNhcC10ZHgiLCJtZWFzdXJlbWVudHMiOnsi"
    "MCI6eyJleHBlY3RlZCI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw"
    "\"},\"set\":{\"app\":\"\",\"issuedAt\":17,\"previous\":\"0x" ZEROS64
    "\",\"releases\":[{\"approvedSeq\":1,\"id\":1,\"notAfter\":0,\"notBefore\":0,\"payloadFormat\":"
    "1,\"payloadHash\":\"0x\",\"payloadSize\":,\"uri\":\"https://\",\"version\":1}],\"sequence\":,"
    "\"validUntil\":17},\"signatures\":[{\"scheme\":\"eip712\",\"signature\":\"0x\",\"signer\":"
    "\"0x\"},{\"scheme\":\"eip712\",\"signature\":\"0x1b\",\"signer\":\"0x\"}],\"type\":"
    "\"measured-release-set/"
    "1\"}\",\"headers\":{},\"id\":2,\"status\":200,\"time\":17}],\"boot_ms\":"
    ",\"key\":\"\",\"policy\":{\"level\":\"l2\",\"max-evidence-age\":21600,\"providers\":[],"
    "\"quorum\":2},\"previous\":{\"floor\":0,\"hosts\":[\""
    "\"]},\"specifier\":\"\",\"text\":\"url:aHR0cHM6Ly\",\"text\":\"eip155:1:0x\",\"text\":\"2of3:"
    "0x"
    "\",\"time\":17,\"type\":\"measured-bundle/1\",\"verdict\":{\"commitment\":\"\","
    "\"evidence_time\":17,\"level\":\"none\",\"overlay\":\"" ZEROS64
    "\",\"releases\":1,\"sequence\":,\"set_hash\":\"\",\"trust\":6}}";

static struct ms_span dictionary_span(void)
{
    return ms_span_of(dictionary, sizeof(dictionary) - 1);
}

/* ---- packing ---- */

static void add_piece(struct ms_buf *out, struct ms_span bytes)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        (void)ms_buf_add_byte(out, (uint8_t)(bytes.len >> shift));
    (void)ms_buf_add(out, bytes);
}

/* The bytes that these digits stand for; false when encoding them would give another text. */
static bool read_digits(struct ms_span digits, struct ms_buf *bytes)
{
    enum ms_base64_alphabet alphabet = MS_BASE64_NONE;

    ms_buf_reset(bytes);
    return digits.len >= BODY_MIN && digits.len % 4 == 0 &&
           ms_base64_decode(digits, bytes, &alphabet, NULL, NULL) == MS_OK &&
           alphabet != MS_BASE64_URL;
}

/* Where the next body begins, from `at` on; text.len: there is none. */
static size_t next_body(struct ms_span text, size_t at)
{
    while (at < text.len) {
        const uint8_t *quote = memchr(text.ptr + at, '"', text.len - at);
        if (quote == NULL)
            break;
        at = (size_t)(quote - text.ptr);
        if (ms_span_starts(ms_span_sub(text, at, text.len), BODY))
            return at + strlen(BODY);
        at++;
    }
    return text.len;
}

static enum ms_err fold(struct ms_span text, struct ms_buf *out)
{
    struct ms_buf bytes = MS_BUF_INIT(text.len);
    size_t done = 0;

    for (size_t at = next_body(text, 0); at < text.len; at = next_body(text, at)) {
        struct ms_span rest = ms_span_sub(text, at, text.len);
        struct ms_span digits = ms_span_sub(rest, 0, ms_span_find(rest, '"'));
        if (!read_digits(digits, &bytes))
            continue;
        add_piece(out, ms_span_sub(text, done, at - done));
        add_piece(out, ms_buf_span(&bytes));
        done = at += digits.len;
    }
    add_piece(out, ms_span_sub(text, done, text.len));
    ms_buf_done(&bytes);
    return ms_buf_err(out);
}

enum ms_err pack_text(struct ms_span text, struct ms_buf *out)
{
    if (text.len > UINT32_MAX)
        return MS_ERR_LIMIT;
    struct ms_buf folded = MS_BUF_INIT(text.len + LENGTH_BYTES);
    enum ms_err err = fold(text, &folded);
    if (err == MS_OK)
        err = ms_deflate(ms_buf_span(&folded), dictionary_span(), out);
    ms_buf_done(&folded);
    return err;
}

/* ---- unpacking ---- */

static enum ms_err unfold(struct ms_span folded, size_t size, struct ms_buf *out)
{
    struct ms_reader r = ms_reader_of(folded);
    size_t start = out->len;
    bool is_text = true;

    for (;; is_text = !is_text) {
        struct ms_span bytes = ms_reader_take(&r, ms_reader_be32(&r));
        enum ms_err err = is_text ? ms_buf_add(out, bytes) : ms_base64_encode(bytes, out);
        if (!ms_reader_ok(&r) || out->len - start > size)
            return MS_ERR_GZIP;
        if (err != MS_OK)
            return err;
        if (is_text && ms_reader_at_end(&r))
            return out->len - start == size ? MS_OK : MS_ERR_GZIP;
    }
}

enum ms_err unpack_text(struct ms_span packed, size_t size, struct ms_buf *out)
{
    if (size > UINT32_MAX)
        return MS_ERR_LIMIT;
    struct ms_buf folded = MS_BUF_INIT(size + LENGTH_BYTES);
    enum ms_err err = ms_inflate(packed, dictionary_span(), &folded);
    if (err == MS_OK)
        err = unfold(ms_buf_span(&folded), size, out);
    ms_buf_done(&folded);
    return err;
}
