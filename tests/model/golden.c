#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"

void assert_golden(const char *name, const char *text)
{
	AUTOFREE char *expected = NULL;
	char path[512];

	assert_int_equal(file_path(path, sizeof(path), "%s/golden/%s", TEST_SOURCE_DIR, name), 0);
	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(file_replace(path, text, 0644, false), 0);
	assert_int_equal(file_read(path, 1 << 20, &expected, NULL), 0);
	assert_string_equal(text, expected);
}
