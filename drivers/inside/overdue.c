/* What has to be undone in time. */
#include "drivers/inside/overdue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/apart.h"

#define RETRY_MS 1000
#define GIVE_UP_NS                                                                                 \
	(INT64_C(600) * 1000000000) /* what is in the way stays: so does what was begun */

struct watch {
	const char *name;
	int64_t ms;
	overdue_fn undo;
	void *data;
	int note, notify;
};

/* --- The note ----------------------------------------------------------------------------------
 */

int overdue_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_gone(int note)
{
	struct stat st;

	return fstat(note, &st) < 0 || st.st_nlink == 0;
}

static void lock(int note)
{
	while (flock(note, LOCK_EX) < 0 && errno == EINTR)
		;
}

bool overdue_is_noted(int note)
{
	bool noted;

	lock(note);
	noted = !is_gone(note);
	flock(note, LOCK_UN);
	return noted;
}

int overdue_end(const char *path, overdue_fn undo, void *data, struct err *err)
{
	for (;;) {
		AUTOCLOSE int note = overdue_open(path);

		if (note == -ENOENT)
			return 0;
		if (note < 0)
			return err_errno(err, note, "cannot open %s", path);
		lock(note);
		if (!is_gone(note))
			return undo(data, err);
	}
}

/* --- What watches over it -----------------------------------------------------------------------
 */

/* True when it is gone before the time is over. */
static bool wait_gone(const struct watch *w)
{
	int64_t end = clock_monotonic_ns() + w->ms * 1000000, left;
	char events[sizeof(struct inotify_event) + NAME_MAX + 1];
	struct pollfd p = {.fd = w->notify, .events = POLLIN};

	while (!is_gone(w->note) && (left = end - clock_monotonic_ns()) > 0)
		if (poll(&p, 1, (int)(left / 1000000) + 1) > 0)
			while (read(w->notify, events, sizeof(events)) > 0)
				;
	return is_gone(w->note);
}

static bool undo_it(const struct watch *w)
{
	lock(w->note);
	if (!is_gone(w->note))
		w->undo(w->data, NULL);
	flock(w->note, LOCK_UN);
	return is_gone(w->note);
}

static void be_watch(struct watch *w)
{
	int *const fds[] = {&w->note, &w->notify};
	int64_t end;

	apart_keep_only(fds, ARRAY_SIZE(fds));
	prctl(PR_SET_NAME, w->name);
	if (chdir("/") < 0 || wait_gone(w))
		_exit(0);
	end = clock_monotonic_ns() + GIVE_UP_NS;
	while (!undo_it(w) && clock_monotonic_ns() < end)
		poll(NULL, 0, RETRY_MS);
	_exit(0);
}

static int watch_directory(const char *path)
{
	const char *name = strrchr(path, '/');
	char directory[PATH_MAX];
	AUTOCLOSE int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (file_path(directory, sizeof(directory), "%.*s", name ? (int)(name - path) : 0, path) <
			0 ||
		notify < 0 || inotify_add_watch(notify, directory, IN_DELETE | IN_MOVED_TO) < 0)
		return -errno;
	return TAKE_FD(notify);
}

int overdue_watch(const char *path, int64_t ms, const char *name, overdue_fn undo, void *data,
	struct err *err)
{
	AUTOCLOSE int note = overdue_open(path);
	AUTOCLOSE int notify = watch_directory(path);
	struct watch w = {
		.name = name, .ms = ms, .undo = undo, .data = data, .note = note, .notify = notify};
	int r = note < 0 ? note : notify;

	if (r < 0)
		return err_errno(err, r, "cannot watch over %s", path);
	r = apart_fork();
	if (r < 0)
		return err_errno(err, r, "cannot fork to watch over %s", path);
	if (r == 0)
		be_watch(&w);
	return 0;
}
