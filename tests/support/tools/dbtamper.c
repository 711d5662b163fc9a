/* tests/support/tools/dbtamper.c - damages a database of measured as a fault or an attacker would.
 * Never installed.
 *
 *   dbtamper FILE blob        flips one byte in the middle of every stored evidence
 *   dbtamper FILE row         makes every entry a day younger, without its code
 *   dbtamper FILE set         swaps the set hash of every entry for another
 *   dbtamper FILE log         takes away the third log of every block
 *   dbtamper FILE lock        holds the lock of writers; prints `locked`, stays until it is killed
 *   dbtamper FILE count       prints `ENTRIES BLOBS HISTORY`, and `ok` after an integrity check */
#define _GNU_SOURCE

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sqlite3 *db;

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "dbtamper: %s: %s\n", what, db == NULL ? "" : sqlite3_errmsg(db));
    exit(1);
}

static void flip(sqlite3_int64 row)
{
    sqlite3_blob *blob = NULL;
    unsigned char byte = 0;

    if (sqlite3_blob_open(db, "main", "blob", "data", row, 1, &blob) != SQLITE_OK)
        die("blob");
    int at = sqlite3_blob_bytes(blob) / 2;
    if (sqlite3_blob_read(blob, &byte, 1, at) != SQLITE_OK)
        die("read");
    byte ^= 0x20;
    if (sqlite3_blob_write(blob, &byte, 1, at) != SQLITE_OK ||
        sqlite3_blob_close(blob) != SQLITE_OK)
        die("write");
}

static void flip_all(void)
{
    sqlite3_stmt *rows = NULL;
    if (sqlite3_prepare_v2(db, "SELECT rowid FROM blob", -1, &rows, NULL) != SQLITE_OK)
        die("select");
    while (sqlite3_step(rows) == SQLITE_ROW)
        flip(sqlite3_column_int64(rows, 0));
    (void)sqlite3_finalize(rows);
}

static int print_row(void *arg, int n, char **values, char **names)
{
    (void)arg;
    (void)names;
    for (int i = 0; i < n; i++)
        (void)printf("%s%s", i == 0 ? "" : " ", values[i]);
    (void)puts("");
    return 0;
}

static void run(const char *sql)
{
    if (sqlite3_exec(db, sql, print_row, NULL, NULL) != SQLITE_OK)
        die(sql);
}

static _Noreturn void lock(void)
{
    run("BEGIN IMMEDIATE");
    (void)puts("locked");
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}

int main(int argc, char **argv)
{
    if (argc != 3)
        die("usage: dbtamper FILE blob|row|set|lock|count");
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
        die(argv[1]);
    if (strcmp(argv[2], "blob") == 0)
        flip_all();
    else if (strcmp(argv[2], "row") == 0)
        run("UPDATE entry SET checked_wall_s = checked_wall_s + 86400");
    else if (strcmp(argv[2], "set") == 0)
        run("UPDATE entry SET set_hash = zeroblob(32)");
    else if (strcmp(argv[2], "log") == 0)
        run("DROP TRIGGER contract_log_no_delete;"
            "DELETE FROM contract_log WHERE log_index = 2;"
            "CREATE TRIGGER contract_log_no_delete BEFORE DELETE ON contract_log"
            " BEGIN SELECT RAISE(ABORT, 'logs are append-only'); END");
    else if (strcmp(argv[2], "lock") == 0)
        lock();
    else if (strcmp(argv[2], "count") == 0)
        run("SELECT (SELECT count(*) FROM entry), (SELECT count(*) FROM blob),"
            " (SELECT count(*) FROM history); PRAGMA integrity_check");
    else
        die(argv[2]);
    return sqlite3_close(db) == SQLITE_OK ? 0 : 1;
}
