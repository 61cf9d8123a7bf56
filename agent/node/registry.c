/* The table of guests in memory. */
#include "agent/node/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

/* A name that a guest is to get. */
struct kept_name {
	char *name;
	char id[GUEST_ID_LEN + 1];
	UT_hash_handle hh;
};

struct registry {
	char *node_address;
	struct kept_name *kept;
	struct guest_entry *ids, *names; /* heads of the two hashes */
	struct guest_entry **sorted;
	size_t count, room;
	uint64_t version;
};

int registry_create(const char *node_address, struct registry **ret, struct err *err)
{
	struct registry *registry = calloc(1, sizeof(*registry));

	if (registry && node_address)
		registry->node_address = strdup(node_address);
	if (!registry || (node_address && !registry->node_address)) {
		free(registry);
		return err_errno(err, ENOMEM, "cannot make the table of guests");
	}
	*ret = registry;
	return 0;
}

static void entry_free(struct guest_entry *entry)
{
	guest_free(entry->guest);
	free(entry->json);
	free(entry);
}

static void forget_name(struct registry *registry, struct kept_name *kept)
{
	HASH_DEL(registry->kept, kept);
	free(kept->name);
	free(kept);
}

struct registry *registry_destroy(struct registry *registry)
{
	if (!registry)
		return NULL;
	HASH_CLEAR(by_id, registry->ids);
	HASH_CLEAR(by_name, registry->names);
	for (size_t i = 0; i < registry->count; i++)
		entry_free(registry->sorted[i]);
	while (registry->kept)
		forget_name(registry, registry->kept);
	free(registry->sorted);
	free(registry->node_address);
	free(registry);
	return NULL;
}

size_t registry_after(const struct registry *registry, const char *name)
{
	size_t low = 0, high = registry->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(registry->sorted[middle]->guest->name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct registry *registry)
{
	size_t room = registry->room ? registry->room * 2 : 64;
	struct guest_entry **grown;

	if (registry->count < registry->room)
		return 0;
	grown = reallocarray(registry->sorted, room, sizeof(struct guest_entry *));
	if (!grown)
		return -ENOMEM;
	registry->sorted = grown;
	registry->room = room;
	return 0;
}

/* Whether the guest of that id may take the name. */
static int check_name(
	const struct registry *registry, const char *name, const char *id, struct err *err)
{
	struct kept_name *kept;
	struct guest_entry *entry;

	HASH_FIND(by_name, registry->names, name, strlen(name), entry);
	if (entry && strcmp(entry->guest->id, id) != 0)
		return err_set(err, ERR_EXISTS, "name",
			"a guest named %s exists already (id %s, %s)", name, entry->guest->id,
			guest_state_to_string(entry->guest->state));
	HASH_FIND_STR(registry->kept, name, kept);
	if (kept)
		return err_set(err, ERR_EXISTS, "name",
			"guest %s is being renamed to %s: choose another name, or wait", kept->id,
			name);
	return 0;
}

static void list_entry(struct registry *registry, struct guest_entry *entry)
{
	const char *name = entry->guest->name;
	size_t at = registry_after(registry, name);

	memmove(registry->sorted + at + 1, registry->sorted + at,
		(registry->count - at) * sizeof(struct guest_entry *));
	registry->sorted[at] = entry;
	registry->count++;
	registry->version++;
	HASH_ADD_KEYPTR(by_name, registry->names, name, strlen(name), entry);
}

static void unlist_entry(struct registry *registry, struct guest_entry *entry)
{
	size_t at = registry_after(registry, entry->guest->name) - 1;

	HASH_DELETE(by_name, registry->names, entry);
	registry->count--;
	registry->version++;
	memmove(registry->sorted + at, registry->sorted + at + 1,
		(registry->count - at) * sizeof(struct guest_entry *));
}

int registry_add(
	struct registry *registry, struct guest *guest, struct guest_entry **ret, struct err *err)
{
	struct guest_entry *entry;
	int r = check_name(registry, guest->name, guest->id, err);

	if (r < 0)
		return r;
	entry = calloc(1, sizeof(*entry));
	if (!entry || make_room(registry) < 0) {
		free(entry);
		return err_errno(err, ENOMEM, "cannot add guest %s", guest->name);
	}
	entry->guest = guest;
	entry->projected = guest->state;
	entry->exit_status = -1;
	HASH_ADD_KEYPTR(by_id, registry->ids, guest->id, GUEST_ID_LEN, entry);
	list_entry(registry, entry);
	*ret = entry;
	return 0;
}

void registry_remove(struct registry *registry, struct guest_entry *entry)
{
	HASH_DELETE(by_id, registry->ids, entry);
	unlist_entry(registry, entry);
	entry_free(entry);
}

int registry_keep_name(struct registry *registry, const char *name, const char *id, struct err *err)
{
	struct kept_name *kept;
	int r = check_name(registry, name, id, err);

	if (r < 0)
		return r;
	kept = calloc(1, sizeof(*kept));
	if (kept)
		kept->name = strdup(name);
	if (!kept || !kept->name) {
		free(kept);
		return err_errno(err, ENOMEM, "cannot keep the name %s", name);
	}
	memcpy(kept->id, id, GUEST_ID_LEN);
	HASH_ADD_KEYPTR(hh, registry->kept, kept->name, strlen(kept->name), kept);
	return 0;
}

void registry_release_name(struct registry *registry, const char *name, const char *id)
{
	struct kept_name *kept;

	HASH_FIND_STR(registry->kept, name, kept);
	if (kept && strcmp(kept->id, id) == 0)
		forget_name(registry, kept);
}

int registry_rename(struct registry *registry, struct guest_entry *entry, const char *name)
{
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	unlist_entry(registry, entry);
	free(entry->guest->name);
	entry->guest->name = copy;
	list_entry(registry, entry);
	registry_changed(registry, entry);
	return 0;
}

struct guest_entry *registry_by_id(const struct registry *registry, const char *id)
{
	struct guest_entry *entry;

	HASH_FIND(by_id, registry->ids, id, GUEST_ID_LEN, entry);
	return entry;
}

struct guest_entry *registry_by_name(
	const struct registry *registry, const char *name, struct err *err)
{
	struct guest_entry *entry;

	HASH_FIND(by_name, registry->names, name, strlen(name), entry);
	if (!entry)
		err_set(err, ERR_NOT_FOUND, NULL, "there is no guest named %s", name);
	return entry;
}

struct guest_entry *const *registry_sorted(const struct registry *registry, size_t *ret_count)
{
	*ret_count = registry->count;
	return registry->sorted;
}

void registry_changed(struct registry *registry, struct guest_entry *entry)
{
	entry->guest->generation++;
	registry_refreshed(registry, entry);
}

void registry_refreshed(struct registry *registry, struct guest_entry *entry)
{
	registry->version++;
	free(TAKE_PTR(entry->json));
}

uint64_t registry_version(const struct registry *registry)
{
	return registry->version;
}

const char *registry_json(struct registry *registry, struct guest_entry *entry, size_t *ret_size)
{
	if (!entry->json) {
		json_t *json = guest_to_json(entry->guest, registry->node_address);

		entry->json =
			json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
		entry->json_size = entry->json ? strlen(entry->json) : 0;
		json_decref(json);
	}
	*ret_size = entry->json_size;
	return entry->json;
}

uint32_t registry_slots_used(const struct registry *registry, uint32_t *ret_reserved)
{
	uint32_t used = 0;

	*ret_reserved = 0;
	for (size_t i = 0; i < registry->count; i++) {
		const struct guest_entry *entry = registry->sorted[i];

		used += entry->guest->slots + entry->slots_extra;
		*ret_reserved += entry->slots_extra;
		if (entry->guest->state == GUEST_CREATING)
			*ret_reserved += entry->guest->slots;
	}
	return used;
}

/* What a name of the kind oci means may change; what a guest was made of does not. */
static bool is_made_of(const struct guest *guest, const struct image *image)
{
	if (guest_image_kind(guest) != image->kind)
		return false;
	if (image->kind != IMAGE_OCI)
		return strcmp(guest->image, image->name) == 0;
	return strcmp(guest->driver, image->driver) == 0 &&
	       strcmp(guest->container->image_id, image->id) == 0;
}

uint32_t registry_image_users(const struct registry *registry, const struct image *image)
{
	uint32_t users = 0;

	for (size_t i = 0; i < registry->count; i++) {
		const struct guest *guest = registry->sorted[i]->guest;

		users += is_made_of(guest, image);
	}
	return users;
}
