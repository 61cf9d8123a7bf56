/* What a guest's program does that wants more room than it has: it makes a subvolume of btrfs in a
 * directory, and says what came of it. Where the directory is on another file system the kernel
 * does not know the request: so "refused" is the filter's word alone. */
#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct btrfs_ioctl_vol_args args = {.name = "nested"};
	int fd = open(argc > 1 ? argv[1] : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (fd < 0)
		return 1;
	r = ioctl(fd, BTRFS_IOC_SUBVOL_CREATE, &args);
	puts(r == 0 ? "made" : errno == EPERM ? "refused" : strerror(errno));
	close(fd);
	return 0;
}
