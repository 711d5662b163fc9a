/* bench/history_floor.c - what no audit can do without: the evidence of each history row read from
 * SQLite, inflated and hashed, and so many signers recovered. What an audit takes beyond that is
 * reading JSON, proofs, comparing, the log and the codes.
 *
 *   history_floor DATABASE SIGNATURES_OF_A_ROW
 *
 * Prints rows a second. */
#define _GNU_SOURCE /* clock_gettime */
#include "base/digest.h"
#include "cache/cache.h"
#include "resolver/entry/pack.h"
#include "sig/secp.h"
#include "tests/support/sign.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_s(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool row_is_right(sqlite3_stmt *stmt, struct ms_buf *text)
{
    struct ms_span packed =
        ms_span_of(sqlite3_column_blob(stmt, 0), (size_t)sqlite3_column_bytes(stmt, 0));

    ms_buf_reset(text);
    if (unpack_text(packed, (size_t)sqlite3_column_int64(stmt, 1), text) != MS_OK)
        return false;
    struct ms_sha256 hash = ms_sha256(ms_buf_span(text));
    return memcmp(hash.b, sqlite3_column_blob(stmt, 2), sizeof(hash.b)) == 0;
}

int main(int argc, char **argv)
{
    struct ms_buf text = MS_BUF_INIT(CACHE_BLOB_MAX_BYTES);
    struct eth_hash digest = {{1}};
    struct eth_addr signer;
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    uint8_t sig[65];
    uint64_t rows = 0, signatures = 0;
    bool ok = true;

    if (argc != 3 || !ms_span_u64(ms_span_str(argv[2]), &signatures) ||
        sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT b.data, b.size, b.hash, h.summary FROM history h JOIN blob b"
                           " ON b.hash = h.bundle ORDER BY h.key, h.n",
                           -1, &stmt, NULL) != SQLITE_OK) {
        (void)fputs("usage: history_floor DATABASE SIGNATURES\n", stderr);
        return 2;
    }
    sign_digest(0xa1, &digest, sig);
    double start = now_s();
    for (; ok && sqlite3_step(stmt) == SQLITE_ROW; rows++) {
        ok = row_is_right(stmt, &text);
        for (uint64_t i = 0; ok && i < signatures; i++)
            ok = msig_ecrecover(&digest, sig, sig[64], &signer, NULL);
    }
    (void)printf("%.0f\n", (double)rows / (now_s() - start));
    (void)sqlite3_finalize(stmt);
    (void)sqlite3_close(db);
    ms_buf_done(&text);
    return ok && rows > 0 ? 0 : 1;
}
