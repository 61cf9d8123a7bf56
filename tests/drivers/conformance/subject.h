/* A driver under test: in this process, or as a process across the boundary. The suite sees no
 * difference but `process`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "drivers/protocol/call.h"

#define OUTCOME_STATUSES_MAX 64

/* What a call came to. */
struct outcome {
	bool done;
	int result;
	struct err error;
	struct driver_info info;
	struct driver_status statuses[OUTCOME_STATUSES_MAX];
	size_t statuses_count;
	struct driver_stats stats[OUTCOME_STATUSES_MAX];
	size_t stats_count;
	pid_t pid;
	struct driver_file_info file;
	struct driver_disk_result disk;
	struct driver_layer_result layer;
};

struct subject;

/* Exactly one of `ops` and `program` is given. Aborts the test when it does not open. */
struct subject *subject_create(
	const struct driver_ops *ops, const char *program, const struct driver_config *config);
void subject_free(struct subject *subject);

bool subject_is_process(const struct subject *subject);
/* Of the driver's process; of ours when it is in here. */
pid_t subject_pid(const struct subject *subject);

/* Makes the calls, side by side where the driver can, and waits for all. */
void subject_call(struct subject *subject, const struct driver_request *requests,
	struct outcome *outcomes, size_t count);

/* Waits until an event says that the guest is in that state; fails the test after ten seconds. An
 * event that came before counts once. */
void subject_wait_event(struct subject *subject, const char *id, enum guest_state state);
void subject_forget_events(struct subject *subject);

/* Kills the driver's process (closes it, in here) and has it back. */
void subject_crash(struct subject *subject);
