/* QEMU's guest agent, asked through libvirt: is it there, and processes in the guest. (What
 * corpusd's own agent is has nothing to do with it.) */
#pragma once

#include "drivers/kvm/qga_message.h"

struct err;

/* Who is asked. */
struct qga {
	/* Returns an answer, allocated, or NULL with *err filled: ERR_UNAVAILABLE when no agent, or
	 * nobody on the way to it, answers; ERR_DRIVER when it says no. */
	char *(*ask)(void *data, const char *request, int timeout_s, struct err *err);
	void *data;
};

/* The agent of a domain (virDomainPtr), which has to live as long. */
struct qga qga_of_domain(void *domain);

/* Whether it is there, and does that command. At most some seconds. */
int qga_can(const struct qga *qga, const char *command, struct err *err);

/* A command that answers with nothing of interest. */
int qga_tell(const struct qga *qga, const char *command, int timeout_s, struct err *err);

/* Starts a process in the guest. ERR_INVALID for arguments that are not UTF-8. */
int qga_start(
	const struct qga *qga, const struct qga_exec *exec, int64_t *ret_pid, struct err *err);

/* Looks after one. What has ended is told once. */
int qga_look(const struct qga *qga, int64_t pid, struct qga_status *ret, struct err *err);

/* Runs one to its end; ERR_TIMEOUT when it takes longer. */
int qga_run(const struct qga *qga, const struct qga_exec *exec, int timeout_ms,
	struct qga_status *ret, struct err *err);
