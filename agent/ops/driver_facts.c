/* What a driver is told about a guest, see driver_facts.h. */
#include "agent/ops/driver_facts.h"

#include <string.h>
#include <unistd.h>

#include "agent/node/agent.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

struct part {
	enum volume_part part;
	char *path; /* PATH_MAX */
};

static int find_parts(const struct agent *agent, const struct guest *guest,
	const struct part *parts, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++)
		if (volume_path(agent->storage, guest->id, parts[i].part, parts[i].path, PATH_MAX) <
			0)
			return err_set(err, ERR_INTERNAL, NULL, "the path of the pool is too long");
	return 0;
}

static int resolve_tree(struct driver_facts *ret, const struct agent *agent,
	const struct guest *guest, struct err *err)
{
	const struct part parts[] = {{VOLUME_ROOTFS, ret->rootfs}};

	ret->guest.rootfs = ret->rootfs;
	return find_parts(agent, guest, parts, ARRAY_SIZE(parts), err);
}

static int resolve_disk(struct driver_facts *ret, const struct agent *agent,
	const struct guest *guest, struct err *err)
{
	const struct part parts[] = {{VOLUME_DISK, ret->path}, {VOLUME_BASE, ret->base},
		{VOLUME_KERNEL, ret->kernel}, {VOLUME_INITRD, ret->initrd},
		{VOLUME_NVRAM, ret->nvram}, {VOLUME_SEED, ret->seed}, {VOLUME_MEMORY, ret->memory}};
	const struct image_disk *disk = guest->disk;
	bool kernel = disk->boot == DISK_BOOT_KERNEL, uefi = disk->boot == DISK_BOOT_UEFI;
	int r = find_parts(agent, guest, parts, ARRAY_SIZE(parts), err);

	if (r < 0)
		return r;
	ret->disk = (struct driver_disk){
		.path = ret->path,
		.base = ret->base,
		.base_format = disk->format,
		.kernel = kernel ? ret->kernel : NULL,
		.initrd = kernel && disk->initrd ? ret->initrd : NULL,
		.cmdline = kernel && *disk->cmdline ? disk->cmdline : NULL,
		.uefi = uefi,
		.nvram = uefi ? ret->nvram : NULL,
		.seed = access(ret->seed, F_OK) == 0 ? ret->seed : NULL,
		.memory = ret->memory,
	};
	ret->guest.disk = &ret->disk;
	return 0;
}

static int resolve_container(struct driver_facts *ret, const struct agent *agent,
	const struct guest *guest, struct err *err)
{
	const struct part parts[] = {{VOLUME_DATA, ret->data}};
	const struct guest_container *container = guest->container;

	ret->container = (struct driver_container){
		.image = container->image_id,
		.entrypoint = (const char *const *)container->entrypoint,
		.command = (const char *const *)container->command,
		.env = (const char *const *)container->environment,
		.user = container->user,
		.working_dir = container->working_dir,
		.stop_signal = container->stop_signal,
		.terminal = container->terminal,
		.data = ret->data,
		.data_paths = (const char *const *)container->data,
		.layer_size = guest->storage_size,
	};
	ret->guest.container = &ret->container;
	return find_parts(agent, guest, parts, ARRAY_SIZE(parts), err);
}

int driver_facts_resolve(struct driver_facts *ret, const struct agent *agent,
	const struct guest *guest, struct err *err)
{
	const struct config *config = agent->config;

	if (!agent->storage)
		return err_set(err, ERR_UNAVAILABLE, NULL, "the storage pool is not open");
	link_name(guest->id, ret->link);
	ret->guest = (struct driver_guest){
		.id = guest->id,
		.name = guest->name,
		.privileged = guest->privileged,
		.limits = guest->limits,
		.block_device = agent->disk[0] ? agent->disk : NULL,
		.raw = (const char *const *)guest->raw,
		.net = {.bridge = config->net.bridge,
			.link = ret->link,
			.address = guest->address,
			.prefix = config->net.prefix,
			.gateway = config->net.gateway,
			.domain = config->net.domain},
	};
	memcpy(ret->guest.net.mac, guest->mac, sizeof(ret->guest.net.mac));
	switch (guest_image_kind(guest)) {
	case IMAGE_OCI: return resolve_container(ret, agent, guest, err);
	case IMAGE_DISK: return resolve_disk(ret, agent, guest, err);
	default: return resolve_tree(ret, agent, guest, err);
	}
}

bool driver_facts_has_memory(const struct storage *storage, const struct guest *guest)
{
	char path[PATH_MAX];

	return guest->disk && storage &&
	       volume_path(storage, guest->id, VOLUME_MEMORY, path, sizeof(path)) == 0 &&
	       access(path, F_OK) == 0;
}
