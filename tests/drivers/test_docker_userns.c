/* Guests of the Docker driver where dockerd has user namespaces and storage that can bound layers:
 * whose their data are, what their layers may hold, and the same for privileged ones. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/clock.h"
#include "conformance/guests.h"
#include "docker_guests.h"
#include "docker_node.h"
#include "drivers/docker/gate/gate.h"

#define FIRST_ID 20000000 /* of the containers' user namespaces, see docker_node.h */
#define LAYER	 (UINT64_C(64) << 20)

static struct driver_container g_container;

static struct driver_guest facts(void)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);

	g_container = *guest.container;
	g_container.layer_size = LAYER;
	guest.container = &g_container;
	return guest;
}

static void run(const struct driver_guest *guest)
{
	call_ok((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = guest});
	start_guest(GUEST_A);
}

/* What it prints; NULL: it fails. */
static const char *inside(const char *script)
{
	char container[128], label[64];

	snprintf(label, sizeof(label), "label=corpus.guest=%s", GUEST_A);
	snprintf(container, sizeof(container), "%s", DOCKER("ps", "--quiet", "--filter", label));
	return DOCKER("exec", container, "sh", "-c", script);
}

static unsigned owner_of(const char *name)
{
	char path[512];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", g_container.data, name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_uid;
}

static void data_belong_to_the_guests_own_root(void **state)
{
	struct driver_guest guest = facts();

	(void)state;
	run(&guest);
	assert_string_equal(
		inside("echo x >/srv/file && stat -c %u:%g /srv /srv/file"), "0:0\n0:0");
	assert_int_equal(owner_of("srv"), FIRST_ID);
	assert_int_equal(owner_of("srv/file"), FIRST_ID);
	destroy_guest(GUEST_A);
}

/* What they go through could be traced before it has done its work, by who could read it. */
static void the_guests_own_root_cannot_read_what_its_commands_go_through(void **state)
{
	struct driver_guest guest = facts();

	(void)state;
	run(&guest);
	assert_exec((const char *[]){"head", "-c", "1", GATE_PROGRAM, NULL}, "", "",
		"head: " GATE_PROGRAM ": Permission denied\n", W_EXITCODE(1, 0));
	destroy_guest(GUEST_A);
}

static void a_privileged_guests_root_is_the_nodes(void **state)
{
	struct driver_guest guest = facts();

	(void)state;
	guest.privileged = true;
	g_container.data_paths = (const char *const[]){"/data", NULL};
	run(&guest);
	assert_string_equal(
		inside("echo x >/data/file && cut -c1-44 /proc/self/uid_map | tr -s ' '"),
		" 0 0 4294967295");
	assert_int_equal(owner_of("data/file"), 0);
	destroy_guest(GUEST_A);
}

/* dockerd leaves out of a layer what its user namespace has no number for, and answers as if it had
 * kept all. */
static void the_layer_of_a_privileged_guest_is_not_kept_by_halves(void **state)
{
	static const char *const env[] = {"MODE=other", NULL};
	struct driver_layer_work work = {.op = DRIVER_LAYER_KEEP, .name = "first"};
	struct driver_guest guest = facts();
	struct driver_request keep = {.call = DRIVER_CALL_LAYER, .id = GUEST_A, .layer = &work},
			      change = {.call = DRIVER_CALL_CREATE, .guest = &guest};

	(void)state;
	guest.privileged = true;
	run(&guest);
	assert_non_null(inside("echo mine >/layer"));
	call_fails(keep, ERR_UNSUPPORTED);
	stop_guest(GUEST_A, 20000);
	g_container.env = env;
	call_fails(change, ERR_UNSUPPORTED);
	g_container.env = NULL;
	run(&guest);
	assert_string_equal(inside("cat /layer"), "mine");
	destroy_guest(GUEST_A);
}

static void a_layer_holds_no_more_than_it_may(void **state)
{
	struct driver_layer_work work = {.op = DRIVER_LAYER_USAGE};
	struct driver_guest guest = facts();
	struct outcome o;

	(void)state;
	run(&guest);
	o = call_ok(
		(struct driver_request){.call = DRIVER_CALL_LAYER, .id = GUEST_A, .layer = &work});
	assert_true(o.layer.bounded);
	assert_int_equal(o.layer.size, LAYER);
	work.op = DRIVER_LAYER_BOUND;
	o = call_ok(
		(struct driver_request){.call = DRIVER_CALL_LAYER, .id = GUEST_A, .layer = &work});
	assert_true(o.layer.bounded);
	assert_int_equal(o.layer.size, LAYER);
	assert_null(inside("dd if=/dev/zero of=/big bs=1M count=100"));
	assert_non_null(inside("rm /big"));
	stop_guest(GUEST_A, 20000);
	g_container.layer_size *= 2; /* from the next start */
	run(&guest);
	assert_non_null(inside("dd if=/dev/zero of=/big bs=1M count=100"));
	destroy_guest(GUEST_A);
}

/* dockerd 20.10 takes the volume of a container that it restored live for mounted for ever. */
static void a_guest_that_was_restored_live_can_be_destroyed(void **state)
{
	int64_t end = clock_monotonic_ns() + INT64_C(60000000000);
	struct driver_guest guest = facts();

	(void)state;
	run(&guest);
	docker_node_signal(SIGKILL);
	docker_node_start();
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	docker_node_signal(SIGTERM);
	docker_node_start();
	/* By each list for which dockerd has the time. */
	while (docker_node_leftovers(GUEST_A, false) && clock_monotonic_ns() < end)
		call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_nothing_left(GUEST_A, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(data_belong_to_the_guests_own_root),
		guest_test(the_guests_own_root_cannot_read_what_its_commands_go_through),
		guest_test(a_privileged_guests_root_is_the_nodes),
		guest_test(the_layer_of_a_privileged_guest_is_not_kept_by_halves),
		guest_test(a_layer_holds_no_more_than_it_may),
		guest_test(a_guest_that_was_restored_live_can_be_destroyed),
	};

	return docker_guests_run(
		&(struct docker_node){.storage = "btrfs", .userns = true, .live_restore = true},
		DOCKER_PROGRAM, tests, ARRAY_SIZE(tests), NULL);
}
