/* What the files of agent/ops share among themselves. */
#pragma once

#include <jansson.h>

#include "agent/engine/engine.h"
#include "agent/node/agent.h"
#include "agent/ops/verbs.h"
#include "net/net.h"

struct db_txn;
struct err;
struct guest_entry;
struct task;

extern const struct op_verb GUEST_CREATE, GUEST_START, GUEST_STOP, GUEST_RESTART, GUEST_KILL,
	GUEST_FREEZE, GUEST_THAW, GUEST_DESTROY, GUEST_UPDATE, GUEST_RENAME, GUEST_ENLARGE,
	GUEST_TRIM, GUEST_PUBLISH, GUEST_UNPUBLISH, GUEST_SWITCH, GUEST_SNAPSHOT,
	GUEST_SNAPSHOT_DELETE, GUEST_RESTORE, GUEST_CLONE, IMAGE_IMPORT, IMAGE_DELETE, IMAGE_PULL;

/* The same verbs for guests that are containers, and their images, by other steps. */
extern const struct op_verb CREATE_CONTAINER, CLONE_CONTAINER, SNAPSHOT_CONTAINER,
	SNAPSHOT_DELETE_CONTAINER, RESTORE_CONTAINER, IMAGE_LOAD, IMAGE_REMOVE;

/* And for guests with a disk; SNAPSHOT_MEMORY with what it has in memory, TRIM_DISCARD only returns
 * what is not used. */
extern const struct op_verb ENLARGE_CONTAINER, TRIM_CONTAINER, ENLARGE_DISK, TRIM_DISK,
	TRIM_DISCARD, SNAPSHOT_DISK, SNAPSHOT_MEMORY, RESTORE_DISK;

/* --- Steps of guests (guest_steps.c) --------------------------------------------------------- */

void step_make_volume(struct op *op);
void step_remove_volume(struct op *op);
/* First boot (agent/seed): all of it, for a new guest or a clone; or those parts (0: the step has
 * nothing to do), of the guest as it will be (taken over; NULL: as it is). */
void step_seed(struct op *op);
void step_seed_clone(struct op *op);
void step_seed_parts(struct op *op, unsigned parts, struct guest *as);
void step_attach(struct op *op);
void step_attach_as(struct op *op, struct guest *guest); /* as it will be; taken over */
void step_detach(struct op *op);
void step_link(struct op *op);			       /* after each start */
void step_link_as(struct op *op, struct guest *guest); /* with other rates; taken over */
void step_publish_all(struct op *op);
void step_unpublish_all(struct op *op);
void step_define(struct op *op);
void step_undefine(struct op *op);
void step_end(struct op *op); /* undefine and detach, side by side */
void step_start(struct op *op);
void step_start_if_wanted(struct op *op); /* of a new guest */
void step_stop(struct op *op);
void step_kill(struct op *op);
void step_freeze(struct op *op);
void step_thaw(struct op *op);

/* --- Operations about a guest ---------------------------------------------------------------- */

/* An operation of this verb about this guest: in its lane, of its driver's class, counted as
 * pending. `args` is taken over. */
int op_plan_guest(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	struct guest_entry *entry, json_t *args, struct err *err);

/* op_verb.restore for those: lane, class and pending again. */
int op_guest_restore(struct op *op, struct err *err);

/* op_verb.begin, .end and .reject of verbs that only move a guest from state to state. */
int op_state_begin(struct op *op, struct db_txn *txn, struct err *err);
void op_state_end(struct op *op, struct db_txn *txn);
void op_guest_reject(struct op *op);

/* What is to be of a guest, by who moved it to that state. */
void op_note_cause(const struct op *op, struct guest *guest, enum guest_state after);

/* An operation about the guest is off its list: what the others that are accepted lead to. */
void op_guest_off(const struct op *op, struct guest_entry *entry);

/* The operation failed and leaves half a guest: it is in error, for its reason. */
void op_guest_failed(const struct op *op, struct guest_entry *entry, struct db_txn *txn);

/* An operation has ended: the guest has one less pending, and when its state is in doubt its driver
 * is asked. */
void op_guest_left(struct op *op, struct guest_entry *entry);

enum guest_verb op_guest_verb(const struct op *op);

/* --- New guests (guest_create.c) ------------------------------------------------------------- */

/* Takes a new guest into the tables, with what it takes of the node, and plans the operation that
 * makes it. `guest` and `args` are taken over in any case. */
int guest_plan_new(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	struct guest *guest, json_t *args, struct err *err);

/* op_verb.end and .reject of those operations. */
void create_end(struct op *op, struct db_txn *txn);
void create_reject(struct op *op);

/* Out of the tables; its address, MAC and ports are free again. */
void guest_forget(struct agent *agent, struct guest_entry *entry);

/* The same of one that was there: out of state.db, and told. */
void guest_gone(struct agent *agent, struct guest_entry *entry, struct db_txn *txn);

/* An event that names the guest. */
void guest_event(
	struct agent *agent, const struct guest *guest, const char *type, struct db_txn *txn);

/* --- Containers (guest_container.c) ---------------------------------------------------------- */

/* What a container's specification leaves to the node is decided; of other guests nothing. */
int container_settle(struct agent *agent, struct guest *guest, struct err *err);

/* Steps about its layer and the snapshot that the operation is about. The last ends whatever
 * becomes of it. */
void step_layer_keep(struct op *op);
void step_layer_drop(struct op *op);
void step_layer_restore(struct op *op);
void step_layer_restore_undo(struct op *op);
void step_layer_restore_finish(struct op *op);

/* --- Numbers (guest_numbers.c) --------------------------------------------------------------- */

/* Takes the address, MAC and host ports that a new guest asks for, or any. All or nothing, in the
 * end: what a failure leaves taken is in `guest`, for release. */
int guest_choose_numbers(struct agent *agent, struct guest *guest, struct err *err);
void guest_release_numbers(struct agent *agent, const struct guest *guest);

/* --- Whole guests ---------------------------------------------------------------------------- */

/* Whether an argument of the operation is there, and true. */
bool op_arg(const struct op *op, const char *name);

/* The step where it is; else there is nothing to do. */
void op_step_if(struct op *op, const char *name, void (*step)(struct op *op));

/* Work for the storage. */
void step_storage(struct op *op, int (*work)(struct task *task, struct err *err));

/* For verbs that end a guest that runs and start it again. The state is shown; "ran" is noted. */
void op_interrupt_begin(struct op *op, struct db_txn *txn);

/* op_verb.restore of those. */
int op_interrupt_restore(struct op *op, struct err *err);

/* Those that failed: whether it runs again is what its start led to; `what` failed. */
void op_interrupt_failed(struct op *op, const char *what, struct db_txn *txn);

/* Undo of what ended it: it goes on as it did before. */
void step_run_again(struct op *op);

/* Starts it, when it ran. */
void step_start_if_ran(struct op *op);

/* --- Storage (guest_resize.c) ---------------------------------------------------------------- */

/* op_verb.begin and .end of what changes a guest's size to "to". */
int resize_begin(struct op *op, struct db_txn *txn, struct err *err);
void resize_end(struct op *op, struct db_txn *txn);

/* Whether a guest in that state can say what it does not use. */
int discard_check(const struct guest *guest, enum guest_state state, struct err *err);

/* --- Snapshots (guest_snapshot.c) ------------------------------------------------------------ */

/* Steps: nothing in the pool has that name; the snapshot is made; it is deleted. */
void step_snapshot_look(struct op *op);
void step_snapshot(struct op *op);
void step_snapshot_delete(struct op *op);

/* What its files are like is noted for the end. */
void op_note_consistency(struct op *op, enum snapshot_consistency consistency);

/* ERR_ILLEGAL_STATE (memory) unless the guest is running in that state. */
int snapshot_check_running(enum guest_state state, const char *name, struct err *err);

/* op_verb.begin and .end of all kinds. */
int snapshot_begin(struct op *op, struct db_txn *txn, struct err *err);
void snapshot_end(struct op *op, struct db_txn *txn);

/* Name of the snapshot that the operation is about. */
const char *op_snapshot(const struct op *op);

/* op_verb.begin of what needs that snapshot. */
int has_snapshot_begin(struct op *op, struct db_txn *txn, struct err *err);

/* An event that names guest and snapshot. */
void snapshot_event(struct op *op, const char *type, struct db_txn *txn);

/* --- Images (image_verbs.c, image_driver.c) --------------------------------------------------- */

/* An operation about an image: `args` (taken over) have its name and kind. */
int op_plan_image(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	const char *name, json_t *args, struct err *err);
int op_image_restore(struct op *op, struct err *err); /* op_verb.restore */
enum image_kind op_image_kind(const json_t *args);
void image_event(struct op *op, const char *type, struct db_txn *txn);

/* plan_image_import and plan_image_delete of those that a driver's daemon keeps. */
int plan_image_load(struct agent *agent, struct op_plan *ret, const struct image_upload *upload,
	struct err *err);
int plan_image_remove(
	struct agent *agent, struct op_plan *ret, const struct image *image, struct err *err);

/* --- Ports ----------------------------------------------------------------------------------- */

struct net_port net_port_of(const struct port *port, uint32_t address);

/* Takes that very host port, or any free one that nothing on the node listens on. */
int port_claim(struct agent *agent, const struct port *port, const char *field, struct err *err);
int port_choose(struct agent *agent, struct port *port, struct err *err);
