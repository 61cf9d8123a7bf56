/* A fixed pool of threads for what blocks. Work runs on a worker with inputs of its own; `done`
 * runs on the loop's thread afterwards. The only lock is the one of the queue. */
#pragma once

#include <systemd/sd-event.h>

struct err;
struct workers;

typedef void (*work_fn)(void *data); /* on a worker; must not touch the agent's tables */
typedef void (*done_fn)(void *data); /* on the loop */

int workers_create(sd_event *loop, unsigned threads, struct workers **ret, struct err *err);

/* Waits for what runs; what is only queued is still run to its end, and all `done`s are called. */
struct workers *workers_destroy(struct workers *workers);

/* Queues work; `done` is called exactly once after it. Fails only without memory. */
int workers_submit(struct workers *workers, work_fn work, done_fn done, void *data);
