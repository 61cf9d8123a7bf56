/* First boot: what the node puts into a guest's files so that it knows who it is and who may come
 * in, and what of it follows later changes (a name, keys). docs/first-boot.md is its page.
 *
 * The guest's root may be anything, and may race: what is not a plain file in plain directories is
 * left alone. Where somebody asked for it in so many words (keys, user data) that fails with the
 * path; where we only wanted to be of use (names, the password, /this_host) it is left out and
 * reported, also when the guest is full. Everything can be repeated. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/guest.h"

struct err;
struct storage;

enum seed_part {
	SEED_NAME = 1 << 0,	 /* /etc/hostname, /etc/hosts */
	SEED_KEYS = 1 << 1,	 /* root's authorized_keys */
	SEED_USER_DATA = 1 << 2, /* for the hook */
	SEED_PASSWORD = 1 << 3,	 /* root's, in /etc/shadow */
	SEED_PLACE = 1 << 4,	 /* /this_host, /this_port */
	SEED_IDENTITY = 1 << 5,	 /* of a clone: not the machine-id and host keys of its original */
	SEED_LENIENT = 1 << 6,	 /* nothing is needed: for undoing, which must come to an end */
	/* In each case cloud-init's seed follows where the image has it. */

	SEED_NEW = SEED_NAME | SEED_KEYS | SEED_USER_DATA | SEED_PASSWORD | SEED_PLACE,
	SEED_CLONE = SEED_NEW | SEED_IDENTITY,
	SEED_RENAMED = SEED_NAME,
};

#define SEED_USER_DATA_PATH "/etc/corpus/user-data"

/* The node, as guests see it. */
struct seed_node {
	const char *name;
	const char *key; /* its public ssh key, a line with its end: machines let it in */
};

struct seed_result {
	bool cloud_init;   /* the image has it: it gets the user data */
	bool password_set; /* with SEED_PASSWORD */
	char skipped[256]; /* paths that were left alone, with commas; empty: none */
};

/* Writes those parts into the guest's volume. Blocks for about a millisecond; from any thread. */
int seed_apply(struct storage *storage, const struct guest *guest, const char *node_name,
	unsigned parts, struct seed_result *ret, struct err *err);

/* For a guest with a disk: writes all that it is to know to the disk that it reads it from (the
 * volume's VOLUME_SEED), anew before each start. */
int seed_write_disk(struct storage *storage, const struct guest *guest,
	const struct seed_node *node, struct err *err);

/* What a shell in that guest, while it runs, is to be given as input: its name and keys as they
 * are now; of a container its keys. Allocated; NULL when memory ran out. */
char *seed_script(const struct guest *guest, const struct seed_node *node);

/* What has to be seeded again after a change of a running or resting guest. */
unsigned seed_parts_changed(const struct guest *before, const struct guest *after);

#define SEED_NODE_KEY_COMMENT "corpus-node"

/* The node's own key for ssh, by which it comes into machines: the private one at that path, made
 * anew where there is none (0600, synced). The public one is kept beside it as PATH.pub, and
 * `ret_public` gets it, as a line with its end. */
int seed_node_key(const char *path, char **ret_public, struct err *err);

/* A new password: letters and digits from the kernel's randomness. */
void seed_password(char ret[static GUEST_PASSWORD_LEN + 1]);
