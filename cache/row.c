/* cache/row.c - rows as typed cells, and the code over them.
 *
 * HMAC-SHA-256 over: "measured/row/1" NUL, table name NUL, number of cells (8 bytes, big-endian),
 * then for each cell its type ('n', 'i', 't', 'b'), and the number (8 bytes) or the length (8
 * bytes) and the bytes. Every field has a known length, so two different rows never serialise
 * alike. NULLs at the end count as not there: a column that a migration adds behind the others,
 * NULL in the rows of before, leaves their codes right. */
#include "cache/internal.h"

#include <assert.h>

#define ROW_MAX_BYTES ((size_t)256 << 10) /* far above any row we write */

static struct cell *next_cell(struct row *row)
{
    assert(row->n < ROW_CELLS_MAX);
    struct cell *cell = &row->cell[row->n++];
    *cell = (struct cell){.type = CELL_NULL};
    return cell;
}

void row_add_null(struct row *row)
{
    (void)next_cell(row);
}

void row_add_int(struct row *row, int64_t value)
{
    *next_cell(row) = (struct cell){.type = CELL_INT, .number = value};
}

void row_add_text(struct row *row, const char *text)
{
    if (text == NULL)
        row_add_null(row);
    else
        *next_cell(row) = (struct cell){.type = CELL_TEXT, .bytes = ms_span_str(text)};
}

void row_add_blob(struct row *row, const void *ptr, size_t len)
{
    *next_cell(row) = (struct cell){.type = CELL_BLOB, .bytes = ms_span_of(ptr, len)};
}

static void put_be64(uint8_t out[8], uint64_t value)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

void row_add_u64(struct row *row, uint64_t value)
{
    assert(row->n_numbers < ROW_NUMBERS_MAX);
    uint8_t *out = row->number[row->n_numbers++];
    put_be64(out, value);
    row_add_blob(row, out, 8);
}

static void add_be64(struct ms_buf *buf, uint64_t value)
{
    uint8_t bytes[8];
    put_be64(bytes, value);
    (void)ms_buf_add(buf, ms_span_of(bytes, sizeof(bytes)));
}

static void add_cell(struct ms_buf *buf, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_NULL:
        (void)ms_buf_add_byte(buf, 'n');
        return;
    case CELL_INT:
        (void)ms_buf_add_byte(buf, 'i');
        add_be64(buf, (uint64_t)cell->number);
        return;
    case CELL_TEXT:
    case CELL_BLOB:
        (void)ms_buf_add_byte(buf, cell->type == CELL_TEXT ? 't' : 'b');
        add_be64(buf, cell->bytes.len);
        (void)ms_buf_add(buf, cell->bytes);
        return;
    case CELL_OTHER: /* we never write one: no row with it has a right code */
        (void)ms_buf_add_byte(buf, '?');
        return;
    }
}

static enum ms_err row_code(const struct cache *cache, const char *table, const struct row *row,
                            struct ms_sha256 *ret_hmac)
{
    static const char domain[] = "measured/row/1"; /* its NUL is part of it */
    struct ms_buf buf = MS_BUF_INIT(ROW_MAX_BYTES);

    (void)ms_buf_add(&buf, ms_span_of(domain, sizeof(domain)));
    (void)ms_buf_add(&buf, ms_span_of(table, strlen(table) + 1));
    size_t n = row->n;
    while (n > 0 && row->cell[n - 1].type == CELL_NULL)
        n--;
    add_be64(&buf, n);
    for (size_t i = 0; i < n; i++)
        add_cell(&buf, &row->cell[i]);
    enum ms_err err = ms_buf_err(&buf);
    if (err == MS_OK)
        *ret_hmac =
            ms_hmac_sha256(ms_span_of(cache->hmac_key, sizeof(cache->hmac_key)), ms_buf_span(&buf));
    ms_buf_done(&buf);
    return err;
}

static int bind_bytes(sqlite3_stmt *stmt, int i, const struct cell *cell)
{
    /* A NULL pointer would bind NULL, which is another value than "nothing". */
    const void *ptr = cell->bytes.len == 0 ? "" : (const void *)cell->bytes.ptr;

    if (cell->type == CELL_TEXT)
        return sqlite3_bind_text64(stmt, i, ptr, cell->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    return sqlite3_bind_blob64(stmt, i, ptr, cell->bytes.len, SQLITE_STATIC);
}

static int bind_cell(sqlite3_stmt *stmt, int i, const struct cell *cell)
{
    switch (cell->type) {
    case CELL_NULL:
        return sqlite3_bind_null(stmt, i);
    case CELL_INT:
        return sqlite3_bind_int64(stmt, i, cell->number);
    case CELL_TEXT:
    case CELL_BLOB:
        return bind_bytes(stmt, i, cell);
    case CELL_OTHER:
        break;
    }
    return SQLITE_MISUSE;
}

enum ms_err row_bind(struct cache *cache, enum cache_stmt which, const char *table,
                     const struct row *row, struct ms_sha256 *ret_hmac, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[which];
    struct ms_sha256 hmac;

    enum ms_err err = row_code(cache, table, row, &hmac);
    if (err != MS_OK)
        return ms_diag_set(diag, err, "a row of table %s is too large", table);
    for (size_t i = 0; i < row->n; i++)
        if (bind_cell(stmt, (int)i + 1, &row->cell[i]) != SQLITE_OK)
            return cache_sql_error(cache, diag, table);
    if (sqlite3_bind_blob(stmt, (int)row->n + 1, hmac.b, sizeof(hmac.b), SQLITE_TRANSIENT) !=
        SQLITE_OK)
        return cache_sql_error(cache, diag, table);
    *ret_hmac = hmac;
    return MS_OK;
}

enum ms_err row_insert(struct cache *cache, enum cache_stmt which, const char *table,
                       const struct row *row, struct ms_diag *diag)
{
    struct ms_sha256 hmac;

    enum ms_err err = row_bind(cache, which, table, row, &hmac, diag);
    if (err == MS_OK)
        return cache_run(cache, which, diag, table);
    cache_reset(cache, which);
    return err;
}

enum ms_err row_bind_key(struct cache *cache, enum cache_stmt which, const struct ms_sha256 *key,
                         struct ms_diag *diag)
{
    if (key == NULL || sqlite3_bind_blob(cache->stmt[which], 1, key->b, sizeof(key->b),
                                         SQLITE_STATIC) == SQLITE_OK)
        return MS_OK;
    return cache_sql_error(cache, diag, "read rows");
}

static struct cell read_cell(sqlite3_stmt *stmt, int i)
{
    struct cell cell = {.type = CELL_OTHER};
    int type = sqlite3_column_type(stmt, i);

    if (type == SQLITE_NULL) {
        cell.type = CELL_NULL;
    } else if (type == SQLITE_INTEGER) {
        cell.type = CELL_INT;
        cell.number = sqlite3_column_int64(stmt, i);
    } else if (type == SQLITE_TEXT || type == SQLITE_BLOB) {
        cell.type = type == SQLITE_TEXT ? CELL_TEXT : CELL_BLOB;
        const void *ptr = sqlite3_column_blob(stmt, i); /* first the pointer, then its length */
        size_t len = (size_t)sqlite3_column_bytes(stmt, i);
        cell.bytes = ms_span_of(ptr, ptr == NULL ? 0 : len);
        if (ptr == NULL && len > 0)
            cell.type = CELL_OTHER; /* out of memory */
    }
    return cell;
}

enum ms_err row_read(struct cache *cache, enum cache_stmt which, const char *table, size_t n,
                     struct row *ret_row, struct ms_sha256 *ret_hmac, struct ms_diag *diag)
{
    sqlite3_stmt *stmt = cache->stmt[which];
    struct ms_sha256 want = {0};

    assert(n <= ROW_CELLS_MAX && sqlite3_column_count(stmt) == (int)n + 1);
    *ret_row = (struct row){.n = n};
    for (size_t i = 0; i < n; i++)
        ret_row->cell[i] = read_cell(stmt, (int)i);
    struct cell code = read_cell(stmt, (int)n);
    enum ms_err err = row_code(cache, table, ret_row, &want);
    if (err == MS_ERR_MEMORY)
        return err;
    if (err != MS_OK || code.type != CELL_BLOB || code.bytes.len != sizeof(want.b) ||
        (!cache->keyless && !ms_equal_secret(code.bytes.ptr, want.b, sizeof(want.b))))
        return ms_diag_set(diag, MS_ERR_HMAC,
                           "a row of table %s does not carry our authentication code", table);
    *ret_hmac = want;
    return MS_OK;
}

static const struct cell *take(struct row_reader *r)
{
    static const struct cell none = {.type = CELL_OTHER};

    if (r->failed || r->i >= r->row->n) {
        r->failed = true;
        return &none;
    }
    return &r->row->cell[r->i++];
}

int64_t row_int(struct row_reader *r, int64_t min, int64_t max)
{
    const struct cell *cell = take(r);

    if (cell->type != CELL_INT || cell->number < min || cell->number > max) {
        r->failed = true;
        return min;
    }
    return cell->number;
}

bool row_bytes_or_null(struct row_reader *r, void *out, size_t len)
{
    const struct cell *cell = take(r);

    memset(out, 0, len);
    if (cell->type == CELL_NULL)
        return false;
    if (cell->type != CELL_BLOB || cell->bytes.len != len) {
        r->failed = true;
        return false;
    }
    memcpy(out, cell->bytes.ptr, len);
    return true;
}

void row_bytes(struct row_reader *r, void *out, size_t len)
{
    if (!row_bytes_or_null(r, out, len))
        r->failed = true;
}

bool row_u64_or_null(struct row_reader *r, uint64_t *out)
{
    uint8_t bytes[8];

    *out = 0;
    if (!row_bytes_or_null(r, bytes, sizeof(bytes)))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        *out = *out << 8 | bytes[i];
    return true;
}

uint64_t row_u64(struct row_reader *r)
{
    uint64_t value;

    if (!row_u64_or_null(r, &value))
        r->failed = true;
    return value;
}

const char *row_text_or_null(struct row_reader *r, size_t max)
{
    const struct cell *cell = take(r);

    if (cell->type == CELL_NULL)
        return NULL;
    if (cell->type != CELL_TEXT || cell->bytes.len > max ||
        ms_span_find(cell->bytes, 0) != cell->bytes.len) {
        r->failed = true;
        return NULL;
    }
    const char *text = ms_arena_strdup(r->arena, cell->bytes);
    if (text == NULL)
        r->failed = r->no_memory = true;
    return text;
}

const char *row_text(struct row_reader *r, size_t min, size_t max)
{
    const char *text = row_text_or_null(r, max);

    if (text == NULL || strlen(text) < min) {
        r->failed = true;
        return "";
    }
    return text;
}

struct ms_span row_blob(struct row_reader *r, size_t max)
{
    const struct cell *cell = take(r);

    if (cell->type != CELL_BLOB || cell->bytes.len > max) {
        r->failed = true;
        return (struct ms_span){0};
    }
    const char *copy = ms_arena_strdup(r->arena, cell->bytes);
    if (copy == NULL)
        r->failed = r->no_memory = true;
    return ms_span_of(copy, copy == NULL ? 0 : cell->bytes.len);
}

enum ms_err row_end(const struct row_reader *r, const char *table, struct ms_diag *diag)
{
    if (r->no_memory)
        return MS_ERR_LIMIT;
    if (r->failed || r->i != r->row->n)
        return ms_diag_set(diag, MS_ERR_STORE, "column %zu of a row of table %s is not acceptable",
                           r->i, table);
    return MS_OK;
}
