/* The processes that stand for fake guests; used inside drivers/fake only.
 *
 * A guest is a sleeping process in a session of its own that holds a lock on its file
 * RUN_DIR/ID.pid, in which its pid stands: as long as the lock is held, it runs, whoever died
 * around it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Starts it unless it runs; `stubborn` ones ignore the request to shut down. */
int fake_process_start(const char *pid_file, bool stubborn, struct err *err);

/* Its pid; 0 when it does not run. */
pid_t fake_process_pid(const char *pid_file);

/* Whether it is stopped where it is (frozen). */
bool fake_process_is_frozen(pid_t pid);

/* Processor time that it has used. */
uint64_t fake_process_cpu_ns(pid_t pid);

/* Sends `signal`, waits up to timeout_ms for its end, then kills it and waits for that. */
int fake_process_end(const char *pid_file, int signal, uint64_t timeout_ms, struct err *err);
