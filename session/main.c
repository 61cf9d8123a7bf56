/* corpus-session SOCKET: holds one command in a guest, or one connection with a guest's console,
 * and serves its clients. corpusd starts it, with their common socket as stdin; it outlives
 * corpusd, which finds it again at SOCKET. One thread, one poll, bounded memory. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/packet.h"
#include "session/session.h"

#define MS INT64_C(1000000)

static int64_t now_ms(void)
{
	return clock_monotonic_ns() / MS;
}

static int listen_at(struct session *s, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	s->path = path;
	s->id = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	s->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->listener < 0)
		return -errno;
	umask(0177);
	if (bind(s->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(s->listener, 4) < 0)
		return -errno;
	return 0;
}

/* --- One turn of the loop -------------------------------------------------------------------- */

enum { AT_LISTENER, AT_AGENT, AT_STATUS, AT_IN, AT_OUT, AT_ERR, AT_CLIENTS };

static void watch(struct pollfd *p, int fd, short events)
{
	*p = (struct pollfd){.fd = events || fd >= 0 ? fd : -1, .events = events};
}

static void watch_command(const struct session *s, struct pollfd p[])
{
	const struct command *c = &s->command;
	bool room = session_may_read(s);

	watch(&p[AT_STATUS], c->status, POLLIN);
	watch(&p[AT_IN], command_has_input(c) ? c->in : -1, POLLOUT);
	watch(&p[AT_OUT], room && !c->deserted ? c->out : -1, POLLIN);
	watch(&p[AT_ERR], room ? c->err : -1, POLLIN);
}

static void collect(const struct session *s, struct pollfd p[])
{
	watch(&p[AT_LISTENER], s->listener, POLLIN);
	watch(&p[AT_AGENT], s->agent, (short)(POLLIN | (s->untold ? POLLOUT : 0)));
	watch_command(s, p);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = &s->clients[i];
		short events = 0;

		if (client->fd >= 0 && client_wants_to_send(client, &s->ring))
			events |= POLLOUT;
		if (client->fd >= 0 && session_may_hear(s, client))
			events |= POLLIN;
		watch(&p[AT_CLIENTS + i], client->fd, events);
	}
}

static void accept_agent(struct session *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid())
		fd_close(fd);
	else
		session_agent_came(s, fd);
}

/* Its last words may still be there when it is gone. */
static void hear_out(struct session *s, struct client *client)
{
	while (client->fd >= 0 && session_may_hear(s, client))
		session_hear(s, client);
	if (client->fd >= 0)
		session_client_gone(s, client);
}

static void serve_clients(struct session *s, const struct pollfd p[])
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		short came = p[AT_CLIENTS + i].revents;

		/* A place that was free when they were collected may have been taken since. */
		if (p[AT_CLIENTS + i].fd < 0 || p[AT_CLIENTS + i].fd != s->clients[i].fd)
			continue;
		if (came & (POLLHUP | POLLERR))
			hear_out(s, &s->clients[i]);
		else if (came & POLLIN)
			session_hear(s, &s->clients[i]);
	}
}

static void serve_command(struct session *s, const struct pollfd p[])
{
	if (p[AT_IN].revents)
		command_flush_input(&s->command);
	if (p[AT_OUT].revents && s->command.out >= 0)
		session_read(s, &s->command.out, FRAME_STDOUT);
	if (p[AT_ERR].revents && s->command.err >= 0 && session_may_read(s))
		session_read(s, &s->command.err, FRAME_STDERR);
	if (p[AT_STATUS].revents)
		session_exited(s, now_ms());
}

static void turn(struct session *s)
{
	struct pollfd p[AT_CLIENTS + CLIENTS_MAX];
	int64_t next = session_next_ms(s), wait = -1;

	collect(s, p);
	if (next >= 0) {
		wait = next - now_ms();
		wait = wait < 0 ? 0 : wait > 60000 ? 60000 : wait;
	}
	if (poll(p, ARRAY_SIZE(p), (int)wait) < 0)
		return;
	serve_command(s, p);
	serve_clients(s, p);
	if (p[AT_AGENT].fd == s->agent && p[AT_AGENT].revents & (POLLIN | POLLHUP | POLLERR))
		session_agent_says(s, now_ms());
	if (p[AT_LISTENER].revents)
		accept_agent(s);
	session_timers(s, now_ms());
	session_flush(s);
}

/* --- Life ------------------------------------------------------------------------------------ */

static struct session session = {.agent = STDIN_FILENO, .listener = -1};
static volatile sig_atomic_t told_to_end;

static void on_end(int number)
{
	(void)number;
	told_to_end = 1;
}

static void set_signals(void)
{
	struct sigaction end = {.sa_handler = on_end};

	sigaction(SIGTERM, &end, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
}

int main(int argc, char **argv)
{
	if (argc != 2 || !packet_is_socket(STDIN_FILENO)) {
		fputs("corpus-session is started by corpusd\n", stderr);
		return 2;
	}
	set_signals();
	session_init(&session);
	if (listen_at(&session, argv[1]) < 0 || session_start(&session, now_ms()) < 0) {
		unlink(argv[1]);
		return 1;
	}
	while (!session_is_over(&session, now_ms())) {
		if (told_to_end) {
			told_to_end = 0;
			session_end(&session, now_ms());
		}
		turn(&session);
	}
	unlink(argv[1]);
	return 0;
}
