/* Images by way of a real dockerd: archives as people have them and as nobody should, a registry
 * that lets in and one that does not. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"
#include "drivers/docker/instance.h"
#include "keeper.h"

static struct driver *driver;

/* --- Helpers --------------------------------------------------------------------------------- */

static void shell(const char *script)
{
	const char *argv[] = {"sh", "-ec", script, NULL};
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = 60000};
	struct err err = {0};

	if (process_run(&options, &err) < 0)
		fail_msg("%s: %s", script, err.message);
}

static const char *file_of(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", node_dir(), name);
	return p;
}

/* Runs a line of the shell in the node's directory. */
#define SHELL(...)                                                                                 \
	do {                                                                                       \
		char script_[2048], more_[1900];                                                   \
		snprintf(more_, sizeof(more_), __VA_ARGS__);                                       \
		snprintf(script_, sizeof(script_), "cd %s; %s", node_dir(), more_);                \
		shell(script_);                                                                    \
	} while (0)

static int work(const struct driver_image_work *work, struct driver_image *ret, struct err *err)
{
	AUTOFREE struct driver_image *images = NULL;
	size_t count = 0;
	int r;

	*err = (struct err){0};
	r = driver->ops->image(driver, work, &images, &count, err);
	if (r == 0 && count == 1)
		*ret = images[0];
	return r;
}

static int find(const char *name, struct driver_image *ret, struct err *err)
{
	return work(&(struct driver_image_work){.op = DRIVER_IMAGE_FIND, .name = name}, ret, err);
}

static void assert_removed(const char *name)
{
	struct driver_image image = {0};
	struct err err;

	if (work(&(struct driver_image_work){.op = DRIVER_IMAGE_REMOVE, .name = name}, &image,
		    &err) < 0)
		fail_msg("%s", err.message);
}

/* Loads a file of the node's directory; `more` says how, beside name and descriptors. */
static int load(const char *file, const char *name, struct driver_image_work more,
	struct driver_image *ret, struct err *err)
{
	AUTOCLOSE int fd = open(file_of(file), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	more.op = DRIVER_IMAGE_LOAD;
	more.name = name;
	more.fd = fd;
	if (more.whole_fd == 0)
		more.whole_fd = -1;
	if (more.progress_fd == 0)
		more.progress_fd = -1;
	return work(&more, ret, err);
}

static void assert_loaded(const char *file, const char *name, struct driver_image *ret)
{
	struct err err;

	if (load(file, name, (struct driver_image_work){0}, ret, &err) < 0)
		fail_msg("%s: %s", file, err.message);
	assert_string_equal(ret->name, name);
}

/* All names that dockerd has, in one text. */
static char *names(void)
{
	const char *all = DOCKER("images", "--all", "--format={{.Repository}}:{{.Tag}}");

	assert_non_null(all);
	return strdup(all);
}

/* Whatever a failed call did, nothing of it is left. */
static void assert_unchanged(char *before)
{
	AUTOFREE char *owned = before, *now = names();

	assert_string_equal(owned, now);
}

/* --- Archives -------------------------------------------------------------------------------- */

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
	SHELL("rm -rf files; mkdir -p files/etc; echo 1 > files/etc/one; tar -C files -cf one.tar "
	      ".\n"
	      "echo 2 > files/etc/two; tar -C files -cf two.tar .");
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
	SHELL("rm -rf files; mkdir -p files/etc; echo 1 > files/etc/one; tar -C files -cf one.tar "
	      ".");
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

/* --- What there is --------------------------------------------------------------------------- */

static void the_list_has_each_name_once_and_none_of_ours(void **state)
{
	AUTOFREE struct driver_image *images = NULL;
	struct driver_image_work all = {.op = DRIVER_IMAGE_LIST};
	size_t count = 0, found = 0;
	struct err err = {0};

	(void)state;
	assert_non_null(DOCKER("tag", docker_node_image(), "a.example.org/z:1"));
	assert_non_null(DOCKER("tag", docker_node_image(), "corpus-snapshot:0123456789ab-s1"));
	assert_non_null(DOCKER("tag", docker_node_image(), "corpus-web:1"));
	assert_int_equal(0, driver->ops->image(driver, &all, &images, &count, &err));
	for (size_t i = 0; i < count; i++) {
		assert_true(i == 0 || strcmp(images[i - 1].name, images[i].name) < 0);
		assert_null(strstr(images[i].name, "corpus-snapshot"));
		found += strcmp(images[i].name, "a.example.org/z:1") == 0;
		found += strcmp(images[i].name, "corpus-web:1") == 0;
		found += strcmp(images[i].name, docker_node_image()) == 0;
		assert_true(images[i].size > 0 && images[i].created_ms >= 0);
	}
	assert_int_equal(3, found);
	assert_removed("a.example.org/z:1");
	assert_removed("corpus-web:1");
	assert_non_null(DOCKER("rmi", "corpus-snapshot:0123456789ab-s1"));
}

static void names_that_are_ours_or_nobodys_are_refused(void **state)
{
	static const char *const bad[] = {"corpus-snapshot:x", "corpus-layer:x", "corpus-load:x",
		"Bad Name", "", "a@sha256:12"};
	struct driver_image image = {0};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(find(bad[i], &image, &err) < 0);
		assert_int_equal(ERR_INVALID, err.code);
		assert_string_equal("image", err.field);
	}
	/* What dockerd would take for the beginning of an id is a name. */
	assert_int_equal(0, find(docker_node_image(), &image, &err));
	memmove(image.name, image.id + 7, 12);
	image.name[12] = '\0';
	assert_true(find(image.name, &image, &err) < 0);
	assert_int_equal(ERR_NOT_FOUND, err.code);
	assert_string_equal("image", err.field);
	assert_int_equal(0, find(image.id, &image, &err));
}

static void an_image_that_somebody_uses_is_kept(void **state)
{
	struct driver_image image = {0};
	struct err err;

	(void)state;
	assert_loaded("one.tar", "used:1", &image);
	assert_non_null(DOCKER("create", "--name=theirs", "--network=none", "used:1"));
	assert_true(work(&(struct driver_image_work){.op = DRIVER_IMAGE_REMOVE, .name = "used:1"},
			    &image, &err) < 0);
	assert_int_equal(ERR_CONFLICT, err.code);
	assert_string_equal("image", err.field);
	assert_int_equal(0, find("used:1", &image, &err));
	assert_non_null(DOCKER("rm", "theirs"));
	assert_removed("used:1");
	assert_removed("used:1");
}

static void the_driver_says_what_it_drives(void **state)
{
	struct driver_info info;
	struct err err = {0};

	(void)state;
	assert_int_equal(0, driver->ops->probe(driver, &info, &err));
	assert_true(info.usable);
	assert_int_equal(IMAGE_OCI, info.image_kind);
	assert_non_null(strstr(info.version, "API 1."));
	assert_non_null(strstr(info.notice, "live-restore"));
	assert_true(info.capabilities & DRIVER_CAN_IMAGE);
}

/* --- Registries ------------------------------------------------------------------------------ */

static struct docker *instance(void)
{
	return (struct docker *)driver;
}

static int pull(const char *name, int progress_fd, struct driver_image *ret, struct err *err)
{
	return work(&(struct driver_image_work){.op = DRIVER_IMAGE_PULL,
			    .name = name,
			    .fd = -1,
			    .whole_fd = -1,
			    .progress_fd = progress_fd},
		ret, err);
}

static void write_credentials(const char *registry, const char *password)
{
	char text[300];

	snprintf(text, sizeof(text),
		"{\"auths\":{\"%s\":{\"username\":\"" DOCKER_NODE_USER "\",\"password\":\"%s\"}}}",
		registry, password);
	assert_int_equal(0, file_replace(instance()->registries, text, 0600, false));
}

static void images_are_pulled_by_whom_the_registry_lets_in(void **state)
{
	const char *registry = docker_node_registry();
	struct driver_image image, by_digest;
	char name[128], digest[300], told[4096] = "";
	const char *found;
	struct err err;
	int progress[2];

	(void)state;
	snprintf(name, sizeof(name), "%s/team/app:1", registry);
	assert_non_null(DOCKER("tag", docker_node_image(), name));
	assert_non_null(DOCKER("login", "--username", DOCKER_NODE_USER, "--password",
		DOCKER_NODE_PASSWORD, registry));
	assert_non_null(DOCKER("push", name));
	found = DOCKER("inspect", "--format={{index .RepoDigests 0}}", name);
	snprintf(digest, sizeof(digest), "%s", found);
	assert_non_null(DOCKER("rmi", name));
	assert_non_null(DOCKER("logout", registry));

	unlink(instance()->registries);
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_DENIED, err.code);
	assert_string_equal("image", err.field);
	write_credentials(registry, "wrong");
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_DENIED, err.code);
	write_credentials(registry, DOCKER_NODE_PASSWORD);
	assert_int_equal(0, pipe(progress));
	if (pull(name, progress[1], &image, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(name, image.name);
	assert_true(read(progress[0], told, sizeof(told) - 1) > 0);
	assert_non_null(strstr(told, "{\"done\":"));
	close(progress[0]);
	close(progress[1]);
	assert_removed(name);
	assert_int_equal(0, pull(digest, -1, &by_digest, &err));
	assert_string_equal(image.id, by_digest.id);
	assert_string_equal(digest, by_digest.name);
	assert_removed(digest);

	snprintf(name, sizeof(name), "%s/team/none:1", registry);
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_NOT_FOUND, err.code);
	assert_string_equal("image", err.field);
}

static void a_registry_that_does_as_it_should_not_is_an_error(void **state)
{
	static const struct {
		const char *fault;
		enum err_code code;
	} cases[] = {
		{"stalled", ERR_TIMEOUT},
		{"silent", ERR_TIMEOUT},
		{"denied", ERR_DENIED},
		{"absent", ERR_NOT_FOUND},
		{"garbage", ERR_DRIVER},
	};

	(void)state;
	/* What dockerd has of it would not be fetched. */
	assert_non_null(DOCKER("rmi", "--force", docker_node_image()));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid;
		char name[128], *before = names();
		struct driver_image image = {0};
		struct err err;

		snprintf(name, sizeof(name), "%s/any:1",
			docker_node_odd_registry(cases[i].fault, &pid));
		instance()->stall_ms = cases[i].code == ERR_TIMEOUT ? 1500 : 120000;
		assert_true(pull(name, -1, &image, &err) < 0);
		if (err.code != cases[i].code)
			fail_msg("%s: %s: %s", cases[i].fault, err_code_to_string(err.code),
				err.message);
		assert_unchanged(before);
		keeper_stop(pid);
	}
	instance()->stall_ms = 120000;
}

static void a_pull_is_cancelled(void **state)
{
	struct driver_image image = {0};
	char name[128];
	struct err err;
	int progress[2];
	pid_t pid;

	(void)state;
	snprintf(name, sizeof(name), "%s/any:1", docker_node_odd_registry("stalled", &pid));
	assert_int_equal(0, pipe(progress));
	close(progress[0]);
	assert_true(pull(name, progress[1], &image, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
	close(progress[1]);
	keeper_stop(pid);
}

/* --- Without dockerd ------------------------------------------------------------------------- */

/* Whether it had begun to take the archive or not. */
static void a_dockerd_that_is_killed_during_a_load_has_nothing_of_it(void **state)
{
	AUTOFREE char *archive = NULL;
	char *before = names();
	int fds[2], status;
	size_t size;
	pid_t pid;

	(void)state;
	assert_int_equal(0, file_read(file_of("saved.tar"), 100000000, &archive, &size));
	assert_int_equal(0, pipe(fds));
	pid = fork();
	if (pid == 0) {
		struct driver_image image;
		struct err err;

		close(fds[1]);
		work(&(struct driver_image_work){.op = DRIVER_IMAGE_LOAD,
			     .name = "killed:1",
			     .fd = fds[0],
			     .whole_fd = -1,
			     .progress_fd = -1},
			&image, &err);
		_exit((int)err.code);
	}
	close(fds[0]);
	assert_int_equal(0, file_write_all(fds[1], archive, size / 2));
	docker_node_signal(SIGKILL);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	assert_int_equal(ERR_UNAVAILABLE, WEXITSTATUS(status));
	close(fds[1]);
	docker_node_start();
	assert_unchanged(before);
}

static void without_dockerd_it_is_said_what_to_do(void **state)
{
	struct driver_info info;
	struct driver_image image = {0};
	struct err err;

	(void)state;
	docker_node_signal(SIGSTOP);
	assert_true(find("app:1", &image, &err) < 0);
	assert_int_equal(ERR_UNAVAILABLE, err.code);
	docker_node_signal(SIGCONT);
	docker_node_signal(SIGKILL);
	assert_true(find("app:1", &image, &err) < 0);
	assert_int_equal(ERR_UNAVAILABLE, err.code);
	assert_int_equal(0, driver->ops->probe(driver, &info, &err));
	assert_false(info.usable);
	assert_non_null(strstr(info.problem, "systemctl start docker"));
}

static void open_driver(void)
{
	struct driver_config config = {.state_dir = strdup(file_of("state")),
		.run_dir = strdup(file_of("run")),
		.log_dir = strdup(file_of("log")),
		.registries = strdup(file_of("registries.json")),
		.endpoint = docker_node_socket()};
	struct err err = {0};

	if (docker_driver_ops.open(&config, &driver, &err) < 0)
		fail_msg("%s", err.message);
	free((char *)config.state_dir);
	free((char *)config.run_dir);
	free((char *)config.log_dir);
	free((char *)config.registries);
}

int main(void)
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
		cmocka_unit_test(a_load_is_cancelled_while_nothing_comes),
		cmocka_unit_test(the_list_has_each_name_once_and_none_of_ours),
		cmocka_unit_test(names_that_are_ours_or_nobodys_are_refused),
		cmocka_unit_test(an_image_that_somebody_uses_is_kept),
		cmocka_unit_test(the_driver_says_what_it_drives),
		cmocka_unit_test(images_are_pulled_by_whom_the_registry_lets_in),
		cmocka_unit_test(a_registry_that_does_as_it_should_not_is_an_error),
		cmocka_unit_test(a_pull_is_cancelled),
		cmocka_unit_test(a_dockerd_that_is_killed_during_a_load_has_nothing_of_it),
		cmocka_unit_test(without_dockerd_it_is_said_what_to_do),
	};
	int r;

	docker_node_enter(NULL);
	open_driver();
	r = cmocka_run_group_tests_name("docker images", tests, NULL, NULL);
	docker_driver_ops.close(driver);
	return r;
}
