/* SQLite's own VFS with faults put into it: the n-th call of one kind fails, alone or with all that
 * follow, until fault_clear. It becomes the default, so the cache opens its files through it
 * without knowing. */
#ifndef MS_TESTS_FAULT_VFS_H
#define MS_TESTS_FAULT_VFS_H

#include <sqlite3.h>
#include <string.h>

enum fault_op { /* what may fail */
                FAULT_NONE = 0,
                FAULT_OPEN,
                FAULT_READ,
                FAULT_WRITE,
                FAULT_HALF_WRITE, /* half of the bytes arrive, as when the disk fills up */
                FAULT_SYNC,
                FAULT_TRUNCATE,
                FAULT_LOCK, /* of the file, or a writer's of the shared memory */
                FAULT_SHM,  /* mapping the shared memory */
};

static struct {
    enum fault_op op;
    int code;      /* what the call gives */
    int countdown; /* the call that brings it to 0 fails; fault_hits counts */
    int lasting;   /* and so do all that follow */
    unsigned hits; /* calls that failed */
    sqlite3_vfs *real;
    sqlite3_vfs vfs;
} fault;

static inline void fault_set(enum fault_op op, int code, int nth, int lasting)
{
    fault.op = op;
    fault.code = code;
    fault.countdown = nth;
    fault.lasting = lasting;
    fault.hits = 0;
}

static inline void fault_clear(void)
{
    fault.op = FAULT_NONE;
}

static inline int fault_due(enum fault_op op)
{
    if (fault.op != op || (fault.countdown <= 0 && !fault.lasting))
        return 0;
    if (fault.countdown > 0 && --fault.countdown > 0)
        return 0;
    fault.hits++;
    return 1;
}

struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static inline sqlite3_file *fault_real(sqlite3_file *file)
{
    return ((struct fault_file *)file)->real;
}

static int fault_close(sqlite3_file *f)
{
    return fault_real(f)->pMethods->xClose(fault_real(f));
}

static int fault_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    if (fault_due(FAULT_READ))
        return fault.code;
    return fault_real(f)->pMethods->xRead(fault_real(f), to, n, at);
}

static int fault_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    if (fault_due(FAULT_WRITE))
        return fault.code;
    if (fault_due(FAULT_HALF_WRITE)) {
        (void)fault_real(f)->pMethods->xWrite(fault_real(f), from, n / 2, at);
        return fault.code;
    }
    return fault_real(f)->pMethods->xWrite(fault_real(f), from, n, at);
}

static int fault_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    if (fault_due(FAULT_TRUNCATE))
        return fault.code;
    return fault_real(f)->pMethods->xTruncate(fault_real(f), size);
}

static int fault_sync(sqlite3_file *f, int flags)
{
    if (fault_due(FAULT_SYNC))
        return fault.code;
    return fault_real(f)->pMethods->xSync(fault_real(f), flags);
}

static int fault_size(sqlite3_file *f, sqlite3_int64 *size)
{
    return fault_real(f)->pMethods->xFileSize(fault_real(f), size);
}

static int fault_lock(sqlite3_file *f, int level)
{
    if (fault_due(FAULT_LOCK))
        return fault.code;
    return fault_real(f)->pMethods->xLock(fault_real(f), level);
}

static int fault_unlock(sqlite3_file *f, int level)
{
    return fault_real(f)->pMethods->xUnlock(fault_real(f), level);
}

static int fault_reserved(sqlite3_file *f, int *out)
{
    return fault_real(f)->pMethods->xCheckReservedLock(fault_real(f), out);
}

static int fault_control(sqlite3_file *f, int op, void *arg)
{
    return fault_real(f)->pMethods->xFileControl(fault_real(f), op, arg);
}

static int fault_sector(sqlite3_file *f)
{
    return fault_real(f)->pMethods->xSectorSize(fault_real(f));
}

static int fault_device(sqlite3_file *f)
{
    return fault_real(f)->pMethods->xDeviceCharacteristics(fault_real(f));
}

static int fault_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
    if (fault_due(FAULT_SHM))
        return fault.code;
    return fault_real(f)->pMethods->xShmMap(fault_real(f), page, size, extend, out);
}

static int fault_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    const int writers = SQLITE_SHM_LOCK | SQLITE_SHM_EXCLUSIVE; /* a reader's takes ten seconds */
    if ((flags & writers) == writers && fault_due(FAULT_LOCK))
        return fault.code;
    return fault_real(f)->pMethods->xShmLock(fault_real(f), at, n, flags);
}

static void fault_shm_barrier(sqlite3_file *f)
{
    fault_real(f)->pMethods->xShmBarrier(fault_real(f));
}

static int fault_shm_unmap(sqlite3_file *f, int drop)
{
    return fault_real(f)->pMethods->xShmUnmap(fault_real(f), drop);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2, /* with shared memory, without mmap of the database */
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_reserved,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_device,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct fault_file *f = (struct fault_file *)file;

    (void)vfs;
    f->base.pMethods = NULL;
    if (fault_due(FAULT_OPEN))
        return fault.code;
    f->real = (sqlite3_file *)(f + 1);
    int rc = fault.real->xOpen(fault.real, name, f->real, flags, out);
    if (f->real->pMethods != NULL)
        f->base.pMethods = &fault_methods;
    return rc;
}

/* Call once, before the first connection. */
static inline void fault_install(void)
{
    fault.real = sqlite3_vfs_find(NULL);
    fault.vfs = *fault.real;
    fault.vfs.pNext = NULL;
    fault.vfs.zName = "fault";
    fault.vfs.szOsFile = (int)sizeof(struct fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = fault_open;
    (void)sqlite3_vfs_register(&fault.vfs, 1);
}

#endif
