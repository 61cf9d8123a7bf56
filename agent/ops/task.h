/* What steps are made of: work on a worker with copied inputs, or a call of a guest's driver. Both
 * end their step. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/node/agent.h"
#include "agent/seed/seed.h"
#include "model/guest.h"

struct err;
struct guest_entry;
struct net;
struct op;
struct storage;

/* Inputs of work, copied from the tables; results, copied back by `finish`. */
struct task {
	struct storage *storage; /* never NULL when TASK_STORAGE was asked for */
	struct net *net;
	struct guest *guest; /* copy; NULL when the operation is not about one */
	struct port port;
	uint64_t size;
	bool memory; /* the guest's volume holds saved memory */
	bool flush;
	int fd, whole_fd; /* owned; -1: none */
	struct image image;
	unsigned parts; /* enum seed_part */
	struct seed_result seeded;
	const json_t
		*args; /* of the operation; must not be changed by anyone while it is under way */
	const volatile bool *cancel;

	int (*work)(struct task *task, struct err *err);  /* on a worker */
	void (*finish)(struct op *op, struct task *task); /* on the loop, only after success */
	void (*then)(struct op *op); /* goes on with the step after success; NULL: it ends */
	struct op *op;
	int r;
	struct err err;
};

enum { TASK_STORAGE = 1, TASK_NET = 2 };

/* A task for the operation's current step, with a copy of its guest and, when they are open, the
 * parts of the host that it `needs`. NULL when something is missing: the step has ended then. */
struct task *task_create(struct op *op, unsigned needs);

/* Runs it on a worker; takes it over. */
void task_run(struct task *task, int (*work)(struct task *task, struct err *err));

/* The guest the operation is about; NULL when it is gone. */
struct guest_entry *op_guest(const struct op *op);

/* The other guest of an operation about two, whose id is "from" in its args; NULL when it is gone.
 * Of a clone it is what is copied; of a switch, the one that had the port. */
struct guest_entry *op_other_guest(const struct op *op);

/* Calls the guest's driver; the reply ends the step. A guest that the driver does not know counts
 * as done for kill, stop, destroy and update. create and update take their facts from `as`, the
 * guest as it is to be, or with NULL from the table. */
void driver_step(struct op *op, enum driver_call call, const struct guest *as);
void driver_step_freeze(struct op *op, bool frozen);

/* Has it take up the guest as it is to be, or with NULL as the table has it. One that cannot change
 * a guest takes it up at its next start. */
void driver_step_take_up(struct op *op, const struct guest *as);

/* Does something about the disk of the guest, which runs. `optional`: one that does not help with
 * it is fine. `tell` gets what came of it, when it was done; may be NULL. */
void driver_step_disk(struct op *op, const struct driver_disk_work *work, bool optional,
	void (*tell)(struct op *op, const struct driver_reply *reply));

/* Asks about an image, or does something about the layer of guest `of` (NULL: of the operation's);
 * `of` and all texts live until this returns. */
void driver_step_image(struct op *op, const struct driver_image_work *work,
	void (*tell)(struct op *op, const struct driver_reply *reply));
void driver_step_layer(struct op *op, const char *of, const struct driver_layer_work *work);
/* The same for what ends a step that cannot be undone any more: a driver that is away is waited
 * for, other failures are only noted. */
void driver_step_layer_surely(struct op *op, const char *of, const struct driver_layer_work *work);
/* Asks how large its layer may become; a driver that cannot tell in time fails nothing. */
void driver_step_layer_bound(struct op *op, uint64_t deadline_ms,
	void (*tell)(struct op *op, const struct driver_reply *reply));

/* Starts a guest that was ended: a whole start as one step of an undo. One that cannot go on from
 * its memory boots; one that cannot be started any more, for reasons of its own, stays without a
 * pid. */
void driver_step_run_again(struct op *op);
