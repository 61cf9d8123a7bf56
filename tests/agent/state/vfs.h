/* A layer between SQLite and the file system that counts what is synced and fails on demand. */
#pragma once

/* Makes it the default for connections opened from now on; once for each process. */
void vfs_install(void);

/* fsyncs so far, from any thread: of logs (PATH-wal), and of all other files. */
unsigned vfs_log_syncs(void);
unsigned vfs_other_syncs(void);

/* Result codes of SQLite (SQLITE_FULL, …) with which writes to, or syncs of, any file fail; 0: they
 * work. */
void vfs_fail_writes(int code);
void vfs_fail_syncs(int code);

/* Whoever syncs waits, until they are let go on by the same thread. */
void vfs_hold_syncs(void);
void vfs_release_syncs(void);
