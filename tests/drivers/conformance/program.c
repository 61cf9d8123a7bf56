/* Programs that tests run on the host. */
#include "program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"

#define PATIENCE_MS 60000

int program_try(const char *const *argv, int timeout_ms, struct err *err)
{
	const struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = timeout_ms};

	return process_run(&options, err);
}

/* Said at once: outside of a test nobody says it later. */
static void must_run(const char *const *argv, const char *what)
{
	struct err err = {0};

	if (program_try(argv, PATIENCE_MS, &err) == 0)
		return;
	print_error("%s: %s\n", what, err.message);
	fail();
}

void program_run(const char *const *argv)
{
	must_run(argv, argv[0]);
}

void program_shell(const char *fmt, ...)
{
	AUTOFREE char *script = NULL;
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&script, fmt, args) > 0);
	va_end(args);
	must_run((const char *[]){"sh", "-ec", script, NULL}, script);
}
