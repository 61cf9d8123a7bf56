/* Starting containers. dockerd starts corpus-gate; while that waits all is prepared that the
 * container's own program must not be without. */
#include "drivers/docker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/process.h"
#include "drivers/docker/bounds.h"
#include "drivers/docker/data.h"
#include "drivers/docker/figures.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/docker/names.h"
#include "drivers/docker/reply.h"
#include "drivers/docker/stop.h"
#include "drivers/docker/veth.h"

#define HOSTNAME "HOSTNAME="
#define ADMIT_NS (INT64_C(10) * 1000000000)

/* --- At the gate ------------------------------------------------------------------------------ */

static int open_network(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int ended_early(struct err *err)
{
	return err_set(
		err, ERR_DRIVER, NULL, "the container ended before its program could be executed");
}

/* The variable is Docker's, of the name at the time when the container was made. */
static void variables_of(const struct docker_guest *g, char buf[static DEFINE_NAME_MAX])
{
	const json_t *list = reply_at(g->info, "Config.Env");
	const char *name = g->definition.guest.name;
	json_t *value;
	size_t i;

	snprintf(buf, DEFINE_NAME_MAX, HOSTNAME "%s\n", name);
	json_array_foreach ((json_t *)list, i, value)
		if (strncmp(json_string_value(value) ?: "", HOSTNAME, strlen(HOSTNAME)) == 0)
			buf[0] = '\0';
}

static const char *program_of(const struct docker_guest *g)
{
	const json_t *command = reply_at(g->info, "Config.Cmd");

	return json_string_value(json_array_get(command, 0)) ?: "";
}

static int prepare_inside(const struct docker_guest *g, pid_t pid, struct err *err)
{
	const struct driver_guest *guest = &g->definition.guest;
	AUTOCLOSE int network = open_network(pid);
	int r;

	if (network < 0)
		return ended_early(err);
	r = veth_attach(guest, network, err);
	fault_point("driver.docker.start.linked");
	if (r == 0)
		r = names_give(guest, pid, err);
	if (r == 0)
		r = data_give(guest, pid, err);
	if (r == 0)
		r = bounds_apply(g, guest, err);
	return r == 0 ? figures_note(g, pid, err) : r;
}

static int pass_gate(const struct docker_guest *g, struct err *err)
{
	pid_t pid = guest_init(g);
	AUTOCLOSE int pidfd = pid > 0 ? process_pidfd(pid) : -1;
	char variables[DEFINE_NAME_MAX];
	int r;

	/* From here on the pid is that of no other process, or the descriptor's. */
	if (pidfd < 0 || guest_init(g) != pid)
		return ended_early(err);
	r = prepare_inside(g, pid, err);
	fault_point("driver.docker.start.prepared");
	if (r < 0)
		return r;
	variables_of(g, variables);
	return gatekeeper_admit(g->paths.gate, pidfd, variables, program_of(g),
		clock_monotonic_ns() + ADMIT_NS, err);
}

/* --- By dockerd ------------------------------------------------------------------------------- */

static int start_container(struct docker_guest *g, struct err *err)
{
	int r = gatekeeper_prepare(g->paths.gate, err);

	if (r == 0)
		r = bounds_tell(g, &g->definition.guest.limits, err);
	fault_point("driver.docker.start.before");
	if (r == 0)
		r = engine_call(g->engine,
			&(struct engine_request){.method = "POST",
				.path = "/containers/{}/start",
				.name = guest_container(g),
				.what = "start the container"},
			NULL, err);
	fault_point("driver.docker.start.started");
	return r == 0 ? guest_look(g, err) : r;
}

/* --- Both ------------------------------------------------------------------------------------- */

static int check_node(const struct driver_guest *guest, struct err *err)
{
	if (guest->net.bridge && if_nametoindex(guest->net.bridge) == 0)
		return err_set(
			err, ERR_DRIVER, "net.bridge", "there is no bridge %s", guest->net.bridge);
	return 0;
}

static int start(struct docker_guest *g, struct err *err)
{
	int r = check_node(&g->definition.guest, err);

	if (r == 0)
		r = gatekeeper_lay(g->paths.gate, err);
	if (r < 0)
		return r;

	AUTOCLOSE int lock = gatekeeper_lock(g->paths.gate, true);

	if (lock < 0)
		return err_errno(err, lock, "cannot lock %s", g->paths.gate);
	if (!guest_is_active(g))
		r = start_container(g, err);
	return r == 0 ? pass_gate(g, err) : r;
}

int start_run(struct docker_guest *g, struct err *err)
{
	struct err failed = {0};
	int r;

	if (!g->info)
		return err_set(err, ERR_DRIVER, NULL,
			"the container of guest %s is gone: it is made anew when the guest is "
			"defined again",
			g->definition.guest.id);
	if (guest_is_active(g) && !gatekeeper_holds(guest_init(g)))
		return 0;
	r = start(g, &failed);
	if (r < 0) {
		stop_run(g, 0, NULL);
		if (err)
			*err = failed;
		return r;
	}
	gatekeeper_clear(g->paths.gate);
	stop_unmark(g);
	return guest_look(g, err);
}
