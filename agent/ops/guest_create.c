/* Creation of a guest. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/engine/engine.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/seed/seed.h"
#include "agent/sessions/sessions.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/random.h"

void step_start_if_wanted(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (entry && entry->guest->want_running)
		step_start(op);
	else
		op_step_done(op, 0, NULL);
}

/* Out of the tables, with all that it held. */
void guest_forget(struct agent *agent, struct guest_entry *entry)
{
	if (agent->hooks.gone)
		agent->hooks.gone(agent, entry);
	guest_release_numbers(agent, entry->guest);
	sessions_guest_gone(agent->sessions, entry->guest->id);
	registry_remove(agent->registry, entry);
}

void guest_event(
	struct agent *agent, const struct guest *guest, const char *type, struct db_txn *txn)
{
	events_publish(agent->events, txn, type,
		json_pack("{s:s, s:s, s:s, s:s}", "id", guest->id, "name", guest->name, "target",
			guest->name, "driver", guest->driver));
}

void guest_gone(struct agent *agent, struct guest_entry *entry, struct db_txn *txn)
{
	db_delete_guest(txn, entry->guest->id);
	guest_event(agent, entry->guest, "guest.destroyed", txn);
	guest_forget(agent, entry);
}

void create_end(struct op *op, struct db_txn *txn)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE) {
		agent_set_guest_state(agent, entry,
			entry->guest->want_running ? GUEST_RUNNING : GUEST_STOPPED, NULL, txn);
		/* Nothing to run: that need not be found out, and written, by itself. */
		entry->guest->first_boot_done |=
			entry->guest->want_running && !entry->guest->user_data;
		if (entry->guest->container && entry->guest->ssh_keys)
			guest_note_seed(entry->guest, GUEST_SEED_KEYS);
		db_put_guest(txn, entry->guest);
		guest_event(agent, entry->guest, "guest.created", txn);
		op_guest_left(op, entry);
		return;
	}
	if (op->info.started_ms && !agent_driver(agent, entry->guest->driver, NULL)) {
		/* Taken up without its driver, nothing was undone. */
		op_guest_failed(op, entry, txn);
		return;
	}
	guest_gone(agent, entry, txn);
}

void create_reject(struct op *op)
{
	struct guest_entry *entry = op_guest(op);

	if (entry)
		guest_forget(op->agent, entry);
}

static const struct step CREATE_STEPS[] = {
	{"volume", step_make_volume, step_remove_volume},
	{"seed", step_seed, NULL},
	{"attach", step_attach, step_detach},
	{"define", step_define, step_undefine},
	{"publish", step_publish_all, step_unpublish_all},
	{"start", step_start_if_wanted, step_kill},
	{"link", step_link, NULL},
};

static const struct op_verb *create_variant(const json_t *args)
{
	return json_is_true(json_object_get(args, "container")) ? &CREATE_CONTAINER : &GUEST_CREATE;
}

const struct op_verb GUEST_CREATE = {
	.name = "guest.create",
	.variant = create_variant,
	.steps = CREATE_STEPS,
	.steps_count = ARRAY_SIZE(CREATE_STEPS),
	.restore = op_guest_restore,
	.end = create_end,
	.reject = create_reject,
};

static int check_node(struct agent *agent, uint32_t slots, struct err *err)
{
	uint32_t reserved, total = agent_slots_total(agent);
	uint32_t used = registry_slots_used(agent->registry, &reserved);

	if (agent->mode != NODE_ACTIVE)
		return err_set(err, ERR_NO_SLOT, NULL,
			"the node takes no new guests: its mode is %s (set it to active, or use "
			"another node)",
			node_mode_to_string(agent->mode));
	if (slots > total || used > total - slots)
		return err_set(err, ERR_NO_SLOT, "slots",
			"the node is full: %u of %u slots are used and %u asked for", used, total,
			slots);
	return 0;
}

/* --- The plan -------------------------------------------------------------------------------- */

static int check_new(struct agent *agent, const struct guest *guest, struct err *err)
{
	struct agent_driver *driver = agent_driver(agent, guest->driver, err);
	struct err taken;

	if (!driver)
		return -EINVAL;
	if (driver->info.name[0] && !driver->info.usable)
		return err_set(err, ERR_UNAVAILABLE, "driver",
			"driver %s does not work on this node: %s", guest->driver,
			driver->info.problem);
	if (!agent->storage || !agent->net)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"the node's storage or network is not in order now, see its problems in "
			"/v1/node");
	if (registry_by_name(agent->registry, guest->name, &taken))
		return err_set(
			err, ERR_EXISTS, "name", "a guest named %s exists already", guest->name);
	return check_node(agent, guest->slots, err);
}

static void name_new_guest(struct agent *agent, struct guest *guest)
{
	do
		random_hex(guest->id, GUEST_ID_LEN);
	while (registry_by_id(agent->registry, guest->id));
	guest->created_ms = guest->since_ms = clock_realtime_ms();
	guest->state = GUEST_CREATING;
	/* What is in a container may have no place for one. */
	if (!guest->container)
		seed_password(guest->password);
}

int guest_plan_new(struct agent *agent, struct op_plan *plan, const struct op_verb *verb,
	struct guest *guest, json_t *args, struct err *err)
{
	CLEANUP(guest_freep) struct guest *owned = guest;
	json_auto_t *owned_args = args;
	struct guest_entry *entry;
	int r = check_new(agent, guest, err);

	if (r < 0)
		return r;
	r = guest_choose_numbers(agent, guest, err);
	if (r == 0) {
		name_new_guest(agent, guest);
		r = registry_add(agent->registry, guest, &entry, err);
	}
	if (r != 0) {
		guest_release_numbers(agent, guest);
		return r;
	}
	(void)TAKE_PTR(owned);
	r = op_plan_guest(agent, plan, verb, entry, json_incref(args), err);
	if (r < 0) {
		guest_forget(agent, entry);
		return r;
	}
	entry->projected = guest->want_running ? GUEST_RUNNING : GUEST_STOPPED;
	db_put_guest(plan->txn, guest);
	return 0;
}

/* --- The image ------------------------------------------------------------------------------- */

/* An image of that name and of another kind, for whoever wonders. */
static const struct image *other_kind(
	const struct agent *agent, const char *name, enum image_kind kind)
{
	for (size_t i = 0; i < agent->images_count; i++)
		if (agent->images[i].kind != kind && strcmp(agent->images[i].name, name) == 0)
			return &agent->images[i];
	return NULL;
}

static int no_image(
	struct agent *agent, const struct guest *guest, enum image_kind kind, struct err *err)
{
	const struct image *other = other_kind(agent, guest->image, kind);
	const char *name = image_kind_to_string(kind);

	if (other)
		return err_set(err, ERR_NOT_FOUND, "image",
			"the driver %s takes images of the kind %s, and %s is only there as a %s: "
			"import or build it as a %s, too",
			guest->driver, name, guest->image, image_kind_to_string(other->kind), name);
	return err_set(err, ERR_NOT_FOUND, "image",
		"there is no image %s of the kind %s on this node, which the driver %s takes: "
		"import or build it first",
		guest->image, name, guest->driver);
}

/* What the guest's driver makes its guests of. */
static int choose_kind(
	struct agent *agent, const struct guest *guest, enum image_kind *ret, struct err *err)
{
	const struct agent_driver *driver = agent_driver(agent, guest->driver, err);

	return driver ? agent_driver_kind(driver, ret, err) : -EINVAL;
}

/* Whether its daemon has the image is for its driver to find out. */
static int take_container(struct agent *agent, struct guest *guest, struct err *err)
{
	int r = name_check_reference(guest->image, "image", err);

	if (r < 0)
		return r;
	if (!guest->container)
		guest->container = guest_container_create();
	return guest->container ? container_settle(agent, guest, err)
				: err_errno(err, ENOMEM, "cannot make a guest");
}

static int take_disk(struct guest *guest, const struct image *image, struct err *err)
{
	if (guest->storage_size < image->disk.size)
		return err_set(err, ERR_INVALID, "storage.size",
			"the disk of image %s has %s: the least possible size is %llu bytes",
			image->name, FMT_SIZE(image->disk.size),
			(unsigned long long)image->disk.size);
	guest->disk = malloc(sizeof(*guest->disk));
	if (!guest->disk)
		return err_errno(err, ENOMEM, "cannot make a guest");
	*guest->disk = image->disk;
	return 0;
}

static int take_image(
	struct agent *agent, struct guest *guest, enum image_kind kind, struct err *err)
{
	const struct image *image;

	if (kind == IMAGE_OCI)
		return take_container(agent, guest, err);
	if (guest->container)
		return err_set(err, ERR_INVALID, "container",
			"container is only for guests whose driver takes images of the kind oci: "
			"%s takes those of the kind %s",
			guest->driver, image_kind_to_string(kind));
	image = agent_image(agent, kind, guest->image);
	if (!image)
		return no_image(agent, guest, kind, err);
	return kind == IMAGE_DISK ? take_disk(guest, image, err) : 0;
}

int plan_guest_create(
	struct agent *agent, struct op_plan *plan, struct guest *guest, struct err *err)
{
	enum image_kind kind = IMAGE_TREE;
	int r = choose_kind(agent, guest, &kind, err);

	if (r == 0)
		r = take_image(agent, guest, kind, err);
	if (r == 0)
		return guest_plan_new(agent, plan,
			kind == IMAGE_OCI ? &CREATE_CONTAINER : &GUEST_CREATE, guest,
			json_pack("{s:b}", "container", kind == IMAGE_OCI), err);
	guest_free(guest);
	return r;
}
