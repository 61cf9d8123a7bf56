/* Guests made of images that their driver's daemon keeps: what the node decides for them, and how
 * they are made. docs/docker.md */
#include <errno.h>
#include <string.h>

#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"

int container_settle(struct agent *agent, struct guest *guest, struct err *err)
{
	const struct agent_driver *driver;

	if (!guest->container || guest->container->data)
		return 0;
	driver = agent_driver(agent, guest->driver, err);
	if (!driver)
		return -EINVAL;
	return strv_copy(&guest->container->data, driver->settings->data_paths)
		       ? 0
		       : err_errno(err, ENOMEM, "cannot change guest %s", guest->name);
}

/* --- What its image means -------------------------------------------------------------------- */

static void image_found(struct op *op, const struct driver_reply *reply)
{
	struct agent *agent = op->agent;
	struct guest_entry *entry = op_guest(op);
	struct db_txn *txn;

	if (!entry || !entry->guest->container || reply->images_count != 1)
		return;
	memcpy(entry->guest->container->image_id, reply->images[0].id,
		sizeof(entry->guest->container->image_id));
	registry_changed(agent->registry, entry);
	txn = db_txn_create();
	db_put_guest(txn, entry->guest);
	agent_commit(agent, txn, false, NULL, NULL);
}

/* Once: from then on the name may mean another image, and this guest stays what it is. */
static void image_apply(struct op *op)
{
	const struct guest_entry *entry = op_guest(op);

	if (entry && entry->guest->container && *entry->guest->container->image_id) {
		op_step_done(op, 0, NULL);
		return;
	}
	driver_step_image(op,
		&(struct driver_image_work){.op = DRIVER_IMAGE_FIND,
			.name = entry ? entry->guest->image : "",
			.fd = -1,
			.whole_fd = -1,
			.progress_fd = -1},
		image_found);
}

static const struct step CREATE_STEPS[] = {
	{"image", image_apply, NULL},
	{"volume", step_make_volume, step_remove_volume},
	{"attach", step_attach, step_detach},
	{"define", step_define, step_undefine},
	{"publish", step_publish_all, step_unpublish_all},
	{"start", step_start_if_wanted, step_kill},
	{"link", step_link, NULL},
};

const struct op_verb CREATE_CONTAINER = {
	.name = "guest.create",
	.steps = CREATE_STEPS,
	.steps_count = ARRAY_SIZE(CREATE_STEPS),
	.restore = op_guest_restore,
	.end = create_end,
	.reject = create_reject,
};

/* --- Its layer ------------------------------------------------------------------------------- */

static void layer(struct op *op, enum driver_layer_op what)
{
	driver_step_layer(
		op, NULL, &(struct driver_layer_work){.op = what, .name = op_snapshot(op)});
}

void step_layer_keep(struct op *op)
{
	layer(op, DRIVER_LAYER_KEEP);
}

void step_layer_drop(struct op *op)
{
	layer(op, DRIVER_LAYER_DROP);
}

void step_layer_restore(struct op *op)
{
	layer(op, DRIVER_LAYER_RESTORE);
}

void step_layer_restore_undo(struct op *op)
{
	layer(op, DRIVER_LAYER_RESTORE_UNDO);
}

void step_layer_restore_finish(struct op *op)
{
	driver_step_layer_surely(
		op, NULL, &(struct driver_layer_work){.op = DRIVER_LAYER_RESTORE_FINISH});
}
