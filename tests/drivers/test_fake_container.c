/* The fake driver with containers keeps the contract about their images and layers, so that what is
 * tested with it holds of real ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/fake/fake.h"
#include "drivers/fake/images.h"

#define ID  "0123456789ab"
#define ID2 "ba9876543210"

static struct {
	char dir[64], state[96], run[96], log[96];
	struct driver *driver;
} g;

static int create(const char *id, const char *layer_of, const char *layer, struct err *err)
{
	const struct driver_container container = {
		.image = "sha256:12", .data = g.dir, .layer_of = layer_of, .layer = layer};
	struct driver_guest guest = {.id = id, .name = "g", .container = &container};

	guest.net.bridge = "b";
	guest.net.link = "l";
	return fake_driver_ops.create(g.driver, &guest, err);
}

static int setup(void **state)
{
	struct err err = {0};

	(void)state;
	snprintf(g.dir, sizeof(g.dir), "/tmp/corpus-fake-container-XXXXXX");
	assert_non_null(mkdtemp(g.dir));
	snprintf(g.state, sizeof(g.state), "%s/state", g.dir);
	snprintf(g.run, sizeof(g.run), "%s/run", g.dir);
	snprintf(g.log, sizeof(g.log), "%s/log", g.dir);
	const struct driver_config config = {.state_dir = g.state,
		.run_dir = g.run,
		.log_dir = g.log,
		.endpoint = FAKE_CONTAINERS};

	if (fake_driver_ops.open(&config, &g.driver, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(create(ID, NULL, NULL, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(fake_driver_ops.destroy(g.driver, ID, NULL), 0);
	assert_int_equal(fake_driver_ops.destroy(g.driver, ID2, NULL), 0);
	fake_driver_ops.close(g.driver);
	return file_remove_tree(g.dir);
}

/* --- Layers ---------------------------------------------------------------------------------- */

static int layer(enum driver_layer_op op, const char *name, struct err *err)
{
	return fake_driver_ops.layer(
		g.driver, ID, &(struct driver_layer_work){.op = op, .name = name}, NULL, err);
}

#define LAYER(op, name) assert_int_equal(layer(DRIVER_LAYER_##op, name, NULL), 0)

static void put(const char *id, const char *text)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/roots/%s/file", g.state, id);
	assert_int_equal(file_replace(path, text, 0600, false), 0);
}

static void assert_has(const char *id, const char *text)
{
	AUTOFREE char *has = NULL;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/roots/%s/file", g.state, id);
	assert_int_equal(file_read(path, 64, &has, NULL), 0);
	assert_string_equal(has, text);
}

static void older_layers_keep_newer_ones(void **state)
{
	(void)state;
	put(ID, "one");
	LAYER(KEEP, "one");
	put(ID, "two");
	LAYER(KEEP, "two");
	LAYER(KEEP, "one"); /* done already */
	LAYER(RESTORE, "one");
	LAYER(RESTORE, "one");
	assert_has(ID, "one");
	LAYER(RESTORE_FINISH, NULL);
	LAYER(RESTORE_FINISH, NULL);
	LAYER(RESTORE, "two");
	assert_has(ID, "two");
	LAYER(RESTORE_FINISH, NULL);
}

static void a_restore_is_undone(void **state)
{
	(void)state;
	put(ID, "one");
	LAYER(KEEP, "one");
	put(ID, "now");
	LAYER(RESTORE, "one");
	LAYER(RESTORE_UNDO, NULL);
	LAYER(RESTORE_UNDO, NULL);
	assert_has(ID, "now");
	LAYER(RESTORE_FINISH, NULL);
	assert_has(ID, "now");
}

static void what_is_not_kept_is_not_found_and_changes_nothing(void **state)
{
	struct err err = {0};

	(void)state;
	put(ID, "now");
	LAYER(DROP, "one");
	assert_true(layer(DRIVER_LAYER_RESTORE, "one", &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_has(ID, "now");
}

static void a_running_guest_is_kept_and_not_restored(void **state)
{
	struct driver_status status;
	struct err err = {0};

	(void)state;
	put(ID, "one");
	assert_int_equal(fake_driver_ops.start(g.driver, ID, &status, NULL), 0);
	LAYER(KEEP, "one");
	assert_true(layer(DRIVER_LAYER_RESTORE, "one", &err) < 0);
	assert_int_equal(err.code, ERR_ILLEGAL_STATE);
}

static void a_new_guest_begins_with_a_kept_layer_once(void **state)
{
	struct err err = {0};

	(void)state;
	put(ID, "one");
	LAYER(KEEP, "one");
	assert_int_equal(create(ID2, ID, "one", NULL), 0);
	LAYER(DROP, "one");
	assert_has(ID2, "one");
	put(ID2, "own");
	assert_int_equal(create(ID2, ID, "one", NULL), 0);
	assert_has(ID2, "own");
	assert_int_equal(fake_driver_ops.destroy(g.driver, ID2, NULL), 0);
	assert_true(create(ID2, ID, "one", &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void usage_is_told(void **state)
{
	struct driver_layer_result result = {0};

	(void)state;
	assert_int_equal(
		fake_driver_ops.layer(g.driver, ID,
			&(struct driver_layer_work){.op = DRIVER_LAYER_USAGE}, &result, NULL),
		0);
	assert_true(result.bounded);
	assert_int_equal(result.size, FAKE_LAYER_SIZE);
	assert_int_equal(result.used, FAKE_LAYER_USED);
	assert_int_equal(
		fake_driver_ops.layer(g.driver, ID,
			&(struct driver_layer_work){.op = DRIVER_LAYER_BOUND}, &result, NULL),
		0);
	assert_true(result.bounded);
	assert_int_equal(result.size, FAKE_LAYER_SIZE);
	assert_int_equal(result.used, 0);
}

/* --- Images ---------------------------------------------------------------------------------- */

static int image(
	struct driver_image_work work, struct driver_image *ret, size_t *ret_count, struct err *err)
{
	AUTOFREE struct driver_image *images = NULL;
	size_t count = 0;
	int r = fake_driver_ops.image(g.driver, &work, &images, &count, err);

	if (r == 0 && ret && count > 0)
		*ret = images[0];
	if (ret_count)
		*ret_count = count;
	return r;
}

#define WORK(what, called)                                                                         \
	((struct driver_image_work){.op = DRIVER_IMAGE_##what,                                     \
		.name = called,                                                                    \
		.fd = -1,                                                                          \
		.whole_fd = -1,                                                                    \
		.progress_fd = -1})

/* An archive on its way; `whole` tells that all of it came. */
static int load(const char *name, const char *archive, bool whole, bool replace, struct err *err)
{
	struct driver_image_work work = WORK(LOAD, name);
	int data[2], end[2], r;

	assert_int_equal(pipe(data), 0);
	assert_int_equal(pipe(end), 0);
	assert_int_equal(write(data[1], archive, strlen(archive)), strlen(archive));
	if (whole)
		assert_int_equal(write(end[1], "", 1), 1);
	close(data[1]);
	close(end[1]);
	work.fd = data[0];
	work.whole_fd = end[0];
	work.replace = replace;
	r = image(work, NULL, NULL, err);
	close(data[0]);
	close(end[0]);
	return r;
}

static void what_was_pulled_is_found_by_any_of_its_names(void **state)
{
	struct driver_image pulled = {0}, found = {0};

	(void)state;
	assert_int_equal(image(WORK(PULL, "app"), &pulled, NULL, NULL), 0);
	assert_string_equal(pulled.name, "app:latest");
	assert_int_equal(image(WORK(FIND, "app:latest"), &found, NULL, NULL), 0);
	assert_string_equal(found.id, pulled.id);
}

static void the_list_is_sorted_and_loses_what_is_removed(void **state)
{
	struct driver_image first = {0};
	size_t count = 0;

	(void)state;
	assert_int_equal(image(WORK(PULL, "b:1"), NULL, NULL, NULL), 0);
	assert_int_equal(image(WORK(PULL, "a:1"), NULL, NULL, NULL), 0);
	assert_int_equal(image(WORK(LIST, NULL), &first, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(first.name, "a:1");
	assert_int_equal(image(WORK(REMOVE, "a:1"), NULL, NULL, NULL), 0);
	assert_int_equal(image(WORK(REMOVE, "a:1"), NULL, NULL, NULL), 0);
	assert_int_equal(image(WORK(LIST, NULL), &first, &count, NULL), 0);
	assert_int_equal(count, 1);
}

static void what_is_cut_short_is_not_loaded(void **state)
{
	struct err err = {0};

	(void)state;
	assert_true(load("app:1", "half of it", false, false, &err) < 0);
	assert_int_equal(err.code, ERR_CANCELLED);
	assert_true(image(WORK(FIND, "app:1"), NULL, NULL, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void a_name_is_taken_unless_replaced(void **state)
{
	struct driver_image one = {0}, other = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(load("app:1", "one", true, false, NULL), 0);
	assert_int_equal(image(WORK(FIND, "app:1"), &one, NULL, NULL), 0);
	assert_true(load("app:1", "other", true, false, &err) < 0);
	assert_int_equal(err.code, ERR_EXISTS);
	assert_int_equal(load("app:1", "other", true, true, NULL), 0);
	assert_int_equal(image(WORK(FIND, "app:1"), &other, NULL, NULL), 0);
	assert_string_not_equal(one.id, other.id);
}

static void what_nobody_waits_for_is_given_up(void **state)
{
	struct driver_image_work work = WORK(PULL, FAKE_STALLED ":1");
	struct err err = {0};
	int progress[2];

	(void)state;
	assert_int_equal(pipe(progress), 0);
	close(progress[0]);
	work.progress_fd = progress[1];
	assert_true(image(work, NULL, NULL, &err) < 0);
	assert_int_equal(err.code, ERR_CANCELLED);
	close(progress[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(older_layers_keep_newer_ones),
		TEST(a_restore_is_undone),
		TEST(what_is_not_kept_is_not_found_and_changes_nothing),
		TEST(a_running_guest_is_kept_and_not_restored),
		TEST(a_new_guest_begins_with_a_kept_layer_once),
		TEST(usage_is_told),
		TEST(what_was_pulled_is_found_by_any_of_its_names),
		TEST(the_list_is_sorted_and_loses_what_is_removed),
		TEST(what_is_cut_short_is_not_loaded),
		TEST(a_name_is_taken_unless_replaced),
		TEST(what_nobody_waits_for_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
