/* Processes that write a state until they are killed, and what must be found there then: numbered
 * transactions, of an event and a setting that go together. */
#pragma once

#include <stdatomic.h>
#include <sys/types.h>

#include "fixture.h"

/* What such a process tells of its progress; shared with it. To be unmapped. */
struct progress {
	atomic_uint any, durable; /* number of the last transaction called back */
};
struct progress *progress_new(void);

struct db_txn *numbered_txn(unsigned number);

/* Writes until it is killed, or `count` transactions and then waits for it. Some are under way at
 * any time; every third is durable. */
pid_t start_writer(const char *path, struct progress *progress, unsigned from, unsigned count);
void wait_for_progress(struct progress *progress, pid_t pid, unsigned number);
void kill_writer(pid_t pid);

/* All events from 1 on without a gap, and the setting of the last of them: its number. */
unsigned check_content(struct fixture *fixture);

/* Salvage must always lead to a state that works. Returns the events kept. */
unsigned salvage(struct fixture *fixture);
/* Damaged files that it put aside. */
unsigned damaged_copies(const struct fixture *fixture);
