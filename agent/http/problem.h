/* Problem documents (RFC 9457). */
#pragma once

struct err;

/* Renders an error as application/problem+json. `operation` and `instance` (the path asked for) may
 * be NULL. The caller frees it; NULL without memory. */
char *problem_render(
	const struct err *err, unsigned status, const char *operation, const char *instance);
