/* Loading a ruleset given as text. */
#include "net/nft_load.h"

#include <errno.h>
#include <nftables/libnftables.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

#define LOAD_MS	 10000
#define TEXT_MAX 200 /* of what the library says: the first line tells */

/* In the child. Fork leaves one thread, with whatever locks others held; glibc sees to those of
 * malloc and stdio, which is what the library uses. Should it hang all the same, there is the
 * parent's deadline. */
static void child_load(const char *text, int report)
{
	const struct rlimit no_core = {0, 0};
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	const char *said;

	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	if (!nft)
		_exit(1);
	nft_ctx_buffer_error(nft);
	if (nft_run_cmd_from_buffer(nft, text) == 0)
		_exit(0);
	said = nft_ctx_get_error_buffer(nft);
	if (write(report, said, strcspn(said, "\n")) < 0)
		_exit(2);
	_exit(1);
}

/* Reads what the child says until it ends. False at the deadline. */
static bool hear(int fd, char said[static TEXT_MAX + 1])
{
	int64_t deadline = clock_monotonic_ns() + INT64_C(1000000) * LOAD_MS;
	size_t used = 0;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - clock_monotonic_ns();
		ssize_t n;

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)(left / 1000000) + 1) <= 0)
			continue;
		n = read(fd, said + used, TEXT_MAX - used);
		if (n <= 0)
			return true;
		used += (size_t)n;
		said[used] = '\0';
	}
}

static int judge(int status, const char *said, struct err *err)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFSIGNALED(status))
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"loading the firewall rules was ended by signal %d", WTERMSIG(status));
	return err_set(err, ERR_UNSUPPORTED, NULL,
		"the kernel refuses the firewall rules: nf_tables with NAT, fib and the bridge "
		"family is needed (%s)",
		said);
}

int nft_load(const char *text, struct err *err)
{
	AUTOCLOSE int read_end = -1, write_end = -1;
	char said[TEXT_MAX + 1] = "";
	int status = 0, r = file_pipe(&read_end, &write_end, 0);
	bool ended;
	pid_t pid;

	if (r < 0)
		return err_errno(err, r, "cannot load the firewall rules");
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot load the firewall rules");
	if (pid == 0)
		child_load(text, write_end);
	write_end = fd_close(write_end);
	ended = hear(read_end, said);
	if (!ended)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return ended ? judge(status, said, err)
		     : err_set(err, ERR_TIMEOUT, NULL, "loading the firewall rules takes too long");
}
