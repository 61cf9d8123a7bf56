/* Files of the tree that a seed is written into. */
#include "tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"

void put(const char *path, const char *text, mode_t mode)
{
	assert_int_equal(file_replace(IN(path), text, mode, false), 0);
}

char *get(const char *path)
{
	char *text = NULL;

	assert_int_equal(file_read(IN(path), 65536, &text, NULL), 0);
	return text;
}

void assert_holds(const char *path, const char *expected)
{
	AUTOFREE char *text = get(path);

	assert_string_equal(text, expected);
}

void assert_mode(const char *path, mode_t mode)
{
	struct stat st;

	assert_int_equal(stat(IN(path), &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}
