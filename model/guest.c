/* Guests in memory: made with the defaults of the API, copied, released. */
#include "model/guest.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/strv.h"
#include "model/guest_fields.h"

static const char *const STATES[] = {
	[GUEST_ABSENT] = "absent",
	[GUEST_CREATING] = "creating",
	[GUEST_STOPPED] = "stopped",
	[GUEST_STARTING] = "starting",
	[GUEST_RUNNING] = "running",
	[GUEST_FREEZING] = "freezing",
	[GUEST_FROZEN] = "frozen",
	[GUEST_STOPPING] = "stopping",
	[GUEST_DESTROYING] = "destroying",
	[GUEST_ERROR] = "error",
	[GUEST_UNKNOWN] = "unknown",
};

DEFINE_NAMES(guest_state, STATES)

struct guest *guest_create(void)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	strcpy(guest->driver, "lxc");
	strcpy(guest->environment, "dev");
	guest->slots = 1;
	guest->storage_size = GUEST_STORAGE_DEFAULT;
	guest->autostart.on = true;
	guest->restart.max = GUEST_RESTARTS_DEFAULT;
	guest->want_running = true;
	return guest;
}

void guest_clear_labels(struct guest *guest)
{
	for (size_t i = 0; i < guest->labels_count; i++) {
		free(guest->labels[i].key);
		free(guest->labels[i].value);
	}
	free(guest->labels);
	guest->labels = NULL;
	guest->labels_count = 0;
}

const char *guest_seed_to_string(enum guest_seed part)
{
	switch (part) {
	case GUEST_SEED_NAME: return "name";
	case GUEST_SEED_KEYS: return "ssh_keys";
	case GUEST_SEED_USER_DATA: return "user_data";
	}
	return "unknown";
}

/* At its first boot it finds all as it is then. */
void guest_note_seed(struct guest *guest, uint32_t parts)
{
	/* A container's name is its driver's to tell it. */
	if (guest->container)
		parts &= ~(uint32_t)GUEST_SEED_NAME;
	if (guest_image_kind(guest) != IMAGE_TREE && guest->first_boot_done)
		guest->seed_pending |= parts;
}

enum image_kind guest_image_kind(const struct guest *guest)
{
	return guest->container ? IMAGE_OCI : guest->disk ? IMAGE_DISK : IMAGE_TREE;
}

struct guest *guest_free(struct guest *guest)
{
	if (!guest)
		return NULL;
	guest_clear_labels(guest);
	free(guest->name);
	free(guest->image);
	free(guest->ports);
	free(guest->problem);
	guest_health_finish(&guest->health);
	strv_free(guest->ssh_keys);
	strv_free(guest->raw);
	free(guest->user_data);
	free(guest->snapshots);
	free(guest->disk);
	guest_container_free(guest->container);
	json_decref(guest->runs_with);
	free(guest);
	return NULL;
}

void guest_freep(struct guest **guest)
{
	*guest = guest_free(*guest);
}

static bool copy_ports(struct guest *copy, const struct guest *guest)
{
	if (guest->ports_count == 0)
		return true;
	copy->ports = calloc(guest->ports_count, sizeof(*copy->ports));
	if (!copy->ports)
		return false;
	memcpy(copy->ports, guest->ports, guest->ports_count * sizeof(*copy->ports));
	copy->ports_count = guest->ports_count;
	return true;
}

static bool copy_snapshots(struct guest *copy, const struct guest *guest)
{
	if (guest->snapshots_count == 0)
		return true;
	copy->snapshots = calloc(guest->snapshots_count, sizeof(*copy->snapshots));
	if (!copy->snapshots)
		return false;
	memcpy(copy->snapshots, guest->snapshots,
		guest->snapshots_count * sizeof(*copy->snapshots));
	copy->snapshots_count = guest->snapshots_count;
	return true;
}

static bool copy_disk(struct guest *copy, const struct guest *guest)
{
	if (!guest->disk)
		return true;
	copy->disk = malloc(sizeof(*copy->disk));
	if (!copy->disk)
		return false;
	*copy->disk = *guest->disk;
	return true;
}

static bool copy_runs_with(struct guest *copy, const struct guest *guest)
{
	copy->runs_with = json_deep_copy(guest->runs_with);
	return copy->runs_with || !guest->runs_with;
}

static bool copy_labels(struct guest *copy, const struct guest *guest)
{
	if (guest->labels_count == 0)
		return true;
	copy->labels = calloc(guest->labels_count, sizeof(*copy->labels));
	if (!copy->labels)
		return false;
	copy->labels_count = guest->labels_count;
	for (size_t i = 0; i < guest->labels_count; i++)
		if (!strv_copy_one(&copy->labels[i].key, guest->labels[i].key) ||
			!strv_copy_one(&copy->labels[i].value, guest->labels[i].value))
			return false;
	return true;
}

bool guest_limits_equal(const struct guest_limits *a, const struct guest_limits *b)
{
	return a->cpu_milli == b->cpu_milli && a->memory == b->memory && a->swap == b->swap &&
	       a->pids == b->pids && a->io_weight == b->io_weight && a->io_read == b->io_read &&
	       a->io_write == b->io_write && a->net_ingress == b->net_ingress &&
	       a->net_egress == b->net_egress;
}

static bool copy_texts(struct guest *copy, const struct guest *guest)
{
	return strv_copy_one(&copy->name, guest->name) &&
	       strv_copy_one(&copy->image, guest->image) &&
	       strv_copy_one(&copy->problem, guest->problem) &&
	       strv_copy_one(&copy->user_data, guest->user_data);
}

static bool copy_lists(struct guest *copy, const struct guest *guest)
{
	return copy_ports(copy, guest) && copy_labels(copy, guest) && copy_snapshots(copy, guest) &&
	       strv_copy(&copy->ssh_keys, guest->ssh_keys) && strv_copy(&copy->raw, guest->raw) &&
	       guest_health_copy(&copy->health, &guest->health) && copy_disk(copy, guest) &&
	       copy_runs_with(copy, guest) &&
	       guest_container_copy(&copy->container, guest->container);
}

struct guest *guest_copy(const struct guest *guest)
{
	CLEANUP(guest_freep) struct guest *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *guest;
	/* What is owned is not shared, also when a copy fails half-way. */
	copy->name = copy->image = copy->problem = copy->user_data = NULL;
	copy->ssh_keys = copy->raw = NULL;
	copy->health = (struct guest_health){0};
	copy->ports = NULL;
	copy->labels = NULL;
	copy->snapshots = NULL;
	copy->disk = NULL;
	copy->container = NULL;
	copy->runs_with = NULL;
	copy->ports_count = copy->labels_count = copy->snapshots_count = 0;
	return copy_texts(copy, guest) && copy_lists(copy, guest) ? TAKE_PTR(copy) : NULL;
}

const struct port *guest_port_by_purpose(const struct guest *guest, const char *purpose)
{
	for (size_t i = 0; i < guest->ports_count; i++)
		if (strcmp(guest->ports[i].purpose, purpose) == 0)
			return &guest->ports[i];
	return NULL;
}

const char *guest_etag(char buf[static GUEST_ETAG_MAX], const struct guest *guest)
{
	snprintf(buf, GUEST_ETAG_MAX, "%s-%" PRIu64, guest->id, guest->generation);
	return buf;
}
