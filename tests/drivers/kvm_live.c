/* The one machine that is changed while it runs. */
#include "kvm_live.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "conformance/program.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/kvm.h"
#include "kvm_machines.h"
#include "kvm_node.h"

struct driver *g_driver;
static char g_volume[256], *g_paths[32], *g_cmdline;
struct driver_disk g_disk;
struct driver_guest g_guest;
static char g_link[16];
virConnectPtr g_conn;
virDomainPtr g_domain;

const char *in_volume(const char *name)
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
	AUTOFREE char *text = virDomainQemuAgentCommand(g_domain, command, LIVE_PATIENCE_S, 0);
	json_t *answer = text ? json_loads(text, 0, NULL) : NULL;
	json_t *value = json_incref(json_object_get(answer, "return"));

	json_decref(answer);
	return value;
}

void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

char *guest_says(const char *line)
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

long long guest_number(const char *line)
{
	AUTOFREE char *text = guest_says(line);

	return strtoll(text, NULL, 10);
}

void await_number(const char *line, long long min, long long max)
{
	int64_t end = clock_monotonic_ns() + LIVE_PATIENCE_S * INT64_C(1000000000);
	long long n;

	while ((n = guest_number(line)) < min || n > max) {
		if (clock_monotonic_ns() > end)
			fail_msg("\"%s\" stays %lld", line, n);
		pause_briefly();
	}
}

/* --- Calls ------------------------------------------------------------------------------------ */

struct result *g_result;

pid_t live_begin(call_fn call, const char *rule)
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

static int live_status(call_fn call, const char *rule)
{
	pid_t pid = live_begin(call, rule);
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void live_ok(call_fn call)
{
	assert_int_equal(live_status(call, ""), 0);
	if (g_result->r < 0)
		fail_msg("%s (%s)", g_result->err.message, g_result->err.field);
}

void live_fails(call_fn call, enum err_code code)
{
	assert_int_equal(live_status(call, ""), 0);
	assert_true(g_result->r < 0);
	if (g_result->err.code != code)
		fail_msg("%s", g_result->err.message);
}

void live_killed_at(const char *point, call_fn call)
{
	char rule[128];

	snprintf(rule, sizeof(rule), "%s=kill", point);
	if (!WIFSIGNALED(live_status(call, rule)))
		fail_msg("%s was not passed", point);
}

int create(struct result *ret)
{
	return kvm_driver_ops.create(g_driver, &g_guest, &ret->err);
}

int start(struct result *ret)
{
	struct driver_status status;

	return kvm_driver_ops.start(g_driver, ID, &status, &ret->err);
}

static int end_it(struct result *ret)
{
	return kvm_driver_ops.kill(g_driver, ID, &ret->err);
}

int update(struct result *ret)
{
	return kvm_driver_ops.update(g_driver, &g_guest, &ret->err);
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

bool runs(void)
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

/* Whether there is an agent in it, in time. */
static bool comes_up(void)
{
	int64_t end = clock_monotonic_ns() + KVM_MACHINE_BOOT_MS * INT64_C(1000000);
	json_t *answer;

	while (!(answer = ask("{\"execute\":\"guest-ping\"}"))) {
		if (clock_monotonic_ns() > end)
			return false;
		pause_briefly();
	}
	json_decref(answer);
	return true;
}

void wait_for_agent(void)
{
	assert_true(comes_up());
}

static void start_anew(void)
{
	live_ok(end_it);
	live_ok(start);
	assert_true(runs());
}

static void silence(void *data, virErrorPtr error)
{
	(void)data;
	(void)error;
}

int live_boot(void **state)
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
	live_ok(create);
	g_conn = virConnectOpen(KVM_NODE_URI);
	assert_non_null(g_conn);
	live_ok(start);
	assert_true(runs());
	kvm_machine_await(comes_up, start_anew);
	return 0;
}

int live_end(void **state)
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

long long quota(void)
{
	virTypedParameter params[16]; /* libvirt takes no more */
	int n = ARRAY_SIZE(params);
	long long quota = 0;

	if (virDomainGetSchedulerParametersFlags(g_domain, params, &n, VIR_DOMAIN_AFFECT_LIVE) < 0)
		fail_msg("%s", virGetLastErrorMessage());
	virTypedParamsGetLLong(params, n, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, &quota);
	return quota;
}
