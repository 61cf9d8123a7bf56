/* What dockerd passes on and says of commands: frames, however they are cut and whatever is in
 * them, and words about failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/frame.h"
#include "drivers/inside/user.h"

/* --- Frames ----------------------------------------------------------------------------------- */

static int add(void *data, enum frame_stream stream, const char *bytes, size_t size)
{
	struct strbuf *streams = data;

	strbuf_add_bytes(&streams[stream], bytes, size);
	return 0;
}

#define TWO "\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\4errs\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1!"

static void frames_come_apart_wherever_they_are_cut(void **state)
{
	const char text[] = TWO;

	(void)state;
	for (size_t piece = 1; piece <= sizeof(text) - 1; piece++) {
		struct strbuf streams[FRAME_STREAMS] = {0};
		struct frames frames = {0};
		struct err err = {0};

		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t left = sizeof(text) - 1 - at;

			assert_int_equal(frames_take(&frames, text + at,
						 left < piece ? left : piece, add, streams, &err),
				0);
		}
		assert_int_equal(frames_end(&frames, &err), 0);
		assert_string_equal(streams[FRAME_STDOUT].text, "out!");
		assert_string_equal(streams[FRAME_STDERR].text, "errs");
		strbuf_finish(&streams[FRAME_STDOUT]);
		strbuf_finish(&streams[FRAME_STDERR]);
	}
}

static void what_are_no_frames_is_refused(void **state)
{
	static const char *const bad[] = {
		"\4\0\0\0\0\0\0\1", "\1\1\0\0\0\0\0\1", "\1\0\0\1\0\0\0\1", "\1\0\0\0\1\0\0\1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct frames frames = {0};
		struct err err = {0};

		assert_int_equal(frames_take(&frames, bad[i], FRAME_HEAD, add, NULL, &err),
			err_errnum(ERR_DRIVER));
		assert_int_equal(err.code, ERR_DRIVER);
	}
}

static void an_end_in_the_middle_is_told(void **state)
{
	const char text[] = "\1\0\0\0\0\0\0\3out";

	(void)state;
	for (size_t size = 1; size < sizeof(text) - 1; size++) {
		struct strbuf streams[FRAME_STREAMS] = {0};
		struct frames frames = {0};
		struct err err = {0};

		assert_int_equal(frames_take(&frames, text, size, add, streams, &err), 0);
		assert_true(frames_end(&frames, &err) < 0);
		assert_int_equal(err.code, ERR_DRIVER);
		strbuf_finish(&streams[FRAME_STDOUT]);
	}
}

/* --- Words ------------------------------------------------------------------------------------ */

static void failures_are_told_by_their_field(void **state)
{
	static const char *const argv[] = {"tool", NULL};
	const struct driver_exec exec = {.argv = argv, .cwd = "/there", .user = "guy"};
	static const struct {
		const char *words;
		enum err_code code;
		const char *field;
	} cases[] = {
		{"OCI runtime exec failed: exec failed: unable to start container process: exec: "
		 "\"tool\": executable file not found in $PATH: unknown",
			ERR_NOT_FOUND, "command"},
		{"exec: \"/tool\": stat /tool: no such file or directory: unknown", ERR_NOT_FOUND,
			"command"},
		{"exec: \"/etc\": permission denied: unknown", ERR_INVALID, "command"},
		{"exec: \"/etc\": is a directory: unknown", ERR_INVALID, "command"},
		{"chdir to cwd (\"/there\") set in config.json failed: no such file or directory",
			ERR_INVALID, "cwd"},
		{"chdir to cwd (\"/there\") set in config.json failed: permission denied",
			ERR_INVALID, "cwd"},
		{"unable to find user guy: no matching entries in passwd file", ERR_INVALID,
			"user"},
		{"corpus-gate: exec: Not a directory\n", ERR_NOT_FOUND, "command"},
		{"corpus-gate: exec: File name too long\n", ERR_INVALID, "command"},
		{"corpus-gate: exec: Text file busy\n", ERR_INVALID, "command"},
		{"cannot exec in a stopped state: unknown", ERR_ILLEGAL_STATE, ""},
		{"ttrpc: closed", ERR_DRIVER, ""},
		{"", ERR_DRIVER, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_true(exec_explain(&exec, cases[i].words, &err) < 0);
		assert_int_equal(err.code, cases[i].code);
		assert_string_equal(err.field, cases[i].field);
		assert_null(strchr(err.message, '\n'));
	}
}

static void codes_become_wait_statuses(void **state)
{
	(void)state;
	assert_int_equal(exec_status(0), 0);
	assert_int_equal(exec_status(7), W_EXITCODE(7, 0));
	assert_int_equal(exec_status(127), W_EXITCODE(127, 0));
	assert_int_equal(exec_status(128), W_EXITCODE(128, 0));
	assert_int_equal(exec_status(128 + SIGKILL), W_EXITCODE(0, SIGKILL));
	assert_int_equal(exec_status(255), W_EXITCODE(255, 0));
}

/* --- Requests --------------------------------------------------------------------------------- */

static json_t *body(struct driver_exec exec, const char *info, struct user user, bool home)
{
	static const char *const argv[] = {"tool", "-x", NULL};
	json_auto_t *container = json_loads(info, 0, NULL);
	struct err err = {0};
	json_t *json = NULL;

	exec.argv = argv;
	if (exec_body(&exec, container, &user, home, &json, &err) < 0)
		fail_msg("%s", err.message);
	return json;
}

static const char *text_of(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static void a_command_is_where_its_guest_or_its_user_is_at_home(void **state)
{
	const struct user guy = {.uid = 5, .gid = 6, .home = "/home/guy"};
	json_t *json;

	(void)state;
	json = body((struct driver_exec){.user = "guy"}, "{\"Config\": {\"WorkingDir\": \"/\"}}",
		guy, true);
	assert_string_equal(text_of(json, "WorkingDir"), "/home/guy");
	assert_string_equal(text_of(json, "User"), "guy");
	json_decref(json);
	json = body((struct driver_exec){0}, "{}", guy, false);
	assert_string_equal(text_of(json, "WorkingDir"), "/");
	assert_string_equal(text_of(json, "User"), "0");
	json_decref(json);
	json = body((struct driver_exec){.user = "5"},
		"{\"Config\": {\"WorkingDir\": \"/app\", \"Env\": [\"HOME=/h\", \"TERM=dumb\"]}}",
		guy, true);
	assert_string_equal(text_of(json, "WorkingDir"), "/app");
	assert_string_equal(text_of(json, "User"), "5:6");
	assert_int_equal(json_array_size(json_object_get(json, "Env")), 0);
	json_decref(json);
}

static void what_is_asked_for_goes_before_what_the_image_says(void **state)
{
	static const char *const env[] = {"HOME=/mine", NULL};
	json_t *json = body((struct driver_exec){.env = env, .cwd = "/there"},
		"{\"Config\": {\"WorkingDir\": \"/app\", \"Env\": [\"HOME=/h\"]}}",
		(struct user){0}, true);
	const json_t *list = json_object_get(json, "Env");

	(void)state;
	assert_string_equal(text_of(json, "WorkingDir"), "/there");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "HOME=/mine");
	assert_string_equal(json_string_value(json_array_get(list, 1)), "TERM=linux");
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_apart_wherever_they_are_cut),
		cmocka_unit_test(what_are_no_frames_is_refused),
		cmocka_unit_test(an_end_in_the_middle_is_told),
		cmocka_unit_test(failures_are_told_by_their_field),
		cmocka_unit_test(codes_become_wait_statuses),
		cmocka_unit_test(a_command_is_where_its_guest_or_its_user_is_at_home),
		cmocka_unit_test(what_is_asked_for_goes_before_what_the_image_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
