/* The driver's side of corpus-gate. */
#include "drivers/docker/gatekeeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/docker/gate/gate.h"

#define LOOK_MS 5 /* between looks whether somebody reads: that cannot be waited for */

/* What runc calls its own process, which becomes corpus-gate in a moment. */
#define RUNC_INIT "runc:["

static bool is_still_runc(pid_t pid)
{
	AUTOFREE char *name = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	return file_read(path, 64, &name, NULL) == 0 &&
	       strncmp(name, RUNC_INIT, strlen(RUNC_INIT)) == 0;
}

/* As the kernel writes of one that was replaced since, by an upgrade: "/.corpus/gate (deleted)". */
bool gatekeeper_holds(pid_t pid)
{
	const size_t length = strlen(GATE_PROGRAM);
	char link[64], path[sizeof(GATE_PROGRAM) + 1];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	n = readlink(link, path, sizeof(path));
	if (n >= (ssize_t)length && memcmp(path, GATE_PROGRAM, length) == 0 &&
		(n == (ssize_t)length || path[length] == ' '))
		return true;
	return is_still_runc(pid);
}

/* --- The directory ---------------------------------------------------------------------------- */

/* Whoever the container runs as has to reach it; of the node nobody can, since what is above it is
 * root's alone. */
static int open_to_all(const char *path, mode_t mode, struct err *err)
{
	return chmod(path, mode) < 0 ? err_errno(err, errno, "cannot open up %s", path) : 0;
}

static int path_of(char path[static PATH_MAX], const char *dir, const char *name, struct err *err)
{
	return file_path(path, PATH_MAX, "%s/%s", dir, name) < 0
		       ? err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long")
		       : 0;
}

static int make_apart(const char *dir)
{
	char above[PATH_MAX];
	int r = file_path(above, sizeof(above), "%s", dir);

	if (r < 0)
		return r;
	*strrchr(above, '/') = '\0';
	r = file_mkdirs(above, 0700);
	return r == 0 ? file_mkdirs(dir, 0755) : r;
}

int gatekeeper_lay(const char *dir, struct err *err)
{
	int r = make_apart(dir);

	return r < 0 ? err_errno(err, r, "cannot make %s", dir) : open_to_all(dir, 0755, err);
}

static int make_fifo(const char *dir, const char *name, struct err *err)
{
	char path[PATH_MAX];
	int r = path_of(path, dir, name, err);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	if (mkfifo(path, 0600) < 0)
		return err_errno(err, errno, "cannot make %s", path);
	return open_to_all(path, 0666, err);
}

int gatekeeper_prepare(const char *dir, struct err *err)
{
	int r = gatekeeper_lay(dir, err);

	if (r == 0)
		r = make_fifo(dir, GATE_GO, err);
	return r == 0 ? make_fifo(dir, GATE_DONE, err) : r;
}

int gatekeeper_lock(const char *dir, bool wait)
{
	AUTOCLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return TAKE_FD(fd);
}

void gatekeeper_clear(const char *dir)
{
	static const char *const names[] = {GATE_GO, GATE_DONE};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (path_of(path, dir, names[i], NULL) == 0)
			unlink(path);
}

/* --- Admission -------------------------------------------------------------------------------- */

static int open_end(const char *dir, const char *name, int flags)
{
	char path[PATH_MAX];
	int fd = -1;

	if (path_of(path, dir, name, NULL) == 0)
		fd = open(path, flags | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Once somebody reads it. */
static int tell(const char *dir, const char *variables, bool *told, struct err *err)
{
	char message[GATE_MESSAGE_MAX + 1];
	int n = snprintf(message, sizeof(message), "%s\n", variables);
	AUTOCLOSE int go = open_end(dir, GATE_GO, O_WRONLY);

	if (go == -ENXIO)
		return 0;
	if (go < 0 || n < 0 || n > GATE_MESSAGE_MAX)
		return err_errno(err, go < 0 ? go : -E2BIG, "cannot speak to corpus-gate");
	if (write(go, message, (size_t)n) != n)
		return errno == EPIPE ? 0 : err_errno(err, errno, "cannot speak to corpus-gate");
	*told = true;
	return 0;
}

static int fail_to_execute(int errnum, const char *what, struct err *err)
{
	return err_set(err, ERR_DRIVER, NULL, "cannot execute the container's program %s: %s%s",
		what, strerror(errnum),
		errnum == ENOENT   ? ": its image has none of that name, or not what it needs"
		: errnum == EACCES ? ": the user that it runs as may not"
				   : "");
}

/* Whether that was the end of it: *over. */
static int hear(int done, const char *what, bool *over, struct err *err)
{
	struct pollfd p = {.fd = done, .events = POLLIN};
	int failed = 0;

	if (poll(&p, 1, LOOK_MS) <= 0)
		return 0;
	*over = true;
	if ((p.revents & POLLIN) && read(done, &failed, sizeof(failed)) == sizeof(failed))
		return fail_to_execute(failed, what, err);
	return 0;
}

static bool has_ended(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

int gatekeeper_admit(const char *dir, int pidfd, const char *variables, const char *what,
	int64_t deadline_ns, struct err *err)
{
	AUTOCLOSE int done = open_end(dir, GATE_DONE, O_RDONLY);
	bool told = false, over = false;
	int r = 0;

	if (done < 0)
		return err_errno(err, done, "cannot hear corpus-gate");
	while (r == 0 && !over) {
		bool ended = has_ended(pidfd);

		if (!told)
			r = tell(dir, variables, &told, err);
		fault_point("driver.docker.gate.told");
		if (r == 0)
			r = hear(done, what, &over, err);
		if (r == 0 && !over && ended)
			return err_set(err, ERR_DRIVER, NULL,
				"the container ended before its program could be executed");
		if (r == 0 && !over && clock_monotonic_ns() > deadline_ns)
			return err_set(err, ERR_TIMEOUT, NULL,
				"the container's program was not executed in time");
	}
	return r;
}
