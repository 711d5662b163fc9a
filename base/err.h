/* base/err.h - the one error enumeration of the project and the place where a cause is told.
 *
 * Every fallible function returns `enum ms_err`; MS_OK is 0. Number, name, stable code and text
 * stay together in one X-macro. The code (lower case, never changes once released) is what users
 * see in `code` members and in problem documents; the sentence is the default text when no diag was
 * filled. Pure; thread-safe. */
#ifndef MS_BASE_ERR_H
#define MS_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

#define MS_MUST_USE __attribute__((warn_unused_result))
#define MS_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define MS_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*      name               number code                 default sentence */
#define MS_ERR_MAP(X)                                                                          \
    X(MS_OK, 0, "ok", "no error")                                                              \
    X(MS_ERR_MEMORY, 1, "memory", "out of memory")                                             \
    X(MS_ERR_INTERNAL, 2, "internal", "internal error, please report it")                      \
    X(MS_ERR_LIMIT, 3, "limit", "larger than the limit")                                       \
    X(MS_ERR_SYNTAX, 4, "syntax", "malformed")                                                 \
    X(MS_ERR_LENGTH, 5, "length", "wrong length")                                              \
    X(MS_ERR_RANGE, 6, "range", "number out of range")                                         \
    X(MS_ERR_NONCANONICAL, 7, "noncanonical", "not in its one canonical form")                 \
    X(MS_ERR_UNKNOWN, 8, "unknown", "unknown name")                                            \
    X(MS_ERR_ARGUMENT, 9, "argument", "bad or missing argument")                               \
    X(MS_ERR_HEX, 20, "hex", "not hexadecimal")                                                \
    X(MS_ERR_BASE64, 21, "base64", "not valid base64")                                         \
    X(MS_ERR_GZIP, 22, "gzip", "not one intact gzip member")                                   \
    X(MS_ERR_UTF8, 23, "utf8", "not valid UTF-8")                                              \
    X(MS_ERR_JSON, 24, "json", "not valid JSON")                                               \
    X(MS_ERR_JSON_DUPLICATE, 25, "json-duplicate", "a JSON member name occurs twice")          \
    X(MS_ERR_DEPTH, 26, "depth", "nested too deeply")                                          \
    X(MS_ERR_URL, 40, "url", "not an acceptable https URL")                                    \
    X(MS_ERR_PCT, 41, "pct", "bad percent-encoding or a character outside 0x21..0x7e")         \
    X(MS_ERR_SCHEME, 42, "scheme", "only https locations are accepted")                        \
    X(MS_ERR_CHAIN, 43, "chain", "unknown chain name")                                         \
    X(MS_ERR_OPT, 44, "opt", "unknown, repeated or malformed option")                          \
    X(MS_ERR_EIP55, 45, "eip55", "the letter case of the address does not match EIP-55")       \
    X(MS_ERR_SPEC, 46, "spec", "not a measurement specifier")                                  \
    X(MS_ERR_NO_SPEC, 47, "no-specifier", "the URL carries no measurement specifier")          \
    X(MS_ERR_SIGNERS, 48, "signers", "malformed signer set")                                   \
    X(MS_ERR_ENS_CHARS, 49, "ens-chars", "ENS names here are lower-case a-z 0-9 - _ only")     \
    X(MS_ERR_ADDRESS, 50, "address", "not a 20-byte hexadecimal address")                      \
    X(MS_ERR_PUBKEY, 51, "pubkey", "not a compressed secp256k1 public key")                    \
    X(MS_ERR_ALIAS, 52, "alias", "no such alias in the configuration")                         \
    X(MS_ERR_RECORDS, 60, "records", "not an acceptable measurement document")                 \
    X(MS_ERR_REGISTER, 61, "register", "a register name or value is not acceptable")           \
    X(MS_ERR_TYPE, 62, "attestation-type", "attestation type not acceptable here")             \
    X(MS_ERR_PROFILE, 63, "profile", "the set cannot be expressed in this profile")            \
    X(MS_ERR_EXPANSION, 64, "expansion", "expanding the alternatives exceeds the cap")         \
    X(MS_ERR_RLP, 80, "rlp", "not canonical RLP")                                              \
    X(MS_ERR_ABI, 81, "abi", "not canonical ABI data")                                         \
    X(MS_ERR_HEADER, 82, "header", "the block header does not hash to its hash")               \
    X(MS_ERR_PROOF, 83, "proof", "the Merkle-Patricia proof does not verify")                  \
    X(MS_ERR_RPC, 84, "rpc", "the RPC endpoint answered with an error")                        \
    X(MS_ERR_RPC_SHAPE, 85, "rpc-shape", "the RPC answer is malformed")                        \
    X(MS_ERR_SIGNATURE, 86, "signature", "a signature does not verify")                        \
    X(MS_ERR_UNSUPPORTED, 100, "not-yet-resolvable", "this kind cannot be resolved yet")       \
    X(MS_ERR_NO_RPC, 101, "no-rpc", "no RPC endpoint is configured for this chain")            \
    X(MS_ERR_QUORUM, 102, "quorum", "not enough independent RPC groups answered")              \
    X(MS_ERR_LEVEL, 103, "level", "the read level asked for cannot be reached")                \
    X(MS_ERR_NO_CODE, 104, "no-code", "there is no contract at this address")                  \
    X(MS_ERR_KIND, 105, "kind", "the contract is of no known kind")                            \
    X(MS_ERR_REVERT, 106, "revert", "the contract reverted")                                   \
    X(MS_ERR_DISSENT, 107, "dissent", "RPC groups disagree about a finalized block")           \
    X(MS_ERR_WRONG_CHAIN, 108, "wrong-chain", "the RPC endpoint serves another chain")         \
    X(MS_ERR_COMMITMENT, 109, "commitment", "the answer does not match the proven commitment") \
    X(MS_ERR_CODE_IDENTITY, 110, "code-identity", "the code behind the address changed")       \
    X(MS_ERR_HTTP, 120, "http", "the server answered with an unexpected status")               \
    X(MS_ERR_NOT_FOUND, 121, "not-found", "the server says there is no such document")         \
    X(MS_ERR_CONNECT, 122, "connect", "could not connect")                                     \
    X(MS_ERR_RESOLVE, 123, "dns", "could not resolve the host name")                           \
    X(MS_ERR_TLS, 124, "tls", "TLS could not be verified")                                     \
    X(MS_ERR_BLOCKED, 125, "address-blocked",                                                  \
      "the host resolves to an address that is not global")                                    \
    X(MS_ERR_TIMEOUT, 126, "timeout", "no answer in time")                                     \
    X(MS_ERR_TOO_LARGE, 127, "too-large", "the answer exceeds the size limit")                 \
    X(MS_ERR_REDIRECT, 128, "redirect", "the server redirects to another origin")              \
    X(MS_ERR_HASH, 129, "hash-mismatch", "the bytes do not hash to the expected value")        \
    X(MS_ERR_OVERLOAD, 130, "overload", "too many requests are waiting")                       \
    X(MS_ERR_TRUNCATED, 131, "truncated", "the answer ended before it was complete")           \
    X(MS_ERR_UNAVAILABLE, 140, "unavailable", "could not find out")                            \
    X(MS_ERR_STALE, 141, "stale", "the last verified answer is too old to be served")          \
    X(MS_ERR_CONFLICT, 142, "conflict", "two verified answers contradict each other")          \
    X(MS_ERR_ROLLBACK, 143, "rollback", "the answer is older than one already verified")       \
    X(MS_ERR_CLOCK, 144, "clock-suspect", "the local clock contradicts verified times")        \
    X(MS_ERR_EVIDENCE, 145, "evidence", "stored evidence does not verify")                     \
    X(MS_ERR_STORE, 146, "store", "the database failed")                                       \
    X(MS_ERR_HMAC, 147, "hmac", "a stored row does not carry our authentication code")         \
    X(MS_ERR_CONFIG, 148, "config", "the configuration is not acceptable")                     \
    X(MS_ERR_IO, 149, "io", "input or output failed")                                          \
    X(MS_ERR_METHOD, 150, "method", "method not allowed here")                                 \
    X(MS_ERR_SHUTDOWN, 151, "shutdown", "the daemon is shutting down")                         \
    X(MS_ERR_QUOTA, 152, "quota", "this user holds as much of the daemon as one user may")

enum ms_err {
#define MS_ERR_ENUM(name, number, code, text) name = (number),
    MS_ERR_MAP(MS_ERR_ENUM)
#undef MS_ERR_ENUM
};

#define MS_DIAG_TEXT_MAX 256

/* What a person must be told beside the code. Zero-initialise; the first writer wins, so that the
 * innermost cause survives. `text` is one sentence, printable ASCII only: untrusted bytes are
 * escaped by ms_diag_set. line and column are 1-based, 0 when they do not apply. */
struct ms_diag {
    size_t line;
    size_t column;
    char text[MS_DIAG_TEXT_MAX];
};

/* "MS_ERR_JSON", or "MS_ERR_?" for a number that is none. Static storage. */
const char *ms_err_name(enum ms_err err);
/* The stable code, "json". Static storage. */
const char *ms_err_code(enum ms_err err);
/* The default sentence. Static storage. */
const char *ms_err_text(enum ms_err err);
/* The error with this stable code, or MS_ERR_INTERNAL. */
enum ms_err ms_err_from_code(const char *code);

/* Fill `diag` unless it is NULL or already filled; returns err, so callers can
 * `return ms_diag_set(diag, MS_ERR_URL, "...")`. Bytes outside 0x20..0x7e become \xNN. */
enum ms_err ms_diag_set(struct ms_diag *diag, enum ms_err err, const char *fmt, ...)
    MS_PRINTF(3, 4);
/* The same for a function that takes a format itself. */
enum ms_err ms_diag_setv(struct ms_diag *diag, enum ms_err err, const char *fmt, va_list args)
    MS_PRINTF(3, 0);
/* diag's text, or the default sentence of err when it has none. */
const char *ms_diag_text(const struct ms_diag *diag, enum ms_err err);

#endif
