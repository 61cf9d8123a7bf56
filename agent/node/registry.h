/* The table of guests in memory: what reads are answered from. Owned by the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "model/guest.h"

struct err;
struct registry;

struct guest_entry {
	struct guest *guest; /* owned; after a change of it call registry_changed */
	/* The state that the operations accepted so far will lead to: what the next one is checked
	 * against. */
	enum guest_state projected;
	unsigned pending;	 /* operations accepted and not ended */
	uint64_t moved;		 /* agent->moves when its last operation ended */
	uint64_t told;		 /* agent->tales when its driver last saw it change */
	uint32_t slots_extra;	 /* that accepted changes will add to guest->slots */
	int exit_status;	 /* driver_status.exit_status, as it was seen last */
	struct life_guest *life; /* agent/life's own */
	bool stale; /* the driver reported a change while one was under way: ask it again */
	char *json; /* rendered for the API; NULL: not yet. Use registry_json */
	size_t json_size;
	UT_hash_handle by_id, by_name;
};

int registry_create(const char *node_address, struct registry **ret, struct err *err);
struct registry *registry_destroy(struct registry *registry);

/* Takes the guest over. ERR_EXISTS when the name is taken, or kept for another. */
int registry_add(
	struct registry *registry, struct guest *guest, struct guest_entry **ret, struct err *err);

/* Removes and frees it. */
void registry_remove(struct registry *registry, struct guest_entry *entry);

/* Keeps a name for the guest of that id, which is to get it. ERR_EXISTS (field name) when another
 * guest has it, or when it is kept already. */
int registry_keep_name(
	struct registry *registry, const char *name, const char *id, struct err *err);

/* Ends that; for a name that is not kept for that guest it does nothing. */
void registry_release_name(struct registry *registry, const char *name, const char *id);

/* Gives the guest another name, which no other guest has. -ENOMEM, and it has its old one. */
int registry_rename(struct registry *registry, struct guest_entry *entry, const char *name);

struct guest_entry *registry_by_id(const struct registry *registry, const char *id);

/* NULL and ERR_NOT_FOUND. */
struct guest_entry *registry_by_name(
	const struct registry *registry, const char *name, struct err *err);

/* All entries sorted by name; valid until the next add or remove. */
struct guest_entry *const *registry_sorted(const struct registry *registry, size_t *ret_count);

/* Index in the sorted array of the first entry whose name sorts after `name`. */
size_t registry_after(const struct registry *registry, const char *name);

/* The guest was changed: its generation grows, what was rendered is forgotten. */
void registry_changed(struct registry *registry, struct guest_entry *entry);

/* Only what passes was changed (its pid): rendered anew, with the same generation. */
void registry_refreshed(struct registry *registry, struct guest_entry *entry);

/* Grows with every change of the table or of a guest in it. */
uint64_t registry_version(const struct registry *registry);

/* The guest as the API shows it, rendered once for each change. NULL without memory. */
const char *registry_json(struct registry *registry, struct guest_entry *entry, size_t *ret_size);

/* Sum of the slots of all guests; of those, the ones that are reserved for what is not done yet. */
uint32_t registry_slots_used(const struct registry *registry, uint32_t *ret_reserved);

/* How many guests are made of the image. */
uint32_t registry_image_users(const struct registry *registry, const struct image *image);
