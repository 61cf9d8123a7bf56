#include "golden_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "golden.h"

void assert_golden_json(const char *name, const json_t *json, size_t flags)
{
	AUTOFREE char *text = json_dumps(json, JSON_INDENT(2) | flags);
	AUTOFREE char *line = NULL;

	assert_non_null(text);
	assert_true(asprintf(&line, "%s\n", text) > 0);
	assert_golden(name, line);
}
