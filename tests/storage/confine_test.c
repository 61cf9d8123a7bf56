/* What the unpacker still may, seen from outside while it waits for its archive. */
#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "fixture.h"

#define DEADLINE_NS (60 * 1000000000LL)

static pid_t g_pid;
static int g_feed;

static char *status_line(char buf[static 128], const char *key)
{
	AUTOFREE char *text = NULL;
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", g_pid);
	assert_int_equal(file_read(path, 16384, &text, NULL), 0);
	at = strstr(text, key);
	assert_non_null(at);
	at += strlen(key);
	at += strspn(at, ": \t");
	snprintf(buf, 128, "%.*s", (int)strcspn(at, "\n"), at);
	return buf;
}
#define STATUS(key) status_line((char[128]){0}, key)

/* It is confined once its filter of system calls is in force. */
static void wait_until_confined(void)
{
	int64_t deadline = clock_monotonic_ns() + DEADLINE_NS;

	while (strcmp(STATUS("\nSeccomp"), "2") != 0) {
		assert_true(clock_monotonic_ns() < deadline);
		poll(NULL, 0, 5);
	}
}

static int begin(void **state)
{
	int pipefd[2], target;

	fixture_setup(state);
	/* As it is wherever systemd made the root's mounts so. */
	assert_int_equal(mount(NULL, g_f.path, NULL, MS_SHARED, NULL), 0);
	target = open(g_f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(target >= 0);
	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	g_pid = fork();
	assert_true(g_pid >= 0);
	if (g_pid == 0) {
		if (dup2(pipefd[0], 0) == 0 && dup2(target, 3) == 3)
			execl(g_f.config.unpack_helper, "corpus-unpack", "1000000", "10", NULL);
		_exit(127);
	}
	close(pipefd[0]);
	close(target);
	g_feed = pipefd[1];
	wait_until_confined();
	return 0;
}

static int end(void **state)
{
	close(g_feed);
	waitpid(g_pid, NULL, 0);
	return fixture_teardown(state);
}

static void it_is_nobody_on_the_host(void **state)
{
	unsigned real, effective;

	(void)state;
	assert_int_equal(sscanf(STATUS("\nUid"), "%u %u", &real, &effective), 2);
	assert_int_equal(real, 0xf0000000U);
	assert_int_equal(effective, 0xf0000000U);
	assert_int_equal(sscanf(STATUS("\nGid"), "%u %u", &real, &effective), 2);
	assert_int_equal(effective, 0xf0000000U);
	assert_string_equal(STATUS("\nGroups"), "");
}

/* CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETFCAP: bits 0, 1, 3, 4, 31 of capability.h */
static void it_has_five_capabilities_and_cannot_get_more(void **state)
{
	(void)state;
	assert_string_equal(STATUS("\nCapEff"), "000000008000001b");
	assert_string_equal(STATUS("\nCapPrm"), "000000008000001b");
	assert_string_equal(STATUS("\nCapBnd"), "000000008000001b");
	assert_string_equal(STATUS("\nCapInh"), "0000000000000000");
	assert_string_equal(STATUS("\nCapAmb"), "0000000000000000");
	assert_string_equal(STATUS("\nNoNewPrivs"), "1");
}

static void it_has_namespaces_of_its_own(void **state)
{
	static const char *const kinds[] = {"user", "mnt", "net", "ipc", "uts"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char path[64], ours[64] = "", theirs[64] = "";

		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		assert_true(readlink(path, ours, sizeof(ours) - 1) > 0);
		snprintf(path, sizeof(path), "/proc/%d/ns/%s", g_pid, kinds[i]);
		assert_true(readlink(path, theirs, sizeof(theirs) - 1) > 0);
		assert_string_not_equal(ours, theirs);
	}
}

static void it_sees_the_target_and_nothing_else(void **state)
{
	AUTOFREE char *text = NULL;
	struct stat ours, theirs;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", g_pid);
	assert_int_equal(file_read(path, 65536, &text, NULL), 0);
	assert_ptr_equal(strchr(text, '\n') + 1, text + strlen(text));
	assert_non_null(strstr(text, "nosuid,nodev,noexec"));
	assert_non_null(strstr(text, "nosymfollow"));
	assert_non_null(strstr(text, "idmapped"));
	snprintf(path, sizeof(path), "/proc/%d/root/", g_pid);
	assert_int_equal(stat(path, &theirs), 0);
	assert_int_equal(stat(g_f.path, &ours), 0);
	assert_int_equal(ours.st_ino, theirs.st_ino);
	assert_int_equal(ours.st_dev, theirs.st_dev);
}

static void it_holds_no_descriptor_but_its_own(void **state)
{
	char path[64], name[256];
	struct dirent *entry;
	DIR *dir;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/fd", g_pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, name, sizeof(name) - 1);

		if (n < 0 || strtol(entry->d_name, NULL, 10) <= 2)
			continue;
		/* Its root, once it reads the archive. */
		name[n] = '\0';
		assert_string_equal(name, "/");
	}
	closedir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_nobody_on_the_host, begin, end),
		cmocka_unit_test_setup_teardown(
			it_has_five_capabilities_and_cannot_get_more, begin, end),
		cmocka_unit_test_setup_teardown(it_has_namespaces_of_its_own, begin, end),
		cmocka_unit_test_setup_teardown(it_sees_the_target_and_nothing_else, begin, end),
		cmocka_unit_test_setup_teardown(it_holds_no_descriptor_but_its_own, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, fixture_teardown);
}
