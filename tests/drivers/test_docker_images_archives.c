/* Archives of images, as people have them and as nobody should, loaded into a real dockerd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "docker_images.h"
#include "docker_node.h"
#include "drivers/docker/sieve_internal.h"

/* one.tar, of files. */
static void make_one(void)
{
	SHELL("rm -rf files; mkdir -p files/etc; echo 1 > files/etc/one; tar -C files -cf one.tar "
	      ".");
}

static void what_docker_saves_is_loaded_by_another_name_alone(void **state)
{
	struct driver_image image = {0}, again = {0};
	AUTOFREE char *all = NULL;

	(void)state;
	assert_non_null(DOCKER("tag", docker_node_image(), "other/name:7"));
	assert_non_null(DOCKER("save", "--output", file_of("saved.tar"), "other/name:7"));
	assert_non_null(DOCKER("rmi", "other/name:7"));
	assert_loaded("saved.tar", "mine:1", &image);
	assert_true(image.size > 100000);
	assert_true(image.created_ms >= 0);
	/* Neither what it was called there nor what it was called meanwhile. */
	all = names();
	assert_null(strstr(all, "other/name"));
	assert_null(strstr(all, "corpus-load"));
	assert_loaded("saved.tar", "mine:1", &again);
	assert_string_equal(image.id, again.id);
	assert_removed("mine:1");
}

/* With the layers as they are and compressed; the one that is for this machine. */
static void an_oci_image_layout_is_loaded(void **state)
{
	static const char *const compressions[] = {"cat", "gzip -n"};

	(void)state;
	assert_non_null(DOCKER("save", "--output", file_of("saved.tar"), docker_node_image()));
	for (size_t i = 0; i < ARRAY_SIZE(compressions); i++) {
		struct driver_image image = {0};
		struct err err;

		SHELL("rm -rf oci saved; mkdir -p oci saved; tar -C saved -xf saved.tar\n"
		      "python3 %s/oci_layout.py saved oci '%s'\n"
		      "tar -C oci -cf oci.tar .",
			TEST_SOURCE_DIR, compressions[i]);
		assert_loaded("oci.tar", "from/oci:1", &image);
		assert_non_null(DOCKER("run", "--rm", "--network=none", "from/oci:1", "true"));
		SHELL("xz -0 -kf oci.tar");
		assert_loaded("oci.tar.xz", "from/oci:1", &image);
		assert_removed("from/oci:1");
		assert_true(find("from/oci:1", &image, &err) < 0);
	}
}

static void files_of_a_root_file_system_are_an_image(void **state)
{
	static const char *const programs[][2] = {
		{"cat", "files.tar"}, {"gzip", "files.tgz"}, {"zstd -q", "files.tar.zst"}};
	struct driver_image image = {0};

	(void)state;
	SHELL("rm -rf files; mkdir -p files/sbin files/bin; cp $(command -v busybox) "
	      "files/bin/busybox\n"
	      "ln -s /bin/busybox files/sbin/init; tar -C files -cf plain.tar .");
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		SHELL("%s < plain.tar > %s", programs[i][0], programs[i][1]);
		assert_loaded(programs[i][1], "files:1", &image);
		assert_string_equal(
			"[/sbin/init]", DOCKER("inspect", "--format={{.Config.Cmd}}", "files:1"));
		assert_non_null(
			DOCKER("run", "--rm", "--network=none", "files:1", "/bin/busybox", "true"));
		assert_removed("files:1");
	}
}

static void a_name_that_is_taken_changes_its_meaning_only_when_told_to(void **state)
{
	struct driver_image first, second, now;
	struct err err;

	(void)state;
	make_one();
	SHELL("echo 2 > files/etc/two; tar -C files -cf two.tar .");
	assert_loaded("one.tar", "app:1", &first);
	assert_true(load("two.tar", "app:1", (struct driver_image_work){0}, &second, &err) < 0);
	assert_int_equal(ERR_EXISTS, err.code);
	assert_string_equal("image", err.field);
	assert_int_equal(0, find("docker.io/library/app:1", &now, &err));
	assert_string_equal("app:1", now.name);
	assert_string_equal(first.id, now.id);
	assert_int_equal(0, load("two.tar", "app:1", (struct driver_image_work){.replace = true},
				    &second, &err));
	assert_string_not_equal(first.id, second.id);
	assert_removed("app:1");
	assert_removed(first.id);
}

static void archives_that_cannot_be_loaded_leave_nothing(void **state)
{
	static const struct {
		const char *make; /* bad.tar */
		const char *said;
	} cases[] = {
		{": > bad.tar", "empty"},
		{"echo nonsense > bad.tar", "tar archive"},
		{"head -c 70000 /dev/urandom > bad.tar", "tar archive"},
		{"gzip -c saved.tar | head -c 3000 > bad.tar", ""},
		{"head -c 9000 saved.tar > bad.tar", ""},
		{"echo '[]' > manifest.json; tar -cf bad.tar manifest.json", "no image"},
		{"echo '{' > index.json; tar -cf bad.tar index.json", "not JSON"},
		{"mkdir -p blobs; ln -sf /etc/passwd blobs/x; tar -cf bad.tar blobs", "leads out"},
		{"mkdir -p blobs; rm -f blobs/x; mkfifo blobs/x; tar -cf bad.tar blobs",
			"neither a file nor"},
		{"mkdir -p blobs; rm -f blobs/x; echo > blobs/x; ln -f blobs/x blobs/y\n"
		 "tar -cf bad.tar blobs",
			"must not have"},
		{"mkdir -p blobs d; rm -f blobs/*; echo > d/x\n"
		 "tar -P --transform='s:^d/x:../x:' -cf bad.tar blobs d/x",
			"must not have"},
		{"truncate -s 5M manifest.json; tar -cf bad.tar manifest.json", "too large"},
		{"echo '[{\"Config\":\"c.json\",\"Layers\":[]}]' > manifest.json; echo '{}' > "
		 "c.json\n"
		 "tar -cf bad.tar manifest.json c.json",
			""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *before = names();
		struct driver_image image = {0};
		struct err err;

		SHELL("%s", cases[i].make);
		if (load("bad.tar", "bad:1", (struct driver_image_work){0}, &image, &err) == 0)
			fail_msg("%s: it is loaded", cases[i].make);
		if (!strstr(err.message, cases[i].said) ||
			(err.code != ERR_INVALID && err.code != ERR_DRIVER))
			fail_msg("%s: %s: %s", cases[i].make, err_code_to_string(err.code),
				err.message);
		assert_unchanged(before);
	}
}

static void hash_of(const char *file, char text[static 65])
{
	AUTOFREE char *bytes = NULL;
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx context;
	size_t size;

	assert_int_equal(0, file_read(file_of(file), 100000000, &bytes, &size));
	sha256_init(&context);
	sha256_update(&context, size, (const uint8_t *)bytes);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(text + 2 * i, "%02X", digest[i]);
}

static void what_is_not_what_was_meant_is_not_loaded(void **state)
{
	struct driver_image_work more = {0};
	struct driver_image image = {0};
	char hash[65], *before = names();
	struct err err;
	int whole[2];

	(void)state;
	/* Bytes behind the archive's end count, too. */
	SHELL("cp one.tar more.tar; echo more >> more.tar");
	hash_of("more.tar", hash);
	more.sha256 = hash;
	assert_true(load("one.tar", "app:1", more, &image, &err) < 0);
	assert_int_equal(ERR_INVALID, err.code);
	assert_string_equal("sha256", err.field);
	more.sha256 = "12";
	assert_true(load("one.tar", "app:1", more, &image, &err) < 0);
	assert_string_equal("sha256", err.field);
	/* Who sent it went away before its end. */
	assert_int_equal(0, pipe(whole));
	close(whole[1]);
	more = (struct driver_image_work){.whole_fd = whole[0]};
	assert_true(load("one.tar", "app:1", more, &image, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
	close(whole[0]);
	assert_unchanged(before);
	assert_int_equal(0, pipe(whole));
	assert_int_equal(1, write(whole[1], "!", 1));
	more = (struct driver_image_work){.whole_fd = whole[0], .sha256 = hash};
	assert_int_equal(0, load("more.tar", "app:1", more, &image, &err));
	close(whole[0]);
	close(whole[1]);
	assert_removed("app:1");
}

/* dockerd may go on with what it got when the rest does not come: so the manifest is the last. */
static void images_are_checked_before_they_get_their_manifest(void **state)
{
	static char sent[8 << 20];
	char hash[65];
	struct sieve_work work = {.whole_fd = -1,
		.sha256 = "0000000000000000000000000000000000000000000000000000000000000000",
		.choice = {.wanted = "app:1", .name = "app:1", .architecture = "amd64"}};

	(void)state;
	assert_non_null(DOCKER("save", "--output", file_of("saved.tar"), docker_node_image()));
	hash_of("saved.tar", hash);
	for (int good = 0; good < 2; good++) {
		AUTOCLOSE int from = open(file_of("saved.tar"), O_RDONLY | O_CLOEXEC);
		AUTOCLOSE int to = memfd_create("sent", MFD_CLOEXEC);
		struct err err = {0};
		ssize_t n;

		work.fd = from;
		assert_int_equal(good ? 0 : -EINVAL, sieve_run(&work, to, &err));
		n = pread(to, sent, sizeof(sent), 0);
		assert_in_range(n, 100000, sizeof(sent) - 1);
		assert_int_equal(good, memmem(sent, (size_t)n, "manifest.json", 13) != NULL);
		work.sha256 = hash;
	}
}

static void a_load_is_cancelled_while_nothing_comes(void **state)
{
	char *before = names();
	struct driver_image image = {0};
	struct err err;
	int archive[2], progress[2];

	(void)state;
	assert_int_equal(0, pipe(archive));
	assert_int_equal(0, pipe(progress));
	close(progress[0]);
	assert_true(work(&(struct driver_image_work){.op = DRIVER_IMAGE_LOAD,
				 .name = "app:1",
				 .fd = archive[0],
				 .whole_fd = -1,
				 .progress_fd = progress[1]},
			    &image, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
	close(archive[0]);
	close(archive[1]);
	close(progress[1]);
	assert_unchanged(before);
}

/* What a process that was killed called it does not stay. */
static void what_a_killed_load_has_left_goes_with_the_next(void **state)
{
	AUTOFREE char *left = NULL, *after = NULL;
	struct driver_image image = {0};
	int status;
	pid_t pid;

	(void)state;
	make_one();
	pid = fork();
	if (pid == 0) {
		setenv("CORPUS_FAULT", "driver.docker.load.loaded=kill", 1);
		assert_loaded("one.tar", "app:1", &image);
		_exit(0);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	left = names();
	assert_non_null(strstr(left, "corpus-load"));
	/* And nobody is told of it. */
	assert_null(strstr(DOCKER("images", "--format={{.Repository}}", "app"), "app"));
	assert_loaded("one.tar", "app:1", &image);
	after = names();
	assert_null(strstr(after, "corpus-load"));
	assert_removed("app:1");
}

int image_archives_run(void)
{
	const struct CMUnitTest tests[] = {
		/* First: what is to be a fault is read at the first point. */
		cmocka_unit_test(what_a_killed_load_has_left_goes_with_the_next),
		cmocka_unit_test(what_docker_saves_is_loaded_by_another_name_alone),
		cmocka_unit_test(an_oci_image_layout_is_loaded),
		cmocka_unit_test(files_of_a_root_file_system_are_an_image),
		cmocka_unit_test(a_name_that_is_taken_changes_its_meaning_only_when_told_to),
		cmocka_unit_test(archives_that_cannot_be_loaded_leave_nothing),
		cmocka_unit_test(what_is_not_what_was_meant_is_not_loaded),
		cmocka_unit_test(images_are_checked_before_they_get_their_manifest),
		cmocka_unit_test(a_load_is_cancelled_while_nothing_comes),
	};

	return cmocka_run_group_tests_name("archives", tests, NULL, NULL);
}
