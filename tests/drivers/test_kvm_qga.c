/* What is said to a guest's agent and believed of its answers: it is in the guest's hands. And what
 * is said to a guest's shell, which here is this machine's. No machine is needed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "drivers/kvm/launch.h"
#include "drivers/kvm/ledger.h"
#include "drivers/kvm/qga.h"
#include "drivers/kvm/quote.h"
#include "drivers/kvm/way.h"
#include "need.h"

/* --- Requests --------------------------------------------------------------------------------- */

static void requests_are_whole_json(void **state)
{
	struct qga_exec exec = {
		.argv = (const char *[]){"/bin/sh", "-c", "echo \"a\\b\"\n\303\251", NULL},
		.input = "\0\1\377x",
		.input_size = 4,
		.capture = true};
	AUTOFREE char *text = qga_request_exec(&exec), *status = qga_request_status(1234567890123);
	AUTOFREE char *ping = qga_request("guest-ping");
	json_auto_t *json = json_loads(text, 0, NULL);

	(void)state;
	assert_string_equal(ping, "{\"execute\":\"guest-ping\"}");
	assert_string_equal(status,
		"{\"execute\":\"guest-exec-status\",\"arguments\":{\"pid\":1234567890123}}");
	assert_string_equal(text, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/sh\","
				  "\"arg\":[\"-c\",\"echo \\\"a\\\\b\\\"\\n\303\251\"],"
				  "\"capture-output\":true,\"input-data\":\"AAH/eA==\"}}");
	assert_non_null(json);
	exec.argv = (const char *[]){"/bin/sh", "\377", NULL};
	assert_null(qga_request_exec(&exec)); /* cannot be said in JSON */
}

/* --- Answers ---------------------------------------------------------------------------------- */

static void an_ended_process_is_told_with_its_output(void **state)
{
	struct qga_status s = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(qga_parse_status("{\"return\":{\"exited\":false}}", &s, &err), 0);
	assert_false(s.exited);
	assert_int_equal(qga_parse_status("{\"return\":{\"exited\":true,\"exitcode\":7,"
					  "\"out-data\":\"aGkAIQ==\",\"out-truncated\":true}}",
				 &s, &err),
		0);
	assert_true(s.exited && s.truncated);
	assert_int_equal(s.status, W_EXITCODE(7, 0));
	assert_int_equal(s.output_size, 4);
	assert_memory_equal(s.output, "hi\0!", 5);
	qga_status_finish(&s);
	assert_int_equal(
		qga_parse_status("{\"return\":{\"exited\":true,\"signal\":9}}", &s, &err), 0);
	assert_int_equal(s.status, W_EXITCODE(0, 9));
	qga_status_finish(&s);
}

static void what_makes_no_sense_is_an_error(void **state)
{
	static const char *const bad[] = {"", "{", "[]", "null", "{}", "{\"return\":{}}",
		"{\"return\":[]}", "{\"return\":{\"exited\":1}}", "{\"return\":{\"exited\":true}}",
		"{\"return\":{\"exited\":true,\"exitcode\":-1}}",
		"{\"return\":{\"exited\":true,\"exitcode\":99999999999}}",
		"{\"return\":{\"exited\":true,\"exitcode\":\"0\"}}",
		"{\"return\":{\"exited\":true,\"signal\":0}}",
		"{\"return\":{\"exited\":true,\"signal\":4711}}",
		"{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"aGk\"}}",
		"{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"a*==\"}}",
		"{\"return\":{\"exited\":false},\"return\":{\"exited\":false}}"};
	static const char *const no_pid[] = {"{\"return\":{}}", "{\"return\":7}",
		"{\"return\":{\"pid\":0}}", "{\"return\":{\"pid\":-1}}",
		"{\"return\":{\"pid\":\"1\"}}", "{\"return\":{\"pid\":1.5}}"};
	struct qga_status s = {0};
	int64_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		assert_true(qga_parse_status(bad[i], &s, &err) < 0);
		assert_int_equal(err.code, ERR_DRIVER);
		assert_null(s.output);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no_pid); i++)
		assert_true(qga_parse_pid(no_pid[i], &n, &(struct err){0}) < 0);
	assert_true(qga_parse_number("{\"return\":-1}", &n, &(struct err){0}) < 0);
	assert_int_equal(qga_parse_number("{\"return\":3}", &n, NULL), 0);
	assert_int_equal(n, 3);
}

static void more_output_than_was_asked_for_is_refused(void **state)
{
	size_t size = QGA_OUTPUT_MAX / 3 * 4 + 400;
	AUTOFREE char *data = malloc(size + 1), *text = NULL;
	struct qga_status s = {0};
	struct err err = {0};

	(void)state;
	memset(data, 'A', size);
	data[size] = '\0';
	assert_true(
		asprintf(&text, "{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"%s\"}}",
			data) > 0);
	assert_true(qga_parse_status(text, &s, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
}

static void what_an_agent_does_not_do_is_unsupported(void **state)
{
	static const char info[] = "{\"return\":{\"version\":\"7\",\"supported_commands\":["
				   "{\"name\":\"guest-exec\",\"enabled\":false},7,"
				   "{\"name\":\"guest-ping\",\"enabled\":true}]}}";
	struct err err = {0};

	(void)state;
	assert_int_equal(qga_parse_can(info, "guest-ping", &err), 0);
	assert_true(qga_parse_can(info, "guest-exec", &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	assert_true(qga_parse_can("{\"return\":null}", "guest-ping", &err) < 0);
	assert_int_equal(qga_parse_trim("{\"return\":{\"paths\":[{\"path\":\"/\",\"trimmed\":1},"
					"{\"path\":\"/x\",\"error\":\"no\"}]}}",
				 &err),
		0);
	assert_true(qga_parse_trim("{\"return\":{\"paths\":[{\"path\":\"/x\",\"error\":\"no\"}]}}",
			    &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
}

/* Answers one after the other, the last one for ever. */
static char *answer_next(void *data, const char *request, int timeout_s, struct err *err)
{
	const char *const **answers = data;
	const char *answer = **answers;

	(void)request;
	(void)timeout_s;
	(void)err;
	if ((*answers)[1])
		++*answers;
	return strdup(answer);
}

static void a_process_that_never_ends_is_given_up(void **state)
{
	static const char *const never[] = {
		"{\"return\":{\"pid\":5}}", "{\"return\":{\"exited\":false}}", NULL};
	static const char *const some[] = {"{\"return\":{\"pid\":5}}",
		"{\"return\":{\"exited\":false}}", "{\"return\":{\"exited\":true,\"exitcode\":0}}",
		NULL};
	const char *const *at = never;
	struct qga qga = {.ask = answer_next, .data = &at};
	struct qga_exec exec = {.argv = (const char *[]){"x", NULL}};
	struct qga_status s = {0};
	struct err err = {0};

	(void)state;
	assert_true(qga_run(&qga, &exec, 50, &s, &err) < 0);
	assert_int_equal(err.code, ERR_TIMEOUT);
	at = some;
	assert_int_equal(qga_run(&qga, &exec, 5000, &s, &err), 0);
	assert_true(s.exited);
}

/* --- Shells ----------------------------------------------------------------------------------- */

static char *run_shell(const char *shell, const char *script)
{
	char path[] = "/tmp/corpus-shell-XXXXXX";
	AUTOFREE char *command = NULL;
	char *out = NULL;
	FILE *p;

	close(mkstemp(path));
	assert_int_equal(file_replace(path, script, 0600, false), 0);
	assert_true(asprintf(&command, "%s %s 2>&1", shell, path) > 0);
	p = popen(command, "r");
	assert_non_null(p);
	assert_int_equal(file_read_fd(fileno(p), 1 << 20, &out, NULL), 0);
	pclose(p);
	unlink(path);
	return out;
}

static const char *const SHELLS[] = {"sh", "bash --posix", "busybox sh"};

static void every_byte_comes_through_a_shell(void **state)
{
	char all[256];
	const char *words[] = {"", "it's", "a b\n", "$(reboot) `x` \\ \" ; & * ?", all, "-n", NULL};
	struct strbuf buf = {0};
	AUTOFREE char *script = NULL;

	(void)state;
	for (int i = 1; i < 256; i++)
		all[i - 1] = (char)i;
	all[255] = '\0';
	quote_add_set(&buf, words);
	for (const char *c = buf.text; *c; c++)
		assert_true((*c >= ' ' && *c < 0x7f) || *c == '\n');
	strbuf_add(&buf, "printf '[%s]' \"$@\"\n");
	script = strbuf_take(&buf);
	for (size_t i = 0; i < ARRAY_SIZE(SHELLS); i++) {
		AUTOFREE char *out = run_shell(SHELLS[i], script), *want = NULL;

		assert_true(asprintf(&want, "[][it's][a b\n][$(reboot) `x` \\ \" ; & * ?][%s][-n]",
				    all) > 0);
		assert_string_equal(out, want);
	}
}

/* --- The beginning of a command ----------------------------------------------------------------
 */

#define TOKEN "0123456789abcdef0123456789abcdef"

static char *launched(const char *shell, const struct launch *launch)
{
	char dir[] = "/tmp/corpus-launch-XXXXXX";
	AUTOFREE char *script = NULL, *path = NULL, *command = NULL;
	struct err err = {0};
	char *out = NULL;
	FILE *p;

	assert_int_equal(launch_render(launch, &script, &err), 0);
	assert_non_null(mkdtemp(dir));
	assert_true(asprintf(&path, "%s/launch", dir) > 0);
	assert_int_equal(file_replace(path, script, 0600, false), 0);
	assert_true(asprintf(&command, "%s %s 2>&1", shell, path) > 0);
	p = popen(command, "r");
	assert_int_equal(file_read_fd(fileno(p), 1 << 20, &out, NULL), 0);
	pclose(p);
	assert_int_equal(access(dir, F_OK), -1); /* it takes its directory away */
	return out;
}

static void assert_launched(struct driver_exec exec, const struct user *user, const char *output)
{
	struct launch launch = {.exec = &exec, .user = user, .token = TOKEN};

	for (size_t i = 0; i < ARRAY_SIZE(SHELLS); i++) {
		AUTOFREE char *out = launched(SHELLS[i], &launch), *want = NULL;

		assert_true(asprintf(&want, TOKEN " ok\n%s", output) > 0);
		assert_string_equal(out, want);
	}
}

static void a_command_gets_what_it_was_promised(void **state)
{
	const char *env[] = {"A=it's \377", "HOME=/other", NULL};

	(void)state;
	assert_launched((struct driver_exec){.argv = (const char *[]){"printf", "[%s]", "", "a'b",
						     "$x", NULL}},
		NULL, "[][a'b][$x]");
	assert_launched((struct driver_exec){.argv = (const char *[]){"sh", "-c",
						     "pwd; echo \"$A$HOME$TERM\"", NULL},
				.env = env,
				.cwd = "/usr"},
		NULL, "/usr\nit's \377/otherlinux\n");
	assert_launched(
		(struct driver_exec){.argv = (const char *[]){"/bin/sh", "-c", "umask", NULL}},
		NULL, "0022\n");
}

static void a_command_becomes_the_user(void **state)
{
	struct user user = {
		.uid = 33, .gid = 44, .groups = {55, 66}, .groups_count = 2, .home = "/tmp"};

	(void)state;
	need_root();
	assert_launched((struct driver_exec){.argv = (const char *[]){"sh", "-c",
						     "id -u; id -g; id -G; pwd; echo $HOME", NULL},
				.user = "33:44"},
		&user, "33\n44\n44 55 66\n/tmp\n/tmp\n");
}

static enum launch_word read_text(const char *text, struct err *err)
{
	struct driver_exec exec = {.argv = (const char *[]){"x", NULL}, .cwd = "/y"};
	struct launch launch = {.exec = &exec, .token = TOKEN};
	size_t end = 0;

	return launch_read(&launch, text, strlen(text), &end, err);
}

static void refused_commands_are_told_in_one_line(void **state)
{
	static const struct {
		const char *text;
		enum launch_word word;
		enum err_code code;
	} cases[] = {
		{"", LAUNCH_MORE, ERR_OK},
		{"welcome to this machine\n", LAUNCH_MORE, ERR_OK},
		{"welcome\n" TOKEN " o", LAUNCH_MORE, ERR_OK},
		{TOKEN, LAUNCH_MORE, ERR_OK},
		{"welcome\n" TOKEN " ok\nmore", LAUNCH_OK, ERR_OK},
		{TOKEN " ok\r\nmore", LAUNCH_OK, ERR_OK},
		{TOKEN " missing\n", LAUNCH_FAILED, ERR_NOT_FOUND},
		{TOKEN " denied\n", LAUNCH_FAILED, ERR_INVALID},
		{TOKEN " cwd\n", LAUNCH_FAILED, ERR_INVALID},
		{TOKEN " user\n", LAUNCH_FAILED, ERR_UNSUPPORTED},
		{TOKEN "\n\n", LAUNCH_FAILED, ERR_DRIVER},
		{TOKEN " okay\n", LAUNCH_FAILED, ERR_DRIVER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_int_equal(read_text(cases[i].text, &err), cases[i].word);
		assert_int_equal(err.code, cases[i].code);
	}
}

static void a_shell_that_never_begins_is_given_up(void **state)
{
	AUTOFREE char *text = malloc(LAUNCH_LINE_MAX + 2);
	struct err err = {0};

	(void)state;
	memset(text, 'x', LAUNCH_LINE_MAX + 1);
	text[LAUNCH_LINE_MAX + 1] = '\0';
	assert_int_equal(read_text(text, &err), LAUNCH_NONE);
	assert_int_equal(err.code, ERR_DRIVER);
}

/* --- What is left inside ---------------------------------------------------------------------- */

static void only_what_nobody_holds_is_taken_over(void **state)
{
	char dir[] = "/tmp/corpus-ledger-XXXXXX", text[LEDGER_TEXT_MAX];
	struct kvm_paths paths = {0};
	struct ledger mine = {.fd = -1}, other = {.fd = -1}, found = {.fd = -1};
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(paths.state, sizeof(paths.state), "%s", dir);
	assert_false(ledger_take(&paths, &found, text));
	assert_int_equal(ledger_note(&paths, "draft /a b\nc", &mine, &err), 0);
	assert_int_equal(ledger_note(&paths, "command x", &other, &err), 0);
	assert_false(ledger_take(&paths, &found, text));
	ledger_leave(&mine); /* as who dies does */
	assert_true(ledger_take(&paths, &found, text));
	assert_string_equal(text, "draft /a b\nc");
	ledger_strike(&found);
	assert_false(ledger_take(&paths, &found, text));
	ledger_strike(&other);
	assert_false(ledger_take(&paths, &found, text));
	assert_int_equal(file_remove_tree(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_whole_json),
		cmocka_unit_test(an_ended_process_is_told_with_its_output),
		cmocka_unit_test(what_makes_no_sense_is_an_error),
		cmocka_unit_test(more_output_than_was_asked_for_is_refused),
		cmocka_unit_test(what_an_agent_does_not_do_is_unsupported),
		cmocka_unit_test(a_process_that_never_ends_is_given_up),
		cmocka_unit_test(every_byte_comes_through_a_shell),
		cmocka_unit_test(a_command_gets_what_it_was_promised),
		cmocka_unit_test(a_command_becomes_the_user),
		cmocka_unit_test(refused_commands_are_told_in_one_line),
		cmocka_unit_test(a_shell_that_never_begins_is_given_up),
		cmocka_unit_test(only_what_nobody_holds_is_taken_over),
	};

	return cmocka_run_group_tests_name("a machine's agent and shell", tests, NULL, NULL);
}
