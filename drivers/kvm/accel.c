/* Whether machines run accelerated here: looked at, remembered, or tried out. */
#include "drivers/kvm/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "drivers/kvm/accel_boot.h"

#define FILE_MAX     65536
#define CPUINFO_MAX  (16 << 20)
#define RETRY_MS     (INT64_C(6) * 3600 * 1000) /* what took too long may have been a busy host */
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

const struct accel_host accel_this_host = {.qemu = "qemu-system-x86_64",
	.accelerator = "kvm",
	.device = "/dev/kvm",
	.cpuinfo = "/proc/cpuinfo",
	.machine_id = "/etc/machine-id",
	.timeout_ms = 3000};

/* --- One look -------------------------------------------------------------------------------- */

static bool refuse(struct accel_finding *ret, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool refuse(struct accel_finding *ret, const char *fmt, ...)
{
	va_list ap;

	*ret = (struct accel_finding){0};
	va_start(ap, fmt);
	vsnprintf(ret->reason, sizeof(ret->reason), fmt, ap);
	va_end(ap);
	return false;
}

/* Where a program is, as execvp(3) finds it. */
static bool find_program(const char *name, char path[static PATH_MAX])
{
	const char *folders = getenv("PATH");
	AUTOFREE char *copy = strdup(folders && *folders ? folders : DEFAULT_PATH);
	char *rest = copy, *folder;

	if (strchr(name, '/'))
		return file_path(path, PATH_MAX, "%s", name) == 0 && access(path, X_OK) == 0;
	while ((folder = strsep(&rest, ":")))
		if (file_path(path, PATH_MAX, "%s/%s", folder, name) == 0 &&
			access(path, X_OK) == 0)
			return true;
	return false;
}

/* What needs no boot to be seen: cheap, so it is never remembered, and a device that comes is taken
 * up at once. */
bool accel_look(const struct accel_host *host, struct accel_finding *ret)
{
	AUTOCLOSE int fd = open(host->device, O_RDWR | O_CLOEXEC);
	char path[PATH_MAX];

	if (corpus_kvm_boot_size == 0)
		return refuse(ret, "this is not an x86-64 machine");
	if (fd < 0 && errno == ENOENT)
		return refuse(ret, "there is no %s", host->device);
	if (fd < 0)
		return refuse(ret, "%s cannot be opened: %s", host->device, strerror(errno));
	if (!find_program(host->qemu, path))
		return refuse(ret, "there is no QEMU (%s) to try it with", host->qemu);
	return true;
}

/* --- What it is about ------------------------------------------------------------------------ */

static void add_file(struct strbuf *buf, const char *what, const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0)
		strbuf_addf(buf, "%s %s rdev %lx mode %o owner %u:%u size %lld time %lld.%09ld\n",
			what, path, (unsigned long)st.st_rdev, st.st_mode, st.st_uid, st.st_gid,
			S_ISREG(st.st_mode) ? (long long)st.st_size : 0LL,
			S_ISREG(st.st_mode) ? (long long)st.st_mtim.tv_sec : 0LL,
			S_ISREG(st.st_mode) ? st.st_mtim.tv_nsec : 0L);
}

/* The first line of each of these: what kind of processor it is, what it can and what is known to
 * be wrong with it. Others (its frequency) change by themselves. */
static void add_processor(struct strbuf *buf, const char *path)
{
	static const char *const KEYS[] = {"vendor_id\t", "cpu family\t", "model\t", "model name\t",
		"stepping\t", "microcode\t", "flags\t"};
	AUTOFREE char *text = NULL;

	if (file_read(path, CPUINFO_MAX, &text, NULL) < 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
		const char *at = text;

		while (at && strncmp(at, KEYS[i], strlen(KEYS[i])) != 0) {
			at = strchr(at, '\n');
			at = at ? at + 1 : NULL;
		}
		if (at)
			strbuf_addf(buf, "%.*s\n", (int)(strchrnul(at, '\n') - at), at);
	}
}

/* All that a finding hangs on: when any of it changes, it says nothing any more. The kernel's
 * version with its release, since a fixed kernel may have the same release. NULL: no memory. */
static char *identify(const struct accel_host *host)
{
	AUTOFREE char *machine = NULL;
	struct strbuf buf = {0};
	struct utsname kernel;
	char qemu[PATH_MAX];

	strbuf_addf(&buf, "corpus %s\n", CORPUS_VERSION);
	if (uname(&kernel) == 0)
		strbuf_addf(&buf, "kernel %s %s %s %s\n", kernel.sysname, kernel.release,
			kernel.version, kernel.machine);
	if (file_read(host->machine_id, FILE_MAX, &machine, NULL) == 0)
		strbuf_addf(&buf, "machine %s\n", machine);
	add_processor(&buf, host->cpuinfo);
	add_file(&buf, "device", host->device);
	if (find_program(host->qemu, qemu))
		add_file(&buf, "qemu", qemu);
	strbuf_addf(&buf, "with %s as %s\n", host->accelerator, host->user ? host->user : "usual");
	return strbuf_take(&buf);
}

/* --- Remembering ----------------------------------------------------------------------------- */

static bool read_finding(const json_t *json, struct accel_finding *ret)
{
	const json_t *works = json_object_get(json, "works");
	const char *reason = json_string_value(json_object_get(json, "reason"));

	if (!json_is_boolean(works) || !reason)
		return false;
	*ret = (struct accel_finding){.works = json_is_true(works),
		.found_ms = json_integer_value(json_object_get(json, "found_ms")),
		.inconclusive = json_is_true(json_object_get(json, "inconclusive"))};
	snprintf(ret->reason, sizeof(ret->reason), "%s", reason);
	return true;
}

/* A clock that was set back makes a finding old, too. */
static bool is_fresh(const struct accel_finding *finding)
{
	int64_t age = clock_realtime_ms() - finding->found_ms;

	return !finding->inconclusive || (age >= 0 && age < RETRY_MS);
}

bool accel_recall(const struct accel_host *host, const char *state_dir, struct accel_finding *ret)
{
	AUTOFREE char *identity = identify(host);
	AUTOFREE char *text = NULL;
	json_auto_t *json = NULL;
	struct accel_finding found;
	const char *about;
	char path[PATH_MAX];

	if (!identity || file_path(path, sizeof(path), "%s/acceleration", state_dir) < 0 ||
		file_read(path, FILE_MAX, &text, NULL) < 0)
		return false;
	json = json_loads(text, 0, NULL);
	about = json_string_value(json_object_get(json, "host"));
	if (!about || strcmp(about, identity) != 0 || !read_finding(json, &found) ||
		!is_fresh(&found))
		return false;
	*ret = found;
	return true;
}

/* What cannot be written down is found out again the next time: nothing worse. */
static void remember(
	const struct accel_host *host, const char *state_dir, const struct accel_finding *finding)
{
	AUTOFREE char *identity = identify(host);
	AUTOFREE char *text = NULL;
	json_auto_t *json = NULL;
	char path[PATH_MAX];

	if (!identity || file_path(path, sizeof(path), "%s/acceleration", state_dir) < 0)
		return;
	json = json_pack("{s:s, s:b, s:s, s:I, s:b}", "host", identity, "works", finding->works,
		"reason", finding->reason, "found_ms", (json_int_t)finding->found_ms,
		"inconclusive", finding->inconclusive);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	if (text)
		(void)file_replace(path, text, 0644, false);
}

/* Held until it is closed, or its holder ends. */
static int lock(const char *state_dir)
{
	char path[PATH_MAX];
	int fd;

	if (file_path(path, sizeof(path), "%s/acceleration.lock", state_dir) < 0)
		return -1;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
		;
	return fd;
}

void accel_find(const struct accel_host *host, const char *state_dir, struct accel_finding *ret)
{
	AUTOCLOSE int held = -1;

	if (!accel_look(host, ret) || accel_recall(host, state_dir, ret))
		return;
	held = lock(state_dir);
	if (accel_recall(host, state_dir, ret))
		return;
	accel_boot(host, corpus_kvm_boot, corpus_kvm_boot_size, ret);
	ret->found_ms = clock_realtime_ms();
	remember(host, state_dir, ret);
}
