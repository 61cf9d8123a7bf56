/* Guests by ssh. Connecting, logging in and short commands block, with a deadline; what goes on for
 * long (exec_ssh.c) does not. */
#include "drivers/kvm/ssh.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define PORT	   22
#define CONNECT_MS 3000
#define LOGIN_MS   6000 /* an emulated processor takes its time with keys */
#define PART	   32768

struct ssh {
	int fd;
	LIBSSH2_SESSION *session;
};

/* --- Connecting ------------------------------------------------------------------------------ */

/* A guest that was killed says no goodbye, and one that is frozen for an hour is not gone: it is
 * asked every minute, and given two hours. */
static void keep_alive(int fd)
{
	int on = 1, seconds = 60, times = 120;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof(seconds));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof(times));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* A negative errno when nobody answers. */
static int connect_to(uint32_t address)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(PORT),
		.sin_addr = {.s_addr = htonl(address)}};
	AUTOCLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t size = sizeof(int);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, CONNECT_MS) != 1)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error)
		return error ? -error : -errno;
	keep_alive(fd);
	return TAKE_FD(fd);
}

int ssh_error(struct ssh *ssh, struct err *err, const char *what)
{
	char *words = NULL;
	bool late =
		libssh2_session_last_error(ssh->session, &words, NULL, 0) == LIBSSH2_ERROR_TIMEOUT;

	return err_set(err, late ? ERR_TIMEOUT : ERR_UNAVAILABLE, NULL, "%s: %s", what,
		words && *words ? words : "ssh does not say why");
}

static int log_in(struct ssh *ssh, const char *key, struct err *err)
{
	libssh2_session_set_blocking(ssh->session, 1);
	libssh2_session_set_timeout(ssh->session, LOGIN_MS);
	if (libssh2_session_handshake(ssh->session, ssh->fd) != 0)
		return ssh_error(ssh, err, "what answers there does not speak ssh with us");
	if (libssh2_userauth_publickey_fromfile(ssh->session, "root", NULL, key, NULL) != 0)
		return ssh_error(ssh, err, "it does not let in root with the node's key");
	return 0;
}

int ssh_open(uint32_t address, const char *key, struct ssh **ret, struct err *err)
{
	struct ssh *ssh = calloc(1, sizeof(*ssh));
	int r;

	if (!ssh)
		return err_errno(err, ENOMEM, "no memory for ssh");
	ssh->fd = connect_to(address);
	r = ssh->fd < 0 ? err_set(err, ERR_UNAVAILABLE, NULL, "nothing answers at %s: %s",
				  FMT_IPV4(address), strerrordesc_np(-ssh->fd))
			: 0;
	if (r == 0)
		ssh->session = libssh2_session_init();
	if (r == 0)
		r = ssh->session ? log_in(ssh, key, err)
				 : err_errno(err, ENOMEM, "no memory for ssh");
	if (r < 0) {
		ssh_close(ssh);
		return r;
	}
	*ret = ssh;
	return 0;
}

void ssh_close(struct ssh *ssh)
{
	if (!ssh)
		return;
	/* Says goodbye, but waits for nobody. */
	if (ssh->session) {
		libssh2_session_set_blocking(ssh->session, 0);
		libssh2_session_disconnect(ssh->session, "done");
		libssh2_session_free(ssh->session);
	}
	fd_close(ssh->fd);
	free(ssh);
}

LIBSSH2_SESSION *ssh_session(struct ssh *ssh)
{
	return ssh->session;
}

int ssh_fd(const struct ssh *ssh)
{
	return ssh->fd;
}

/* --- Channels -------------------------------------------------------------------------------- */

LIBSSH2_CHANNEL *ssh_channel(struct ssh *ssh, struct err *err)
{
	LIBSSH2_CHANNEL *channel = libssh2_channel_open_session(ssh->session);

	if (!channel)
		ssh_error(ssh, err, "the guest opens no channel");
	return channel;
}

/* By the name of its signal, as RFC 4254 (6.10) has them: without "SIG". */
static int signal_of(const char *name)
{
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return SIGKILL;
}

int ssh_status(LIBSSH2_CHANNEL *channel)
{
	char *name = NULL;

	if (libssh2_channel_get_exit_signal(channel, &name, NULL, NULL, NULL, NULL, NULL) == 0 &&
		name) {
		int status = W_EXITCODE(0, signal_of(name));

		free(name); /* by the allocator of the session, which is malloc */
		return status;
	}
	return W_EXITCODE(libssh2_channel_get_exit_status(channel) & 0xff, 0);
}

static int send_input(
	struct ssh *ssh, LIBSSH2_CHANNEL *channel, const struct ssh_run *run, struct err *err)
{
	for (size_t done = 0; done < run->input_size;) {
		ssize_t n = libssh2_channel_write(
			channel, (const char *)run->input + done, run->input_size - done);

		if (n < 0 && libssh2_channel_eof(channel))
			return 0; /* it wants no more */
		if (n < 0)
			return ssh_error(ssh, err, "the guest does not take what it is given");
		done += (size_t)n;
	}
	libssh2_channel_send_eof(channel);
	return 0;
}

static int take_output(
	struct ssh *ssh, LIBSSH2_CHANNEL *channel, size_t max, struct strbuf *ret, struct err *err)
{
	AUTOFREE char *part = malloc(PART);
	ssize_t n;

	if (!part)
		return err_errno(err, ENOMEM, "no memory for what the guest says");
	while ((n = libssh2_channel_read(channel, part, PART)) > 0) {
		if (ret->used + (size_t)n > max)
			return err_set(
				err, ERR_TOO_LARGE, NULL, "the guest says more than was asked for");
		strbuf_add_bytes(ret, part, (size_t)n);
	}
	if (n < 0)
		return ssh_error(ssh, err, "the guest does not answer");
	return 0;
}

static int talk(struct ssh *ssh, LIBSSH2_CHANNEL *channel, const struct ssh_run *run,
	struct strbuf *ret, struct err *err)
{
	int r;

	libssh2_channel_handle_extended_data2(channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE);
	if (libssh2_channel_exec(channel, run->command) != 0)
		return ssh_error(ssh, err, "the guest runs nothing");
	r = send_input(ssh, channel, run, err);
	if (r == 0)
		r = take_output(ssh, channel, run->output_max, ret, err);
	if (r == 0 && libssh2_channel_close(channel) != 0)
		return ssh_error(ssh, err, "the guest does not end it");
	return r;
}

int ssh_run(struct ssh *ssh, const struct ssh_run *run, int *ret_status, char **ret_output,
	size_t *ret_size, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf output = {0};
	LIBSSH2_CHANNEL *channel;
	int r;

	libssh2_session_set_blocking(ssh->session, 1);
	libssh2_session_set_timeout(ssh->session, run->timeout_ms);
	channel = ssh_channel(ssh, err);
	if (!channel)
		return -EIO;
	r = talk(ssh, channel, run, &output, err);
	if (r == 0) {
		*ret_status = ssh_status(channel);
		*ret_size = output.used;
		*ret_output = output.used ? strbuf_take(&output) : strdup("");
	}
	libssh2_channel_free(channel);
	return r < 0 || *ret_output ? r : err_errno(err, ENOMEM, "no memory for what it says");
}
