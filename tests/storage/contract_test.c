/* What storage.h promises, on every kind of pool. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"
#include "tarball.h"

#define ID  "0123456789ab"
#define ID2 "ba9876543210"

static struct fixture g_f;

static char *in_volume(char buf[static 256], const char *id, const char *name)
{
	char root[160];

	assert_int_equal(volume_rootfs(g_f.storage, id, root, sizeof(root)), 0);
	snprintf(buf, 256, "%s/%s", root, name);
	return buf;
}
#define IN(id, name) in_volume((char[256]){0}, id, name)

static void image_appears_whole_and_read_only(void **state)
{
	struct image image, *images;
	char path[256];
	size_t count;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(image_get(g_f.storage, "little", &image, &g_err));
	assert_string_equal(image.name, "little");
	assert_int_equal(image.entries, 6);
	assert_int_equal(image.size, 17);
	assert_int_equal(strlen(image.sha256), 64);
	assert_true(image.created_ms > 0);
	assert_ok(image_list(g_f.storage, &images, &count, &g_err));
	assert_int_equal(count, 1);
	free(images);
	snprintf(path, sizeof(path), "%s/images/little/rootfs/x", g_f.path);
	assert_true(open(path, O_WRONLY | O_CREAT, 0644) < 0);
	assert_int_equal(errno, EROFS);
	assert_int_equal(fixture_count(&g_f, "images"), 1);
}

static void volume_is_a_writable_clone_that_can_be_asked_for_twice(void **state)
{
	struct volume_usage usage;
	char **ids;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, "little", 100 * MIB, &g_err));
	assert_int_equal(fixture_fill(IN(ID, "etc/new"), 4096), 4096);
	assert_ok(volume_create(g_f.storage, ID, "little", 200 * MIB, &g_err));
	assert_int_equal(access(IN(ID, "etc/new"), F_OK), 0);
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, 200 * MIB);
	assert_ok(volume_list(g_f.storage, &ids, &g_err));
	assert_string_equal(ids[0], ID);
	assert_null(ids[1]);
	free(ids[0]);
	free(ids);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

static int begin(void **state)
{
	fixture_begin(&g_f, *state);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&g_f);
	return 0;
}

#define T(name)                                                                                    \
	{                                                                                          \
#name, name, begin, end, NULL                                                      \
	}

int main(void)
{
	int failed = 0;

	for (size_t i = 0; i < g_backends_count; i++) {
		struct CMUnitTest tests[] = {
			T(image_appears_whole_and_read_only),
			T(volume_is_a_writable_clone_that_can_be_asked_for_twice),
		};

		for (size_t t = 0; t < ARRAY_SIZE(tests); t++)
			tests[t].initial_state = (void *)&g_backends[i];
		print_message("on: %s\n", g_backends[i].name);
		failed += cmocka_run_group_tests(tests, NULL, NULL);
	}
	return failed;
}
