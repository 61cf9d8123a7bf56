/* Opening the parts of the host, as configured. */
#include "agent/reconcile/host.h"

#include <stdio.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/libexec.h"
#include "net/net.h"
#include "storage/storage.h"

int host_open_storage(const struct config *config, struct storage **ret, struct err *err)
{
	AUTOFREE char *unpack = NULL;
	int r = libexec_find("corpus-unpack", &unpack, err);
	struct storage_config pool = {
		.path = config->storage.path,
		.loop_file = config->storage.loop_file && config->storage.loop_file[0]
				     ? config->storage.loop_file
				     : NULL,
		.loop_size = config->storage.loop_size,
		.loop_max = config->storage.loop_max,
		.unpack_helper = unpack,
		.image_max_size = config->storage.image_max_size,
		.image_max_entries = config->storage.image_max_entries,
		.quota = config->storage.classic_quota ? STORAGE_QUOTA_CLASSIC : STORAGE_QUOTA_AUTO,
	};

	return r < 0 ? r : storage_open(&pool, ret, err);
}

int host_open_net(const struct config *config, struct net **ret, struct err *err)
{
	char run_dir[4096];
	struct net_config net = {
		.bridge = config->net.bridge,
		.gateway = config->net.gateway,
		.prefix = config->net.prefix,
		.domain = config->net.domain,
		.run_dir = run_dir,
		.dhcp = config->net.dhcp,
		.docker_user = config->net.docker_user,
	};

	snprintf(run_dir, sizeof(run_dir), "%s/net", config->run_dir);
	return net_open(&net, ret, err);
}
