/* A real machine, booted once, that is changed while it runs: what changes is looked for inside it.
 * Its memory is then saved, and it goes on from there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "conformance/ids.h"
#include "conformance/program.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/kvm.h"
#include "kvm_node.h"
#include "need.h"

#define ID  GUEST_A
#define MIB (1024ULL * 1024)

static struct driver *g_driver;
static char g_volume[256], *g_paths[32], *g_cmdline;
static struct driver_disk g_disk;
static struct driver_guest g_guest;
static char g_link[16];
static virConnectPtr g_conn;
static virDomainPtr g_domain;

/* Paths in its volume live until the end. */
static const char *in_volume(const char *name)
{
	static size_t next;
	char *path = NULL;

	for (size_t i = 0; i < next; i++)
		if (strcmp(g_paths[i] + strlen(g_volume) + 1, name) == 0)
			return g_paths[i];
	assert_true(next < ARRAY_SIZE(g_paths));
	assert_true(asprintf(&path, "%s/%s", g_volume, name) > 0);
	return g_paths[next++] = path;
}

/* --- Inside of it ----------------------------------------------------------------------------- */

static json_t *ask(const char *command)
{
	AUTOFREE char *text = virDomainQemuAgentCommand(g_domain, command, 5, 0);
	json_t *answer = text ? json_loads(text, 0, NULL) : NULL;
	json_t *value = json_incref(json_object_get(answer, "return"));

	json_decref(answer);
	return value;
}

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

/* Runs a line of shell in the guest and returns what it says, to be freed. */
static char *guest_says(const char *line)
{
	json_t *command = json_pack("{s:s, s:{s:s, s:[s,s], s:b}}", "execute", "guest-exec",
		"arguments", "path", "/bin/sh", "arg", "-c", line, "capture-output", 1);
	AUTOFREE char *text = json_dumps(command, 0);
	json_t *answer = ask(text);
	json_int_t pid = json_integer_value(json_object_get(answer, "pid"));
	const char *said;
	char *out = calloc(1, 4096);

	json_decref(command);
	json_decref(answer);
	assert_true(pid > 0);
	for (;;) {
		char status[128];

		snprintf(status, sizeof(status),
			"{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":%lld}}",
			(long long)pid);
		answer = ask(status);
		assert_non_null(answer);
		if (json_is_true(json_object_get(answer, "exited")))
			break;
		json_decref(answer);
		pause_briefly();
	}
	said = json_string_value(json_object_get(answer, "out-data"));
	if (said && strlen(said) < 4000) {
		size_t size = 0;

		assert_int_equal(parse_base64(said, strlen(said), (uint8_t *)out, &size), 0);
	}
	json_decref(answer);
	return out;
}

static long long guest_number(const char *line)
{
	AUTOFREE char *text = guest_says(line);

	return strtoll(text, NULL, 10);
}

/* --- Calls ------------------------------------------------------------------------------------ */

/* What a call came to, seen from outside of its process. */
static struct result {
	int r;
	struct err err;
	struct driver_stats stats[4];
	size_t count;
} * g_result;

typedef int (*call_fn)(struct result *ret);

/* Each call is made in a process of its own, as the host does it; with a rule for fault points. */
static pid_t begin_call(call_fn call, const char *rule)
{
	pid_t pid;

	*g_result = (struct result){.r = -1};
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	setenv("CORPUS_FAULT", rule, 1);
	g_result->r = call(g_result);
	_exit(0);
}

static int status_of_call(call_fn call, const char *rule)
{
	pid_t pid = begin_call(call, rule);
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void call_ok(call_fn call)
{
	assert_int_equal(status_of_call(call, ""), 0);
	if (g_result->r < 0)
		fail_msg("%s (%s)", g_result->err.message, g_result->err.field);
}

static void call_fails(call_fn call, enum err_code code)
{
	assert_int_equal(status_of_call(call, ""), 0);
	assert_true(g_result->r < 0);
	if (g_result->err.code != code)
		fail_msg("%s", g_result->err.message);
}

static void call_killed_at(const char *point, call_fn call)
{
	char rule[128];

	snprintf(rule, sizeof(rule), "%s=kill", point);
	if (!WIFSIGNALED(status_of_call(call, rule)))
		fail_msg("%s was not passed", point);
}

static int create(struct result *ret)
{
	return kvm_driver_ops.create(g_driver, &g_guest, &ret->err);
}

static int start(struct result *ret)
{
	struct driver_status status;

	return kvm_driver_ops.start(g_driver, ID, &status, &ret->err);
}

static int update(struct result *ret)
{
	return kvm_driver_ops.update(g_driver, &g_guest, &ret->err);
}

static int stats(struct driver_stats *list, struct result *ret)
{
	for (size_t i = 0; i < ret->count && i < ARRAY_SIZE(ret->stats); i++)
		ret->stats[i] = list[i];
	free(list);
	return 0;
}

static int stats_of_one(struct result *ret)
{
	struct driver_stats *list = NULL;
	int r = kvm_driver_ops.stats(g_driver, ID, &list, &ret->count, &ret->err);

	return r < 0 ? r : stats(list, ret);
}

static int stats_of_all(struct result *ret)
{
	struct driver_stats *list = NULL;
	int r = kvm_driver_ops.stats(g_driver, NULL, &list, &ret->count, &ret->err);

	return r < 0 ? r : stats(list, ret);
}

/* --- The machine ------------------------------------------------------------------------------ */

static void make_volume(void)
{
	const char *image = kvm_node_image();
	AUTOFREE char *cmdline = NULL;
	char base[300], kernel[300], initrd[300], text[300];

	snprintf(g_volume, sizeof(g_volume), "%s/volume", node_dir());
	assert_int_equal(file_mkdirs(g_volume, 0711), 0);
	snprintf(base, sizeof(base), "%s/disk.qcow2", image);
	snprintf(kernel, sizeof(kernel), "%s/kernel", image);
	snprintf(initrd, sizeof(initrd), "%s/initrd", image);
	snprintf(text, sizeof(text), "%s/cmdline", image);
	RUN("cp", base, in_volume("base"));
	RUN("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2",
		in_volume("disk.qcow2"));
	RUN("cp", kernel, initrd, g_volume);
	RUN("chmod", "-R", "a+rX", g_volume);
	assert_int_equal(file_read(text, 4096, &cmdline, NULL), 0);
	cmdline[strcspn(cmdline, "\n")] = '\0';
	g_cmdline = TAKE_PTR(cmdline);
	g_disk = (struct driver_disk){.path = in_volume("disk.qcow2"),
		.base = in_volume("base"),
		.base_format = DISK_QCOW2,
		.kernel = in_volume("kernel"),
		.initrd = in_volume("initrd"),
		.cmdline = g_cmdline,
		.memory = in_volume("memory")};
	snprintf(g_link, sizeof(g_link), "cg%s", ID);
	g_guest = (struct driver_guest){.id = ID,
		.name = "one",
		.disk = &g_disk,
		.limits = {.memory = 256 * MIB, .cpu_milli = 1000},
		.net = {.bridge = NODE_BRIDGE, .link = g_link, .mac = {2, 0, 0, 0, 0, 1}}};
}

static bool runs(void)
{
	char name[KVM_NAME_MAX];
	virDomainPtr domain = virDomainLookupByName(g_conn, connect_name(name, ID));
	int state = 0;

	if (!domain)
		return false;
	if (g_domain)
		virDomainFree(g_domain);
	g_domain = domain;
	assert_int_equal(virDomainGetState(domain, &state, NULL, 0), 0);
	return state == VIR_DOMAIN_RUNNING;
}

static void wait_for_agent(void)
{
	int64_t end = clock_monotonic_ns() + 60LL * 1000000000;
	json_t *answer;

	while (!(answer = ask("{\"execute\":\"guest-ping\"}"))) {
		assert_true(clock_monotonic_ns() < end);
		pause_briefly();
	}
	json_decref(answer);
}

static void silence(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

static int boot(void **state)
{
	struct driver_config config;
	struct err err = {0};

	(void)state;
	g_result = mmap(
		NULL, sizeof(*g_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(g_result != MAP_FAILED);
	(void)kvm_node_image(); /* made outside, where packages can be fetched */
	kvm_node_enter();
	virSetErrorFunc(NULL, silence);
	signal(SIGPIPE, SIG_IGN); /* as the host does */
	config = node_config();
	config.endpoint = KVM_NODE_URI;
	make_volume();
	assert_int_equal(kvm_driver_ops.open(&config, &g_driver, &err), 0);
	call_ok(create);
	g_conn = virConnectOpen(KVM_NODE_URI);
	assert_non_null(g_conn);
	call_ok(start);
	assert_true(runs());
	wait_for_agent();
	return 0;
}

static int end(void **state)
{
	(void)state;
	virDomainFree(g_domain);
	virConnectClose(g_conn);
	kvm_driver_ops.close(g_driver);
	for (size_t i = 0; i < ARRAY_SIZE(g_paths); i++)
		free(g_paths[i]);
	free(g_cmdline);
	return 0;
}

/* --- Changes ---------------------------------------------------------------------------------- */

static long long quota(void)
{
	virTypedParameter params[16]; /* libvirt takes no more */
	int n = ARRAY_SIZE(params);
	long long quota = 0;

	if (virDomainGetSchedulerParametersFlags(g_domain, params, &n, VIR_DOMAIN_AFFECT_LIVE) < 0)
		fail_msg("%s", virGetLastErrorMessage());
	virTypedParamsGetLLong(params, n, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, &quota);
	return quota;
}

static void processors_come_and_go_inside_and_their_time_is_limited(void **state)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	(void)state;
	need(cpus >= 2, "two processors");
	assert_int_equal(guest_number("nproc"), 1);
	g_guest.limits.cpu_milli = 1500;
	call_ok(update);
	assert_int_equal(guest_number("nproc"), 2);
	assert_int_equal(quota(), 150000);
	g_guest.limits.cpu_milli = 500;
	call_ok(update);
	assert_int_equal(guest_number("nproc"), 1);
	assert_int_equal(quota(), 50000);
	g_guest.limits.cpu_milli = 0;
	call_ok(update);
	assert_int_equal(guest_number("nproc"), cpus);
	assert_true(quota() < 0);
}

static long long guest_memory_mib(void)
{
	return guest_number("grep MemTotal /proc/meminfo | tr -dc 0-9") / 1024;
}

static void memory_shrinks_and_grows_beyond_what_it_booted_with(void **state)
{
	long long before = guest_memory_mib();

	(void)state;
	g_guest.limits.memory = 192 * MIB;
	call_ok(update);
	assert_in_range(guest_memory_mib(), before - 66, before - 62);
	g_guest.limits.memory = 256 * MIB;
	call_ok(update);
	assert_in_range(guest_memory_mib(), before - 2, before);
	g_guest.limits.memory = 400 * MIB;
	call_ok(update);
	assert_in_range(guest_memory_mib(), before + 138, before + 144);
}

static void less_memory_than_is_used_is_refused_and_nothing_changes(void **state)
{
	long long before = guest_memory_mib();
	long long quota_before = quota();

	(void)state;
	g_guest.limits.memory = 65 * MIB;
	g_guest.limits.cpu_milli = 700;
	call_fails(update, ERR_INVALID);
	assert_string_equal(g_result->err.field, "limits.memory");
	g_guest.limits.memory = 400 * MIB;
	g_guest.limits.cpu_milli = 0;
	assert_int_equal(guest_memory_mib(), before);
	assert_int_equal(quota(), quota_before);
}

/* Hundredths of a second for it. */
#define READ_3_MIB                                                                                 \
	"now() { cut -d' ' -f1 /proc/uptime | tr -d .; }; a=$(now); "                              \
	"dd if=/dev/vda of=/dev/null bs=1M count=3 iflag=direct 2>/dev/null; echo $(($(now) - a))"

/* What is in the way of the definition's next version. */
static const char *obstacle(void)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/state/%s/.guest.json.new", node_dir(), ID);
	return path;
}

static void a_change_that_fails_at_its_end_is_taken_back_whole(void **state)
{
	long long before = guest_memory_mib();
	struct driver_guest was = g_guest;
	AUTOFREE char *title = NULL;

	(void)state;
	assert_int_equal(mkdir(obstacle(), 0700), 0);
	g_guest.limits = (struct guest_limits){.memory = 224 * MIB, .cpu_milli = 1000};
	g_guest.name = "three";
	call_fails(update, ERR_INTERNAL);
	g_guest = was;
	assert_int_equal(rmdir(obstacle()), 0);
	assert_int_equal(guest_memory_mib(), before);
	assert_int_equal(guest_number("nproc"), sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(quota() < 0);
	title = virDomainGetMetadata(g_domain, VIR_DOMAIN_METADATA_TITLE, NULL, 0);
	assert_string_equal(title, was.name);
}

static void a_change_that_was_cut_off_is_made_whole_by_its_repeat(void **state)
{
	static const char *const points[] = {
		"driver.kvm.update.part0", "driver.kvm.update.part5", "driver.kvm.update.applied"};
	struct driver_guest was = g_guest;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		g_guest.limits.cpu_milli = 1000;
		g_guest.limits.memory = 360 * MIB;
		call_killed_at(points[i], update);
		call_ok(update);
		assert_int_equal(guest_number("nproc"), 1);
		assert_int_equal(quota(), 100000);
		g_guest = was;
		call_ok(update);
		assert_true(quota() < 0);
	}
}

static void a_disk_is_slowed_down_and_let_go(void **state)
{
	(void)state;
	g_guest.limits.io_read = MIB;
	call_ok(update);
	assert_in_range(guest_number(READ_3_MIB), 150, 600);
	g_guest.limits.io_read = 0;
	call_ok(update);
	assert_in_range(guest_number(READ_3_MIB), 0, 150);
}

static void a_new_name_is_its_title(void **state)
{
	AUTOFREE char *title = NULL;

	(void)state;
	g_guest.name = "two<&\"'>";
	call_ok(update);
	title = virDomainGetMetadata(g_domain, VIR_DOMAIN_METADATA_TITLE, NULL, 0);
	assert_string_equal(title, g_guest.name);
}

static void statistics_are_those_of_the_machine(void **state)
{
	const struct driver_stats *one = &g_result->stats[0];
	uint64_t before;

	(void)state;
	g_guest.limits.cpu_milli = 200;
	call_ok(update);
	free(guest_says("i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); done"));
	call_ok(stats_of_one);
	g_guest.limits.cpu_milli = 0;
	assert_int_equal(g_result->count, 1);
	assert_string_equal(one->id, ID);
	assert_true(one->cpu_ns > 1000000000);
	assert_in_range(one->memory, 20 * MIB, 400 * MIB);
	assert_in_range(one->memory_cache, MIB, one->memory);
	assert_in_range(one->memory_peak, 64 * MIB, 1024 * MIB);
	assert_true(one->io_read_bytes > MIB);
	assert_true(one->io_reads > 10);
	assert_true(one->cpu_throttled > 0);
	before = one->cpu_ns;
	call_ok(update);
	call_ok(stats_of_all);
	assert_int_equal(g_result->count, 1);
	assert_string_equal(one->id, ID);
	assert_true(one->cpu_ns >= before);
}

/* --- Memory in files -------------------------------------------------------------------------- */

static int save(struct result *ret)
{
	return kvm_driver_ops.save(g_driver, ID, &ret->err);
}

/* What is kept nowhere but in its memory. */
static void mark(void)
{
	free(guest_says("mkdir -p /run/m; mount -t tmpfs m /run/m; echo mine >/run/m/mark"));
}

static void assert_marked(void)
{
	AUTOFREE char *text = NULL;

	wait_for_agent();
	text = guest_says("cat /run/m/mark");
	assert_string_equal(text, "mine\n");
}

static bool left_over(void)
{
	return access(in_volume("memory"), F_OK) == 0 ||
	       access(in_volume("memory.new"), F_OK) == 0 ||
	       access(in_volume("memory.going"), F_OK) == 0;
}

static void a_machine_goes_on_from_its_memory_with_the_time_and_the_limits_of_now(void **state)
{
	(void)state;
	mark();
	free(guest_says("date -s 2001-01-01"));
	call_ok(save);
	assert_false(runs());
	assert_int_equal(access(in_volume("memory"), F_OK), 0);
	call_ok(save);
	g_guest.limits.cpu_milli = 1000;
	call_ok(update);
	call_ok(start);
	assert_true(runs());
	assert_false(left_over());
	assert_marked();
	assert_int_equal(quota(), 100000);
	assert_in_range(guest_number("date +%s") + 2 - time(NULL), 0, 4);
	g_guest.limits.cpu_milli = 0;
	call_ok(update);
	call_ok(start);
	assert_true(runs());
}

static void a_save_or_a_start_cut_off_anywhere_is_finished_by_its_repeat(void **state)
{
	static const char *const saves[] = {
		"driver.kvm.save.before", "driver.kvm.save.written", "driver.kvm.save.taken"};
	static const char *const starts[] = {"driver.kvm.restore.before",
		"driver.kvm.restore.paused", "driver.kvm.restore.renamed",
		"driver.kvm.restore.resumed"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		if (i < ARRAY_SIZE(saves))
			call_killed_at(saves[i], save);
		call_ok(save);
		assert_false(runs());
		call_killed_at(starts[i], start);
		call_ok(start);
		assert_true(runs());
		assert_false(left_over());
		assert_marked();
	}
}

static pid_t begin_save(void)
{
	int64_t end = clock_monotonic_ns() + 60LL * 1000000000;
	pid_t pid = begin_call(save, "");

	while (access(in_volume("memory.new"), F_OK) < 0)
		assert_true(clock_monotonic_ns() < end);
	return pid;
}

static void a_save_whose_caller_dies_is_waited_for(void **state)
{
	pid_t pid = begin_save();

	(void)state;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	call_ok(save);
	assert_false(runs());
	call_ok(start);
	assert_marked();
}

static void a_save_that_libvirtd_does_not_survive_leaves_the_guest_running(void **state)
{
	pid_t pid = begin_save();

	(void)state;
	kvm_node_signal(SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(g_result->err.code, ERR_UNAVAILABLE);
	kvm_node_start();
	virDomainFree(g_domain);
	virConnectClose(g_conn);
	g_domain = NULL;
	g_conn = virConnectOpen(KVM_NODE_URI);
	assert_non_null(g_conn);
	call_ok(start);
	assert_true(runs());
	assert_false(left_over());
	assert_marked();
}

static void memory_that_is_damaged_is_refused_and_kept(void **state)
{
	struct stat st;

	(void)state;
	call_ok(save);
	RUN("cp", in_volume("memory"), in_volume("whole"));
	assert_int_equal(stat(in_volume("memory"), &st), 0);
	assert_int_equal(truncate(in_volume("memory"), st.st_size / 2), 0);
	call_fails(start, ERR_DRIVER);
	assert_non_null(strstr(g_result->err.message, "without it"));
	assert_false(runs());
	assert_int_equal(truncate(in_volume("memory"), 10), 0);
	call_fails(start, ERR_DRIVER);
	assert_int_equal(access(in_volume("memory"), F_OK), 0);
	assert_int_equal(rename(in_volume("whole"), in_volume("memory")), 0);
	call_ok(start);
	assert_true(runs());
	assert_marked();
}

static void without_room_the_guest_runs_on(void **state)
{
	const char *small = in_volume("small");

	(void)state;
	assert_int_equal(mkdir(small, 0711), 0);
	assert_int_equal(mount("small", small, "tmpfs", 0, "size=4m"), 0);
	g_disk.memory = in_volume("small/memory");
	call_ok(create);
	call_fails(save, ERR_NO_ROOM);
	assert_true(runs());
	assert_int_equal(access(in_volume("small/memory.new"), F_OK), -1);
	g_disk.memory = in_volume("memory");
	call_ok(create);
	assert_int_equal(umount(small), 0);
	assert_marked();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processors_come_and_go_inside_and_their_time_is_limited),
		cmocka_unit_test(memory_shrinks_and_grows_beyond_what_it_booted_with),
		cmocka_unit_test(less_memory_than_is_used_is_refused_and_nothing_changes),
		cmocka_unit_test(a_change_that_fails_at_its_end_is_taken_back_whole),
		cmocka_unit_test(a_change_that_was_cut_off_is_made_whole_by_its_repeat),
		cmocka_unit_test(a_disk_is_slowed_down_and_let_go),
		cmocka_unit_test(a_new_name_is_its_title),
		cmocka_unit_test(statistics_are_those_of_the_machine),
		cmocka_unit_test(
			a_machine_goes_on_from_its_memory_with_the_time_and_the_limits_of_now),
		cmocka_unit_test(a_save_or_a_start_cut_off_anywhere_is_finished_by_its_repeat),
		cmocka_unit_test(a_save_whose_caller_dies_is_waited_for),
		cmocka_unit_test(a_save_that_libvirtd_does_not_survive_leaves_the_guest_running),
		cmocka_unit_test(memory_that_is_damaged_is_refused_and_kept),
		cmocka_unit_test(without_room_the_guest_runs_on),
	};

	return cmocka_run_group_tests(tests, boot, end);
}
