/* The fake driver. */
#include "drivers/fake/fake.h"

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
#include "drivers/fake/exec.h"
#include "drivers/fake/fault.h"
#include "drivers/fake/process.h"
#include "drivers/inside/console.h"
#include "drivers/inside/tree.h"
#include "drivers/protocol/value.h"
#include "drivers/watch/watch.h"

#define DEFINITION_MAX 65536

struct fake {
	struct driver driver; /* first */
	char *state_dir, *run_dir, *log_dir;
	pid_t host;
	struct watch *watch;
};

static struct fake *fake_of(struct driver *driver)
{
	return (struct fake *)driver;
}

static int lock_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.exec", f->run_dir, id);
}

static int console_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.console", f->log_dir, id);
}

static int paths(const struct fake *f, const char *id, char definition[static PATH_MAX],
	char pid_file[static PATH_MAX], struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	if (file_path(definition, PATH_MAX, "%s/%s.json", f->state_dir, id) < 0 ||
		file_path(pid_file, PATH_MAX, "%s/%s.pid", f->run_dir, id) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return 0;
}

/* --- Definitions ----------------------------------------------------------------------------- */

/* `ret_json` keeps the strings of *ret. */
static int load(const char *path, const char *id, json_t **ret_json, struct driver_guest *ret,
	struct err *err)
{
	AUTOFREE char *text = NULL;
	json_t *json = NULL;
	int r = file_read(path, DEFINITION_MAX, &text, NULL);

	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "the fake driver has no guest %s", id);
	if (r < 0)
		return err_errno(err, r, "cannot read %s", path);
	r = value_parse(text, &json, err);
	if (r == 0)
		r = value_to_guest(json, ret, err);
	if (r < 0)
		json_decref(json);
	else
		*ret_json = json;
	return r;
}

static void unload(json_t *json, struct driver_guest *guest)
{
	value_guest_finish(guest);
	json_decref(json);
}

static int save(const char *path, const struct driver_guest *guest, struct err *err)
{
	AUTOFREE char *text = value_print(value_from_guest(guest));
	int r = text ? file_replace(path, text, 0600, false) : -ENOMEM;

	return r < 0 ? err_errno(err, r, "cannot write %s", path) : 0;
}

/* --- What it does ---------------------------------------------------------------------------- */

static int do_create(struct fake *f, const struct driver_guest *guest, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths(f, guest->id, definition, pid_file, err);

	return r < 0 ? r : save(definition, guest, err);
}

/* Whether the guest's root has that file; follows no link out of it. */
static bool has_file(const char *rootfs, const char *name)
{
	char path[PATH_MAX];

	return file_path(path, sizeof(path), "%s/%s", rootfs, name) == 0 &&
	       faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int look(struct fake *f, const char *id, struct driver_status *ret, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths(f, id, definition, pid_file, err);

	if (r < 0)
		return r;
	if (access(definition, F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "the fake driver has no guest %s", id);
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

static int do_start(struct fake *f, const char *id, struct driver_status *ret, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	struct driver_guest guest = {0};
	json_t *json = NULL;
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = load(definition, id, &json, &guest, err);
	if (r < 0)
		return r;
	if (!has_file(guest.rootfs, "sbin/init"))
		r = err_set(err, ERR_DRIVER, NULL, "no /sbin/init in %s", guest.rootfs);
	else
		r = fake_process_start(
			pid_file, has_file(guest.rootfs, "etc/ignore-shutdown"), err);
	unload(json, &guest);
	if (r < 0)
		return r;
	say(f, id, "the fake guest is up\n");
	return look(f, id, ret, err);
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

static int do_end(struct fake *f, const char *id, int signal, uint64_t timeout_ms, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	int r = paths(f, id, definition, pid_file, err);

	if (r < 0)
		return r;
	if (access(definition, F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND, NULL, "the fake driver has no guest %s", id);
	return end_all(f, id, pid_file, signal, timeout_ms, err);
}

static int do_destroy(struct fake *f, const char *id, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX], console[PATH_MAX];
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = end_all(f, id, pid_file, SIGKILL, 0, err);
	if (r < 0)
		return r;
	fault_point("driver.fake.destroy.killed");
	if (unlink(definition) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", definition);
	if (console_path(f, id, console) == 0)
		unlink(console);
	return 0;
}

static int do_list(struct fake *f, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(closedirp) DIR *dir = opendir(f->state_dir);
	AUTOFREE struct driver_status *list = calloc(1, sizeof(*list));
	size_t count = 0, room = 1;
	struct dirent *e;

	if (!dir || !list)
		return err_errno(err, errno, "cannot list %s", f->state_dir);
	while ((e = readdir(dir))) {
		char id[GUEST_ID_LEN + 1];

		if (strlen(e->d_name) != GUEST_ID_LEN + strlen(".json"))
			continue;
		snprintf(id, sizeof(id), "%.*s", GUEST_ID_LEN, e->d_name);
		if (count == room) {
			struct driver_status *grown = reallocarray(list, room * 2, sizeof(*list));

			if (!grown)
				return err_errno(err, ENOMEM, "no memory for a list");
			list = grown;
			room *= 2;
		}
		if (look(f, id, &list[count], NULL) == 0)
			count++;
	}
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

static int do_update(struct fake *f, const struct driver_guest *guest, struct err *err)
{
	char definition[PATH_MAX], pid_file[PATH_MAX];
	uint64_t memory = guest->limits.memory;
	int r = paths(f, guest->id, definition, pid_file, err);

	if (r < 0)
		return r;
	if (access(definition, F_OK) < 0)
		return err_set(
			err, ERR_NOT_FOUND, NULL, "the fake driver has no guest %s", guest->id);
	if (memory && memory < FAKE_MEMORY_USED && fake_process_pid(pid_file) > 0)
		return err_set(err, ERR_INVALID, "limits.memory", "the guest uses %d bytes now",
			FAKE_MEMORY_USED);
	return save(definition, guest, err);
}

static int running_pid(struct fake *f, const char *id, pid_t *ret, struct err *err)
{
	struct driver_status status;
	int r = look(f, id, &status, err);

	if (r == 0 && status.pid == 0)
		r = err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	if (r == 0)
		*ret = status.pid;
	return r;
}

/* SIGSTOP takes effect a moment later, and the rule is that what succeeded can be seen. */
static int do_signal(struct fake *f, const char *id, bool freeze, struct err *err)
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

static int do_exec(struct fake *f, const char *id, const struct driver_exec *exec, pid_t *ret_pid,
	struct err *err)
{
	char lock[PATH_MAX], definition[PATH_MAX], pid_file[PATH_MAX];
	struct driver_guest guest = {0};
	json_t *json = NULL;
	pid_t pid = 0;
	int r = running_pid(f, id, &pid, err);

	if (r < 0)
		return r;
	if (fake_process_is_frozen(pid))
		return err_set(
			err, ERR_ILLEGAL_STATE, NULL, "guest %s is frozen: thaw it first", id);
	r = paths(f, id, definition, pid_file, err);
	if (r == 0)
		r = load(definition, id, &json, &guest, err);
	if (r < 0)
		return r;
	r = lock_path(f, id, lock) < 0
		    ? err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long")
		    : fake_exec_start(exec,
			      &(struct fake_exec){
				      .guest = pid, .rootfs = guest.rootfs, .lock_file = lock},
			      ret_pid, err);
	unload(json, &guest);
	return r;
}

/* What is typed is what it says. */
static int do_console(
	struct fake *f, const char *id, const struct driver_console *wanted, struct err *err)
{
	char path[PATH_MAX];
	struct driver_status status;
	AUTOCLOSE int life = -1;
	AUTOCLOSE int input = -1;
	int r = look(f, id, &status, err);

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
static int do_file(struct fake *f, const char *id, const struct driver_file *asked,
	struct driver_file_info *ret, struct err *err)
{
	CLEANUP(tree_close) struct tree tree = {.root = -1, .self = -1};
	char definition[PATH_MAX], pid_file[PATH_MAX];
	struct driver_file file = *asked;
	struct driver_guest guest = {0};
	json_t *json = NULL;
	int r = paths(f, id, definition, pid_file, err);

	if (r == 0)
		r = load(definition, id, &json, &guest, err);
	if (r == 0)
		r = tree_open(guest.rootfs, &tree, err);
	if (geteuid() != 0 && file.uid < 0)
		file.uid = geteuid();
	if (geteuid() != 0 && file.gid < 0)
		file.gid = getegid();
	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = tree_do(&tree, &file, ret, err);
	unload(json, &guest);
	return r;
}

/* Its processor time is real, all else is made up. */
static int do_stats(struct fake *f, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	AUTOFREE struct driver_status *list = NULL;
	AUTOFREE struct driver_stats *stats = NULL;
	struct driver_status one;
	size_t count = 1, running = 0;
	int r = id ? look(f, id, &one, err) : do_list(f, &list, &count, err);

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

/* --- The contract, with faults around what it does ---------------------------------------------
 */

static int before(struct driver *d, enum driver_call call, struct fault *fault, struct err *err)
{
	const struct fake *f = fake_of(d);

	return fault_before(f->state_dir, call, f->host, fault, err);
}

static int fake_probe(struct driver *d, struct driver_info *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_PROBE, &fault, err);

	if (r < 0)
		return r;
	*ret = (struct driver_info){.name = "fake",
		.version = "fake " CORPUS_VERSION,
		.capabilities = driver_capabilities(d->ops) | DRIVER_CAN_UNPRIVILEGED,
		.usable = true};
	return fault_after(&fault, 0);
}

static int fake_create(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_CREATE, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_create(fake_of(d), guest, err));
}

static int fake_start(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_START, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_start(fake_of(d), id, ret, err));
}

static int fake_stop(struct driver *d, const char *id, uint64_t timeout_ms, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STOP, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_end(fake_of(d), id, SIGTERM, timeout_ms, err));
}

static int fake_kill(struct driver *d, const char *id, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_KILL, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_end(fake_of(d), id, SIGKILL, 0, err));
}

static int fake_destroy(struct driver *d, const char *id, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_DESTROY, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_destroy(fake_of(d), id, err));
}

static int fake_status(struct driver *d, const char *id, struct driver_status *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STATUS, &fault, err);

	return r < 0 ? r : fault_after(&fault, look(fake_of(d), id, ret, err));
}

static int fake_list(
	struct driver *d, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_LIST, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_list(fake_of(d), ret, ret_count, err));
}

static int fake_update(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_UPDATE, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_update(fake_of(d), guest, err));
}

static int fake_freeze(struct driver *d, const char *id, bool frozen, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_FREEZE, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_signal(fake_of(d), id, frozen, err));
}

static int fake_exec(struct driver *d, const char *id, const struct driver_exec *exec,
	pid_t *ret_pid, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_EXEC, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_exec(fake_of(d), id, exec, ret_pid, err));
}

static int fake_console(
	struct driver *d, const char *id, const struct driver_console *console, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_CONSOLE, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_console(fake_of(d), id, console, err));
}

static int fake_file(struct driver *d, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_FILE, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_file(fake_of(d), id, file, ret, err));
}

static int fake_stats(struct driver *d, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	struct fault fault;
	int r = before(d, DRIVER_CALL_STATS, &fault, err);

	return r < 0 ? r : fault_after(&fault, do_stats(fake_of(d), id, ret, ret_count, err));
}

/* --- Events ---------------------------------------------------------------------------------- */

static bool watch_look(void *data, const char *id, struct watch_look *ret)
{
	if (look(data, id, &ret->status, NULL) < 0)
		return false;
	ret->pids[0] = ret->status.pid;
	return true;
}

static int fake_watch_fd(struct driver *d, struct err *err)
{
	struct fake *f = fake_of(d);
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0;
	int r;

	if (f->watch)
		return watch_fd(f->watch);
	r = do_list(f, &list, &count, err);
	if (r == 0)
		r = watch_create(watch_look, f, &f->watch, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		watch_dispatch(f->watch, list[i].id, NULL, NULL);
	return watch_fd(f->watch);
}

static void fake_watch_dispatch(struct driver *d, const char *id, driver_event_fn event, void *data)
{
	watch_dispatch(fake_of(d)->watch, id, event, data);
}

/* --- Instances ------------------------------------------------------------------------------- */

static void fake_close(struct driver *d)
{
	struct fake *f = fake_of(d);

	watch_free(f->watch);
	free(f->state_dir);
	free(f->run_dir);
	free(f->log_dir);
	free(f);
}

static int fake_open(const struct driver_config *config, struct driver **ret, struct err *err)
{
	struct fake *f = calloc(1, sizeof(*f));
	int r = -ENOMEM;

	if (!f)
		return err_errno(err, r, "no memory for a driver");
	f->driver.ops = &fake_driver_ops;
	f->host = getpid();
	f->state_dir = strdup(config->state_dir);
	f->run_dir = strdup(config->run_dir);
	f->log_dir = strdup(config->log_dir);
	if (f->state_dir && f->run_dir && f->log_dir)
		r = file_mkdirs(f->state_dir, 0700);
	if (r == 0)
		r = file_mkdirs(f->log_dir, 0700);
	if (r == 0)
		r = file_mkdirs(f->run_dir, 0700);
	if (r < 0) {
		fake_close(&f->driver);
		return err_errno(err, r, "cannot make the driver's directories");
	}
	*ret = &f->driver;
	return 0;
}

const struct driver_ops fake_driver_ops = {
	.name = "fake",
	.call_mode = DRIVER_CALL_FORK,
	.open = fake_open,
	.close = fake_close,
	.probe = fake_probe,
	.create = fake_create,
	.start = fake_start,
	.stop = fake_stop,
	.kill = fake_kill,
	.destroy = fake_destroy,
	.status = fake_status,
	.list = fake_list,
	.watch_fd = fake_watch_fd,
	.watch_dispatch = fake_watch_dispatch,
	.update = fake_update,
	.freeze = fake_freeze,
	.exec = fake_exec,
	.console = fake_console,
	.file = fake_file,
	.stats = fake_stats,
};
