/* Disks of machines that run. */
#include "drivers/kvm/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/kvm/guest.h"
#include "drivers/kvm/hold.h"
#include "drivers/kvm/way.h"

#define GROW_MS 25000
#define TRIM_S	45

/* --- Resizing -----------------------------------------------------------------------------------
 */

/* Makes what is mounted on / as large as its disk, where that is a partition or all of a disk, and
 * the tools are there; $1 is what the disk has to have, in bytes, which the kernel learns in a
 * moment. The end of /proc/mounts is what counts: what was mounted last. */
#define GROW                                                                                       \
	"while read -r dev dir type rest; do\n"                                                    \
	"	[ \"$dir\" != / ] || { source=$dev fs=$type; }\n"                                        \
	"done </proc/mounts\n"                                                                     \
	"if [ ! -b \"$source\" ]; then\n"                                                          \
	"	while read -r a b number c dir rest; do\n"                                               \
	"		[ \"$dir\" != / ] || at=$number\n"                                                      \
	"	done </proc/self/mountinfo\n"                                                            \
	"	at=$(readlink -f \"/sys/dev/block/$at\") || exit 1\n"                                    \
	"	source=/dev/${at##*/}\n"                                                                 \
	"fi\n"                                                                                     \
	"source=$(readlink -f \"$source\")\n"                                                      \
	"[ -b \"$source\" ] || exit 1\n"                                                           \
	"at=$(readlink -f \"/sys/class/block/${source##*/}\") disk=$source part=\n"                \
	"if [ -e \"$at/partition\" ]; then\n"                                                      \
	"	read -r part <\"$at/partition\"\n"                                                       \
	"	at=${at%/*}\n"                                                                           \
	"	disk=/dev/${at##*/}\n"                                                                   \
	"fi\n"                                                                                     \
	"for i in 1 2 3 4 5; do\n"                                                                 \
	"	read -r sectors <\"$at/size\" || exit 1\n"                                               \
	"	[ $((sectors * 512)) -lt \"$1\" ] || break\n"                                            \
	"	sleep 1\n"                                                                               \
	"done\n"                                                                                   \
	"[ $((sectors * 512)) -ge \"$1\" ] || exit 1\n"                                            \
	"if [ -n \"$part\" ]; then\n"                                                              \
	"	if command -v growpart >/dev/null; then\n"                                               \
	"		growpart \"$disk\" \"$part\" >/dev/null 2>&1 # 1: it is as large "                      \
	"already\n"                                                                                \
	"	else\n"                                                                                  \
	"		echo ', +' | sfdisk --no-reread -fN \"$part\" \"$disk\" >/dev/null 2>&1 "               \
	"|| exit 1\n"                                                                              \
	"		partx -u \"$disk\" >/dev/null 2>&1\n"                                                   \
	"	fi\n"                                                                                    \
	"fi\n"                                                                                     \
	"case $fs in\n"                                                                            \
	"ext[234]) resize2fs \"$source\" >/dev/null 2>&1;;\n"                                      \
	"xfs) xfs_growfs / >/dev/null 2>&1;;\n"                                                    \
	"btrfs) btrfs filesystem resize max / >/dev/null 2>&1;;\n"                                 \
	"*) exit 1;;\n"                                                                            \
	"esac\n"

/* Whether the guest did it; what it cannot do now it does at its next boot. */
static bool grow_inside(const struct kvm_guest *g, uint64_t size)
{
	CLEANUP(way_result_finish) struct way_result result = {0};
	CLEANUP(way_close) struct way way = {0};
	char bytes[24];
	const char *args[] = {bytes, NULL};
	struct way_run run = {.script = GROW, .args = args, .timeout_ms = GROW_MS};

	snprintf(bytes, sizeof(bytes), "%" PRIu64, size);
	return way_open(g, false, &way, NULL) == 0 && way_run(&way, &run, &result, NULL) == 0 &&
	       result.status == 0;
}

static int resize(
	struct kvm_guest *g, uint64_t size, struct driver_disk_result *ret, struct err *err)
{
	const char *path = g->definition.guest.disk->path;
	virDomainBlockInfo info;

	if (virDomainGetBlockInfo(g->domain, path, &info, 0) < 0)
		return connect_error(
			err, "cannot look at the disk of guest %s", g->definition.guest.id);
	if (info.capacity > size)
		return err_set(err, ERR_INVALID, "storage.size",
			"the disk has %llu bytes: one that is in use does not become smaller",
			info.capacity);
	if (info.capacity < size &&
		virDomainBlockResize(g->domain, path, size, VIR_DOMAIN_BLOCK_RESIZE_BYTES) < 0)
		return connect_error(
			err, "cannot enlarge the disk of guest %s", g->definition.guest.id);
	fault_point("driver.kvm.disk.resized");
	ret->file_system = grow_inside(g, size);
	return 0;
}

/* --- Returning blocks ----------------------------------------------------------------------------
 */

/* Each file system that lies on a disk, once. */
#define TRIM                                                                                       \
	"any=1 seen=' '\n"                                                                         \
	"while read -r dev dir rest; do\n"                                                         \
	"	case $dev in /dev/*) ;; *) continue;; esac\n"                                            \
	"	case $seen in *\" $dev \"*) continue;; esac\n"                                           \
	"	seen=\"$seen$dev \"\n"                                                                   \
	"	fstrim \"$(printf %b \"$dir\")\" 2>&1 && any=0\n"                                        \
	"done </proc/mounts\n"                                                                     \
	"exit $any\n"

static int trim_by_script(const struct kvm_guest *g, struct err *err)
{
	struct way_run run = {.script = TRIM, .timeout_ms = TRIM_S * 1000};
	CLEANUP(way_result_finish) struct way_result result = {0};
	CLEANUP(way_close) struct way way = {0};
	int r = way_open(g, false, &way, err);

	if (r == 0)
		r = way_run(&way, &run, &result, err);
	if (r == 0 && result.status != 0)
		r = err_set(err, ERR_UNSUPPORTED, NULL,
			"the guest could not trim any of its file systems: %.200s", result.output);
	return r;
}

static int trim(const struct kvm_guest *g, struct err *err)
{
	struct qga qga = qga_of_domain(g->domain);
	AUTOFREE char *request = qga_request("guest-fstrim"), *answer = NULL;

	if (!request)
		return err_errno(err, ENOMEM, "no memory to trim a disk");
	if (qga_can(&qga, "guest-fstrim", NULL) < 0)
		return trim_by_script(g, err);
	answer = qga.ask(qga.data, request, TRIM_S, err);
	return answer ? qga_parse_trim(answer, err) : -EIO;
}

static uint64_t used(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* What came of it is seen here: a guest may say anything. */
static int discard(struct kvm_guest *g, struct driver_disk_result *ret, struct err *err)
{
	const char *path = g->definition.guest.disk->path;
	uint64_t before = used(path), after;
	int r = trim(g, err);

	if (r < 0)
		return r;
	after = used(path);
	ret->freed = before > after ? before - after : 0;
	return 0;
}

/* --- All of them --------------------------------------------------------------------------------
 */

int kvm_disk(struct driver *driver, const char *id, const struct driver_disk_work *work,
	struct driver_disk_result *ret, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	struct driver_disk_result result = {0};
	int r;

	if (work->op == DRIVER_DISK_RELEASE) {
		r = guest_connect(driver, id, &g, err);
		return r == 0 ? hold_end(&g, err) : r;
	}
	r = guest_running(driver, id, &g, err);
	if (r < 0)
		return r;
	switch (work->op) {
	case DRIVER_DISK_RESIZE: r = resize(&g, work->size, &result, err); break;
	case DRIVER_DISK_DISCARD: r = discard(&g, &result, err); break;
	case DRIVER_DISK_HOLD: r = hold_begin(&g, &result.file_system, err); break;
	case DRIVER_DISK_RELEASE: break;
	}
	if (r == 0 && ret)
		*ret = result;
	return r;
}
