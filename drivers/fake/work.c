/* What the fake driver does. */
#include "drivers/fake/work.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/definition.h"
#include "drivers/fake/container.h"
#include "drivers/fake/disk.h"
#include "drivers/fake/exec.h"
#include "drivers/fake/fake.h"
#include "drivers/fake/images.h"
#include "drivers/fake/machine.h"
#include "drivers/fake/process.h"
#include "drivers/inside/console.h"
#include "drivers/inside/tree.h"

static int lock_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.exec", f->dirs.run, id);
}

static int console_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.console", f->dirs.log, id);
}

static int paths(const struct fake *f, const char *id, char definition[static PATH_MAX],
	char pid_file[static PATH_MAX], struct err *err)
{
	const struct definition_path all[] = {
		{definition, f->dirs.state, ".json"}, {pid_file, f->dirs.run, ".pid"}};

	return definition_paths(id, all, ARRAY_SIZE(all), err);
}

/* Of one that is defined. */
static int paths_of_known(const struct fake *f, const char *id, char definition[static PATH_MAX],
	char pid_file[static PATH_MAX], struct err *err)
{
	int r = paths(f, id, definition, pid_file, err);

	return r < 0 ? r : definition_need(definition, FAKE_TITLE, id, err);
}

static int check_kind(const struct fake *f, const struct driver_guest *guest, struct err *err)
{
	enum image_kind wanted = machine_image_kind(f);
	enum image_kind kind = guest->container ? IMAGE_OCI : guest->disk ? IMAGE_DISK : IMAGE_TREE;

	if (kind == wanted)
		return 0;
	return err_set(err, ERR_INVALID,
		kind == IMAGE_OCI    ? "container"
		: kind == IMAGE_DISK ? "disk"
				     : "rootfs",
		"guests of this driver are made of images of the kind %s",
		image_kind_to_string(wanted));
}

int work_create(struct fake *f, const struct driver_guest *guest, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths(f, guest->id, definition, pid_file, err);

	if (r == 0)
		r = check_kind(f, guest, err);
	if (r == 0 && guest->disk)
		r = machine_make(f, guest->id, err);
	if (r == 0 && guest->container)
		r = container_make(f, guest, err);
	return r < 0 ? r : definition_save(definition, guest, NULL, err);
}

/* Whether the guest's root has that file; follows no link out of it. */
static bool has_file(const char *rootfs, const char *name)
{
	char path[PATH_MAX];

	return file_path(path, sizeof(path), "%s/%s", rootfs, name) == 0 &&
	       faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int work_look(struct fake *f, const char *id, struct driver_status *ret, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths_of_known(f, id, definition, pid_file, err);

	if (r < 0)
		return r;
	*ret = (struct driver_status){.pid = fake_process_pid(pid_file), .exit_status = -1};
	memcpy(ret->id, id, GUEST_ID_LEN);
	ret->state = ret->pid == 0			? GUEST_STOPPED
		     : fake_process_is_frozen(ret->pid) ? GUEST_FROZEN
							: GUEST_RUNNING;
	return 0;
}

/* What a guest says on its console. */
static void say(const struct fake *f, const char *id, const char *text)
{
	char path[PATH_MAX];
	AUTOCLOSE int fd = -1;

	if (console_path(f, id, path) == 0)
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		file_write_all(fd, text, strlen(text));
}

static int start_tree(
	struct fake *f, const struct driver_guest *guest, const char *pid_file, struct err *err)
{
	int r;

	if (!has_file(guest->rootfs, "sbin/init"))
		return err_set(err, ERR_DRIVER, NULL, "no /sbin/init in %s", guest->rootfs);
	r = fake_process_start(pid_file, has_file(guest->rootfs, "etc/ignore-shutdown"), err);
	if (r == 0)
		say(f, guest->id, "the fake guest is up\n");
	return r;
}

static int check_machine(const struct fake *f, const struct driver_guest *guest, struct err *err)
{
	char buf[PATH_MAX];
	const char *root = machine_inside(f, guest, buf);

	if (root && !has_file(root, "sbin/init"))
		return err_set(err, ERR_DRIVER, NULL, "no /sbin/init in %s", root);
	return fake_disk_check(guest->disk, err);
}

static int start_machine(
	struct fake *f, const struct driver_guest *guest, const char *pid_file, struct err *err)
{
	bool runs = fake_process_pid(pid_file) > 0;
	char text[64] = "";
	int r = check_machine(f, guest, err);

	if (r == 0 && !runs)
		r = fake_disk_wake(f, guest, text, err);
	if (r == 0)
		r = fake_process_start(
			pid_file, fake_disk_has_word(guest->disk, FAKE_IGNORES_SHUTDOWN), err);
	if (r < 0)
		return r;
	fault_point("driver.fake.start.runs");
	fake_disk_woken(guest);
	say(f, guest->id, text);
	return 0;
}

static int start_container(
	struct fake *f, const struct driver_guest *guest, const char *pid_file, struct err *err)
{
	bool runs = fake_process_pid(pid_file) > 0;
	const char *image = guest->container->image;
	int r;

	if (strstr(image, FAKE_BROKEN))
		return err_set(err, ERR_DRIVER, NULL, "there is no init in image %s", image);
	r = fake_process_start(pid_file, strstr(image, FAKE_STUBBORN), err);
	if (r == 0 && !runs)
		say(f, guest->id, "the fake container is up\n");
	return r;
}

int work_start(struct fake *f, const char *id, struct driver_status *ret, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	CLEANUP(definition_finish) struct definition d = {0};
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = definition_load(definition, FAKE_TITLE, id, &d, err);
	if (r < 0)
		return r;
	if (d.guest.container)
		r = start_container(f, &d.guest, pid_file, err);
	else
		r = d.guest.disk ? start_machine(f, &d.guest, pid_file, err)
				 : start_tree(f, &d.guest, pid_file, err);
	return r < 0 ? r : work_look(f, id, ret, err);
}

/* Ends the process, and with it what runs by exec. */
static int end_all(struct fake *f, const char *id, const char *pid_file, int signal,
	uint64_t timeout_ms, struct err *err)
{
	char lock[PATH_MAX];
	int r = fake_process_end(pid_file, signal, timeout_ms, err);

	if (r == 0 && lock_path(f, id, lock) == 0)
		fake_exec_wait_all(lock);
	return r;
}

int work_end(struct fake *f, const char *id, int signal, uint64_t timeout_ms, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths_of_known(f, id, definition, pid_file, err);

	if (r < 0)
		return r;
	return end_all(f, id, pid_file, signal, timeout_ms, err);
}

int work_destroy(struct fake *f, const char *id, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX], console[PATH_MAX];
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = end_all(f, id, pid_file, SIGKILL, 0, err);
	if (r < 0)
		return r;
	fault_point("driver.fake.destroy.killed");
	r = machine_remove(f, id, err);
	if (r == 0)
		r = container_remove(f, id, err);
	if (r < 0)
		return r;
	r = definition_remove(definition, err);
	if (r < 0)
		return r;
	if (console_path(f, id, console) == 0)
		unlink(console);
	fake_disk_forget(f, id);
	return 0;
}

static bool look(void *data, const char *id, struct driver_status *ret)
{
	return work_look(data, id, ret, NULL) == 0;
}

int work_list(struct fake *f, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	return definition_list(f->dirs.state, look, f, ret, ret_count, err);
}

int work_update(struct fake *f, const struct driver_guest *guest, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	uint64_t memory = guest->limits.memory;
	int r = paths_of_known(f, guest->id, definition, pid_file, err);

	if (r < 0)
		return r;
	if (memory && memory < FAKE_MEMORY_USED && fake_process_pid(pid_file) > 0)
		return err_set(err, ERR_INVALID, "limits.memory", "the guest uses %d bytes now",
			FAKE_MEMORY_USED);
	return definition_save(definition, guest, NULL, err);
}

static int running_pid(struct fake *f, const char *id, pid_t *ret, struct err *err)
{
	struct driver_status status = {0};
	int r = work_look(f, id, &status, err);

	if (r == 0 && status.pid == 0)
		r = err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	if (r == 0)
		*ret = status.pid;
	return r;
}

/* SIGSTOP takes effect a moment later, and the rule is that what succeeded can be seen. */
int work_signal(struct fake *f, const char *id, bool freeze, struct err *err)
{
	pid_t pid = 0;
	int r = running_pid(f, id, &pid, err);

	if (r < 0)
		return r;
	kill(pid, freeze ? SIGSTOP : SIGCONT);
	for (int i = 0; i < 1000 && fake_process_is_frozen(pid) != freeze; i++)
		usleep(1000);
	return 0;
}

/* Where what is inside of a guest lies; NULL and ERR_UNSUPPORTED: nowhere. */
static const char *inside(const struct fake *f, const struct driver_guest *guest,
	char buf[static PATH_MAX], struct err *err)
{
	const char *root = machine_inside(f, guest, buf);

	if (!root)
		err_set(err, ERR_UNSUPPORTED, NULL, "there is nothing in a pretended machine");
	return root;
}

static int check_disks(const struct fake *f, struct err *err)
{
	if (machine_image_kind(f) != IMAGE_TREE)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, NULL, "a tree is no disk");
}

int work_exec(struct fake *f, const char *id, const struct driver_exec *exec, pid_t *ret_pid,
	struct err *err)
{
	char lock[PATH_MAX], definition[PATH_MAX], pid_file[PATH_MAX], buf[PATH_MAX];
	struct fake_exec where = {.lock_file = lock};
	CLEANUP(definition_finish) struct definition d = {0};
	int r = running_pid(f, id, &where.guest, err);

	if (r < 0)
		return r;
	if (fake_process_is_frozen(where.guest))
		return err_set(
			err, ERR_ILLEGAL_STATE, NULL, "guest %s is frozen: thaw it first", id);
	r = paths(f, id, definition, pid_file, err);
	if (r == 0)
		r = definition_load(definition, FAKE_TITLE, id, &d, err);
	if (r < 0)
		return r;
	where.rootfs = inside(f, &d.guest, buf, err);
	where.machine = d.guest.disk;
	if (!where.rootfs)
		r = err_errnum(ERR_UNSUPPORTED);
	else if (lock_path(f, id, lock) < 0)
		r = err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	else
		r = fake_exec_start(exec, &where, ret_pid, err);
	return r;
}

/* What is typed is what it says. */
int work_console(
	struct fake *f, const char *id, const struct driver_console *wanted, struct err *err)
{
	char path[PATH_MAX];
	struct driver_status status = {0};
	AUTOCLOSE int life = -1;
	AUTOCLOSE int input = -1;
	int r = work_look(f, id, &status, err);

	if (r < 0)
		return r;
	if (console_path(f, id, path) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	if (status.pid > 0) {
		life = process_pidfd(status.pid);
		input = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	}

	struct console console = {.log = path, .life = life, .input = input, .hold = -1};

	return console_connect(&console, wanted, err);
}

/* Without root all files are ours. */
int work_file(struct fake *f, const char *id, const struct driver_file *asked,
	struct driver_file_info *ret, struct err *err)
{
	CLEANUP(tree_close) struct tree tree = {.root = -1, .self = -1};
	char definition[PATH_MAX], pid_file[PATH_MAX], buf[PATH_MAX];
	struct driver_file file = *asked;
	CLEANUP(definition_finish) struct definition d = {0};
	const char *root = NULL;
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = definition_load(definition, FAKE_TITLE, id, &d, err);
	if (r == 0 && !(root = inside(f, &d.guest, buf, err)))
		r = err_errnum(ERR_UNSUPPORTED);
	if (r == 0)
		r = tree_open(root, &tree, err);
	if (geteuid() != 0 && file.uid < 0)
		file.uid = geteuid();
	if (geteuid() != 0 && file.gid < 0)
		file.gid = getegid();
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = tree_do(&tree, &file, ret, err);
	return r;
}

/* Its processor time is real, all else is made up. */
int work_stats(struct fake *f, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	AUTOFREE struct driver_status *list = NULL;
	AUTOFREE struct driver_stats *stats = NULL;
	struct driver_status one = {0};
	size_t count = 1, running = 0;
	int r = id ? work_look(f, id, &one, err) : work_list(f, &list, &count, err);

	if (r < 0)
		return r;
	stats = calloc(count + 1, sizeof(*stats));
	if (!stats)
		return err_errno(err, ENOMEM, "no memory for statistics");
	for (size_t i = 0; i < count; i++) {
		const struct driver_status *status = id ? &one : &list[i];

		if (status->pid == 0)
			continue;
		memcpy(stats[running].id, status->id, sizeof(stats[running].id));
		stats[running].cpu_ns = fake_process_cpu_ns(status->pid);
		stats[running].memory = stats[running].memory_peak = FAKE_MEMORY_USED;
		stats[running++].pids = 1;
	}
	if (id && running == 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	*ret = TAKE_PTR(stats);
	*ret_count = running;
	return 0;
}

int work_disk(struct fake *f, const char *id, const struct driver_disk_work *wanted,
	struct driver_disk_result *ret, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	struct driver_disk_result ignored;
	CLEANUP(definition_finish) struct definition d = {0};
	pid_t pid = 0;
	int r = check_disks(f, err);

	if (r == 0)
		r = running_pid(f, id, &pid, err);
	if (r == 0)
		r = paths(f, id, definition, pid_file, err);
	if (r == 0)
		r = definition_load(definition, FAKE_TITLE, id, &d, err);
	if (r == 0)
		r = fake_disk_work(f, &d.guest, wanted, ret ? ret : &ignored, err);
	return r;
}

static int save_memory(
	struct fake *f, const struct driver_guest *guest, const char *pid_file, struct err *err)
{
	int r;

	if (fake_process_pid(pid_file) == 0 && access(guest->disk->memory, F_OK) == 0)
		return 0;
	if (fake_process_pid(pid_file) == 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", guest->id);
	r = fake_disk_save(f, guest, err);
	if (r < 0)
		return r;
	fault_point("driver.fake.save.written");
	return end_all(f, guest->id, pid_file, SIGKILL, 0, err);
}

int work_save(struct fake *f, const char *id, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	CLEANUP(definition_finish) struct definition d = {0};
	int r = check_disks(f, err);

	if (r == 0)
		r = paths(f, id, definition, pid_file, err);
	if (r == 0)
		r = definition_load(definition, FAKE_TITLE, id, &d, err);
	if (r == 0 && !d.guest.disk)
		r = err_set(err, ERR_UNSUPPORTED, NULL, "a container has no memory to keep");
	if (r == 0)
		r = save_memory(f, &d.guest, pid_file, err);
	return r;
}

int work_image(struct fake *f, const struct driver_image_work *wanted, struct driver_image **ret,
	size_t *ret_count, struct err *err)
{
	if (machine_image_kind(f) != IMAGE_OCI)
		return err_set(err, ERR_UNSUPPORTED, NULL, "this driver keeps no images");
	return images_work(f, wanted, ret, ret_count, err);
}

static int check_stopped(struct fake *f, const char *id, struct err *err)
{
	struct driver_status status = {0};
	int r = work_look(f, id, &status, err);

	if (r == 0 && status.pid > 0)
		r = err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is running", id);
	return r;
}

int work_layer(struct fake *f, const char *id, const struct driver_layer_work *wanted,
	struct driver_layer_result *ret, struct err *err)
{
	struct driver_layer_result ignored;
	struct driver_status status;
	bool changes =
		wanted->op == DRIVER_LAYER_RESTORE || wanted->op == DRIVER_LAYER_RESTORE_UNDO;
	int r = 0;

	if (machine_image_kind(f) != IMAGE_OCI)
		r = err_set(err, ERR_UNSUPPORTED, NULL, "guests of this driver have no layer");
	if (r == 0)
		r = changes ? check_stopped(f, id, err) : work_look(f, id, &status, err);
	return r < 0 ? r : container_layer(f, id, wanted, ret ? ret : &ignored, err);
}
