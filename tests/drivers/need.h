/* Tests of what not every machine can: there they fail, and say for want of what. A test that is
 * left out shows nothing, and nobody sees that it is. What a driver does not offer is no reason:
 * tests of that are not registered with it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

__attribute__((format(printf, 2, 3))) static inline void need(bool there, const char *fmt, ...)
{
	va_list what;

	if (there)
		return;
	print_error("for want of ");
	va_start(what, fmt);
	vprint_error(fmt, what);
	va_end(what);
	fail_msg("it cannot be shown on this machine");
}

static inline void need_root(void)
{
	need(geteuid() == 0, "root");
}
