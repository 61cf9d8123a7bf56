/* Files of real containers that run and that do not: what is put comes back, and nothing leads out
 * of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/guests.h"
#include "docker_inside.h"
#include "docker_node.h"
#include "drivers/docker/file.h"

static struct inside *g_guest;

static enum err_code do_file(struct driver_file file, struct driver_file_info *ret)
{
	struct err err = {0};

	if (docker_file(g_guest, &file, ret, &err) == 0)
		return ERR_OK;
	print_message("  %s\n", err.message);
	return err.code;
}

static void prepare(const char *script)
{
	struct run run = run_shell(script);

	assert_int_equal(run_end(&run), 0);
}

static enum err_code put(struct driver_file file, const char *text)
{
	AUTOCLOSE int fd = memory_file(text);

	file.op = DRIVER_FILE_WRITE;
	file.fd = fd;
	return do_file(file, NULL);
}

/* What comes from a file, or of a list. */
static const char *get(enum driver_file_op op, const char *path)
{
	static char buf[65536];
	AUTOCLOSE int fd = memory_file("");
	struct driver_file file = file_at(op, path);
	ssize_t n;

	file.fd = fd;
	assert_int_equal(do_file(file, NULL), ERR_OK);
	n = pread(fd, buf, sizeof(buf) - 1, 0);
	assert_true(n >= 0);
	buf[n] = '\0';
	return buf;
}

static void assert_attributes(const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct driver_file_info info;

	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, path), &info), ERR_OK);
	assert_int_equal(info.mode, mode);
	assert_int_equal(info.uid, uid);
	assert_int_equal(info.gid, gid);
}

static void put_look_and_list(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, "/files/a"), d;
	struct driver_file_info info;
	const char *list;

	assert_int_equal(put(f, "first"), ERR_OK);
	assert_attributes(f.path, 0644, 0, 0);
	f.mode = 04750;
	f.uid = 33;
	f.gid = 44;
	assert_int_equal(put(f, "second"), ERR_OK);
	assert_attributes(f.path, 04750, 33, 44);
	f.mode = f.uid = f.gid = -1;
	assert_int_equal(put(f, "third, longer"), ERR_OK);
	assert_attributes(f.path, 0750, 33, 44);
	assert_string_equal(get(DRIVER_FILE_READ, f.path), "third, longer");
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, f.path), &info), ERR_OK);
	assert_int_equal(info.size, 13);
	assert_true(info.mtime_ms > 1000000000000);
	d = file_at(DRIVER_FILE_MKDIR, "/files/d");
	d.uid = 1000;
	assert_int_equal(do_file(d, NULL), ERR_OK);
	d.uid = -1;
	assert_int_equal(do_file(d, NULL), ERR_OK);
	assert_attributes(d.path, 0755, 1000, 0);
	assert_int_equal(put(file_at(0, "/files/d/x"), "deep"), ERR_OK);
	list = get(DRIVER_FILE_LIST, "/files/dir");
	assert_non_null(strstr(list, "\"name\":\"link\",\"type\":\"link\""));
	assert_non_null(strstr(list, "\"target\":\"/etc/passwd\""));
	assert_non_null(strstr(list, "\"name\":\"hard\",\"type\":\"file\",\"mode\":420,"
				     "\"uid\":0,\"gid\":0,\"size\":6"));
	assert_non_null(strstr(list, "\"name\":\"soft\",\"type\":\"file\",\"mode\":420,"
				     "\"uid\":0,\"gid\":0,\"size\":6"));
	assert_non_null(strstr(list, "gr\u00fc\u00df\""));
	assert_non_null(strstr(list, "odd\""));
	assert_null(strstr(list, "deep"));
}

static void links_and_what_is_no_file(void)
{
	static const char *const bad[] = {"", "a", "/", "/..", "/files/.", "/files/a/b"};
	struct driver_file_info info;

	assert_int_equal(put(file_at(0, "/files/a"), "a"), ERR_OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(put(file_at(0, bad[i]), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/files/dir"), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/files/fifo"), "x"), ERR_INVALID);
	assert_int_equal(put(file_at(0, "/not/there"), "x"), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_MKDIR, "/files/a"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_MKDIR, "/no/dir"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/fifo"), NULL), ERR_INVALID);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/files/none"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/"), &info), ERR_OK);
	assert_string_equal(info.type, "directory");
	/* Links lead where they would lead the guest. */
	assert_string_equal(get(DRIVER_FILE_READ, "/files/dir/up"), "a");
	assert_string_equal(get(DRIVER_FILE_READ, "/files/through/hard"), "linked");
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/out"), NULL), ERR_NOT_FOUND);
	assert_int_equal(do_file(file_at(DRIVER_FILE_READ, "/files/out/x"), NULL), ERR_NOT_FOUND);
	assert_int_equal(put(file_at(0, "/files/out/x"), "x"), ERR_NOT_FOUND);
	assert_int_equal(put(file_at(0, "/files/out"), "mine"), ERR_OK);
	assert_string_equal(get(DRIVER_FILE_READ, "/files/out"), "mine");
}

static void cut_off(void)
{
	struct driver_file f = file_at(DRIVER_FILE_WRITE, "/files/cut");
	int ends[2];

	assert_int_equal(put(f, "old"), ERR_OK);
	f.size = 100;
	assert_int_equal(put(f, "new"), ERR_INVALID);
	f.size = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[1]);
	f.whole_fd = ends[0];
	assert_int_equal(put(f, "new"), ERR_CANCELLED);
	close(ends[0]);
	assert_string_equal(get(DRIVER_FILE_READ, f.path), "old");
	/* Nobody reads. */
	f = file_at(DRIVER_FILE_READ, "/files/big");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	f.fd = ends[1];
	assert_int_equal(do_file(f, NULL), ERR_CANCELLED);
	close(ends[1]);
}

static void big_files(void)
{
	struct driver_file f = file_at(DRIVER_FILE_READ, "/files/big");
	AUTOCLOSE int fd = memory_file("");
	struct driver_file_info info;
	struct stat st;

	f.fd = fd;
	assert_int_equal(do_file(f, &info), ERR_OK);
	assert_int_equal(info.size, 3000001);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 3000001);
	f = file_at(DRIVER_FILE_WRITE, "/srv/big");
	f.fd = fd;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(do_file(f, NULL), ERR_OK);
	assert_int_equal(do_file(file_at(DRIVER_FILE_STAT, "/srv/big"), &info), ERR_OK);
	assert_int_equal(info.size, 3000001);
}

static void files_of_a_guest_that_runs(void **state)
{
	(void)state;
	put_look_and_list();
	links_and_what_is_no_file();
	cut_off();
	big_files();
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/a"), NULL), ERR_OK);
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/srv/big"), NULL), ERR_OK);
}

static void files_of_a_guest_that_does_not_run(void **state)
{
	(void)state;
	put_look_and_list();
	links_and_what_is_no_file();
	cut_off();
	big_files();
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/a"), NULL), ERR_ILLEGAL_STATE);
	assert_int_equal(do_file(file_at(DRIVER_FILE_REMOVE, "/files/none"), NULL), ERR_OK);
}

/* With data on the node, as a guest's. */
#define FILES                                                                                      \
	"rm -rf /files; mkdir -p /files/dir/below/deep; cd /files; ln -s dir through; mkfifo "     \
	"fifo; "                                                                                   \
	"head -c 3000001 /dev/zero >big; ln -s ../../../../../var/tmp/out out; cd dir; "           \
	"ln -s /etc/passwd link; printf linked >hard; ln hard soft; ln -s ../a up; "               \
	": >$(printf 'gr\\303\\274\\303\\237'); : >\"$(printf '\\377\"odd')\""

static int begin_files(void **state)
{
	(void)state;
	g_guest = inside_begin(OPTIONS("--volume=data:/srv"), IDLE);
	prepare(FILES);
	return 0;
}

static int begin_files_stopped(void **state)
{
	begin_files(state);
	prepare("rm -rf /srv/big");
	assert_non_null(DOCKER("kill", g_guest->container));
	inside_look();
	return 0;
}

int inside_files_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(files_of_a_guest_that_runs, begin_files),
		cmocka_unit_test_setup(files_of_a_guest_that_does_not_run, begin_files_stopped),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
