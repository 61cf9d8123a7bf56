/* User data that are a script: run once, when the guest runs for the first time. That they have
 * begun is noted inside the guest by the command itself (a file that it makes and nobody else), so
 * that a crash of ours between that and our own note does not run them twice. What they print stays
 * in the guest; how they ended is an event. docs/first-boot.md */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

struct first_boot {
	struct life_guest *guest; /* NULL: it is gone */
	bool asked;		  /* the driver has not answered yet */
	int fd;			  /* gets the wait status */
	sd_event_source *io;
};

static void first_boot_free(struct first_boot *boot)
{
	if (boot->guest)
		boot->guest->first_boot = NULL;
	sd_event_source_disable_unref(boot->io);
	fd_close(boot->fd);
	free(boot);
}

static void tell(struct life_guest *guest, json_t *how)
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

static void note_done(struct life_guest *guest)
{
	struct agent *agent = guest->life->agent;
	struct db_txn *txn = db_txn_create();

	guest->entry->guest->first_boot_done = true;
	db_put_guest(txn, guest->entry->guest);
	agent_commit(agent, txn, false, NULL, NULL);
}

static void tell_end(struct life_guest *guest, int status)
{
	const char *name = guest->entry->guest->name;

	if (WIFSIGNALED(status)) {
		log_warning("guest.user_data", "guest=%s signal=%d", name, WTERMSIG(status));
		tell(guest, json_pack("{s:s?}", "signal", sigabbrev_np(WTERMSIG(status))));
	} else if (WEXITSTATUS(status) != STATUS_ABSENT && WEXITSTATUS(status) != STATUS_BEGUN) {
		log_info("guest.user_data", "guest=%s status=%d", name, WEXITSTATUS(status));
		tell(guest, json_pack("{s:i}", "status", WEXITSTATUS(status)));
	}
}

static int ended(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct first_boot *boot = data;
	int status;

	(void)source;
	(void)events;
	/* One that could not be run ends with the reply that says why. */
	if (boot->asked) {
		sd_event_source_set_enabled(boot->io, SD_EVENT_OFF);
		return 0;
	}
	if (read(fd, &status, sizeof(status)) == sizeof(status))
		tell_end(boot->guest, status);
	else
		tell(boot->guest, json_pack("{s:s}", "message", "its end was not seen"));
	first_boot_free(boot);
	return 0;
}

static void replied(void *data, const struct driver_reply *reply)
{
	struct first_boot *boot = data;

	boot->asked = false;
	if (!boot->guest) {
		first_boot_free(boot);
	} else if (reply->result == 0) {
		note_done(boot->guest);
		sd_event_source_set_enabled(boot->io, SD_EVENT_ON);
	} else {
		/* With the driver away, or the guest ended already, its next start tries again. */
		if (reply->error.code != ERR_UNAVAILABLE && reply->error.code != ERR_TIMEOUT &&
			reply->error.code != ERR_ILLEGAL_STATE) {
			note_done(boot->guest);
			tell(boot->guest, json_pack("{s:s}", "message", reply->error.message));
		}
		first_boot_free(boot);
	}
}

static int ask(struct first_boot *boot, int status_fd, struct err *err)
{
	struct agent *agent = boot->guest->life->agent;
	const struct guest *guest = boot->guest->entry->guest;
	struct agent_driver *driver = agent_driver(agent, guest->driver, err);
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const struct driver_exec exec = {.argv = COMMAND,
		.stdin_fd = null,
		.stdout_fd = null,
		.stderr_fd = null,
		.status_fd = status_fd};
	const struct driver_request request = {
		.call = DRIVER_CALL_EXEC, .id = guest->id, .exec = &exec};

	if (!driver)
		return err_errnum(ERR_UNAVAILABLE);
	if (null < 0)
		return err_errno(err, errno, "cannot open /dev/null");
	return driver_client_call(driver->client, &request, replied, boot, err);
}

static int begin(struct first_boot *boot, struct err *err)
{
	AUTOCLOSE int status_fd = -1;
	int pipefd[2], r;

	if (pipe2(pipefd, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	boot->fd = pipefd[0];
	status_fd = pipefd[1];
	r = sd_event_add_io(
		boot->guest->life->agent->loop, &boot->io, boot->fd, EPOLLIN, ended, boot);
	if (r < 0)
		return err_errno(err, r, "cannot watch a pipe");
	r = ask(boot, status_fd, err);
	boot->asked = r == 0;
	return r;
}

void first_boot_look(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	struct first_boot *boot;
	struct err err;

	if (g->state != GUEST_RUNNING || g->first_boot_done || guest->first_boot)
		return;
	if (!g->user_data || strncmp(g->user_data, "#!", 2) != 0) {
		note_done(guest);
		return;
	}
	boot = calloc(1, sizeof(*boot));
	if (!boot)
		return;
	*boot = (struct first_boot){.guest = guest, .fd = -1};
	guest->first_boot = boot;
	if (begin(boot, &err) < 0) {
		log_warning("guest.user_data", "guest=%s error=%s", g->name, LOG_Q(err.message));
		first_boot_free(boot);
	}
}

void first_boot_forget(struct life_guest *guest)
{
	struct first_boot *boot = guest->first_boot;

	if (!boot)
		return;
	boot->guest = NULL;
	guest->first_boot = NULL;
	boot->io = sd_event_source_disable_unref(boot->io);
	if (!boot->asked)
		first_boot_free(boot);
}
