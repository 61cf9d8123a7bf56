/* Terminals. */
#include "session/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <termios.h>

#include "base/cleanup.h"

#define PTMX_MAJOR 5
#define PTMX_MINOR 2

static int is_multiplexer(int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(PTMX_MAJOR, PTMX_MINOR) ||
		fs.f_type != DEVPTS_SUPER_MAGIC)
		return -ENOTTY;
	return 0;
}

/* Looked at before it is opened: opening what a guest put there might do something. */
static int open_guests(pid_t init)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	AUTOCLOSE int root = -1, fd = -1;
	char path[64];
	int master;

	snprintf(path, sizeof(path), "/proc/%d/root", init);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, "dev/pts/ptmx", &how, sizeof(how));
	if (fd < 0)
		return -errno;
	if (is_multiplexer(fd) < 0)
		return -ENOTTY;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	master = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	return master < 0 ? -errno : master;
}

static int open_slave(int master)
{
	int unlocked = 0, slave;

	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		return -errno;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return slave < 0 ? -errno : slave;
}

int terminal_open(pid_t init, int *ret_master, int *ret_slave)
{
	AUTOCLOSE int master = init > 0 ? open_guests(init) : -1;
	int slave = master >= 0 ? open_slave(master) : -1;

	if (slave < 0) {
		fd_close(master);
		master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		slave = master < 0 ? -errno : open_slave(master);
	}
	if (slave < 0)
		return slave;
	*ret_master = TAKE_FD(master);
	*ret_slave = slave;
	return 0;
}

int terminal_resize(int master, unsigned rows, unsigned columns)
{
	struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};

	return ioctl(master, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

char terminal_eof(int master)
{
	struct termios state;

	if (tcgetattr(master, &state) < 0 || !(state.c_lflag & ICANON))
		return 0;
	return (char)state.c_cc[VEOF];
}
