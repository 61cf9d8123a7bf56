/* Growing strings, random digits, quoting for logs, UTF-8, names of signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/names.h"
#include "base/random.h"
#include "base/signals.h"
#include "base/strbuf.h"
#include "base/utf8.h"

static void a_string_grows_by_pieces(void **state)
{
	struct strbuf buf = {0};
	AUTOFREE char *text = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++)
		strbuf_addf(&buf, "%d,", i);
	strbuf_add(&buf, "end");
	strbuf_add_bytes(&buf, ".xyz", 1);
	text = strbuf_take(&buf);
	assert_non_null(text);
	assert_int_equal(strlen(text), 10 * 2 + 90 * 3 + 900 * 4 + 4);
	assert_memory_equal(text, "0,1,2,", 6);
	assert_string_equal(text + strlen(text) - 8, "999,end.");
	assert_null(buf.text);
	assert_int_equal(buf.used, 0);
}

static void an_empty_string_is_a_string(void **state)
{
	struct strbuf buf = {0};
	AUTOFREE char *text = strbuf_take(&buf);

	(void)state;
	assert_string_equal(text, "");
}

static void a_failed_string_ignores_the_rest_and_yields_nothing(void **state)
{
	struct strbuf buf = {0};

	(void)state;
	strbuf_add(&buf, "begun");
	buf.failed = true;
	strbuf_add(&buf, "more");
	assert_int_equal(buf.used, 5);
	assert_null(strbuf_take(&buf));
	assert_null(buf.text);
	strbuf_finish(&buf);
}

static void random_digits_are_hexadecimal_and_differ(void **state)
{
	char a[33], b[33], odd[6];

	(void)state;
	random_hex(a, 32);
	random_hex(b, 32);
	random_hex(odd, 5);
	assert_int_equal(strspn(a, "0123456789abcdef"), 32);
	assert_int_equal(strlen(a), 32);
	assert_int_equal(strlen(odd), 5);
	assert_string_not_equal(a, b);
}

static void quoting_keeps_a_log_line_one_line(void **state)
{
	(void)state;
	assert_string_equal(LOG_Q("plain text"), "\"plain text\"");
	assert_string_equal(LOG_Q("a\"b\\c"), "\"a\\\"b\\\\c\"");
	assert_string_equal(LOG_Q("a\nb\x7f"), "\"a\\x0ab\\x7f\"");
	assert_string_equal(LOG_Q(NULL), "\"\"");
}

static void quoting_cuts_what_does_not_fit(void **state)
{
	char text[LOG_QUOTE_MAX * 2];
	char buf[LOG_QUOTE_MAX + 1];

	(void)state;
	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buf[LOG_QUOTE_MAX] = 'X';
	log_quote(buf, text);
	assert_int_equal(buf[LOG_QUOTE_MAX], 'X');
	assert_true(strlen(buf) < LOG_QUOTE_MAX);
	assert_int_equal(buf[strlen(buf) - 1], '"');
}

/* What `log` writes to stderr, NUL-terminated. */
static void capture(void (*log)(void), char *buf, size_t size)
{
	int saved = dup(STDERR_FILENO);
	int fds[2];
	ssize_t n;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(fds[1], STDERR_FILENO);
	log();
	dup2(saved, STDERR_FILENO);
	n = read(fds[0], buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
	close(saved);
	close(fds[0]);
	close(fds[1]);
}

static void log_short(void)
{
	log_warning("disk.full", "path=%s free=%d", LOG_Q("/a b"), 5);
}

static void log_long(void)
{
	char text[4096];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("much", "text=%s", text);
}

static void log_hidden(void)
{
	log_debug("hidden", "a=%d", 1);
}

static void an_event_is_one_line_with_its_time_program_and_level(void **state)
{
	char line[8192];
	char expected[128];

	(void)state;
	log_init("tester", LOG_LEVEL_INFO);
	snprintf(expected, sizeof(expected),
		"Z tester[%d] warning disk.full path=\"/a b\" free=5\n", getpid());
	capture(log_short, line, sizeof(line));
	assert_int_equal(strlen(line), strlen("2023-11-14T22:13:20.123") + strlen(expected));
	assert_string_equal(line + strlen("2023-11-14T22:13:20.123"), expected);
}

static void for_the_journal_it_has_its_priority(void **state)
{
	char line[8192];

	(void)state;
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_init("tester", LOG_LEVEL_INFO);
	unsetenv("JOURNAL_STREAM");
	capture(log_short, line, sizeof(line));
	log_init("tester", LOG_LEVEL_INFO);
	assert_string_equal(line, "<4>disk.full path=\"/a b\" free=5\n");
}

static void a_line_that_is_too_long_is_cut_and_still_ends(void **state)
{
	char line[8192];

	(void)state;
	capture(log_long, line, sizeof(line));
	assert_in_range(strlen(line), 1000, 2048);
	assert_string_equal(line + strlen(line) - 2, "x\n");
}

static void what_is_below_the_level_is_not_written(void **state)
{
	char line[8192];

	(void)state;
	log_set_level(LOG_LEVEL_INFO);
	capture(log_hidden, line, sizeof(line));
	assert_string_equal(line, "");
	log_set_level(LOG_LEVEL_DEBUG);
	capture(log_hidden, line, sizeof(line));
	assert_non_null(strstr(line, "debug hidden a=1\n"));
}

static void levels_have_names(void **state)
{
	enum log_level level = LOG_LEVEL_ERROR;

	(void)state;
	assert_int_equal(log_level_from_string("debug", &level), 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_true(log_level_from_string("loud", &level) < 0);
	assert_int_equal(level, LOG_LEVEL_DEBUG);
	assert_string_equal(log_level_to_string(LOG_LEVEL_WARNING), "warning");
}

static void characters_are_measured(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} cases[] = {
		{"", 0},
		{"a", 1},
		{"\x7f", 1},
		{"\xc3\xa9", 2},
		{"\xe2\x82\xac", 3},
		{"\xf0\x9f\x98\x80", 4},
		{"\x80", 0},
		{"\xc0\x80", 0},	 /* overlong */
		{"\xe0\x80\x80", 0},	 /* overlong */
		{"\xed\xa0\x80", 0},	 /* surrogate */
		{"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
		{"\xf5\x80\x80\x80", 0},
		{"\xc3", 0}, /* cut */
		{"\xe2\x82", 0},
		{"\xf0\x9f\x98", 0},
		{"\xe2\x28\xa1", 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(utf8_length(cases[i].text), cases[i].length);
}

static void scrubbing_leaves_one_valid_line(void **state)
{
	char text[] = "ok \xc3\xa9\t\xff\xc3(\x1b[0m\xe2\x82";

	(void)state;
	utf8_scrub(text);
	assert_string_equal(text, "ok \xc3\xa9 ?\?( [0m?\?");
}

enum colour { RED, BLUE = 2, COLOUR_MAX_ };
const char *colour_to_string(enum colour value);
int colour_from_string(const char *text, enum colour *ret);

static const char *const COLOURS[] = {[RED] = "red", [BLUE] = "blue"};
DEFINE_NAMES(colour, COLOURS)

static void one_table_names_an_enum_both_ways(void **state)
{
	enum colour colour = COLOUR_MAX_;

	(void)state;
	assert_string_equal(colour_to_string(BLUE), "blue");
	assert_string_equal(colour_to_string(COLOUR_MAX_), "unknown");
	assert_int_equal(colour_from_string("blue", &colour), 0);
	assert_int_equal(colour, BLUE);
	assert_int_equal(colour_from_string("Red", &colour), -EINVAL);
	assert_int_equal(colour_from_string("", &colour), -EINVAL);
	assert_int_equal(colour_from_string(NULL, &colour), -EINVAL);
	assert_int_equal(colour, BLUE);
}

static void signals_go_by_name_or_number(void **state)
{
	static const struct {
		const char *given, *name;
	} good[] = {{"SIGTERM", "SIGTERM"}, {"term", "SIGTERM"}, {"15", "SIGTERM"},
		{"9", "SIGKILL"}, {"sigusr1", "SIGUSR1"}, {"37", "SIGRTMIN+3"},
		{"SIGRTMIN+3", "SIGRTMIN+3"}, {"rtmax-27", "SIGRTMIN+3"}, {"RTMIN", "SIGRTMIN"},
		{"RTMIN+15", "SIGRTMIN+15"}, {"RTMIN+16", "SIGRTMAX-14"}, {"61", "SIGRTMAX-3"},
		{"SIGRTMAX", "SIGRTMAX"}, {"64", "SIGRTMAX"}, {"IOT", "SIGABRT"},
		{"SIGCLD", "SIGCHLD"}, {"io", "SIGPOLL"}};
	static const char *const bad[] = {"", "SIG", "SIGSIGTERM", "0", "-1", "32", "33", "65",
		"1000", "15x", " 15", "RTMIN+31", "RTMAX-31", "RTMIN+", "RTMIN-1"};
	static const int none[] = {-1, 0, 32, 33, 65};
	char name[SIGNAL_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_string_equal(signal_format(name, signal_parse(good[i].given)), good[i].name);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(signal_parse(bad[i]), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		assert_string_equal(signal_format(name, none[i]), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_string_grows_by_pieces),
		cmocka_unit_test(an_empty_string_is_a_string),
		cmocka_unit_test(a_failed_string_ignores_the_rest_and_yields_nothing),
		cmocka_unit_test(random_digits_are_hexadecimal_and_differ),
		cmocka_unit_test(quoting_keeps_a_log_line_one_line),
		cmocka_unit_test(quoting_cuts_what_does_not_fit),
		cmocka_unit_test(an_event_is_one_line_with_its_time_program_and_level),
		cmocka_unit_test(for_the_journal_it_has_its_priority),
		cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_ends),
		cmocka_unit_test(what_is_below_the_level_is_not_written),
		cmocka_unit_test(levels_have_names),
		cmocka_unit_test(characters_are_measured),
		cmocka_unit_test(scrubbing_leaves_one_valid_line),
		cmocka_unit_test(one_table_names_an_enum_both_ways),
		cmocka_unit_test(signals_go_by_name_or_number),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
