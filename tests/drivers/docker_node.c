/* A node with a dockerd of its own. Containers have networks of their own, so the keeper finds them
 * by the control group that this dockerd puts them into. */
#include "docker_node.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "keeper.h"

#define ANSWER_MS  60000
#define STARTS_MAX 3
#define LOG_MAX	   (16 << 20)
#define LOG_SHOWN  4000
#define PAUSE_US   20000
#define WORDS_MAX  64
#define SAID_MAX   (1 << 20)

static struct docker_node g_what;
static pid_t g_dockerd;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *folder(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/docker", node_dir());
	return path;
}

const char *docker_node_socket(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/docker.sock", node_dir());
	return path;
}

const char *docker_node_group(void)
{
	static char name[NAME_MAX];

	snprintf(name, sizeof(name), "/corpus-test-%s", strrchr(node_dir(), '-') + 1);
	return name;
}

/* --- Its end -----------------------------------------------------------------------------------
 */

static void each_group(void (*act)(const char *path))
{
	static const char *const places[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/*"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char pattern[PATH_MAX];
		glob_t found;

		snprintf(pattern, sizeof(pattern), "%s%s", places[i], docker_node_group());
		if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			act(found.gl_pathv[k]);
		globfree(&found);
	}
}

static int g_ended;

static void end_listed(const char *path)
{
	AUTOFREE char *text = NULL;
	char *next = NULL;

	if (file_read(path, SAID_MAX, &text, NULL) < 0)
		return;
	for (char *word = strtok_r(text, "\n", &next); word; word = strtok_r(NULL, "\n", &next)) {
		pid_t pid = atoi(word);

		if (pid <= 0)
			continue;
		keeper_end_process(pid);
		g_ended++;
	}
}

/* What is frozen would not end. */
static int end_by_file(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	const char *name = path + at->base;

	(void)st;
	(void)kind;
	if (strcmp(name, "freezer.state") == 0)
		file_write(path, "THAWED");
	else if (strcmp(name, "cgroup.procs") == 0)
		end_listed(path);
	return 0;
}

static void end_group(const char *path)
{
	nftw(path, end_by_file, 8, FTW_PHYS);
}

/* dockerd first: it would see its containers end, and do something about it. */
static int end_containers(void)
{
	if (g_dockerd > 0)
		kill(g_dockerd, SIGKILL);
	g_dockerd = 0;
	g_ended = 0;
	each_group(end_group);
	return g_ended;
}

static void remove_groups(void)
{
	each_group(keeper_remove_group);
}

/* --- dockerd -----------------------------------------------------------------------------------
 */

static int run(const char *const *argv, int out, struct err *err)
{
	struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = out, .timeout_ms = ANSWER_MS};

	return process_run(&options, err);
}

static int run_docker(const char *const *words, int out, struct err *err)
{
	char client[PATH_MAX], host[PATH_MAX + sizeof("unix://")], config[PATH_MAX];
	const char *argv[WORDS_MAX] = {client, "--host", host, "--config", config};
	const char *programs = getenv("CORPUS_DOCKER_DIR"); /* docker.sh has the others */

	snprintf(client, sizeof(client), "%s/docker",
		programs && programs[0] ? programs : "/usr/bin");
	snprintf(host, sizeof(host), "unix://%s", docker_node_socket());
	snprintf(config, sizeof(config), "%s/docker-config", node_dir());
	for (size_t i = 0; words[i] && i + 6 < WORDS_MAX; i++)
		argv[i + 5] = words[i];
	return run(argv, out, err);
}

const char *docker_node_run(const char *const *words)
{
	static char *said;
	AUTOCLOSE int out = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct err err = {0};
	size_t length;

	free(TAKE_PTR(said));
	if (out < 0)
		die("a file for what docker says");
	if (run_docker(words, out, &err) < 0) {
		fprintf(stderr, "docker %s: %s\n", words[0], err.message);
		return NULL;
	}
	if (lseek(out, 0, SEEK_SET) < 0 || file_read_fd(out, SAID_MAX, &said, &length) < 0)
		die("what docker says");
	if (length && said[length - 1] == '\n')
		said[length - 1] = '\0';
	return said;
}

static void add_option(const char **argv, const char *option)
{
	while (*argv)
		argv++;
	*argv = option;
}

static pid_t begin(void)
{
	char storage[64], group[NAME_MAX + 32];
	const char *argv[WORDS_MAX] = {"sh", TESTS "/harness/docker.sh", "run", folder(),
		docker_node_socket(), storage, group};

	snprintf(storage, sizeof(storage), "--storage-driver=%s", g_what.storage);
	snprintf(group, sizeof(group), "--cgroup-parent=%s", docker_node_group());
	if (!g_what.bridge)
		add_option(argv, "--no-bridge");
	if (g_what.live_restore)
		add_option(argv, "--live-restore");
	if (g_what.userns)
		add_option(argv, "--userns-remap=daemon:daemon");
	return keeper_start(argv, "dockerd");
}

static bool answers(void)
{
	struct err err = {0};

	return run_docker((const char *const[]){"version", NULL}, -1, &err) == 0;
}

static void show_log(void)
{
	AUTOFREE char *said = NULL;
	char path[PATH_MAX];
	size_t size = 0;

	snprintf(path, sizeof(path), "%s/dockerd.log", node_dir());
	if (file_read(path, LOG_MAX, &said, &size) == 0)
		fputs(said + (size > LOG_SHOWN ? size - LOG_SHOWN : 0), stderr);
}

/* One that was killed may have left what the next one ends of, at its very beginning, such as the
 * number of a process that is another one now: what ends by itself is begun again. */
void docker_node_start(void)
{
	for (int starts = 0; starts < STARTS_MAX; starts++) {
		g_dockerd = begin();
		for (int tries = ANSWER_MS * 1000 / PAUSE_US; tries > 0 && kill(g_dockerd, 0) == 0;
			tries--) {
			if (answers())
				return;
			usleep(PAUSE_US);
		}
		fprintf(stderr, "dockerd does not answer:\n");
		show_log();
		if (kill(g_dockerd, 0) == 0)
			break;
	}
	exit(1);
}

static int g_containerds;

static void count_containerd(pid_t pid)
{
	AUTOFREE char *name = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(path, 64, &name, NULL) == 0 && strcmp(name, "containerd\n") == 0)
		g_containerds++;
}

void docker_node_signal(int signal)
{
	keeper_signal(g_dockerd, signal);
	if (signal == SIGSTOP || signal == SIGCONT)
		return;
	do {
		usleep(PAUSE_US);
		g_containerds = 0;
		keeper_each(count_containerd);
	} while (g_containerds > 0 || kill(g_dockerd, 0) == 0);
}

pid_t docker_node_dockerd(void)
{
	return g_dockerd;
}

pid_t docker_node_shim(pid_t container)
{
	AUTOFREE char *text = NULL;
	char path[64];
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", container);
	if (file_read(path, 4096, &text, NULL) < 0 ||
		sscanf(strrchr(text, ')'), ") %*c %d", &parent) != 1)
		die("what runs a container");
	return parent;
}

void docker_node_enter(const struct docker_node *what)
{
	static const struct keeper kept = {.first = end_containers, .last = remove_groups};
	struct err err = {0};

	g_what = what ? *what : (struct docker_node){0};
	if (!g_what.storage)
		g_what.storage = "overlay2";
	node_enter();
	if (run((const char *const[]){"sh", TESTS "/harness/docker.sh", "lay", folder(),
			g_what.storage, NULL},
		    -1, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		exit(1);
	}
	keeper_begin(&kept);
	docker_node_start();
}

/* --- Images ------------------------------------------------------------------------------------
 */

/* The archive of the small image. */
static const char *archive(void)
{
	static char path[PATH_MAX];
	FILE *said;

	if (path[0])
		return path;
	said = popen("PYTHONPATH=" TESTS " python3 -m harness.oci busybox", "r");
	if (!said || !fgets(path, sizeof(path), said))
		die("the image of busybox");
	pclose(said);
	path[strcspn(path, "\n")] = '\0';
	return path;
}

static void load_image(const char *name)
{
	const char *said = DOCKER("load", "--quiet", "--input", archive());
	AUTOFREE char *id =
		said && strstr(said, "sha256:") ? strdup(strstr(said, "sha256:")) : NULL;

	if (!id || !DOCKER("tag", id, name))
		die("loading the image of busybox");
}

const char *docker_node_image(void)
{
	static const char *name;

	if (!name) {
		load_image("busybox:small");
		name = "busybox:small";
	}
	return name;
}

/* A program of the tests' harness that serves at that port of ours; waits until it does. */
static pid_t serve(const char *const *words, uint16_t port)
{
	const struct sockaddr_in where = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *argv[WORDS_MAX] = {"env", "PYTHONPATH=" TESTS, "python3", "-m"};
	pid_t pid;

	for (size_t i = 0; words[i]; i++)
		add_option(argv, words[i]);
	pid = keeper_start(argv, words[0]);
	for (int tries = ANSWER_MS * 1000 / PAUSE_US; tries > 0 && kill(pid, 0) == 0; tries--) {
		AUTOCLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (const struct sockaddr *)&where, sizeof(where)) == 0)
			return pid;
		usleep(PAUSE_US);
	}
	fprintf(stderr, "%s does not answer\n", words[0]);
	exit(1);
}

const char *docker_node_registry(void)
{
	static const char address[] = "127.0.0.1:5000";
	char folder_of_its[PATH_MAX];

	snprintf(folder_of_its, sizeof(folder_of_its), "%s/registry", node_dir());
	serve((const char *const[]){"harness.registry", folder_of_its, address, NULL}, 5000);
	return address;
}

bool docker_node_push(const char *registry, const char *name)
{
	return DOCKER("tag", docker_node_image(), name) &&
	       DOCKER("login", "--username", DOCKER_NODE_USER, "--password", DOCKER_NODE_PASSWORD,
		       registry) &&
	       DOCKER("push", name);
}

const char *docker_node_odd_registry(const char *fault, pid_t *ret_pid)
{
	static const char address[] = "127.0.0.1:5001";

	*ret_pid = serve(
		(const char *const[]){"harness.odd_registry", address, fault, archive(), NULL},
		5001);
	return address;
}

/* --- Leftovers ---------------------------------------------------------------------------------
 */

static char g_found[PATH_MAX];
static const char *g_id;

static void find_process(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];
	size_t length = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_read(path, SAID_MAX, &text, &length) == 0 &&
		memmem(text, length, g_id, strlen(g_id)))
		snprintf(g_found, sizeof(g_found), "process %d", pid);
}

/* Whatever bears its label, of the kinds that Docker has. */
static void find_labelled(const char *id)
{
	static const char *const lists[][3] = {{"container", "ls", "--all"},
		{"volume", "ls", "--quiet"}, {"image", "ls", "--all"}};
	char filter[128];

	snprintf(filter, sizeof(filter), "--filter=label=corpus.guest=%s", id);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const char *said = DOCKER(lists[i][0], lists[i][1], lists[i][2], "--quiet", filter);

		if (!said || said[0])
			snprintf(g_found, sizeof(g_found), "docker %s: %s", lists[i][0],
				said ? said : "no answer");
	}
}

const char *docker_node_leftovers(const char *id, bool defined)
{
	snprintf(g_found, sizeof(g_found), "cvt%.8s", id + strlen(id) - 8);
	if (if_nametoindex(g_found))
		return g_found;
	g_found[0] = '\0';
	g_id = id;
	keeper_each(find_process);
	if (!g_found[0] && !defined)
		find_labelled(id);
	return g_found[0] ? g_found : NULL;
}
