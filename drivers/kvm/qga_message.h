/* What is said to QEMU's guest agent and what it answers, as texts of JSON. Pure: nothing is sent
 * here. The agent is in the guest's hands, so an answer may be anything: whatever is not exactly
 * what was asked for is ERR_DRIVER.
 *
 * The commands are those of QEMU's "QEMU Guest Agent Protocol Reference". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* What an answer may hold, decoded: more than is ever asked for, and less than what libvirt lets
 * through (4 MiB of text). */
#define QGA_OUTPUT_MAX (3U << 20)

/* What a request may hold: its text has to fit into a socket's buffer at once. */
#define QGA_INPUT_MAX 98304U

/* A process to start in the guest. */
struct qga_exec {
	const char *const *argv; /* ends with NULL; argv[0] is a path */
	const void *input;	 /* what its standard input gives; NULL: it has none */
	size_t input_size;
	bool capture; /* its standard output comes with its status */
};

/* What has become of one. */
struct qga_status {
	bool exited;
	int status; /* wait status */
	char *output;
	size_t output_size;
	bool truncated; /* the agent did not keep all of it */
};

void qga_status_finish(struct qga_status *status);

/* Allocated; NULL when memory ran out. */
char *qga_request(const char *command);
char *qga_request_exec(const struct qga_exec *exec);
char *qga_request_status(int64_t pid);

/* The answer to guest-exec. */
int qga_parse_pid(const char *text, int64_t *ret, struct err *err);
/* To guest-exec-status; released by qga_status_finish when it succeeds. */
int qga_parse_status(const char *text, struct qga_status *ret, struct err *err);
/* To guest-info: whether it does that command; ERR_UNSUPPORTED when it is switched off. */
int qga_parse_can(const char *text, const char *command, struct err *err);
/* To what answers with a number. */
int qga_parse_number(const char *text, int64_t *ret, struct err *err);
/* To guest-fstrim: ERR_UNSUPPORTED when none of its file systems could be trimmed. */
int qga_parse_trim(const char *text, struct err *err);
