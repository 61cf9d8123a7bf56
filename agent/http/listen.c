/* The listening unix socket. A lock beside it decides between two agents that start at the same
 * time; the socket is made under a name of its own and renamed into place, so that there is no
 * moment in which it has the wrong mode or does not listen yet. */
#include "agent/http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define BACKLOG 512

static int address_of(const char *path, struct sockaddr_un *ret, struct err *err)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (file_path(ret->sun_path, sizeof(ret->sun_path), "%s", path) < 0)
		return err_set(err, ERR_INVALID, "socket",
			"the path of a socket must be shorter than %zu characters: %s",
			sizeof(ret->sun_path) - 4, path);
	return 0;
}

/* Whether the lock's file is still the one at its path: who had it may have removed it. */
static bool is_at(int fd, const char *path)
{
	struct stat have, at;

	return fstat(fd, &have) == 0 && stat(path, &at) == 0 && have.st_dev == at.st_dev &&
	       have.st_ino == at.st_ino;
}

static int take_lock(const char *socket_path, int *ret, struct err *err)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int r = file_path(path, sizeof(path), "%s.lock", socket_path);

	if (r < 0)
		return err_errno(err, r, "cannot lock %s", socket_path);
	for (;;) {
		AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return err_errno(err, errno, "cannot open %s", path);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				return err_set(err, ERR_CONFLICT, "socket",
					"another agent serves %s", socket_path);
			return err_errno(err, errno, "cannot lock %s", path);
		}
		if (is_at(fd, path)) {
			*ret = TAKE_FD(fd);
			return 0;
		}
	}
}

static int in_use(const char *path, struct err *err)
{
	return err_set(err, ERR_CONFLICT, "socket", "another process listens at %s", path);
}

/* What stands at the path may be replaced only if it is a socket at which nobody listens. */
static int check_stale(const char *path, const struct sockaddr_un *address, struct err *err)
{
	AUTOCLOSE int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFLICT, "socket",
			"%s exists and is no socket; remove it or choose another path", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		(errno != ECONNREFUSED && errno != ENOENT))
		return in_use(path, err);
	return 0;
}

static int bind_beside(
	const char *path, const struct sockaddr_un *beside, uint32_t mode, struct err *err)
{
	AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (unlink(beside->sun_path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", beside->sun_path);
	if (bind(fd, (const struct sockaddr *)beside, sizeof(*beside)) < 0)
		return err_errno(err, errno, "cannot bind %s", beside->sun_path);
	if (chmod(beside->sun_path, mode & 0777) < 0 || listen(fd, BACKLOG) < 0 ||
		rename(beside->sun_path, path) < 0) {
		int saved = errno;

		unlink(beside->sun_path);
		return err_errno(err, saved, "cannot listen at %s", path);
	}
	return TAKE_FD(fd);
}

static int remember(struct listen_socket *socket, struct err *err)
{
	struct stat st;

	if (lstat(socket->path, &st) < 0)
		return err_errno(err, errno, "cannot look at %s", socket->path);
	socket->dev = st.st_dev;
	socket->ino = st.st_ino;
	return 0;
}

static int open_locked(struct listen_socket *socket, uint32_t mode, struct err *err)
{
	AUTOCLOSE int fd = -1;
	struct sockaddr_un address, beside;
	char name[sizeof(address.sun_path) + 8];
	int r = address_of(socket->path, &address, err);

	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s.new", socket->path);
	r = address_of(name, &beside, err);
	if (r < 0)
		return r;
	r = take_lock(socket->path, &socket->lock_fd, err);
	if (r < 0)
		return r;
	r = check_stale(socket->path, &address, err);
	if (r < 0)
		return r;
	fd = bind_beside(socket->path, &beside, mode, err);
	if (fd < 0)
		return fd;
	r = remember(socket, err);
	return r < 0 ? r : TAKE_FD(fd);
}

int listen_socket_open(
	struct listen_socket *socket, const char *path, uint32_t mode, struct err *err)
{
	int fd;

	*socket = (struct listen_socket){.path = strdup(path), .lock_fd = -1};
	if (!socket->path)
		return err_errno(err, ENOMEM, "cannot listen at %s", path);
	fd = open_locked(socket, mode, err);
	if (fd < 0)
		listen_socket_finish(socket);
	return fd;
}

void listen_socket_finish(struct listen_socket *socket)
{
	char lock[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	struct stat st;

	if (socket->path && socket->ino && lstat(socket->path, &st) == 0 &&
		st.st_dev == socket->dev && st.st_ino == socket->ino)
		unlink(socket->path);
	if (socket->lock_fd >= 0 && file_path(lock, sizeof(lock), "%s.lock", socket->path) == 0)
		unlink(lock);
	free(socket->path);
	fd_close(socket->lock_fd);
	*socket = (struct listen_socket){.lock_fd = -1};
}
