/* What has to be undone in time. */
#include "drivers/inside/overdue.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/apart.h"

#define RETRY_MS  1000
#define GIVE_UP_S 600 /* what is in the way stays: so does what was begun */

struct watch {
	const char *path, *name;
	int64_t ms;
	overdue_fn undo;
	void *data;
	int notify;
};

static bool is_gone(const struct watch *w)
{
	return access(w->path, F_OK) < 0;
}

/* True when the file is gone before the time is over. */
static bool wait_gone(const struct watch *w)
{
	int64_t end = clock_monotonic_ns() + w->ms * 1000000, left;
	char events[sizeof(struct inotify_event) + NAME_MAX + 1];
	struct pollfd p = {.fd = w->notify, .events = POLLIN};

	while (!is_gone(w) && (left = end - clock_monotonic_ns()) > 0)
		if (poll(&p, 1, (int)(left / 1000000) + 1) > 0)
			while (read(w->notify, events, sizeof(events)) > 0)
				;
	return is_gone(w);
}

static void be_watch(struct watch *w)
{
	int *const fds[] = {&w->notify};

	apart_keep_only(fds, 1);
	prctl(PR_SET_NAME, w->name);
	if (chdir("/") < 0 || wait_gone(w))
		_exit(0);
	for (int i = 0; i < GIVE_UP_S && !is_gone(w); i++)
		if (w->undo(w->data) == -ENOENT || is_gone(w))
			break;
		else
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
		notify < 0 || inotify_add_watch(notify, directory, IN_DELETE) < 0)
		return -errno;
	return TAKE_FD(notify);
}

int overdue_watch(const char *path, int64_t ms, const char *name, overdue_fn undo, void *data,
	struct err *err)
{
	struct watch w = {.path = path, .name = name, .ms = ms, .undo = undo, .data = data};
	AUTOCLOSE int notify = watch_directory(path);
	int r;

	if (notify < 0)
		return err_errno(err, notify, "cannot watch over %s", path);
	w.notify = notify;
	r = apart_fork();
	if (r < 0)
		return err_errno(err, r, "cannot fork to watch over %s", path);
	if (r == 0)
		be_watch(&w);
	return 0;
}
