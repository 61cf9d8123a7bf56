/* The audit log as files: rotated in bounds, whole after kills and full disks, read newest first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/audit/audit.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

DEFINE_CLEANUP(struct audit *, audit_close)

static char g_dir[64], g_path[96];

static struct audit *opened(uint64_t size, unsigned files)
{
	struct audit *audit = NULL;
	struct err err = {0};

	if (audit_open(g_path, size, files, &audit, &err) < 0)
		fail_msg("%s", err.message);
	return audit;
}

static void wrote(struct audit *audit, int number)
{
	struct err err = {0};

	if (audit_write(audit, json_pack("{s:i}", "n", number), &err) < 0)
		fail_msg("%s", err.message);
}

/* Numbers of the records, newest first; their count. */
static size_t numbers(unsigned files, size_t limit, int *ret, size_t max)
{
	json_auto_t *records = NULL;
	struct err err = {0};

	if (audit_read(g_path, files, limit, &records, &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < json_array_size(records) && i < max; i++)
		ret[i] = (int)json_integer_value(json_object_get(json_array_get(records, i), "n"));
	return json_array_size(records);
}

static uint64_t size_of(unsigned number)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), number ? "%s.%u" : "%s", g_path, number);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static void records_come_newest_first_and_survive_opening(void **state)
{
	int found[8];

	(void)state;
	for (int i = 0; i < 3; i++) {
		CLEANUP(audit_closep) struct audit *audit = opened(1 << 20, 2);

		wrote(audit, i);
	}
	assert_int_equal(numbers(2, 1000, found, 8), 3);
	assert_int_equal(found[0], 2);
	assert_int_equal(found[2], 0);
	assert_int_equal(numbers(2, 2, found, 8), 2);
}

static void a_record_tells_its_time_and_only_root_reads_the_file(void **state)
{
	CLEANUP(audit_closep) struct audit *audit = opened(1 << 20, 2);
	json_auto_t *records = NULL;
	struct stat st;

	(void)state;
	wrote(audit, 1);
	assert_int_equal(audit_read(g_path, 0, 1, &records, NULL), 0);
	assert_int_equal(
		strlen(json_string_value(json_object_get(json_array_get(records, 0), "time"))), 24);
	assert_int_equal(stat(g_path, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);
}

static void files_are_bounded_in_size_and_number(void **state)
{
	CLEANUP(audit_closep) struct audit *audit = opened(500, 3);
	int found[100];
	size_t count;

	(void)state;
	for (int i = 0; i < 100; i++)
		wrote(audit, i);
	for (unsigned i = 0; i <= 3; i++) {
		assert_true(size_of(i) > 0);
		assert_true(size_of(i) <= 500);
	}
	assert_int_equal(size_of(4), 0);
	count = numbers(3, 1000, found, 100);
	assert_true(count > 20);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(found[i], 99 - (int)i);
}

static void a_record_larger_than_a_file_is_still_written_whole(void **state)
{
	CLEANUP(audit_closep) struct audit *audit = opened(100, 1);
	AUTOFREE char *text = calloc(1, 301);
	json_auto_t *records = NULL;

	(void)state;
	memset(text, 'x', 300);
	wrote(audit, 1);
	assert_int_equal(audit_write(audit, json_pack("{s:s}", "t", text), NULL), 0);
	assert_int_equal(audit_read(g_path, 1, 10, &records, NULL), 0);
	assert_int_equal(json_array_size(records), 2);
}

static void append_raw(const char *text)
{
	int fd = open(g_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_torn_line_is_no_record_and_spoils_no_other(void **state)
{
	int found[8];

	(void)state;
	append_raw("{\"n\":1}\n{\"n\":2,\"to");
	assert_int_equal(numbers(0, 10, found, 8), 1);
	assert_int_equal(found[0], 1);
	CLEANUP(audit_closep) struct audit *audit = opened(1 << 20, 1);
	wrote(audit, 3);
	append_raw("rubbish\n\n[1]\n\"n\"\n{\"n\":4}\n{\"n\":5}");
	assert_int_equal(numbers(0, 10, found, 8), 3);
	assert_int_equal(found[0], 4);
	assert_int_equal(found[1], 3);
	assert_int_equal(found[2], 1);
}

/* A process that writes as fast as it can is killed; each record is there wholly or not at all. */
static void a_kill_leaves_whole_records_in_order(void **state)
{
	int64_t deadline = clock_monotonic_ns() + 20000000000;
	int found[1000] = {0};

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct audit *audit;
		size_t count;
		pid_t child = fork();

		if (child == 0) {
			audit = opened(2000, 5);
			for (int i = round * 100000;; i++)
				audit_write(audit, json_pack("{s:i}", "n", i), NULL);
		}
		/* Somewhere in the middle of it. */
		while (numbers(5, 1, found, 1) == 0 || found[0] < round * 100000 + 30 + 7 * round)
			assert_true(clock_monotonic_ns() < deadline);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		count = numbers(5, 1000, found, 1000);
		for (size_t i = 1; i < count && i < 1000; i++)
			assert_true(found[i] < found[i - 1]);
		for (unsigned i = 0; i <= 5; i++)
			assert_true(size_of(i) <= 2000);
	}
	assert_true(numbers(5, 1000, found, 1000) > 50);
}

static void a_full_disk_is_an_error_and_leaves_no_part(void **state)
{
	CLEANUP(audit_closep) struct audit *audit = opened(1 << 20, 1);
	struct rlimit before, small;
	struct err err = {0};
	int r, found[4];

	(void)state;
	wrote(audit, 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = size_of(0) + 10;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	r = audit_write(audit, json_pack("{s:i}", "n", 2), &err);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_true(r < 0);
	assert_non_null(strstr(err.message, g_path));
	wrote(audit, 3);
	assert_int_equal(numbers(1, 10, found, 4), 2);
	assert_int_equal(found[0], 3);
	assert_int_equal(found[1], 1);
}

static void a_file_that_was_moved_is_begun_anew(void **state)
{
	CLEANUP(audit_closep) struct audit *audit = opened(1 << 20, 1);
	char moved[128];
	int found[4];

	(void)state;
	wrote(audit, 1);
	snprintf(moved, sizeof(moved), "%s.moved", g_path);
	assert_int_equal(rename(g_path, moved), 0);
	assert_int_equal(audit_reopen(audit, NULL), 0);
	wrote(audit, 2);
	assert_int_equal(numbers(0, 10, found, 4), 1);
	assert_int_equal(found[0], 2);
}

static void a_link_in_its_place_is_not_followed(void **state)
{
	struct audit *audit = NULL;
	struct err err = {0};
	char victim[128];

	(void)state;
	snprintf(victim, sizeof(victim), "%s/victim", g_dir);
	assert_int_equal(symlink(victim, g_path), 0);
	assert_true(audit_open(g_path, 100, 1, &audit, &err) < 0);
	assert_int_equal(access(victim, F_OK), -1);
}

static int begin(void **state)
{
	(void)state;
	strcpy(g_dir, "/tmp/corpus-audit-XXXXXX");
	assert_non_null(mkdtemp(g_dir));
	snprintf(g_path, sizeof(g_path), "%s/audit.log", g_dir);
	return 0;
}

static int end(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_newest_first_and_survive_opening),
		TEST(a_record_tells_its_time_and_only_root_reads_the_file),
		TEST(files_are_bounded_in_size_and_number),
		TEST(a_record_larger_than_a_file_is_still_written_whole),
		TEST(a_torn_line_is_no_record_and_spoils_no_other),
		TEST(a_kill_leaves_whole_records_in_order),
		TEST(a_full_disk_is_an_error_and_leaves_no_part),
		TEST(a_file_that_was_moved_is_begun_anew),
		TEST(a_link_in_its_place_is_not_followed),
	};

	return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
