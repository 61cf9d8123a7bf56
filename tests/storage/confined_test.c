/* Programs that are confined: what they see, who they are, and that they end. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "storage/confined.h"

static struct confined sh(const char *script)
{
	static const char *argv[4];

	argv[0] = "sh";
	argv[1] = "-c";
	argv[2] = script;
	return (struct confined){.argv = argv, .stdout_fd = -1, .timeout_ms = 60000};
}

static const char *says(const char *script)
{
	static char output[CONFINED_OUTPUT + 1];
	struct confined c = sh(script);

	assert_ok(confined_run(&c, &g_err));
	assert_int_equal(c.status, 0);
	strcpy(output, c.output);
	return output;
}

static void it_sees_programs_and_nothing_else(void **state)
{
	(void)state;
	assert_string_equal(says("echo /*"), "/bin /dev /etc /lib /lib64 /sbin /usr");
	assert_string_equal(says("echo /dev/*"), "/dev/null");
	assert_string_equal(says("touch /x /usr/x 2>/dev/null; echo /x* /usr/x*"), "/x* /usr/x*");
	assert_string_equal(says("echo /etc/*; cat /etc/mtab"), "/etc/mtab");
	assert_string_equal(says("echo $$"), "1");
}

/* All but itself it cannot even name; capabilities it has none, root in its namespace or not. */
static void it_is_nobody(void **state)
{
	struct confined c = sh("mount -t tmpfs x /usr 2>&1; kill -9 -1; chown 5 /dev/null 2>&1; "
			       "ls -l /dev/null; exit 7");

	(void)state;
	assert_ok(confined_run(&c, &g_err));
	assert_int_equal(c.status, 7);
	assert_non_null(strstr(c.output, "ermi"));
	assert_non_null(strstr(c.output, "65534"));
}

static char g_path[] = "/var/tmp/corpus-confined-XXXXXX";

static int remove_file(void **state)
{
	(void)state;
	unlink(g_path);
	return 0;
}

static void it_gets_the_files_it_is_given(void **state)
{
	AUTOCLOSE int written = mkstemp(g_path);
	AUTOCLOSE int read_only = open("/bin/true", O_RDONLY | O_CLOEXEC);
	struct confined_file files[] = {
		{.fd = written, .name = "out", .writable = true}, {.fd = read_only, .name = "in"}};
	struct confined c = sh("echo text > out; (echo x > in) 2>/dev/null; cmp in /bin/true");
	char text[6] = "";

	(void)state;
	c.files = files;
	c.files_count = 2;
	assert_ok(confined_run(&c, &g_err));
	assert_int_equal(c.status, 0);
	assert_int_equal(pread(written, text, 5, 0), 5);
	assert_string_equal(text, "text\n");
}

static int at_once(void *data)
{
	(void)data;
	return 1;
}

static void it_ends_in_time_with_all_it_started(void **state)
{
	struct confined c = sh("sleep 100 & sleep 100");

	(void)state;
	c.timeout_ms = 100;
	assert_error(confined_run(&c, &g_err), ERR_TIMEOUT);
	c.timeout_ms = 60000;
	c.cancelled = at_once;
	assert_error(confined_run(&c, &g_err), ERR_CANCELLED);
	c = sh("kill -9 $(sh -c 'echo $PPID; kill -9 $$'); exit 3");
	assert_ok(confined_run(&c, &g_err));
}

static void what_is_not_there_is_named_with_its_package(void **state)
{
	(void)state;
	assert_ok(confined_want("sh", "dash", &g_err));
	assert_ok(confined_want("/dev/null", "the kernel", &g_err));
	assert_error(confined_want("corpus-none", "nothing", &g_err), ERR_UNSUPPORTED);
	assert_non_null(strstr(g_err.message, "corpus-none"));
	assert_non_null(strstr(g_err.message, "nothing"));
}

static void what_cannot_be_run_is_said(void **state)
{
	static const char *const argv[] = {"corpus-no-such-program", NULL};
	struct confined c = {.argv = argv, .stdout_fd = -1, .timeout_ms = 60000};

	(void)state;
	assert_error(confined_run(&c, &g_err), ERR_INTERNAL);
	assert_non_null(strstr(g_err.message, "corpus-no-such-program"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_sees_programs_and_nothing_else),
		cmocka_unit_test(it_is_nobody),
		cmocka_unit_test_teardown(it_gets_the_files_it_is_given, remove_file),
		cmocka_unit_test(it_ends_in_time_with_all_it_started),
		cmocka_unit_test(what_is_not_there_is_named_with_its_package),
		cmocka_unit_test(what_cannot_be_run_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
