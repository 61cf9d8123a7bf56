/* The memory of machines in files. Source: libvirt's reference (virDomainSaveFlags,
 * virDomainRestoreFlags) and the head of its files, src/qemu/qemu_saveimage.h. */
#include "drivers/kvm/save.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/kvm/start.h"
#include "drivers/kvm/stop.h"
#include "drivers/kvm/update.h"

/* libvirt writes this over "LibvirtQemudPart" when all of it is there. */
#define MAGIC	   "LibvirtQemudSave"
#define MAGIC_SIZE (sizeof(MAGIC) - 1)

#define SAVE_S	270 /* then it is called off, and the machine goes on */
#define STEP_NS (50 * 1000000L)

struct files {
	const char *memory;
	char new[PATH_MAX], going[PATH_MAX];
};

static int files_of(const struct kvm_guest *g, struct files *ret, struct err *err)
{
	ret->memory = g->definition.guest.disk->memory;
	if (!ret->memory)
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"there is no place for the memory of this guest");
	if (file_path(ret->new, PATH_MAX, "%s.new", ret->memory) < 0 ||
		file_path(ret->going, PATH_MAX, "%s.going", ret->memory) < 0)
		return err_set(err, ERR_INVALID, "disk.memory", "the path is too long");
	return 0;
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static int drop(const char *path, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	return 0;
}

static bool is_whole(const char *path)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	char magic[MAGIC_SIZE];

	return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
	       memcmp(magic, MAGIC, sizeof(magic)) == 0;
}

static int sync_path(const char *path, int flags)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* What was written is the guest's only memory. */
static int take(const struct files *f, struct err *err)
{
	char folder[PATH_MAX];
	int r = sync_path(f->new, 0);

	if (r == 0 && rename(f->new, f->memory) < 0)
		r = -errno;
	if (r == 0)
		r = file_path(folder, sizeof(folder), "%s", f->memory);
	if (r == 0)
		r = sync_path(dirname(folder), O_DIRECTORY);
	return r < 0 ? err_errno(err, r, "cannot keep %s", f->memory) : 0;
}

/* Of a machine that does not run. */
static int settle(const struct files *f, struct err *err)
{
	int r = drop(f->going, err);

	if (r < 0 || !is_there(f->new))
		return r;
	return is_whole(f->new) ? take(f, err) : drop(f->new, err);
}

/* --- Saving ----------------------------------------------------------------------------------- */

/* Calls a save off that takes too long. */
struct watch {
	pthread_mutex_t lock;
	pthread_cond_t ended_cond;
	bool ended;
	virDomainPtr domain;
	struct timespec end;
};

static void *watch_save(void *data)
{
	struct watch *w = data;

	pthread_mutex_lock(&w->lock);
	while (!w->ended && pthread_cond_timedwait(&w->ended_cond, &w->lock, &w->end) == 0)
		;
	if (!w->ended)
		virDomainAbortJob(w->domain);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void watch_finish(struct watch *w, pthread_t thread)
{
	pthread_mutex_lock(&w->lock);
	w->ended = true;
	pthread_cond_signal(&w->ended_cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(thread, NULL);
}

/* It goes on running after a start, however it was when it was saved. */
static int write_memory(const struct kvm_guest *g, const char *path)
{
	struct watch w = {.lock = PTHREAD_MUTEX_INITIALIZER,
		.ended_cond = PTHREAD_COND_INITIALIZER,
		.domain = g->domain};
	pthread_t thread;
	int r;

	clock_gettime(CLOCK_REALTIME, &w.end);
	w.end.tv_sec += SAVE_S;
	if (pthread_create(&thread, NULL, watch_save, &w) != 0)
		return -1;
	r = virDomainSaveFlags(g->domain, path, NULL, VIR_DOMAIN_SAVE_RUNNING);
	watch_finish(&w, thread);
	return r;
}

/* Also before there is a file, and behind the job until libvirt has ended it or has it run on. */
static bool stands_for_save(const struct kvm_guest *g)
{
	return g->state == VIR_DOMAIN_PAUSED && g->reason == VIR_DOMAIN_PAUSED_SAVE;
}

/* One that was begun by a call which is gone goes on without it. */
static bool saving(const struct kvm_guest *g)
{
	virDomainJobInfo job;

	if (stands_for_save(g))
		return true;
	return virDomainGetJobInfo(g->domain, &job) == 0 && job.type != VIR_DOMAIN_JOB_NONE;
}

static int await_earlier(struct kvm_guest *g, struct err *err)
{
	int64_t end = clock_monotonic_ns() + SAVE_S * INT64_C(1000000000);
	int r;

	while ((r = guest_look(g, err)) == 0 && guest_is_active(g) && saving(g) &&
		clock_monotonic_ns() < end)
		nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
	return r;
}

/* libvirt has no number for a full disk, only the system's words. */
static void name_no_room(struct err *err)
{
	static const int full[] = {ENOSPC, EDQUOT};

	for (size_t i = 0; i < ARRAY_SIZE(full); i++)
		if (err && strstr(err->message, strerror(full[i])))
			err_set(err, ERR_NO_ROOM, NULL, "%s", err->message);
}

/* What came of a save that is said to have failed: the machine runs on and what was written is of
 * no use; or it was the answer that got lost. */
static int failed(struct kvm_guest *g, const struct files *f, struct err *err)
{
	int r = connect_error(err, "cannot save the guest's memory");

	if (guest_look(g, NULL) < 0)
		return r; /* nobody knows: the next call will */
	if (!guest_is_active(g))
		return is_whole(f->new) ? 0 : r;
	drop(f->new, NULL);
	name_no_room(err);
	return r;
}

static int save_running(struct kvm_guest *g, const struct files *f, struct err *err)
{
	int r = drop(f->going, err);

	/* What it once went on from is older than it. */
	if (r == 0)
		r = drop(f->memory, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.save.before");
	r = stop_mark(g, err);
	if (r == 0 && write_memory(g, f->new) < 0)
		r = failed(g, f, err);
	fault_point("driver.kvm.save.written");
	if (r == 0)
		r = take(f, err);
	fault_point("driver.kvm.save.taken");
	if (r < 0)
		stop_unmark(g);
	return r == 0 ? stop_clear(g, err) : r;
}

int kvm_save(struct driver *d, const char *id, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	struct files f;
	int r = guest_connect(d, id, &g, err);

	if (r < 0 || (r = files_of(&g, &f, err)) < 0)
		return r;
	r = guest_is_active(&g) ? await_earlier(&g, err) : 0;
	if (r < 0)
		return r;
	if (guest_is_active(&g))
		return save_running(&g, &f, err);
	r = settle(&f, err);
	if (r == 0 && !is_there(f.memory))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return r == 0 ? stop_clear(&g, err) : r;
}

/* --- Going on --------------------------------------------------------------------------------- */

/* From standing still with all it had. */
static int move_on(struct kvm_guest *g, const struct files *f, struct err *err)
{
	if (rename(f->memory, f->going) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot rename %s", f->memory);
	fault_point("driver.kvm.restore.renamed");
	if (virDomainResume(g->domain) < 0) {
		int r = connect_error(err, "the guest cannot go on from its saved memory");

		/* It has not moved: what it is to go on from is that. */
		if (guest_look(g, NULL) == 0 && g->state != VIR_DOMAIN_RUNNING)
			rename(f->going, f->memory);
		return r;
	}
	fault_point("driver.kvm.restore.resumed");
	drop(f->going, NULL);
	update_after_restore(g);
	return guest_look(g, err);
}

static int refused(struct err *err)
{
	struct err why = {0};

	connect_error(&why, "libvirt");
	return err_set(err, why.code, NULL,
		"the guest cannot go on from its saved memory; restore the snapshot without it "
		"(%s)",
		start_cause(why.message));
}

static int come_back(struct kvm_guest *g, const struct files *f, struct err *err)
{
	int r;

	if (virDomainRestoreFlags(g->conn, f->memory, NULL, VIR_DOMAIN_SAVE_PAUSED) < 0)
		return refused(err);
	fault_point("driver.kvm.restore.paused");
	r = guest_look(g, err);
	return r == 0 ? move_on(g, f, err) : r;
}

int save_restore(struct kvm_guest *g, struct err *err)
{
	struct files f;
	int r = files_of(g, &f, err);

	if (r < 0)
		return r;
	fault_point("driver.kvm.restore.before");
	r = come_back(g, &f, err);
	if (r < 0 && guest_look(g, NULL) == 0 && guest_is_active(g))
		virDomainDestroy(g->domain);
	return r;
}

/* A save that nobody waits for any more, or what is left of one. */
static int call_off(struct kvm_guest *g, const struct files *f, struct err *err)
{
	int r;

	if (saving(g))
		virDomainAbortJob(g->domain);
	r = await_earlier(g, err);
	return r == 0 && guest_is_active(g) ? drop(f->new, err) : r;
}

/* Of one that runs, or stands still after what a crash has cut off. */
static int finish(struct kvm_guest *g, const struct files *f, struct err *err)
{
	int r = stands_for_save(g) || is_there(f->new) ? call_off(g, f, err) : 0;

	if (r < 0 || !guest_is_active(g))
		return r;
	if (!is_there(f->memory) && !is_there(f->going))
		return 0;
	if (g->state == VIR_DOMAIN_PAUSED)
		return move_on(g, f, err);
	r = drop(f->memory, err);
	return r == 0 ? drop(f->going, err) : r;
}

int save_settle(struct kvm_guest *g, bool *ret_memory, struct err *err)
{
	struct files f;
	int r;

	*ret_memory = false;
	if (!g->definition.guest.disk->memory)
		return 0;
	r = files_of(g, &f, err);
	if (r == 0 && guest_is_active(g))
		r = finish(g, &f, err);
	if (r < 0 || guest_is_active(g))
		return r;
	r = settle(&f, err);
	*ret_memory = r == 0 && is_there(f.memory);
	return r;
}
