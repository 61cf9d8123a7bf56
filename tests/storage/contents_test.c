/* What a disk seems to hold, by its beginning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "storage/contents.h"

#define SIZE (1ULL << 30)

static uint8_t g_head[CONTENTS_HEAD];

static struct contents with(size_t at, const char *bytes, size_t length)
{
	memset(g_head, 0, sizeof(g_head));
	memcpy(g_head + at, bytes, length);
	return contents_of(g_head, sizeof(g_head), SIZE);
}

static void what_is_not_ext4_is_named(void **state)
{
	static const struct {
		size_t at;
		const char *bytes, *what;
	} cases[] = {
		{512, "EFI PART", "partitions (GPT)"},
		{0, "XFSB", "an XFS file system"},
		{65600, "_BHRfS_M", "a btrfs file system"},
		{0, "LUKS\xba\xbe", "an encrypted disk (LUKS)"},
		{512, "LABELONE", "a volume of LVM"},
		{510, "\x55\xaa", "partitions, or a boot sector"},
		{0, "", "nothing that is known here"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct contents found = with(cases[i].at, cases[i].bytes, strlen(cases[i].bytes));

		assert_false(found.ext4);
		assert_string_equal(found.what, cases[i].what);
	}
}

/* A superblock that is only the magic number, or says what cannot be, is none. */
static void ext4_is_one_only_where_its_figures_can_be(void **state)
{
	(void)state;
	assert_false(with(0x438, "\x53\xef", 2).ext4);
	g_head[0x405] = 1; /* 256 blocks of 1 KiB, all free */
	g_head[0x40d] = 1;
	assert_true(contents_of(g_head, sizeof(g_head), SIZE).ext4);
	assert_int_equal(contents_of(g_head, sizeof(g_head), SIZE).blocks, 256);
	assert_int_equal(contents_of(g_head, sizeof(g_head), SIZE).block_size, 1024);
	assert_false(contents_of(g_head, sizeof(g_head), 255 * 1024).ext4);
	assert_false(contents_of(g_head, 0x600, SIZE).ext4);
	g_head[0x40e] = 1; /* more free than there are */
	assert_false(contents_of(g_head, sizeof(g_head), SIZE).ext4);
	g_head[0x40e] = 0;
	g_head[0x418] = 7;
	assert_false(contents_of(g_head, sizeof(g_head), SIZE).ext4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_ext4_is_named),
		cmocka_unit_test(ext4_is_one_only_where_its_figures_can_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
