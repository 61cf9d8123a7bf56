/* A layer between SQLite and the file system: each of its files holds the real one behind it, and
 * all methods but write and sync only pass on. */
#include "vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct layer {
	sqlite3_file file; /* first: a file is its layer */
	bool log;
	sqlite3_file real[]; /* of the size that the real VFS wants */
};

static sqlite3_vfs *g_real;
static sqlite3_vfs g_vfs;
static atomic_uint g_log_syncs, g_other_syncs;
static atomic_int g_fail_writes, g_fail_syncs;
static pthread_mutex_t g_syncs = PTHREAD_MUTEX_INITIALIZER;

#define REAL(f)	      (((struct layer *)(f))->real)
#define CALL(f, name) (REAL(f)->pMethods->name)

static int layer_close(sqlite3_file *f)
{
	return CALL(f, xClose)(REAL(f));
}

static int layer_read(sqlite3_file *f, void *buf, int size, sqlite3_int64 at)
{
	return CALL(f, xRead)(REAL(f), buf, size, at);
}

static int layer_write(sqlite3_file *f, const void *buf, int size, sqlite3_int64 at)
{
	int code = atomic_load(&g_fail_writes);

	return code ? code : CALL(f, xWrite)(REAL(f), buf, size, at);
}

static int layer_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return CALL(f, xTruncate)(REAL(f), size);
}

static int layer_sync(sqlite3_file *f, int flags)
{
	int code = atomic_load(&g_fail_syncs);

	pthread_mutex_lock(&g_syncs);
	pthread_mutex_unlock(&g_syncs);
	atomic_fetch_add(((struct layer *)f)->log ? &g_log_syncs : &g_other_syncs, 1);
	return code ? code : CALL(f, xSync)(REAL(f), flags);
}

static int layer_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return CALL(f, xFileSize)(REAL(f), ret);
}

static int layer_lock(sqlite3_file *f, int level)
{
	return CALL(f, xLock)(REAL(f), level);
}

static int layer_unlock(sqlite3_file *f, int level)
{
	return CALL(f, xUnlock)(REAL(f), level);
}

static int layer_check_lock(sqlite3_file *f, int *ret)
{
	return CALL(f, xCheckReservedLock)(REAL(f), ret);
}

static int layer_control(sqlite3_file *f, int op, void *arg)
{
	return CALL(f, xFileControl)(REAL(f), op, arg);
}

static int layer_sector(sqlite3_file *f)
{
	return CALL(f, xSectorSize)(REAL(f));
}

static int layer_device(sqlite3_file *f)
{
	return CALL(f, xDeviceCharacteristics)(REAL(f));
}

static int layer_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
	return CALL(f, xShmMap)(REAL(f), page, size, extend, ret);
}

static int layer_shm_lock(sqlite3_file *f, int offset, int count, int flags)
{
	return CALL(f, xShmLock)(REAL(f), offset, count, flags);
}

static void layer_shm_barrier(sqlite3_file *f)
{
	CALL(f, xShmBarrier)(REAL(f));
}

static int layer_shm_unmap(sqlite3_file *f, int remove)
{
	return CALL(f, xShmUnmap)(REAL(f), remove);
}

static const sqlite3_io_methods METHODS = {
	.iVersion = 2,
	.xClose = layer_close,
	.xRead = layer_read,
	.xWrite = layer_write,
	.xTruncate = layer_truncate,
	.xSync = layer_sync,
	.xFileSize = layer_size,
	.xLock = layer_lock,
	.xUnlock = layer_unlock,
	.xCheckReservedLock = layer_check_lock,
	.xFileControl = layer_control,
	.xSectorSize = layer_sector,
	.xDeviceCharacteristics = layer_device,
	.xShmMap = layer_shm_map,
	.xShmLock = layer_shm_lock,
	.xShmBarrier = layer_shm_barrier,
	.xShmUnmap = layer_shm_unmap,
};

static int layer_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret)
{
	struct layer *layer = (struct layer *)f;
	int r = g_real->xOpen(g_real, name, layer->real, flags, ret);

	(void)vfs;
	layer->log = flags & SQLITE_OPEN_WAL;
	f->pMethods = layer->real->pMethods ? &METHODS : NULL;
	return r;
}

void vfs_install(void)
{
	if (g_real)
		return;
	g_real = sqlite3_vfs_find(NULL);
	g_vfs = *g_real;
	g_vfs.zName = "test";
	g_vfs.szOsFile = (int)sizeof(struct layer) + g_real->szOsFile;
	g_vfs.xOpen = layer_open;
	sqlite3_vfs_register(&g_vfs, 1);
}

unsigned vfs_log_syncs(void)
{
	return atomic_load(&g_log_syncs);
}

unsigned vfs_other_syncs(void)
{
	return atomic_load(&g_other_syncs);
}

void vfs_fail_writes(int code)
{
	atomic_store(&g_fail_writes, code);
}

void vfs_fail_syncs(int code)
{
	atomic_store(&g_fail_syncs, code);
}

void vfs_hold_syncs(void)
{
	pthread_mutex_lock(&g_syncs);
}

void vfs_release_syncs(void)
{
	pthread_mutex_unlock(&g_syncs);
}
