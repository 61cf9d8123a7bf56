/* Ending containers. */
#include "drivers/docker/stop.h"

#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "base/signals.h"
#include "drivers/docker/freeze.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/link.h"
#include "drivers/inside/listen.h"

#define KILL_MS 8000 /* until dockerd has noticed */

/* A run is known by its beginning: one that somebody starts by hand is not ours to have ended. */
static int mark(const struct docker_guest *g, struct err *err)
{
	int r = file_replace(
		g->paths.ended, reply_text_or_none(g->info, "State.StartedAt"), 0600, false);

	return r < 0 ? err_errno(err, r, "cannot write %s", g->paths.ended) : 0;
}

void stop_unmark(const struct docker_guest *g)
{
	unlink(g->paths.ended);
}

static int send_signal(struct docker_guest *g, const char *signal, struct err *err)
{
	struct err failed = {0};
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/containers/{}/kill",
			.name = guest_container(g),
			.query = {{"signal", signal}},
			.what = "end the container"},
		NULL, &failed);

	/* It has ended meanwhile. */
	if (r < 0 && (failed.code == ERR_ILLEGAL_STATE || failed.code == ERR_NOT_FOUND))
		return 0;
	if (r < 0 && err)
		*err = failed;
	return r;
}

/* Until it has ended or time is up: *ended. */
static int wait_for_end(struct docker_guest *g, uint64_t ms, bool *ended, struct err *err)
{
	struct err failed = {0};
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/containers/{}/wait",
			.name = guest_container(g),
			.query = {{"condition", "not-running"}},
			.timeout_ms = ms,
			.what = "wait for the container's end"},
		NULL, &failed);

	*ended = r == 0 || failed.code == ERR_NOT_FOUND;
	if (*ended || failed.code == ERR_TIMEOUT)
		return 0;
	if (err)
		*err = failed;
	return r;
}

/* As Docker spells it: by name or number. */
static int stop_signal(const struct docker_guest *g)
{
	int signal = signal_parse(reply_text_or_none(g->info, "Config.StopSignal"));

	return signal > 0 ? signal : SIGTERM;
}

/* Gives the program its time to end. One that has not been executed yet has nothing to end, and
 * waits at the gate. */
static int ask(struct docker_guest *g, uint64_t timeout_ms, bool *ended, struct err *err)
{
	int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000, left;
	pid_t pid = guest_init(g);
	AUTOCLOSE int pidfd = pid > 0 ? process_pidfd(pid) : -1;
	char name[SIGNAL_NAME_MAX];
	int signal = stop_signal(g), r;

	if (pidfd < 0 || signal == SIGKILL || gatekeeper_holds(pid))
		return 0;
	listen_wait(pid, pidfd, signal, deadline);
	r = send_signal(g, signal_format(name, signal), err);
	fault_point("driver.docker.stop.asked");
	left = (deadline - clock_monotonic_ns()) / 1000000;
	return r == 0 && left > 0 ? wait_for_end(g, (uint64_t)left, ended, err) : r;
}

static int end(struct docker_guest *g, uint64_t timeout_ms, struct err *err)
{
	bool ended = false;
	int r = mark(g, err);

	fault_point("driver.docker.stop.marked");
	/* Frozen ones hear nothing. */
	if (r == 0)
		r = freeze_set(g, false, err);
	if (r == 0 && timeout_ms > 0)
		r = ask(g, timeout_ms, &ended, err);
	if (r < 0 || ended)
		return r;
	r = send_signal(g, "SIGKILL", err);
	if (r == 0)
		r = wait_for_end(g, KILL_MS, &ended, err);
	return r == 0 && !ended ? err_set(err, ERR_TIMEOUT, NULL, "the container does not end") : r;
}

int stop_run(struct docker_guest *g, uint64_t timeout_ms, struct err *err)
{
	int r = guest_is_active(g) ? end(g, timeout_ms, err) : 0;

	fault_point("driver.docker.stop.ended");
	if (r < 0)
		return r;
	gatekeeper_clear(g->paths.gate);
	unlink(g->paths.note);
	return g->definition.guest.net.link ? link_remove(g->definition.guest.net.link, err) : 0;
}

/* It may be on its way up again: then the link is that of the next run. */
void stop_clear(struct docker_guest *g)
{
	const char *link = g->definition.guest.net.link;
	AUTOCLOSE int lock =
		link && if_nametoindex(link) ? gatekeeper_lock(g->paths.gate, false) : -1;

	if (lock >= 0 && guest_look(g, NULL) == 0 && !guest_is_active(g))
		link_remove(link, NULL);
}
