/* The fake driver with disks keeps the contract, so that what is tested with it holds of machines:
 * memory that is saved and gone on from, disks that become larger, what one guest helps with and
 * another does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/fake/disk.h"
#include "drivers/fake/fake.h"

#define ID   "0123456789ab"
#define SIZE "16M"

struct machine {
	char dir[64], path[96], base[96], memory[96], state[96], run[96], log[96];
	struct driver_disk disk;
	struct driver_guest guest;
	struct driver *driver;
};

static void make_disk(const char *path)
{
	const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2", path, SIZE, NULL};

	assert_int_equal(
		process_run(
			&(struct process_options){
				.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = 60000},
			NULL),
		0);
}

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct err err = {0};

	snprintf(m->dir, sizeof(m->dir), "/tmp/corpus-fake-disk-XXXXXX");
	assert_non_null(mkdtemp(m->dir));
	snprintf(m->path, sizeof(m->path), "%s/disk.qcow2", m->dir);
	snprintf(m->base, sizeof(m->base), "%s/base", m->dir);
	snprintf(m->memory, sizeof(m->memory), "%s/memory", m->dir);
	snprintf(m->state, sizeof(m->state), "%s/state", m->dir);
	snprintf(m->run, sizeof(m->run), "%s/run", m->dir);
	snprintf(m->log, sizeof(m->log), "%s/log", m->dir);
	make_disk(m->path);
	make_disk(m->base);
	m->disk = (struct driver_disk){.path = m->path, .base = m->base, .memory = m->memory};
	m->guest = (struct driver_guest){.id = ID, .name = "g", .disk = &m->disk};
	m->guest.net.bridge = "b";
	m->guest.net.link = "l";
	const struct driver_config config = {.state_dir = m->state,
		.run_dir = m->run,
		.log_dir = m->log,
		.endpoint = FAKE_DISKS};

	if (fake_driver_ops.open(&config, &m->driver, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(fake_driver_ops.create(m->driver, &m->guest, &err), 0);
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	assert_int_equal(fake_driver_ops.destroy(m->driver, ID, NULL), 0);
	fake_driver_ops.close(m->driver);
	assert_int_equal(file_remove_tree(m->dir), 0);
	free(m);
	return 0;
}

static int start(struct machine *m, struct err *err)
{
	struct driver_status status;

	return fake_driver_ops.start(m->driver, ID, &status, err);
}

static enum guest_state state_of(struct machine *m)
{
	struct driver_status status;

	assert_int_equal(fake_driver_ops.status(m->driver, ID, &status, NULL), 0);
	return status.state;
}

/* The last line of its console; the caller frees it. */
static char *said(struct machine *m)
{
	AUTOFREE char *text = NULL;
	char path[PATH_MAX];
	char *end;

	snprintf(path, sizeof(path), "%s/" ID ".console", m->log);
	assert_int_equal(file_read(path, 65536, &text, NULL), 0);
	end = strrchr(text, '\n');
	assert_non_null(end);
	*end = '\0';
	end = strrchr(text, '\n');
	return strdup(end ? end + 1 : text);
}

static int work(struct machine *m, enum driver_disk_op op, uint64_t size,
	struct driver_disk_result *ret, struct err *err)
{
	return fake_driver_ops.disk(
		m->driver, ID, &(struct driver_disk_work){.op = op, .size = size}, ret, err);
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void it_says_that_its_guests_are_made_of_disks(void **state)
{
	struct machine *m = *state;
	struct driver_info info;

	assert_int_equal(fake_driver_ops.probe(m->driver, &info, NULL), 0);
	assert_int_equal(info.image_kind, IMAGE_DISK);
	assert_true(info.capabilities & DRIVER_CAN_DISK && info.capabilities & DRIVER_CAN_SAVE);
	assert_false(info.capabilities & (DRIVER_CAN_EXEC | DRIVER_CAN_FILE));
}

static void a_guest_goes_on_from_its_memory_and_else_boots(void **state)
{
	struct machine *m = *state;
	AUTOFREE char *booted = NULL;
	AUTOFREE char *went_on = NULL;
	AUTOFREE char *booted_again = NULL;

	assert_int_equal(start(m, NULL), 0);
	booted = said(m);
	assert_int_equal(strncmp(booted, "the fake guest boots: ", 22), 0);
	for (int i = 0; i < 2; i++) /* done already is success */
		assert_int_equal(fake_driver_ops.save(m->driver, ID, NULL), 0);
	assert_int_equal(state_of(m), GUEST_STOPPED);
	assert_int_equal(access(m->memory, F_OK), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(start(m, NULL), 0);
	went_on = said(m);
	assert_int_equal(strncmp(went_on, "the fake guest goes on: ", 24), 0);
	assert_string_equal(went_on + 24, booted + 22);
	assert_int_equal(access(m->memory, F_OK), -1);
	assert_int_equal(fake_driver_ops.kill(m->driver, ID, NULL), 0);
	assert_int_equal(start(m, NULL), 0);
	booted_again = said(m);
	assert_string_not_equal(booted_again, booted);
}

static void damaged_memory_starts_nothing_and_stays(void **state)
{
	struct machine *m = *state;
	struct err err = {0};

	assert_int_equal(file_replace(m->memory, "no memory", 0600, false), 0);
	assert_true(start(m, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
	assert_non_null(strstr(err.message, "is damaged"));
	assert_int_equal(state_of(m), GUEST_STOPPED);
	assert_int_equal(access(m->memory, F_OK), 0);
}

static void what_needs_a_running_guest_says_so(void **state)
{
	struct machine *m = *state;
	struct err err = {0};

	assert_true(fake_driver_ops.save(m->driver, ID, &err) < 0);
	assert_int_equal(err.code, ERR_ILLEGAL_STATE);
	for (int op = DRIVER_DISK_RESIZE; op <= DRIVER_DISK_RELEASE; op++) {
		assert_true(work(m, (enum driver_disk_op)op, 1 << 25, NULL, &err) < 0);
		assert_int_equal(err.code, ERR_ILLEGAL_STATE);
	}
}

static void its_disk_becomes_larger(void **state)
{
	struct machine *m = *state;
	struct driver_disk_result result;
	AUTOFREE char *header = NULL;
	uint64_t size;

	assert_int_equal(start(m, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(work(m, DRIVER_DISK_RESIZE, 1 << 25, &result, NULL), 0);
	assert_true(result.file_system);
	/* The size in a qcow2's header: QEMU's docs/interop/qcow2.txt. */
	assert_true(file_read(m->path, 1 << 24, &header, NULL) == 0);
	memcpy(&size, header + 24, sizeof(size));
	assert_int_equal(be64toh(size), 1 << 25);
}

static void one_without_an_agent_helps_with_nothing(void **state)
{
	struct machine *m = *state;
	struct driver_disk_result result;
	struct err err = {0};

	m->disk.kernel = m->base;
	m->disk.cmdline = "quiet " FAKE_HELPS_NOT;
	assert_int_equal(fake_driver_ops.create(m->driver, &m->guest, NULL), 0);
	assert_int_equal(start(m, NULL), 0);
	assert_true(work(m, DRIVER_DISK_DISCARD, 0, &result, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_int_equal(work(m, DRIVER_DISK_HOLD, 0, &result, NULL), 0);
	assert_false(result.file_system);
	for (int i = 0; i < 2; i++)
		assert_int_equal(work(m, DRIVER_DISK_RELEASE, 0, NULL, NULL), 0);
}

static void what_it_boots_from_must_be_there(void **state)
{
	struct machine *m = *state;
	struct err err = {0};

	assert_int_equal(unlink(m->base), 0);
	assert_true(start(m, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
	assert_non_null(strstr(err.message, m->base));
}

static void a_tree_is_refused(void **state)
{
	struct machine *m = *state;
	struct driver_guest tree = m->guest;
	struct err err = {0};

	tree.disk = NULL;
	tree.rootfs = "/tmp";
	assert_true(fake_driver_ops.create(m->driver, &tree, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_says_that_its_guests_are_made_of_disks),
		TEST(a_guest_goes_on_from_its_memory_and_else_boots),
		TEST(damaged_memory_starts_nothing_and_stays),
		TEST(what_needs_a_running_guest_says_so),
		TEST(its_disk_becomes_larger),
		TEST(one_without_an_agent_helps_with_nothing),
		TEST(what_it_boots_from_must_be_there),
		TEST(a_tree_is_refused),
	};

	return cmocka_run_group_tests_name("fake_disk", tests, NULL, NULL);
}
