/* Holding machines still. */
#include "drivers/kvm/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/inside/overdue.h"
#include "drivers/kvm/qga.h"

#define FREEZE_S 5 /* hooks of databases take their time */
#define THAW_S	 5
#define TEXT_MAX 64

/* --- The file ----------------------------------------------------------------------------------
 */

/* What was begun for it, which is all that is undone. */
struct held {
	bool rest, still;
};

static int hold_path(const struct kvm_guest *g, char path[static PATH_MAX], struct err *err)
{
	int r = file_path(path, PATH_MAX, "%s/hold", g->paths.run);

	return r < 0 ? err_errno(err, r, "cannot hold guest %s", g->definition.guest.id) : 0;
}

/* All texts are of one length. */
static void text_of(char text[static TEXT_MAX], const struct held *held)
{
	snprintf(text, TEXT_MAX, "rest=%d still=%d\n", held->rest, held->still);
}

static int note(const char *path, const struct held *held, struct err *err)
{
	char text[TEXT_MAX];
	int r;

	text_of(text, held);
	r = file_replace(path, text, 0600, false);
	return r < 0 ? err_errno(err, r, "cannot note that a guest is held") : 0;
}

/* It stays the note that is watched over. */
static int note_more(const char *path, const struct held *held, struct err *err)
{
	AUTOCLOSE int fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	char text[TEXT_MAX];
	int r = fd < 0 ? -errno : 0;

	text_of(text, held);
	if (r == 0)
		r = file_write_all(fd, text, strlen(text));
	return r < 0 ? err_errno(err, r, "cannot note what a guest is held by") : 0;
}

static bool read_note(const char *path, struct held *ret)
{
	AUTOFREE char *text = NULL;
	int rest = 0, still = 0;

	if (file_read(path, TEXT_MAX, &text, NULL) < 0 ||
		sscanf(text, "rest=%d still=%d", &rest, &still) != 2)
		return false;
	*ret = (struct held){.rest = rest, .still = still};
	return true;
}

/* --- Releasing ---------------------------------------------------------------------------------
 */

/* Its agent can only let file systems go on when it runs itself. */
static int undo(struct kvm_guest *g, const struct held *held, struct err *err)
{
	struct qga qga = qga_of_domain(g->domain);

	if (held->still && g->state == VIR_DOMAIN_PAUSED && virDomainResume(g->domain) < 0)
		return connect_error(err, "cannot let guest %s go on", g->definition.guest.id);
	fault_point("driver.kvm.hold.resumed");
	if (held->rest && qga_tell(&qga, "guest-fsfreeze-thaw", THAW_S, err) < 0) {
		err_prefix(err, "the guest's file systems stay at rest");
		return -EIO;
	}
	return 0;
}

/* What began anew is not held. */
static int go_on(void *data, struct err *err)
{
	struct kvm_guest *g = data;
	char path[PATH_MAX];
	struct held held;
	int r = hold_path(g, path, err);

	if (r == 0 && guest_is_active(g) && read_note(path, &held))
		r = undo(g, &held, err);
	if (r == 0)
		unlink(path);
	return r;
}

int hold_end(struct kvm_guest *g, struct err *err)
{
	char path[PATH_MAX];
	int r = hold_path(g, path, err);

	return r == 0 ? overdue_end(path, go_on, g, err) : r;
}

/* --- What watches ------------------------------------------------------------------------------
 */

static int release_anew(void *data, struct err *err)
{
	const struct kvm_guest *held = data;
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	int r = guest_connect(&held->kvm->driver, held->definition.guest.id, &g, err);

	return r == 0 ? go_on(&g, err) : r;
}

static int start_watch(struct kvm_guest *g, const char *path, struct err *err)
{
	int64_t ms = fault_point("driver.kvm.hold.short") ? 4000 : HOLD_S * 1000;

	return overdue_watch(path, ms, "corpus-hold", release_anew, g, err);
}

/* --- Holding -----------------------------------------------------------------------------------
 */

/* Whether it is done; what the guest does not help with is left out. An agent that was too slow to
 * answer may still do it, and is told to let go later. */
static int bring_to_rest(
	struct kvm_guest *g, const char *path, struct held *held, bool *ret, struct err *err)
{
	struct qga qga = qga_of_domain(g->domain);
	struct err why = {0};
	int r;

	*ret = false;
	if (qga_can(&qga, "guest-fsfreeze-freeze", NULL) < 0)
		return 0;
	held->rest = true;
	r = note_more(path, held, err);
	if (r < 0)
		return r;
	*ret = qga_tell(&qga, "guest-fsfreeze-freeze", FREEZE_S, &why) == 0;
	if (*ret || why.code != ERR_DRIVER)
		return 0;
	held->rest = false; /* it said no */
	return note_more(path, held, err);
}

/* libvirt may have done what it did not answer to. */
static int suspend(struct kvm_guest *g, struct err *err)
{
	if (virDomainSuspend(g->domain) == 0 && !fault_point("driver.kvm.hold.unanswered"))
		return 0;
	return connect_error(err, "cannot hold guest %s still", g->definition.guest.id);
}

/* It was held when what watched had let go of it already: so all of that is undone again, watched
 * anew until it is. */
static int too_late(struct kvm_guest *g, const char *path, const struct held *held, struct err *err)
{
	int r = note(path, held, err);

	if (r == 0)
		r = start_watch(g, path, err);
	if (r == 0)
		r = guest_look(g, err);
	if (r == 0)
		r = hold_end(g, err);
	return r < 0 ? r
		     : err_set(err, ERR_TIMEOUT, NULL, "guest %s was not held still in time",
			       g->definition.guest.id);
}

static int hold_still(struct kvm_guest *g, const char *path, bool *ret_rest, struct err *err)
{
	struct held held = {.still = true}; /* noted before: letting go on what does is no harm */
	int r = note(path, &held, err);
	AUTOCLOSE int mine = overdue_open(path);

	if (r == 0)
		r = start_watch(g, path, err);
	fault_point("driver.kvm.hold.noted");
	if (r == 0)
		r = bring_to_rest(g, path, &held, ret_rest, err);
	fault_point("driver.kvm.hold.rest");
	if (r == 0)
		r = suspend(g, err);
	fault_point("driver.kvm.hold.still");
	if (mine >= 0 && !overdue_is_noted(mine))
		return too_late(g, path, &held, err);
	/* As long as nobody says what it is, the note stays. */
	if (r < 0 && guest_look(g, NULL) == 0)
		hold_end(g, NULL);
	return r;
}

int hold_begin(struct kvm_guest *g, bool *ret_rest, struct err *err)
{
	char path[PATH_MAX];
	int r = hold_path(g, path, err);

	*ret_rest = false;
	if (r == 0)
		r = hold_end(g, err); /* by one who died: from the beginning */
	if (r == 0)
		r = guest_look(g, err);
	if (r < 0)
		return r;
	/* It stays frozen, and nothing has to be undone. */
	if (g->state == VIR_DOMAIN_PAUSED)
		return 0;
	return hold_still(g, path, ret_rest, err);
}
