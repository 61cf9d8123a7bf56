/* The data of a container: paths in it that lie in the guest's volume on the node; used inside
 * drivers/docker only.
 *
 * Each is a directory of its own in that volume and a volume of Docker's, which is bound to it, so
 * that Docker fills it from the image at its first use. The directories lie side by side whatever
 * their paths: in one below another the guest could place a link in its stead. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

struct driver_guest;
struct err;

#define DATA_NAME_MAX	256
#define DATA_VOLUME_MAX 64

/* The paths of a guest, by its facts and by what its image declares as volumes (its Config; NULL:
 * none), in the order of the alphabet, each once; allocated, ends with NULL. ERR_INVALID
 * (container.data) for what is no absolute path or cannot lie elsewhere. */
int data_paths(
	const struct driver_guest *guest, const json_t *config, char ***ret, struct err *err);

/* The name of the directory: "srv", "var%2Flib%2Fpostgresql". ERR_INVALID when that is too long. */
int data_name(const char *path, char ret[static DATA_NAME_MAX], struct err *err);

/* What Docker's volume is called: by the guest and by which directory it is. */
const char *data_volume(
	const struct driver_guest *guest, const char *name, char buf[static DATA_VOLUME_MAX]);

/* HostConfig.Mounts for them, a new reference; the volumes get those labels. */
int data_mounts(const struct driver_guest *guest, char *const *paths, json_t *labels, json_t **ret,
	struct err *err);

/* Makes the directories. */
int data_prepare(const struct driver_guest *guest, char *const *paths, struct err *err);

/* Directories of the node's root become those of whom the container's root, process `pid`, is. */
int data_give(const struct driver_guest *guest, pid_t pid, struct err *err);
