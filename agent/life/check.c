/* The frame of all checks: their deadline, and their one end. */
#include "agent/life/check.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/life/check_internal.h"
#include "agent/node/agent.h"
#include "base/cleanup.h"
#include "base/err.h"

static const struct check_kind *const KINDS[] = {
	[GUEST_CHECK_HTTP] = &CHECK_HTTP,
	[GUEST_CHECK_TCP] = &CHECK_TCP,
	[GUEST_CHECK_EXEC] = &CHECK_EXEC,
};

void check_free(struct check *check)
{
	sd_event_source_disable_unref(check->timer);
	sd_event_source_disable_unref(check->io);
	fd_close(check->fd);
	fd_close(check->pidfd);
	free(check);
}

struct check *check_cancel(struct check *check)
{
	if (!check)
		return NULL;
	check->done = NULL;
	if (check->kind->end(check))
		check_free(check);
	return NULL;
}

void check_end(struct check *check, const char *why)
{
	check_done_fn done = check->done;
	void *data = check->data;

	/* `why` may be in it. */
	check->done = NULL;
	if (done)
		done(data, why);
	if (check->kind->end(check))
		check_free(check);
}

static int late(sd_event_source *source, uint64_t usec, void *data)
{
	(void)source;
	(void)usec;
	check_end(data, "no answer in time");
	return 0;
}

static int ready(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct check *check = data;

	(void)source;
	(void)fd;
	check->kind->ready(check, events);
	return 0;
}

int check_wait(struct check *check, uint32_t events, struct err *err)
{
	int r = check->io ? sd_event_source_set_io_events(check->io, events)
			  : sd_event_add_io(check->agent->loop, &check->io, check->fd, events,
				    ready, check);

	return r < 0 ? err_errno(err, r, "cannot wait for the check") : 0;
}

int check_start(struct agent *agent, const struct guest *guest, check_done_fn done, void *data,
	struct check **ret, struct err *err)
{
	struct check *check = calloc(1, sizeof(*check));
	int r;

	if (!check)
		return err_errno(err, ENOMEM, "cannot check a guest");
	*check = (struct check){.agent = agent,
		.kind = KINDS[guest->health.check],
		.done = done,
		.data = data,
		.fd = -1,
		.pidfd = -1};
	r = sd_event_add_time_relative(agent->loop, &check->timer, CLOCK_MONOTONIC,
		guest->health.timeout_s * UINT64_C(1000000), 0, late, check);
	if (r < 0)
		r = err_errno(err, r, "cannot check a guest");
	else
		r = check->kind->begin(check, guest, err);
	if (r < 0)
		check_free(check);
	else
		*ret = check;
	return r;
}
