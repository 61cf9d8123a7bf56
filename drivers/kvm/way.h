/* A way into a guest: by its agent, or by ssh. Over both, a script for the guest's own shell can be
 * run to its end, which is what files, file systems and the preparation of commands are made of. */
#pragma once

#include "drivers/kvm/guest.h"
#include "drivers/kvm/qga.h"
#include "drivers/kvm/ssh.h"

struct err;

enum way_kind { WAY_NONE, WAY_AGENT, WAY_SSH };

struct way {
	enum way_kind kind;
	const struct kvm_guest *guest;
	struct qga qga;
	struct ssh *ssh;
};

/* Opens one into a guest that guest_connect has filled: the agent where it answers, else, or with
 * `by_ssh` at once, ssh. Cleans up first what others have left inside. ERR_ILLEGAL_STATE when it
 * does not run or is frozen; ERR_UNAVAILABLE when there is no way yet, since it has begun a moment
 * ago; ERR_UNSUPPORTED with the reasons when there is none. At most some ten seconds. With
 * CLEANUP(way_close) on a zeroed one. */
int way_open(const struct kvm_guest *guest, bool by_ssh, struct way *ret, struct err *err);
void way_close(struct way *way);

/* So much input at most goes by each. A request of the agent's has to fit into a socket at once:
 * what does not stays where it is until the agent is given up (libvirt 9.0, QEMU 7.2: from some 200
 * KiB of text on). */
#define WAY_INPUT_MAX 1048576
size_t way_input_max(const struct way *way);

struct way_run {
	const char *script;
	const char *const *args; /* $1, $2, …; ends with NULL; NULL: none */
	const void *input;	 /* of its standard input; NULL: it is empty */
	size_t input_size;
	int timeout_ms;
};

struct way_result {
	int status; /* wait status */
	char *output;
	size_t output_size;
};

void way_result_finish(struct way_result *result);

/* Runs a script as root and takes its standard output, at most QGA_OUTPUT_MAX. PATH and LC_ALL are
 * set. That it failed is no error of this function. */
int way_run(struct way *way, const struct way_run *run, struct way_result *ret, struct err *err);

/* The whole text that a guest's shell is given. Allocated; NULL without memory. */
char *way_script(const struct way_run *run);
