/* The limits of containers. */
#include "drivers/docker/bounds.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/cgroup/limits.h"
#include "drivers/docker/container.h"
#include "drivers/docker/reply.h"

/* dockerd refuses less (Engine API, HostConfig.Memory). */
#define MEMORY_LEAST (UINT64_C(6) << 20)

int bounds_check(const struct docker *docker, const struct driver_guest *guest, struct err *err)
{
	const struct guest_limits *l = &guest->limits;
	struct limits_host host;

	if (l->memory && l->memory < MEMORY_LEAST)
		return err_set(err, ERR_INVALID, "limits.memory",
			"Docker gives a container no less than 6 MiB of memory");
	if (l->swap && !l->memory)
		return err_set(err, ERR_UNSUPPORTED, "limits.swap",
			"Docker limits swap only together with memory: give limits.memory too");
	limits_host(&docker->cgroups, &host);
	return limits_check(&host, l, guest->block_device, err);
}

/* --- dockerd ---------------------------------------------------------------------------------- */

static int64_t or_none(const json_t *object, const char *key)
{
	int64_t number = reply_number_or_none(object, key);

	return number > 0 ? number : 0;
}

static bool are_known(const struct docker_guest *g, const json_t *wanted)
{
	static const char *const keys[] = {"CpuQuota", "Memory", "MemorySwap", "PidsLimit"};
	const json_t *host = reply_at(g->info, "HostConfig");

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (or_none(host, keys[i]) != or_none(wanted, keys[i]))
			return false;
	return true;
}

/* What is left out stays as it was, and there is no way to say that of memory there is no limit any
 * more: the control group then has it alone. */
static void take_back(json_t *wanted)
{
	static const char *const keys[] = {"CpuQuota", "PidsLimit"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (!json_object_get(wanted, keys[i]))
			json_object_set_new(wanted, keys[i], json_integer(-1));
}

int bounds_tell(struct docker_guest *g, const struct guest_limits *limits, struct err *err)
{
	json_t *wanted = json_object();
	int r = 0;

	container_limits(limits, wanted);
	if (!are_known(g, wanted)) {
		take_back(wanted);
		r = engine_call(g->engine,
			&(struct engine_request){.method = "POST",
				.path = "/containers/{}/update",
				.name = guest_container(g),
				.body = wanted,
				.what = "set the container's limits"},
			NULL, err);
	}
	json_decref(wanted);
	return r;
}

/* --- Control groups --------------------------------------------------------------------------- */

static int find_group(const struct docker_guest *g, struct cgroup *ret, struct err *err)
{
	int r = cgroup_of_process(&g->docker->cgroups, guest_init(g), guest_container(g), ret);

	return r < 0 ? err_errno(err, r, "cannot find the container's control group") : 0;
}

int bounds_apply(const struct docker_guest *g, const struct driver_guest *guest, struct err *err)
{
	struct cgroup group;
	int r = find_group(g, &group, err);

	return r == 0 ? limits_apply(&group, &guest->limits, guest->block_device, err) : r;
}

/* dockerd writes to the same files: it comes first. */
int bounds_change(struct docker_guest *g, const struct driver_guest *guest, struct err *err)
{
	const struct driver_guest *before = &g->definition.guest;
	struct cgroup group;
	int r;

	if (guest_limits_equal(&before->limits, &guest->limits))
		return 0;
	r = find_group(g, &group, err);
	if (r == 0)
		r = limits_check_memory(&group, guest->limits.memory, err);
	if (r < 0)
		return r;
	r = bounds_tell(g, &guest->limits, err);
	fault_point("driver.docker.bounds.told");
	if (r == 0)
		r = limits_apply(&group, &guest->limits, guest->block_device, err);
	if (r < 0) {
		guest_look(g, NULL);
		bounds_tell(g, &before->limits, NULL);
		limits_apply(&group, &before->limits, before->block_device, NULL);
	}
	return r;
}
