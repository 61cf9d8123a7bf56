/* Layers of the Docker driver's guests that have become many are made one, by a real dockerd: what
 * is in them stays as it was, whatever happens on the way. The driver is one that takes a few for
 * many, in a process of its own for each call. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
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
#include "conformance/guests.h"
#include "docker_guests.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"
#include "drivers/docker/instance.h"

#define FEW   2
#define TEXT  4096
#define FAILS "driver.docker.flatten.failed=fail"

static struct driver_container g_container;

static struct driver_guest facts(void)
{
	struct driver_guest guest = guest_facts(GUEST_A, ROOTFS_PLAIN);

	g_container = *guest.container;
	guest.container = &g_container;
	guest.name = "layers";
	return guest;
}

/* --- What there is ---------------------------------------------------------------------------- */

static const char CONTAINER[] = "corpus-layers";

static const char *deep(void)
{
	return around("corpus-snapshot:", GUEST_A, "-deep");
}

static const char *layers_of(const char *image)
{
	return DOCKER("image", "inspect", "--format={{len .RootFS.Layers}}", image);
}

/* Of the image that the container is made of. */
static int layers(void)
{
	AUTOFREE char *image = strdup(DOCKER("inspect", "--format={{.Image}}", CONTAINER));

	return atoi(layers_of(image));
}

static int lines(const char *text)
{
	int n = *text ? 1 : 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static int kept_images(void)
{
	return lines(DOCKER(
		"images", "--all", "--quiet", around("--filter=label=corpus.guest=", GUEST_A, "")));
}

static int containers(void)
{
	return lines(DOCKER(
		"ps", "--all", "--quiet", around("--filter=label=corpus.guest=", GUEST_A, "")));
}

static void write_layer(const char *name)
{
	char to[64];

	snprintf(to, sizeof(to), "%s:/%s", CONTAINER, name);
	assert_non_null(DOCKER("cp", "/etc/hostname", to));
}

static const char *inside(const char *script)
{
	const char *said = DOCKER("exec", CONTAINER, "sh", "-c", script);

	if (!said)
		fail_msg("%s: failed", script);
	return said;
}

/* --- By the driver that takes a few for many -------------------------------------------------- */

struct work {
	const struct driver_guest *guest; /* it is defined; NULL: */
	struct driver_layer_work layer;
};

static int act(const struct work *work, struct err *err)
{
	struct driver *driver = NULL;
	int r = docker_driver_ops.open(&environment()->config, &driver, err);

	if (r < 0)
		return r;
	((struct docker *)driver)->layers_most = FEW;
	return work->guest ? docker_driver_ops.create(driver, work->guest, err)
			   : docker_driver_ops.layer(driver, GUEST_A, &work->layer, NULL, err);
}

/* How it ended, as waitpid has it. */
static int by_few(const char *fault, struct work work)
{
	struct err err = {0};
	pid_t child = fork();
	int status = 0, r;

	if (child == 0) {
		setenv("CORPUS_FAULT", fault ? fault : "", 1);
		r = act(&work, &err);
		if (r < 0)
			fprintf(stderr, "%s\n", err.message);
		_exit(r < 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* A change of what is fixed in it. */
static void change(struct driver_guest *guest, const char *mode, const char *fault)
{
	const char *const env[] = {mode, NULL};

	g_container.env = env;
	assert_int_equal(by_few(fault, (struct work){.guest = guest}), 0);
}

static void layer(enum driver_layer_op op, const char *name, const char *fault)
{
	assert_int_equal(by_few(fault, (struct work){.layer = {.op = op, .name = name}}), 0);
}

static void crash_by(const char *rule, struct work work)
{
	int status = by_few(rule, work);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(by_few(NULL, work), 0);
}

/* A guest that has as many layers as may be. */
static void grow(struct driver_guest *guest)
{
	g_container.env = NULL;
	assert_int_equal(by_few(NULL, (struct work){.guest = guest}), 0);
	write_layer("MODE=first");
	change(guest, "MODE=first", NULL);
	assert_int_equal(layers(), FEW);
}

/* --- What is in them -------------------------------------------------------------------------- */

#define CAPABILITY "security.capability"
/* cap_net_raw, effective: struct vfs_cap_data, revision 2 (linux/capability.h). */
static const unsigned char RAW[20] = {1, 0, 0, 2, 0, 0x20};

/* Where the file lies in the layers that dockerd keeps; "" where it does not. */
static void find_in(const char *field, const char *name, char path[static PATH_MAX])
{
	char format[96], *next = NULL;
	AUTOFREE char *dirs = NULL;

	snprintf(format, sizeof(format), "--format={{.GraphDriver.Data.%s}}", field);
	dirs = strdup(DOCKER("inspect", format, CONTAINER));
	for (char *dir = strtok_r(dirs, ":", &next); dir; dir = strtok_r(NULL, ":", &next)) {
		snprintf(path, PATH_MAX, "%s/%s", dir, name);
		if (access(path, F_OK) == 0)
			return;
	}
	path[0] = '\0';
}

static void write_many_things(void)
{
	char path[PATH_MAX];

	start_guest(GUEST_A);
	inside("mkdir /t && cd /t && echo one >a && ln a b && ln -s a l && mkfifo p &&"
	       "chown 1000:1001 a && chown -h 5:6 l && cp /bin/busybox cap && chmod 4755 cap &&"
	       "mkdir -m 1777 sticky && touch -d '2001-02-03 04:05:06' a && rm /bin/arch &&"
	       "dd if=/dev/zero of=holes bs=1 count=1 seek=999999 2>/dev/null");
	stop_guest(GUEST_A, 20000);
	find_in("UpperDir", "t/cap", path);
	assert_int_equal(setxattr(path, CAPABILITY, RAW, sizeof(RAW), 0), 0);
}

#define LOOK                                                                                       \
	"cd /t; stat -c '%n %f %u:%g %h %s %Y' *; cat a; readlink l; cksum b cap holes; test a "   \
	"-ef b "                                                                                   \
	"&& ls / | grep MODE; ls /bin/arch 2>/dev/null; env | sort | grep -v MODE"

static void all_that_a_guest_wrote_and_its_image_says_stays(void **state)
{
	static const char format[] =
		"--format={{json .Config.Cmd}} {{json .Config.Entrypoint}} "
		"{{json .Config.WorkingDir}} {{index .Config.Labels \"corpus.config\"}} "
		"{{index .Config.Labels \"org.opencontainers.image.title\"}}";
	struct driver_guest guest = facts();
	char before[TEXT], path[PATH_MAX], says[TEXT];
	unsigned char raw[sizeof(RAW)] = {0};

	(void)state;
	grow(&guest);
	write_many_things();
	start_guest(GUEST_A);
	snprintf(before, sizeof(before), "%s", inside(LOOK));
	stop_guest(GUEST_A, 20000);
	layer(DRIVER_LAYER_KEEP, "before", NULL);
	change(&guest, "MODE=flat", NULL);
	assert_int_equal(layers(), 1);
	start_guest(GUEST_A);
	assert_string_equal(inside(LOOK), before);
	assert_string_equal(inside("echo $MODE"), "flat");
	find_in("LowerDir", "t/cap", path);
	assert_int_equal(getxattr(path, CAPABILITY, raw, sizeof(raw)), sizeof(raw));
	assert_memory_equal(raw, RAW, sizeof(raw));
	layer(DRIVER_LAYER_KEEP, "after", NULL);
	snprintf(says, sizeof(says), "%s",
		DOCKER("image", "inspect", format, around("corpus-snapshot:", GUEST_A, "-before")));
	assert_non_null(strstr(says, "BusyBox"));
	assert_string_equal(says,
		DOCKER("image", "inspect", format, around("corpus-snapshot:", GUEST_A, "-after")));
	destroy_guest(GUEST_A);
}

static void layers_that_nothing_needs_any_more_are_let_go(void **state)
{
	struct driver_guest guest = facts();

	(void)state;
	grow(&guest);
	write_layer("MODE=second");
	change(&guest, "MODE=second", FAILS);
	assert_int_equal(kept_images(), 2);
	change(&guest, "MODE=flat", NULL);
	assert_int_equal(layers(), 1);
	assert_int_equal(kept_images(), 1);
	destroy_guest(GUEST_A);
	assert_string_equal(DOCKER("images", "--quiet", "--filter=dangling=true"), "");
}

/* --- Restores --------------------------------------------------------------------------------- */

/* And a snapshot "deep", which has more of them, and something behind it. */
static void grow_and_keep(struct driver_guest *guest)
{
	grow(guest);
	write_layer("MODE=kept");
	layer(DRIVER_LAYER_KEEP, "deep", NULL);
	write_layer("MODE=later");
	assert_string_equal(layers_of(deep()), "3");
}

static void assert_files(const char *names)
{
	start_guest(GUEST_A);
	assert_string_equal(inside("ls / | grep MODE | cut -c6-"), names);
	stop_guest(GUEST_A, 20000);
}

static void a_guest_goes_back_to_a_snapshot_of_many_layers_on_one(void **state)
{
	struct driver_guest guest = facts();
	int images;

	(void)state;
	grow_and_keep(&guest);
	images = kept_images();
	layer(DRIVER_LAYER_RESTORE, "deep", NULL);
	assert_int_equal(layers(), 1);
	layer(DRIVER_LAYER_RESTORE_UNDO, NULL, NULL);
	assert_int_equal(layers(), FEW);
	assert_int_equal(kept_images(), images);
	assert_files("first\nkept\nlater");
	layer(DRIVER_LAYER_RESTORE, "deep", NULL);
	layer(DRIVER_LAYER_RESTORE_FINISH, NULL, NULL);
	assert_int_equal(layers(), 1);
	assert_int_equal(containers(), 1);
	assert_files("first\nkept");
	/* It is what it was: its chain, and what the guest is made of now. */
	assert_string_equal(layers_of(deep()), "3");
	layer(DRIVER_LAYER_DROP, "deep", NULL);
	assert_int_equal(kept_images(), 1);
	destroy_guest(GUEST_A);
}

/* --- What goes wrong -------------------------------------------------------------------------- */

static void what_cannot_be_made_one_goes_on_as_it_is(void **state)
{
	struct driver_guest guest = facts();

	(void)state;
	grow(&guest);
	write_layer("MODE=second");
	change(&guest, "MODE=more", FAILS);
	assert_int_equal(layers(), FEW + 1);
	layer(DRIVER_LAYER_KEEP, "deep", NULL);
	layer(DRIVER_LAYER_RESTORE, "deep", FAILS);
	assert_int_equal(layers(), FEW + 1);
	layer(DRIVER_LAYER_RESTORE_FINISH, NULL, NULL);
	assert_files("first\nsecond");
	destroy_guest(GUEST_A);
}

static void a_crash_on_the_way_leaves_nothing_behind(void **state)
{
	static const char *const crashes[] = {"driver.docker.flatten.begun=kill",
		"driver.docker.layer.kept=kill", "driver.docker.make.created=kill",
		"driver.docker.make.replaced=kill"};
	struct driver_guest guest = facts();
	char mode[32];
	const char *const env[] = {mode, NULL};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		snprintf(mode, sizeof(mode), "MODE=%zu", i);
		grow(&guest);
		g_container.env = env;
		crash_by(crashes[i], (struct work){.guest = &guest});
		assert_int_equal(layers(), 1);
		assert_int_equal(containers(), 1);
		assert_int_equal(kept_images(), 1);
		call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	}
}

static void a_restore_that_crashes_on_the_way_is_repeated(void **state)
{
	/* The second container of each. */
	static const char *const crashes[] = {"driver.docker.flatten.begun=kill",
		"driver.docker.make.kept=kill", "driver.docker.make.created=kill@2",
		"driver.docker.make.replaced=kill"};
	struct driver_guest guest = facts();
	struct work restore = {.layer = {.op = DRIVER_LAYER_RESTORE, .name = "deep"}};
	int images;

	(void)state;
	grow_and_keep(&guest);
	images = kept_images();
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++) {
		crash_by(crashes[i], restore);
		assert_int_equal(layers(), 1);
		assert_int_equal(containers(), 2);
		layer(DRIVER_LAYER_RESTORE_UNDO, NULL, NULL);
		assert_int_equal(layers(), FEW);
		assert_int_equal(containers(), 1);
		assert_int_equal(kept_images(), images);
	}
	assert_files("first\nkept\nlater");
	destroy_guest(GUEST_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(all_that_a_guest_wrote_and_its_image_says_stays),
		guest_test(layers_that_nothing_needs_any_more_are_let_go),
		guest_test(a_guest_goes_back_to_a_snapshot_of_many_layers_on_one),
		guest_test(what_cannot_be_made_one_goes_on_as_it_is),
		guest_test(a_crash_on_the_way_leaves_nothing_behind),
		guest_test(a_restore_that_crashes_on_the_way_is_repeated),
	};

	return docker_guests_run(NULL, DOCKER_PROGRAM, tests, ARRAY_SIZE(tests), NULL);
}
