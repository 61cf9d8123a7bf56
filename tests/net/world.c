/* Namespaces, links and sockets for tests of the network. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

static const char *const g_ids[WORLD_GUESTS] = {
	"0123456789a0", "0123456789a1", "0123456789a2", "0123456789a3"};
static const char *const g_names[WORLD_GUESTS] = {
	"dev-app1.example.org", "dev-app2.example.org", "dev-app3.example.net", "web"};

static void enter_namespaces(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", 0, NULL) < 0 ||
		mount("tmpfs", "/mnt", "tmpfs", 0, "mode=0755") < 0) {
		perror("mount");
		_exit(1);
	}
}

int world_main(int (*tests)(void))
{
	int status = 0;
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) < 0) {
		perror("unshare");
		return 1;
	}
	pid = fork();
	if (pid == 0) {
		enter_namespaces();
		status = tests();
		fflush(NULL);
		_exit(status);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 1;
	/* No more processes can be made in a namespace whose first one has ended; a sanitizer would
	 * want one at exit. */
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int new_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	fd = open("/proc/thread-self/ns/net", O_RDONLY); /* inherited by ip(8) */
	if (system("ip link set lo up") != 0)
		return -1;
	return fd;
}

static void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET) < 0)
		fail_msg("setns: %s", strerror(errno));
}

static int node_ns = -1; /* where the test itself is */

static int vrun(int ns, const char *fmt, va_list ap)
{
	char command[1024];
	int status;

	vsnprintf(command, sizeof(command), fmt, ap);
	enter(ns);
	status = system(command);
	enter(node_ns);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void run(const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = vrun(node_ns, fmt, ap);
	va_end(ap);
	if (status != 0)
		fail_msg("%s: exit status %d", fmt, status);
}

void run_in(int ns, const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = vrun(ns, fmt, ap);
	va_end(ap);
	if (status != 0)
		fail_msg("%s: exit status %d", fmt, status);
}

int try_in(int ns, const char *fmt, ...)
{
	va_list ap;
	int status;

	va_start(ap, fmt);
	status = vrun(ns, fmt, ap);
	va_end(ap);
	return status;
}

char *output_of(const char *fmt, ...)
{
	char command[1024];
	char *text = NULL;
	size_t size = 0;
	va_list ap;
	FILE *pipe, *memory = open_memstream(&text, &size);
	int c;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((c = fgetc(pipe)) != EOF)
		fputc(c, memory);
	fclose(memory);
	assert_int_equal(pclose(pipe), 0);
	return text;
}

static void make_links(struct world *world)
{
	run("ip link add up0 type veth peer name eth0 netns /proc/%d/fd/%d", getpid(),
		world->client);
	run("ip addr add 192.0.2.1/24 dev up0 && ip link set up0 up");
	run_in(world->client, "ip addr add 192.0.2.2/24 dev eth0 && ip link set eth0 up");
}

void world_describe(struct world *world)
{
	*world = (struct world){.node = -1, .client = -1};
	for (int i = 0; i < WORLD_GUESTS; i++) {
		world->guest_ns[i] = -1;
		world->guests[i] = (struct net_guest){.id = g_ids[i],
			.name = g_names[i],
			.address = GATEWAY + 1 + (uint32_t)i,
			.mac = {0x00, 0x16, 0x3e, 0, 0, (uint8_t)(2 + i)}};
	}
	world->config = (struct net_config){.bridge = WORLD_BRIDGE,
		.gateway = GATEWAY,
		.prefix = 16,
		.run_dir = world->run_dir,
		.docker_user = true};
}

int world_setup(void **state)
{
	struct world *world = malloc(sizeof(*world));

	*state = world;
	world_describe(world);
	snprintf(world->run_dir, sizeof(world->run_dir), "/mnt/corpus-net-XXXXXX");
	if (!mkdtemp(world->run_dir) || chmod(world->run_dir, 0755) < 0)
		return -1;
	world->client = new_namespace();
	world->node = node_ns = new_namespace();
	if (world->client < 0 || world->node < 0)
		return -1;
	make_links(world);
	assert_ok(net_open(&world->config, &world->net, &err));
	world_apply(world, 0, NULL, 0);
	return 0;
}

int world_teardown(void **state)
{
	struct world *world = *state;

	if (world->net) {
		assert_ok(net_teardown(world->net, &err));
		net_close(world->net);
	}
	close(world->node);
	close(world->client);
	for (int i = 0; i < WORLD_GUESTS; i++)
		fd_close(world->guest_ns[i]);
	file_remove_tree(world->run_dir);
	free(world);
	return 0;
}

void world_add_guest(struct world *world, int i, bool address)
{
	const struct net_guest *guest = &world->guests[i];
	const uint8_t *mac = guest->mac;
	char link[NET_LINK_NAME_MAX + 1];
	int ns;

	link_name(guest->id, link);
	if (world->guest_ns[i] < 0) {
		world->guest_ns[i] = new_namespace();
		enter(node_ns);
	}
	ns = world->guest_ns[i];
	run("ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d", link, getpid(), ns);
	run("ip link set %s master %s up", link, WORLD_BRIDGE);
	run_in(ns, "ip link set eth0 address %02x:%02x:%02x:%02x:%02x:%02x up", mac[0], mac[1],
		mac[2], mac[3], mac[4], mac[5]);
	if (address)
		run_in(ns, "ip addr add 10.5.0.%d/16 dev eth0 && ip route add default via 10.5.0.1",
			(int)(guest->address & 0xff));
}

unsigned world_apply(
	struct world *world, size_t guests, const struct net_port *ports, size_t ports_count)
{
	unsigned changes = 0;

	assert_ok(net_apply(world->net, world->guests, guests, ports, ports_count, &changes, &err));
	return changes;
}

void limit_ms(int fd, int ms)
{
	struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

static struct sockaddr_in socket_address(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

static int socket_in(int ns, int type)
{
	int fd;

	enter(ns);
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	enter(node_ns);
	assert_true(fd >= 0);
	limit_ms(fd, WAIT_MS);
	return fd;
}

int listen_in(int ns, int type, uint32_t address, uint16_t port)
{
	struct sockaddr_in at = socket_address(address, port);
	int fd = socket_in(ns, type), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 64), 0);
	return fd;
}

int connect_in(int ns, int type, uint32_t address, uint16_t port)
{
	struct sockaddr_in to = socket_address(address, port);
	int fd = socket_in(ns, type);

	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int accept_on(int fd)
{
	int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (connection < 0)
		return -errno;
	limit_ms(connection, WAIT_MS);
	return connection;
}

void assert_talks(int from, int to)
{
	char word[5] = "";

	assert_int_equal(send(from, "word", 4, MSG_NOSIGNAL), 4);
	assert_int_equal(recv(to, word, 4, MSG_WAITALL), 4);
	assert_string_equal(word, "word");
}

bool reaches(int ns, uint32_t address, uint16_t port, int listener)
{
	AUTOCLOSE int fd = connect_in(ns, SOCK_STREAM, address, port);
	AUTOCLOSE int connection = -1;

	if (fd < 0)
		return false;
	limit_ms(listener, WAIT_MS); /* it is connected to already */
	connection = accept_on(listener);
	if (connection < 0)
		return false;
	assert_talks(fd, connection);
	assert_talks(connection, fd);
	return true;
}

bool udp_reaches_within(int client, int server, int ms)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	char word[16];

	if (send(client, "ask", 3, 0) != 3)
		return false;
	limit_ms(server, ms);
	if (recvfrom(server, word, sizeof(word), 0, (struct sockaddr *)&from, &size) != 3)
		return false;
	if (sendto(server, "answer", 6, 0, (struct sockaddr *)&from, size) != 6)
		return false;
	return recv(client, word, sizeof(word), 0) == 6;
}

bool udp_reaches(int client, int server)
{
	return udp_reaches_within(client, server, WAIT_MS);
}
