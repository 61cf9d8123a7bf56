/* Guests of the Docker driver in a node with a real dockerd: their network and names, the gate that
 * they wait at, their data, what becomes of their layers, and what people do by hand. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "conformance/file_words.h"
#include "conformance/guests.h"
#include "docker_guests.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"
#include "drivers/inside/listen.h"

static struct driver_container g_container;

static struct driver_guest facts(const char *id)
{
	struct driver_guest guest = guest_facts(id, ROOTFS_PLAIN);

	g_container = *guest.container;
	guest.container = &g_container;
	guest.net.domain = "lan";
	guest.name = "web";
	return guest;
}

static void define(const struct driver_guest *guest)
{
	call_ok((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = guest});
}

static const char *container_of(const char *id)
{
	static char label[64];

	snprintf(label, sizeof(label), "label=corpus.guest=%s", id);
	return DOCKER("ps", "--all", "--no-trunc", "--quiet", "--filter", label);
}

static const char *inside(const char *script)
{
	char container[128], label[64];
	const char *said;

	snprintf(label, sizeof(label), "label=corpus.guest=%s", GUEST_A);
	snprintf(container, sizeof(container), "%s", DOCKER("ps", "--quiet", "--filter", label));
	said = DOCKER("exec", container, "sh", "-c", script);
	if (!said)
		fail_msg("%s: failed", script);
	return said;
}

static void layer(enum driver_layer_op op, const char *id, const char *name)
{
	struct driver_layer_work work = {.op = op, .name = name};

	call_ok((struct driver_request){.call = DRIVER_CALL_LAYER, .id = id, .layer = &work});
}

/* --- Network and names ----------------------------------------------------------------------- */

static void a_guest_has_its_network_and_names_before_its_program_runs(void **state)
{
	/* Told by the program itself, as the first that it does. */
	static const char *const command[] = {"sh", "-c",
		"ip addr show eth0 >/srv/told; ip route >>/srv/told; hostname >>/srv/told;"
		"cat /etc/hosts /etc/hostname /etc/resolv.conf >>/srv/told; env >>/srv/told;"
		"exec /sbin/init",
		NULL};
	struct driver_guest guest = facts(GUEST_A);
	AUTOFREE char *told = NULL, *path = NULL;

	(void)state;
	g_container.command = command;
	define(&guest);
	start_guest(GUEST_A);
	inside("until grep -q HOSTNAME /srv/told; do usleep 10000; done");
	assert_true(asprintf(&path, "%s/srv/told", g_container.data) > 0);
	assert_int_equal(file_read(path, 65536, &told, NULL), 0);
	assert_non_null(strstr(told, "inet 10.99.0."));
	assert_non_null(strstr(told, "default via 10.99.0.1 dev eth0"));
	assert_non_null(strstr(told, "link/ether 00:16:3e:01:02:"));
	assert_non_null(strstr(told, "nameserver 10.99.0.1\nsearch lan\n"));
	assert_non_null(strstr(told, "\tweb web.lan\n"));
	assert_non_null(strstr(told, "HOSTNAME=web\n"));
	assert_string_equal(inside("hostname"), "web");
	destroy_guest(GUEST_A);
	/* What it wrote there is the agent's to remove. */
	assert_int_equal(access(path, F_OK), 0);
}

static void a_guest_makes_no_subvolumes_that_nobody_would_count(void **state)
{
	static const char *const command[] = {
		"sh", "-c", "/srv/subvolume /srv >/srv/told; exec /sbin/init", NULL};
	struct driver_guest guest = facts(GUEST_A);
	AUTOFREE char *told = NULL, *path = NULL, *program = NULL;

	(void)state;
	g_container.command = command;
	define(&guest);
	assert_true(asprintf(&program, "%s/srv/subvolume", g_container.data) > 0);
	assert_true(asprintf(&path, "%s/srv/told", g_container.data) > 0);
	docker_guests_copy_program(SUBVOLUME_PROGRAM, program, 0755);
	start_guest(GUEST_A);
	inside("until grep -q . /srv/told; do usleep 10000; done");
	assert_int_equal(file_read(path, 65536, &told, NULL), 0);
	assert_string_equal(told, "refused\n");
	assert_exec((const char *[]){"/srv/subvolume", "/srv", NULL}, "", "refused\n", "", 0);
	destroy_guest(GUEST_A);
}

static void a_running_guest_takes_up_its_new_name(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	const char *name;

	(void)state;
	define(&guest);
	start_guest(GUEST_A);
	guest.name = "shop";
	call_ok((struct driver_request){.call = DRIVER_CALL_UPDATE, .guest = &guest});
	assert_string_equal(inside("hostname; cat /etc/hostname"), "shop\nshop");
	assert_non_null(strstr(inside("cat /etc/hosts"), "\tshop shop.lan"));
	name = DOCKER("ps", "--format={{.Names}}");
	assert_string_equal(name, "corpus-shop");
	stop_guest(GUEST_A, 20000);
	define(&guest);
	start_guest(GUEST_A);
	assert_string_equal(inside("hostname; echo $HOSTNAME"), "shop\nweb");
	destroy_guest(GUEST_A);
}

static void a_name_that_is_somebody_elses_is_left_to_him(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	assert_non_null(DOCKER("create", "--name=corpus-web", docker_node_image()));
	define(&guest);
	define(&guest);
	start_guest(GUEST_A);
	destroy_guest(GUEST_A);
	assert_non_null(DOCKER("rm", "corpus-web"));
}

/* --- By hand ---------------------------------------------------------------------------------- */

/* A driver that is killed as a whole: else what is left of it ends what it has begun. */
static void start_and_die(const char *id)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		struct driver *driver = NULL;
		struct driver_status ignored;

		setenv("CORPUS_FAULT", "driver.docker.start.started=kill", 1);
		if (docker_driver_ops.open(&environment()->config, &driver, NULL) == 0)
			docker_driver_ops.start(driver, id, &ignored, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void one_that_waits_at_its_gate_goes_on_or_ends(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	struct driver_status status;
	char container[128];
	int pidfd;

	(void)state;
	define(&guest);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	start_and_die(GUEST_A);
	status = status_of(GUEST_A);
	assert_int_equal(status.state, GUEST_STARTING);
	pidfd = process_pidfd(status.pid);
	listen_wait(status.pid, pidfd, SIGTERM, clock_monotonic_ns() + INT64_C(60000000000));
	close(pidfd);
	assert_non_null(DOCKER("stop", "--time=20", container));
	assert_string_equal(DOCKER("inspect", "--format={{.State.ExitCode}}", container), "143");
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	start_and_die(GUEST_A);
	start_guest(GUEST_A);
	assert_non_null(strstr(inside("ip addr show eth0"), "inet 10.99.0."));
	destroy_guest(GUEST_A);
}

/* In a process of its own, since what is to fail is asked for once. */
static enum err_code exec_late(const char *const *argv)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		const struct driver_exec exec = {.argv = argv,
			.stdin_fd = null,
			.stdout_fd = null,
			.stderr_fd = null,
			.status_fd = null};
		struct driver *driver = NULL;
		struct err err = {0};
		pid_t pid;

		setenv("CORPUS_FAULT", "driver.docker.exec.late=fail", 1);
		if (docker_driver_ops.open(&environment()->config, &driver, &err) == 0)
			docker_driver_ops.exec(driver, GUEST_A, &exec, &pid, &err);
		_exit((int)err.code);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum err_code)WEXITSTATUS(status);
}

static bool has_commands(const char *container)
{
	const char *ids = DOCKER("inspect", "--format={{len .ExecIDs}}", container);

	assert_non_null(ids);
	return strcmp(ids, "0") != 0;
}

/* dockerd executes it, when it can again, although nobody waits for it any more. */
static void a_command_that_was_given_up_does_not_go_on(void **state)
{
	const char *const argv[] = {"sleep", "1000", NULL};
	int64_t end = clock_monotonic_ns() + INT64_C(60000000000);
	struct driver_guest guest = facts(GUEST_A);
	char container[128];
	pid_t shim;

	(void)state;
	define(&guest);
	shim = docker_node_shim(start_guest(GUEST_A).pid);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_int_equal(kill(shim, SIGSTOP), 0);
	assert_int_equal(exec_late(argv), ERR_TIMEOUT);
	assert_int_equal(kill(shim, SIGCONT), 0);
	while (has_commands(container))
		assert_true(clock_monotonic_ns() < end);
	destroy_guest(GUEST_A);
}

static void one_started_by_hand_says_who_starts_it(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char container[128];

	(void)state;
	define(&guest);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	DOCKER("start", container);
	assert_string_equal(DOCKER("wait", container), "125");
	assert_int_equal(status_of(GUEST_A).exit_status, 125 << 8);
	start_guest(GUEST_A);
	destroy_guest(GUEST_A);
}

static void what_ends_it_is_told_apart(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char container[128];

	(void)state;
	define(&guest);
	start_guest(GUEST_A);
	stop_guest(GUEST_A, 20000);
	assert_int_equal(status_of(GUEST_A).exit_status, -1);
	start_guest(GUEST_A);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_non_null(DOCKER("kill", container));
	assert_int_equal(status_of(GUEST_A).exit_status, 137 << 8);
	destroy_guest(GUEST_A);
}

static void one_removed_by_hand_is_made_anew_with_its_data(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char container[128];

	(void)state;
	define(&guest);
	start_guest(GUEST_A);
	inside("echo data >/srv/kept; echo layer >/lost");
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_non_null(DOCKER("rm", "--force", container));
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	define(&guest);
	start_guest(GUEST_A);
	assert_string_equal(inside("cat /srv/kept; cat /lost 2>/dev/null || true"), "data");
	destroy_guest(GUEST_A);
}

static enum guest_state listed_state(const char *id)
{
	struct outcome o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});

	for (size_t i = 0; i < o.statuses_count; i++)
		if (strcmp(o.statuses[i].id, id) == 0)
			return o.statuses[i].state;
	fail_msg("guest %s is not listed", id);
	return GUEST_UNKNOWN;
}

static void one_renamed_by_hand_is_still_the_guest(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char container[128];

	(void)state;
	define(&guest);
	start_guest(GUEST_A);
	inside("echo mine >/layer");
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_non_null(DOCKER("rename", container, "another"));
	assert_int_equal(listed_state(GUEST_A), GUEST_RUNNING);
	stop_guest(GUEST_A, 20000);
	define(&guest);
	assert_string_equal(container_of(GUEST_A), container);
	assert_string_equal(DOCKER("inspect", "--format={{.Name}}", container), "/corpus-web");
	start_guest(GUEST_A);
	assert_string_equal(inside("cat /layer"), "mine");
	assert_non_null(DOCKER("rename", container, "another"));
	destroy_guest(GUEST_A);
}

/* Who runs it is in the way for a moment: dockerd has begun with it, and says nothing of it. */
static void what_dockerd_removes_already_is_waited_for(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	pid_t shim, removing, helping;
	char container[128];

	(void)state;
	define(&guest);
	shim = docker_node_shim(start_guest(GUEST_A).pid);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_int_equal(kill(shim, SIGSTOP), 0);
	removing = fork();
	if (removing == 0)
		_exit(!DOCKER("rm", "--force", container));
	while (status_at_once(GUEST_A).state != GUEST_UNKNOWN)
		assert_int_equal(waitpid(removing, NULL, WNOHANG), 0);
	helping = fork();
	if (helping == 0) {
		poll(NULL, 0, 500);
		_exit(kill(shim, SIGCONT) < 0);
	}
	destroy_guest(GUEST_A);
	assert_int_equal(waitpid(helping, NULL, 0), helping);
	assert_int_equal(waitpid(removing, NULL, 0), removing);
}

static void containers_with_copied_labels_are_left_alone(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	char container[128];

	(void)state;
	define(&guest);
	snprintf(container, sizeof(container), "%s", container_of(GUEST_A));
	assert_non_null(DOCKER("commit", container, "copy:1"));
	assert_non_null(DOCKER("create", "--name=foreign", "copy:1"));
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	assert_non_null(DOCKER("rm", "foreign"));
	assert_non_null(DOCKER("rmi", "copy:1"));
	assert_nothing_left(GUEST_A, false);
}

/* --- Layers ----------------------------------------------------------------------------------- */

static void what_changes_its_container_keeps_its_layer(void **state)
{
	static const char *const env[] = {"MODE=one", NULL}, *const other[] = {"KIND=two", NULL};
	struct driver_guest guest = facts(GUEST_A);
	char first[128];

	(void)state;
	g_container.env = env;
	define(&guest);
	start_guest(GUEST_A);
	inside("echo mine >/layer");
	snprintf(first, sizeof(first), "%s", container_of(GUEST_A));
	stop_guest(GUEST_A, 20000);
	g_container.env = other;
	define(&guest);
	assert_string_not_equal(container_of(GUEST_A), first);
	start_guest(GUEST_A);
	assert_string_equal(inside("cat /layer; echo $KIND${MODE-none}"), "mine\ntwonone");
	destroy_guest(GUEST_A);
}

static void run_and_write(const struct driver_guest *guest, const char *text)
{
	char script[64];

	define(guest);
	start_guest(GUEST_A);
	snprintf(script, sizeof(script), "echo %s >/layer", text);
	inside(script);
	stop_guest(GUEST_A, 20000);
}

static void assert_layer(const struct driver_guest *guest, const char *text)
{
	define(guest);
	start_guest(GUEST_A);
	assert_string_equal(inside("cat /layer"), text);
	call_ok((struct driver_request){.call = DRIVER_CALL_KILL, .id = GUEST_A});
}

static void layers_are_kept_and_come_back(void **state)
{
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	run_and_write(&guest, "one");
	layer(DRIVER_LAYER_KEEP, GUEST_A, "first");
	layer(DRIVER_LAYER_KEEP, GUEST_A, "first");
	run_and_write(&guest, "two");
	layer(DRIVER_LAYER_KEEP, GUEST_A, "second");
	layer(DRIVER_LAYER_RESTORE, GUEST_A, "first");
	assert_layer(&guest, "one");
	layer(DRIVER_LAYER_RESTORE_UNDO, GUEST_A, "first");
	layer(DRIVER_LAYER_RESTORE_UNDO, GUEST_A, "first");
	assert_layer(&guest, "two");
	layer(DRIVER_LAYER_RESTORE, GUEST_A, "first");
	layer(DRIVER_LAYER_RESTORE_FINISH, GUEST_A, "first");
	layer(DRIVER_LAYER_RESTORE_FINISH, GUEST_A, "first");
	layer(DRIVER_LAYER_DROP, GUEST_A, "first");
	layer(DRIVER_LAYER_DROP, GUEST_A, "first");
	assert_layer(&guest, "one");
	layer(DRIVER_LAYER_RESTORE, GUEST_A, "second");
	layer(DRIVER_LAYER_RESTORE_FINISH, GUEST_A, "second");
	assert_layer(&guest, "two");
	destroy_guest(GUEST_A);
}

static void a_clone_goes_on_from_a_layer_that_is_dropped(void **state)
{
	struct driver_guest guest = facts(GUEST_A), clone;
	char source[GUEST_ID_LEN + 1], copy[GUEST_ID_LEN + 1], command[128];

	(void)state;
	snprintf(source, sizeof(source), "%s", GUEST_A);
	snprintf(copy, sizeof(copy), "%s", GUEST_B);
	run_and_write(&guest, "one");
	layer(DRIVER_LAYER_KEEP, source, "clone");
	clone = facts(copy);
	clone.name = "clone";
	g_container.layer_of = source;
	g_container.layer = "clone";
	define(&clone);
	layer(DRIVER_LAYER_DROP, source, "clone");
	destroy_guest(source);
	define(&clone);
	start_guest(copy);
	snprintf(command, sizeof(command), "%s", container_of(copy));
	assert_string_equal(DOCKER("exec", command, "cat", "/layer"), "one");
	destroy_guest(copy);
	assert_string_equal(DOCKER("images", "--quiet", "--filter=dangling=true"), "");
}

static void storage_that_cannot_bound_a_layer_is_told_so(void **state)
{
	struct driver_layer_work work = {.op = DRIVER_LAYER_USAGE};
	struct driver_guest guest = facts(GUEST_A);
	char before[128];
	struct outcome o;

	(void)state;
	g_container.layer_size = UINT64_C(64) << 20;
	define(&guest);
	start_guest(GUEST_A);
	inside("dd if=/dev/zero of=/file bs=1k count=100 2>/dev/null");
	o = call_ok(
		(struct driver_request){.call = DRIVER_CALL_LAYER, .id = GUEST_A, .layer = &work});
	assert_false(o.layer.bounded);
	assert_true(o.layer.used >= 100 * 1024);
	snprintf(before, sizeof(before), "%s", container_of(GUEST_A));
	stop_guest(GUEST_A, 20000);
	g_container.layer_size *= 2; /* nothing that a container would have to be made anew for */
	define(&guest);
	start_guest(GUEST_A);
	assert_string_equal(container_of(GUEST_A), before);
	destroy_guest(GUEST_A);
}

static void crash_in(const char *point, struct driver_request request)
{
	char rule[96];

	snprintf(rule, sizeof(rule), "%s=kill", point);
	setenv("CORPUS_FAULT", rule, 1);
	subject_crash(subject());
	assert_int_not_equal(call(request).result, 0);
	unsetenv("CORPUS_FAULT");
	subject_crash(subject());
	call_ok(request);
}

static void a_container_made_anew_survives_a_crash_anywhere(void **state)
{
	static const char *const points[] = {"driver.docker.make.kept",
		"driver.docker.make.created", "driver.docker.make.replaced"};
	struct driver_guest guest = facts(GUEST_A);
	char mode[32];
	const char *const env[] = {mode, NULL};

	(void)state;
	run_and_write(&guest, "one");
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		snprintf(mode, sizeof(mode), "MODE=%zu", i);
		g_container.env = env;
		crash_in(points[i],
			(struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
		assert_layer(&guest, "one");
		assert_null(strchr(container_of(GUEST_A), '\n'));
	}
	destroy_guest(GUEST_A);
}

static void a_restore_survives_a_crash_anywhere(void **state)
{
	static const struct {
		const char *point;
		enum driver_layer_op op;
		const char *layer;
	} crashes[] = {
		{"driver.docker.restore.aside", DRIVER_LAYER_RESTORE, "one"},
		{"driver.docker.undo.removed", DRIVER_LAYER_RESTORE_UNDO, "two"},
		{"driver.docker.restore.made", DRIVER_LAYER_RESTORE, "one"},
	};
	struct driver_guest guest = facts(GUEST_A);

	(void)state;
	run_and_write(&guest, "one");
	layer(DRIVER_LAYER_KEEP, GUEST_A, "first");
	run_and_write(&guest, "two");
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		struct driver_layer_work work = {.op = crashes[i].op, .name = "first"};

		crash_in(crashes[i].point,
			(struct driver_request){
				.call = DRIVER_CALL_LAYER, .id = GUEST_A, .layer = &work});
		assert_layer(&guest, crashes[i].layer);
	}
	layer(DRIVER_LAYER_RESTORE_FINISH, GUEST_A, "first");
	assert_layer(&guest, "one");
	destroy_guest(GUEST_A);
}

/* What is in /run goes with the node's power. */
static void files_of_one_that_does_not_run_are_there_after_the_nodes_boot(void **state)
{
	struct driver_guest guest = facts(GUEST_A);
	AUTOFREE char *gates = NULL;

	(void)state;
	define(&guest);
	start_guest(GUEST_A);
	inside("echo layer >/kept; echo data >/srv/kept");
	stop_guest(GUEST_A, 20000);
	assert_true(asprintf(&gates, "%s/run/gates", node_dir()) > 0);
	assert_int_equal(access(gates, F_OK), 0);
	assert_int_equal(file_remove_tree(gates), 0);
	assert_reads("/kept", "layer\n");
	assert_reads("/srv/kept", "data\n");
	destroy_guest(GUEST_A);
}

/* Images and containers that an earlier test of this file has left would be found here. */
static int nothing_is_left(void **state)
{
	(void)state;
	assert_string_equal(DOCKER("ps", "--all", "--quiet"), "");
	assert_string_equal(DOCKER("volume", "ls", "--quiet"), "");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(a_guest_has_its_network_and_names_before_its_program_runs),
		guest_test(a_guest_makes_no_subvolumes_that_nobody_would_count),
		guest_test(a_running_guest_takes_up_its_new_name),
		guest_test(a_name_that_is_somebody_elses_is_left_to_him),
		guest_test(one_that_waits_at_its_gate_goes_on_or_ends),
		guest_test(a_command_that_was_given_up_does_not_go_on),
		guest_test(one_started_by_hand_says_who_starts_it),
		guest_test(what_ends_it_is_told_apart),
		guest_test(files_of_one_that_does_not_run_are_there_after_the_nodes_boot),
		guest_test(one_removed_by_hand_is_made_anew_with_its_data),
		guest_test(one_renamed_by_hand_is_still_the_guest),
		guest_test(what_dockerd_removes_already_is_waited_for),
		guest_test(containers_with_copied_labels_are_left_alone),
		guest_test(what_changes_its_container_keeps_its_layer),
		guest_test(layers_are_kept_and_come_back),
		guest_test(a_clone_goes_on_from_a_layer_that_is_dropped),
		guest_test(storage_that_cannot_bound_a_layer_is_told_so),
		guest_test(a_container_made_anew_survives_a_crash_anywhere),
		guest_test(a_restore_survives_a_crash_anywhere),
	};

	return docker_guests_run(NULL, DOCKER_PROGRAM, tests, ARRAY_SIZE(tests), nothing_is_left);
}
