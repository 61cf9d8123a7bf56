/* User data: what happens to them when the guest runs for the first time. A machine has them from
 * its seed; how they end there is found out by push.c. In a tree or container, those that are a
 * script are run here, once. That they have begun is noted inside the guest by the command itself
 * (a file that it makes and nobody else), so that a crash of ours between that and our own note
 * does not run them twice. What they print stays in the guest; how they ended is an event.
 * docs/first-boot.md */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/life/command.h"
#include "agent/life/internal.h"
#include "agent/node/events.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

/* Not among the statuses that people choose. */
#define STATUS_ABSENT 253 /* cloud-init has them, or somebody took them away */
#define STATUS_BEGUN  254

static const char *const COMMAND[] = {"/bin/sh", "-c",
	"data=/etc/corpus/user-data log=/var/log/corpus-user-data.log\n"
	"[ -f $data ] || exit 253\n"
	"set -C\n"
	": >$data.begun || exit 254\n"
	"[ -d /var/log ] || log=/dev/null\n"
	"exec $data >>$log 2>&1",
	NULL};

/* A container gets them as the command's input: it has no files before it runs. */
static const char *const COMMAND_BRINGING[] = {"/bin/sh", "-c",
	"data=/etc/corpus/user-data log=/var/log/corpus-user-data.log\n"
	"mkdir -p /etc/corpus || exit 1\n"
	"[ ! -e $data.begun ] || exit 254\n"
	"(umask 077 && cat >$data && chmod 700 $data) || exit 1\n"
	"set -C\n"
	": >$data.begun || exit 254\n"
	"[ -d /var/log ] || log=/dev/null\n"
	"exec $data </dev/null >>$log 2>&1",
	NULL};

void first_boot_tell(struct life_guest *guest, json_t *how)
{
	struct agent *agent = guest->life->agent;
	const struct guest *g = guest->entry->guest;
	json_auto_t *owned = how;
	struct db_txn *txn = db_txn_create();
	json_t *fields = json_pack("{s:s, s:s}", "id", g->id, "target", g->name);

	json_object_update(fields, owned);
	events_publish(agent->events, txn, "guest.user_data", fields);
	agent_commit(agent, txn, false, NULL, NULL);
}

void first_boot_tell_end(struct life_guest *guest, int status)
{
	const char *name = guest->entry->guest->name;

	if (WIFSIGNALED(status)) {
		log_warning("guest.user_data", "guest=%s signal=%d", name, WTERMSIG(status));
		first_boot_tell(
			guest, json_pack("{s:s?}", "signal", sigabbrev_np(WTERMSIG(status))));
	} else {
		log_info("guest.user_data", "guest=%s status=%d", name, WEXITSTATUS(status));
		first_boot_tell(guest, json_pack("{s:i}", "status", WEXITSTATUS(status)));
	}
}

static void note_done(struct life_guest *guest)
{
	struct agent *agent = guest->life->agent;
	struct guest *g = guest->entry->guest;
	struct db_txn *txn = db_txn_create();

	g->first_boot_done = true;
	if (g->user_data && g->disk)
		guest_note_seed(g, GUEST_SEED_USER_DATA);
	if (g->container && g->ssh_keys)
		guest_note_seed(g, GUEST_SEED_KEYS);
	registry_refreshed(agent->registry, guest->entry);
	db_put_guest(txn, g);
	agent_commit(agent, txn, false, NULL, NULL);
	life_note(guest->life, guest->entry);
}

static void began(void *data)
{
	note_done(data);
}

static void ended(void *data, const int *status, const struct err *err)
{
	struct life_guest *guest = data;

	guest->first_boot = NULL;
	if (status) {
		if (!WIFEXITED(*status) || (WEXITSTATUS(*status) != STATUS_ABSENT &&
						   WEXITSTATUS(*status) != STATUS_BEGUN))
			first_boot_tell_end(guest, *status);
		return;
	}
	/* With the driver away, or the guest ended already, its next start tries again. */
	if (guest->entry->guest->first_boot_done ||
		(err->code != ERR_UNAVAILABLE && err->code != ERR_TIMEOUT &&
			err->code != ERR_ILLEGAL_STATE)) {
		if (!guest->entry->guest->first_boot_done)
			note_done(guest);
		first_boot_tell(guest, json_pack("{s:s}", "message", err->message));
	}
}

void first_boot_look(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	const struct command_wanted wanted = {.argv = g->container ? COMMAND_BRINGING : COMMAND,
		.input = g->container ? g->user_data : NULL,
		.began = began,
		.ended = ended,
		.data = guest};
	struct err err;

	if (g->state != GUEST_RUNNING || g->first_boot_done || guest->first_boot)
		return;
	if (g->disk || !g->user_data || strncmp(g->user_data, "#!", 2) != 0)
		note_done(guest);
	else if (command_start(guest->life->agent, g, &wanted, &guest->first_boot, &err) < 0)
		log_warning("guest.user_data", "guest=%s error=%s", g->name, LOG_Q(err.message));
}

void first_boot_forget(struct life_guest *guest)
{
	guest->first_boot = command_cancel(guest->first_boot);
}
