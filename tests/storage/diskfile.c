/* Disks for tests. */
#include "diskfile.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "fixture.h"

void diskfile_run(const char *const *argv)
{
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = 60000};

	assert_ok(process_run(&options, &g_err));
}

static void fill(int fd, uint64_t size)
{
	static uint8_t noise[MIB];

	random_bytes(noise, sizeof(noise));
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	if (size == 0)
		return;
	assert_int_equal(pwrite(fd, "\x33\xc0 boot", 7, 0), 7);
	if (size >= 4 * MIB)
		assert_int_equal(pwrite(fd, noise, sizeof(noise), (off_t)(size / 2)), MIB);
}

int diskfile_raw(uint64_t size)
{
	int fd = memfd_create("raw", MFD_CLOEXEC);

	assert_true(fd >= 0);
	fill(fd, size);
	return fd;
}

/* In memory alone: who is killed meanwhile leaves nothing. */
int diskfile_qcow2(uint64_t size, const char *options)
{
	AUTOCLOSE int raw = diskfile_raw(size);
	int qcow2 = memfd_create("qcow2", MFD_CLOEXEC);
	char from[64], to[64];

	assert_true(qcow2 >= 0);
	snprintf(from, sizeof(from), "/proc/%d/fd/%d", getpid(), raw);
	snprintf(to, sizeof(to), "/proc/%d/fd/%d", getpid(), qcow2);
	diskfile_run((const char *[]){"qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o",
		options ? options : "compat=1.1", from, to, NULL});
	return qcow2;
}

void diskfile_patch(int fd, uint64_t offset, size_t bytes, uint64_t value)
{
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)(value >> (8 * (bytes - 1 - i)));

		assert_int_equal(pwrite(fd, &byte, 1, (off_t)(offset + i)), 1);
	}
}

uint64_t diskfile_peek(int fd, uint64_t offset, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte;

		assert_int_equal(pread(fd, &byte, 1, (off_t)(offset + i)), 1);
		value = value << 8 | byte;
	}
	return value;
}
