/* Words for the tests of files of guests. */
#include "file_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

struct outcome do_file(struct driver_file file)
{
	return call((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &file, .deadline_ms = 60000});
}

struct outcome file_ok(struct driver_file file)
{
	return call_ok((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &file, .deadline_ms = 60000});
}

void file_fails(struct driver_file file, enum err_code code)
{
	call_fails((struct driver_request){.call = DRIVER_CALL_FILE,
			   .id = GUEST_A,
			   .file = &file,
			   .deadline_ms = 60000},
		code);
}

struct outcome put(struct driver_file file, const char *text)
{
	AUTOCLOSE int fd = memory_file(text);

	file.op = DRIVER_FILE_WRITE;
	file.fd = fd;
	return do_file(file);
}

void put_ok(struct driver_file file, const char *text)
{
	struct outcome o = put(file, text);

	if (o.result < 0)
		fail_msg("%s: %s", file.path, o.error.message);
}

void assert_reads(const char *path, const char *text)
{
	AUTOCLOSE int fd = memory_file("");
	struct driver_file file = file_at(DRIVER_FILE_READ, path);

	file.fd = fd;
	assert_int_equal(file_ok(file).file.size, strlen(text));
	assert_holds(fd, text);
}

void clear(void)
{
	prepare_inside("rm -rf $R" DIR_INSIDE);
}

bool is_tree(void)
{
	return environment()->rootfs != NULL;
}

void in_both(void (*test)(void))
{
	struct driver_file directory = file_at(DRIVER_FILE_MKDIR, DIR_INSIDE);

	for (int running = !is_tree(); running < 2; running++) {
		if (running)
			borrow_guest();
		else
			define_guest(GUEST_A, ROOTFS_PLAIN);
		clear();
		file_ok(directory);
		test();
	}
	clear();
	return_guest();
}

json_t *listed(const char *path)
{
	AUTOCLOSE int fd = memory_file("");
	struct driver_file f = file_at(DRIVER_FILE_LIST, path);
	json_t *all = json_object(), *entry;
	FILE *lines;

	f.fd = fd;
	file_ok(f);
	lines = fdopen(dup(fd), "r");
	rewind(lines);
	while ((entry = json_loadf(lines, JSON_DISABLE_EOF_CHECK, NULL)))
		json_object_set_new(all, json_string_value(json_object_get(entry, "name")), entry);
	fclose(lines);
	return all;
}
