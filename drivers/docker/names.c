/* Names in a running container. */
#include "drivers/docker/names.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "drivers/driver.h"
#include "drivers/inside/hostname.h"

char *names_hosts(const struct driver_guest *g)
{
	struct strbuf b = {0};
	size_t label = strcspn(g->name, ".");

	strbuf_add(&b, "127.0.0.1\tlocalhost\n"
		       "::1\tlocalhost ip6-localhost ip6-loopback\n");
	strbuf_addf(&b, "%s\t%s", g->net.address ? FMT_IPV4(g->net.address) : "127.0.1.1", g->name);
	if (g->name[label])
		strbuf_addf(&b, " %.*s", (int)label, g->name);
	else if (g->net.domain)
		strbuf_addf(&b, " %s.%s", g->name, g->net.domain);
	strbuf_add(&b, "\n");
	return strbuf_take(&b);
}

char *names_resolv(const struct driver_guest *g)
{
	struct strbuf b = {0};

	strbuf_add(&b, "");
	if (g->net.bridge && g->net.gateway)
		strbuf_addf(&b, "nameserver %s\n", FMT_IPV4(g->net.gateway));
	if (g->net.bridge && g->net.gateway && g->net.domain)
		strbuf_addf(&b, "search %s\n", g->net.domain);
	return strbuf_take(&b);
}

/* --- Files ------------------------------------------------------------------------------------ */

/* In place, since the file is what is mounted; nothing leads out of the container's root. It may
 * have put something else there, or nothing: then it wants it so. */
static int write_file(int root, const char *path, const char *text)
{
	struct open_how how = {.flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	AUTOCLOSE int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct stat st;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == EROFS || errno == ENXIO || errno == ENOTDIR ||
			      errno == ELOOP || errno == EISDIR))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	/* Longer first: who reads at this moment finds a whole line of either. */
	r = file_write_all(fd, text, strlen(text));
	return r == 0 && ftruncate(fd, (off_t)strlen(text)) < 0 ? -errno : r;
}

static int write_files(const struct driver_guest *g, int root, struct err *err)
{
	AUTOFREE char *hosts = names_hosts(g), *resolv = names_resolv(g), *own = NULL;
	int r;

	if (!hosts || !resolv || asprintf(&own, "%s\n", g->name) < 0) {
		own = NULL;
		return err_errno(err, ENOMEM, "no memory for the container's names");
	}
	r = write_file(root, "etc/hosts", hosts);
	if (r == 0)
		r = write_file(root, "etc/hostname", own);
	if (r == 0)
		r = write_file(root, "etc/resolv.conf", resolv);
	return r < 0 ? err_errno(err, r, "cannot write the container's /etc/hosts") : 0;
}

int names_give(const struct driver_guest *g, pid_t pid, struct err *err)
{
	char path[64];
	int r = hostname_set(pid, g->name, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/root", pid);

	AUTOCLOSE int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot enter the container");
	return write_files(g, root, err);
}
