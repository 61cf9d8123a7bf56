/* The verbs: what can be done to guests, ports and images, as operations. Each function checks what
 * can be checked at once, reserves in memory what the operation will need, and gives an operation
 * that is ready for engine_submit, together with the rows that its acceptance writes. When it
 * fails, nothing is changed. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/node/agent.h"
#include "model/guest.h"

struct db_txn;
struct err;
struct guest_entry;

/* All verbs, for engine_create; ends with NULL. */
extern const struct op_verb *const OPS_VERBS[];

/* An operation that is ready to be submitted. */
struct op_plan {
	struct op *op;
	struct db_txn *txn; /* the rows that go with its acceptance */
};

/* Why a guest is moved: asked for, or by agent/life. Journalled with the operation. */
enum op_cause {
	CAUSE_REQUEST,
	CAUSE_WAKE,    /* the node was started, or its maintenance ended */
	CAUSE_REST,    /* its maintenance began */
	CAUSE_RESTART, /* the guest's restart policy */
};

void op_set_cause(struct op *op, enum op_cause cause); /* before it is submitted */
enum op_cause op_cause(const struct op *op);

/* Drops a plan that is not submitted (a dry run): reservations are given back. */
void op_plan_drop(struct op_plan *plan);

/* A new guest; takes `guest` over in any case. Address, MAC and host ports are chosen here. */
int plan_guest_create(
	struct agent *agent, struct op_plan *plan, struct guest *guest, struct err *err);

/* A new guest with a copy of the volume of `from`, as it is then or, when `snapshot` is not NULL,
 * as it was; takes `guest` over in any case. */
int plan_guest_clone(struct agent *agent, struct op_plan *plan, struct guest_entry *from,
	const char *snapshot, struct guest *guest, struct err *err);

/* Takes again the address, MAC and host ports of a guest from state.db. */
int guest_claim_numbers(struct agent *agent, const struct guest *guest, struct err *err);

/* start, stop, restart, kill, freeze, thaw, destroy. For stop and restart `timeout_ms` is how long
 * the guest may take; 0: as configured. */
int plan_guest_simple(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, uint64_t timeout_ms, struct err *err);

/* A merge patch of limits and settings. */
int plan_guest_update(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const json_t *patch, struct err *err);

/* The update is refused (ERR_PRECONDITION) when its turn comes and the guest's ETag is another one,
 * in quotes, by then: what was accepted before it may have changed the guest. Before it is
 * submitted. */
void op_set_precondition(struct op *op, const char *etag);

/* Gives it another name, which must be valid. ERR_EXISTS (field name) when it is taken. */
int plan_guest_rename(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, struct err *err);

struct resize_request {
	uint64_t amount; /* bytes by which, unless... */
	uint64_t to;	 /* ... this is not 0: to that size */
	bool restart;	 /* a guest that runs may be stopped for it, and started again */
};

/* Enlarge or trim. */
int plan_guest_resize(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, const struct resize_request *wanted, struct err *err);

/* The guest says what it does not use, which is returned to the pool; its size stays. */
int plan_guest_discard(
	struct agent *agent, struct op_plan *plan, struct guest_entry *entry, struct err *err);

/* Whether the disk of a guest (on a worker) can be given that size, before anything is changed:
 * ERR_INVALID (storage.size), ERR_UNSUPPORTED or, where it would have to be stopped and may not be,
 * ERR_ILLEGAL_STATE; the message has the least possible size. */
struct trim_trial {
	struct storage *storage;
	const struct guest *guest;
	uint64_t to;
	bool restart;
};
int trim_try(const struct trim_trial *trial, struct err *err);

/* The port of that number among a guest's, or NULL. */
const struct port *guest_find_port(const struct guest *guest, enum port_proto proto, uint16_t host);

/* The guest that a port of the node leads to, or NULL. */
struct guest_entry *guest_with_port(struct agent *agent, enum port_proto proto, uint16_t host);

/* port->host 0: any free one, filled in. */
int plan_port_publish(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	struct port *port, struct err *err);
int plan_port_unpublish(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	enum port_proto proto, uint16_t host, struct err *err);

struct port_switch {
	struct guest_entry *from, *to;
	enum port_proto proto;
	uint16_t host;
	uint16_t guest; /* the port inside `to`; 0: the same as now */
	bool flush;
};

/* Leads a published port from its guest to another. */
int plan_port_switch(struct agent *agent, struct op_plan *plan, const struct port_switch *wanted,
	struct err *err);

/* The snapshot of that name, or NULL; the other says so, too: ERR_NOT_FOUND (field snapshot). */
const struct guest_snapshot *guest_find_snapshot(const struct guest *guest, const char *name);
const struct guest_snapshot *guest_need_snapshot(
	const struct guest *guest, const char *name, struct err *err);

/* `name` is valid, or NULL: one from the time. With `memory` what the guest, a running machine, has
 * in memory is kept, too: it is ended for that, and goes on. */
int plan_guest_snapshot(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, bool memory, struct err *err);
int plan_guest_snapshot_delete(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const char *name, struct err *err);

struct restore_request {
	const char *snapshot;
	const bool *start; /* whether it runs afterwards; NULL: as before */
	const bool
		*memory; /* whether it goes on from what it had in memory; NULL: if that is there */
};

/* Makes the guest what it was then. */
int plan_guest_restore(struct agent *agent, struct op_plan *plan, struct guest_entry *entry,
	const struct restore_request *wanted, struct err *err);

struct image_upload {
	const char *name;
	enum image_kind kind;
	const enum disk_format *format; /* of a disk; NULL: as it shows */
	enum disk_boot boot;		/* of a disk without a kernel beside it */
	const char *driver;		/* of the kind oci: who keeps it; NULL: the only one */
	const char *sha256;		/* NULL: not checked */
	bool replace;
	int fd;	      /* taken over */
	int whole_fd; /* taken over: gives a byte when all of it has come, ends without if not */
};

int plan_image_import(struct agent *agent, struct op_plan *plan, const struct image_upload *upload,
	struct err *err);
/* From its registry, by the driver of that name, or NULL: the only one that keeps images. */
int plan_image_pull(struct agent *agent, struct op_plan *ret, const char *name, const char *driver,
	struct err *err);
int plan_image_delete(
	struct agent *agent, struct op_plan *plan, const struct image *image, struct err *err);
