/* Holding containers still. */
#include "drivers/docker/hold.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/docker/freeze.h"
#include "drivers/inside/overdue.h"

#define RELEASE_MS 9000
#define BY_DOCKERD "dockerd" /* in the note: who holds it */

static int go_on(void *data, struct err *err)
{
	struct docker_guest *g = data;
	int r = freeze_set(g, false, err);

	fault_point("driver.docker.hold.resumed");
	if (r == 0)
		unlink(g->paths.hold);
	return r;
}

int hold_end(struct docker_guest *g, struct err *err)
{
	return overdue_end(g->paths.hold, go_on, g, err);
}

/* What is known of it may be old by then. One that is not defined any more is not held. */
static int release(void *data, struct err *err)
{
	const struct docker_guest *held = data;
	CLEANUP(guest_finish) struct docker_guest g = {0};
	struct err why = {0};
	int r = guest_connect(
		&held->docker->driver, held->definition.guest.id, RELEASE_MS, &g, &why);

	if (r < 0 && why.code == ERR_NOT_FOUND)
		return unlink(held->paths.hold);
	return r == 0 ? go_on(&g, err) : r;
}

static int note(const struct docker_guest *g, const char *why, struct err *err)
{
	int r = file_replace(g->paths.hold, why, 0600, false);

	return r < 0 ? err_errno(err, r, "cannot note that a guest is held") : 0;
}

static int watch_over(struct docker_guest *g, int64_t ms, struct err *err)
{
	return overdue_watch(g->paths.hold, ms, "corpus-hold", release, g, err);
}

/* dockerd may do, or have done, what it did not answer to: so the note stays. */
static bool is_settled(const struct err *failed)
{
	return failed->code != ERR_TIMEOUT && failed->code != ERR_UNAVAILABLE;
}

static int pause_it(struct docker_guest *g, struct err *err)
{
	struct err failed = {0};
	int r;

	if (fault_point("driver.docker.hold.late"))
		engine_allow(g->engine, 500);
	r = freeze_set(g, true, &failed);
	if (r < 0 && is_settled(&failed))
		unlink(g->paths.hold);
	if (r < 0 && err)
		*err = failed;
	return r;
}

/* It was held when what watched had let go of it already: so that is undone again, watched anew
 * until it is. */
static int too_late(struct docker_guest *g, struct err *err)
{
	int r = note(g, "", err);

	if (r == 0)
		r = watch_over(g, 0, err);
	if (r == 0)
		r = guest_look(g, err);
	if (r == 0)
		r = hold_end(g, err);
	return r < 0 ? r
		     : err_set(err, ERR_TIMEOUT, NULL, "the container was not held still in time");
}

/* Noted before: letting go on what does is no harm. */
static int hold(struct docker_guest *g, struct err *err)
{
	int64_t ms = fault_point("driver.docker.hold.short") ? 3000 : HOLD_S * 1000;
	int r = note(g, "", err);

	if (r < 0)
		return r;

	AUTOCLOSE int mine = overdue_open(g->paths.hold);

	r = watch_over(g, ms, err);
	if (r < 0) {
		unlink(g->paths.hold);
		return r;
	}
	fault_point("driver.docker.hold.noted");
	r = pause_it(g, err);
	fault_point("driver.docker.hold.still");
	return r == 0 && !overdue_is_noted(mine) ? too_late(g, err) : r;
}

int hold_begin(struct docker_guest *g, struct err *err)
{
	int r = hold_end(g, err); /* by one who died: from the beginning */

	if (r == 0)
		r = guest_look(g, err);
	if (r < 0 || guest_is_frozen(g))
		return r;
	return hold(g, err);
}

/* --- By dockerd ------------------------------------------------------------------------------- */

static bool is_by_dockerd(const struct docker_guest *g)
{
	AUTOFREE char *why = NULL;

	return file_read(g->paths.hold, sizeof(BY_DOCKERD), &why, NULL) == 0 &&
	       strcmp(why, BY_DOCKERD) == 0;
}

int hold_by_dockerd(struct docker_guest *g, struct err *err)
{
	int r = 0;

	if (is_by_dockerd(g)) {
		r = hold_end(g, err);
		if (r == 0)
			r = guest_look(g, err);
	}
	if (r == 0)
		r = freeze_settle(g, err);
	if (r < 0 || !guest_is_active(g) || guest_is_frozen(g))
		return r;
	return note(g, BY_DOCKERD, err);
}

void hold_by_dockerd_end(struct docker_guest *g, bool done)
{
	if (!is_by_dockerd(g))
		return;
	if (done)
		unlink(g->paths.hold);
	else
		watch_over(g, 0, NULL);
}

static int forget(void *data, struct err *err)
{
	const struct docker_guest *g = data;

	if (unlink(g->paths.hold) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot forget that a guest is held");
	return 0;
}

int hold_forget(struct docker_guest *g, struct err *err)
{
	int r = overdue_end(g->paths.hold, forget, g, err);

	return r == 0 ? guest_look(g, err) : r;
}
