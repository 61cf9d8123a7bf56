/* A guest by ssh: as root, with the node's own key.
 *
 * Who answers is not asked for a host key. What the connection leads to is the guest's address on
 * the node's own bridge, and nothing but the guest can have it: its link may send from that address
 * only, ARP included, and nothing comes in from outside with it (docs/network.md). A key would have
 * to be believed at the first sight anyway, and would be another one after each restore or clone.
 * What is said to the guest is nothing that it must not know. */
#pragma once

#include <libssh2.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct ssh;

/* Connects and logs in. ERR_UNAVAILABLE, saying which of the two could not be done. At most some
 * seconds. `address` in host byte order, `key` a file as OpenSSH writes it. */
int ssh_open(uint32_t address, const char *key, struct ssh **ret, struct err *err);
void ssh_close(struct ssh *ssh); /* NULL is nothing */

/* For those who go on by themselves. */
LIBSSH2_SESSION *ssh_session(struct ssh *ssh);
int ssh_fd(const struct ssh *ssh);

/* A new channel; NULL with *err filled. */
LIBSSH2_CHANNEL *ssh_channel(struct ssh *ssh, struct err *err);
/* What the library complained of last: ERR_UNAVAILABLE, "cannot …: its words". */
int ssh_error(struct ssh *ssh, struct err *err, const char *what);
/* The wait status of a channel that is closed. */
int ssh_status(LIBSSH2_CHANNEL *channel);

struct ssh_run {
	const char *command;
	const void *input;
	size_t input_size;
	int timeout_ms;
	size_t output_max;
};

/* Runs a command to its end. `*ret_output` is allocated, with a NUL behind it. ERR_TIMEOUT,
 * ERR_TOO_LARGE, ERR_UNAVAILABLE. */
int ssh_run(struct ssh *ssh, const struct ssh_run *run, int *ret_status, char **ret_output,
	size_t *ret_size, struct err *err);
