/* What the agent asks for about layers: keeping them for snapshots, and going back to them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/hold.h"
#include "drivers/docker/image.h"
#include "drivers/docker/layer.h"
#include "drivers/docker/make.h"
#include "drivers/docker/reply.h"

#define CALL_MS 295000

static int keep(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	char reference[LAYER_REFERENCE_MAX], id[LAYER_ID_MAX];
	CLEANUP(layer_finish) struct layer kept = {0};
	struct layer_wish wish = {.repository = IMAGE_SNAPSHOTS, .most = LAYERS_LIMIT};
	int r;

	(void)ret;
	layer_reference(g->definition.guest.id, name, reference);
	wish.tag = strchr(reference, ':') + 1;
	if (layer_look(g->engine, reference, &kept, NULL) == 0)
		return 0;
	if (!g->info)
		return err_set(err, ERR_DRIVER, NULL,
			"the container of guest %s was removed by hand: there is no layer to keep",
			g->definition.guest.id);
	r = hold_by_dockerd(g, err);
	if (r < 0)
		return r;
	r = layer_keep(g, guest_container(g), &wish, id, err);
	hold_by_dockerd_end(g, r == 0);
	return r;
}

static int drop(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	char reference[LAYER_REFERENCE_MAX];

	(void)ret;
	layer_reference(g->definition.guest.id, name, reference);
	return layer_drop(g, reference, err);
}

/* Its container that is aside, or that is not; a copy of the id, NULL: there is none. */
static int find(struct docker_guest *g, bool aside, char **ret, struct err *err)
{
	const char *id = g->definition.guest.id;
	json_t *list = NULL, *entry, *found = NULL;
	size_t i;
	int r = guest_containers(g, &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, entry)
		if (aside && guest_is_aside(entry))
			found = entry;
	if (!aside)
		found = guest_choose(list, id, NULL);
	*ret = found ? strdup(reply_text_or_none(found, "Id")) : NULL;
	json_decref(list);
	return 0;
}

static int save(struct docker_guest *g, struct err *err)
{
	const char *container = guest_container(g);
	json_t *own = container ? json_pack("{s:s}", OWN_CONTAINER, container) : NULL;
	int r = definition_save(g->paths.definition, &g->definition.guest, own, err);

	json_decref(own);
	return r;
}

/* All of them but what is aside. */
static int remove_current(struct docker_guest *g, struct err *err)
{
	json_t *list = NULL, *entry;
	size_t i;
	int r = guest_containers(g, &list, err);

	json_array_foreach (list, i, entry)
		if (r == 0 && !guest_is_aside(entry))
			r = make_remove(g, reply_text_or_none(entry, "Id"), err);
	json_decref(list);
	return r;
}

/* What a restore before this one has put aside stays so: it is what the guest had. */
static int put_aside(struct docker_guest *g, const char *aside, struct err *err)
{
	AUTOFREE char *current = NULL;
	int r;

	if (aside)
		return remove_current(g, err);
	r = find(g, false, &current, err);
	return r == 0 && current
		       ? make_rename(g, current, &g->definition.guest, DEFINE_NAME_ASIDE, err)
		       : r;
}

static int restore(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	CLEANUP(make_finish) struct make m = {0};
	CLEANUP(layer_finish) struct layer kept = {0};
	AUTOFREE char *aside = NULL;
	char reference[LAYER_REFERENCE_MAX];
	int r;

	(void)ret;
	if (guest_is_active(g))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is running",
			g->definition.guest.id);
	layer_reference(g->definition.guest.id, name, reference);
	/* Before anything is changed. */
	r = layer_look(g->engine, reference, &kept, err);
	if (r == 0)
		r = make_begin(g, &g->definition.guest, &m, err);
	if (r == 0)
		r = find(g, true, &aside, err);
	if (r == 0)
		r = put_aside(g, aside, err);
	fault_point("driver.docker.restore.aside");
	if (r == 0)
		r = make_from(&m, reference, DEFINE_NAME, err);
	fault_point("driver.docker.restore.made");
	if (r == 0 && kept.layers > g->docker->layers_most)
		r = make_flat(&m, err);
	return r == 0 ? save(g, err) : r;
}

static int undo(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	AUTOFREE char *aside = NULL;
	int r = find(g, true, &aside, err);

	(void)name;
	(void)ret;
	if (r < 0 || !aside)
		return r;
	r = remove_current(g, err);
	fault_point("driver.docker.undo.removed");
	if (r == 0)
		r = make_rename(g, aside, &g->definition.guest, DEFINE_NAME, err);
	layer_tidy(g);
	if (r == 0)
		r = guest_look(g, err);
	return r == 0 ? save(g, err) : r;
}

static int finish(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	AUTOFREE char *aside = NULL;
	int r = find(g, true, &aside, err);

	(void)name;
	(void)ret;
	if (r == 0 && aside)
		r = make_remove_container(g, aside, err);
	fault_point("driver.docker.finish.removed");
	if (r == 0) {
		layer_tidy(g);
		destroy_unused_volumes(g);
	}
	return r;
}

static int bound(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	(void)name;
	(void)err;
	if (ret && g->info)
		ret->bounded = guest_layer_bound(g->info, &ret->size);
	return 0;
}

static int usage(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	json_t *info = NULL;
	int64_t used;
	int r;

	(void)name;
	if (!ret || !g->info)
		return 0;
	r = engine_call(g->engine,
		&(struct engine_request){.path = "/containers/{}/json",
			.name = guest_container(g),
			.query = {{"size", "1"}},
			.what = "measure the container's layer"},
		&info, err);
	if (r < 0)
		return r;
	used = reply_number_or_none(info, "SizeRw");
	if (used < 0)
		r = err_set(err, ERR_DRIVER, NULL, "dockerd cannot measure the container's layer");
	else
		*ret = (struct driver_layer_result){.used = (uint64_t)used};
	ret->bounded = guest_layer_bound(info, &ret->size);
	json_decref(info);
	return r;
}

static int (*const WORKS[])(struct docker_guest *g, const char *name,
	struct driver_layer_result *ret, struct err *err) = {
	[DRIVER_LAYER_KEEP] = keep,
	[DRIVER_LAYER_DROP] = drop,
	[DRIVER_LAYER_RESTORE] = restore,
	[DRIVER_LAYER_RESTORE_UNDO] = undo,
	[DRIVER_LAYER_RESTORE_FINISH] = finish,
	[DRIVER_LAYER_USAGE] = usage,
	[DRIVER_LAYER_BOUND] = bound,
};

int docker_layer(struct driver *d, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_connect(d, id, CALL_MS, &g, err);

	return r < 0 ? r : WORKS[work->op](&g, work->name, ret, err);
}
