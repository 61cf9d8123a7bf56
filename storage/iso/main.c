/* corpus-iso LABEL: makes an ISO 9660 of the files that it reads from stdin, and writes it to
 * stdout. Each comes as a line, its size in bytes, a blank and its name; then its bytes. A program
 * of its own, so that corpusd does without libarchive in its memory; of no use by hand.
 *
 * It needs nothing but its two descriptors and a place for a temporary file, so before it reads the
 * first byte it becomes a user that nothing on the node belongs to, without network. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/process.h"

#define FILE_MAX   (16U << 20)
#define OUTPUT_MAX (64U << 20)
#define OPEN_MAX   16

/* On the host; behind those of corpus-unpack and of confined programs (storage/confined.c). */
#define HOST_ID 0xf0800000U

static int complain(const char *what)
{
	fprintf(stderr, "corpus-iso: %s\n", what);
	return 1;
}

static int complain_of(struct archive *archive)
{
	return complain(archive_error_string(archive));
}

static bool read_size(char *line, uint64_t *ret_size, const char **ret_name)
{
	char *blank = strchr(line, ' ');

	line[strcspn(line, "\n")] = '\0';
	if (!blank || !blank[1])
		return false;
	*blank = '\0';
	*ret_name = blank + 1;
	return parse_u64(line, FILE_MAX, ret_size) == 0;
}

static int add_file(struct archive *archive, const char *name, const void *bytes, size_t size)
{
	struct archive_entry *entry = archive_entry_new();
	int r;

	if (!entry)
		return complain("out of memory");
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0444);
	archive_entry_set_size(entry, (int64_t)size);
	r = archive_write_header(archive, entry);
	archive_entry_free(entry);
	if (r != ARCHIVE_OK || archive_write_data(archive, bytes, size) != (ssize_t)size)
		return complain_of(archive);
	return 0;
}

static int add_all(struct archive *archive)
{
	AUTOFREE char *line = NULL;
	size_t room = 0;
	int r = 0;

	while (r == 0 && getline(&line, &room, stdin) > 0) {
		AUTOFREE char *bytes = NULL;
		const char *name;
		uint64_t size;

		if (!read_size(line, &size, &name))
			return complain("what came is not a size and a name");
		bytes = malloc(size + 1);
		if (!bytes || fread(bytes, 1, size, stdin) != size)
			return complain("a file was cut short");
		r = add_file(archive, name, bytes, size);
	}
	return r;
}

static int confine(void)
{
	static const struct process_limit limits[] = {
		{RLIMIT_FSIZE, OUTPUT_MAX},
		{RLIMIT_NOFILE, OPEN_MAX},
		{RLIMIT_CORE, 0},
	};

	syscall(SYS_close_range, 3U, ~0U, 0U);
	if (process_set_limits(limits, ARRAY_SIZE(limits)) < 0 ||
		unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 || setgroups(0, NULL) < 0 ||
		setresgid(HOST_ID, HOST_ID, HOST_ID) < 0 ||
		setresuid(HOST_ID, HOST_ID, HOST_ID) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return complain("it cannot give up its privileges");
	return 0;
}

static int make(struct archive *archive, const char *label)
{
	int r;

	if (archive_write_set_format_iso9660(archive) != ARCHIVE_OK ||
		archive_write_set_format_option(archive, "iso9660", "volume-id", label) !=
			ARCHIVE_OK ||
		archive_write_open_fd(archive, STDOUT_FILENO) != ARCHIVE_OK)
		return complain_of(archive);
	r = add_all(archive);
	if (r == 0 && archive_write_close(archive) != ARCHIVE_OK)
		r = complain_of(archive);
	return r;
}

int main(int argc, char **argv)
{
	struct archive *archive;
	int r;

	if (argc != 2)
		return complain("it is started by corpusd");
	r = confine();
	if (r != 0)
		return r;
	archive = archive_write_new();
	r = archive ? make(archive, argv[1]) : complain("out of memory");
	archive_write_free(archive);
	return r;
}
