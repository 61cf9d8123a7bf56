/* An instance of the KVM driver, and where it keeps what; used inside drivers/kvm only. */
#pragma once

#include <limits.h>

#include "drivers/dirs.h"
#include "drivers/driver.h"

struct err;
struct remote;

/* What is at the other end of the endpoint. */
enum kvm_type {
	KVM_QEMU, /* with hardware acceleration or without it */
	KVM_XEN,
	KVM_TEST, /* libvirt's own pretence, for tests */
};

struct kvm {
	struct driver driver; /* first */
	/* state: ID/guest.json; more of the driver's own beside them. run: ID/, what belongs to a
	 * run; ID.ended: it was us who ended it. log: ID.console, rotated by virtlogd to .0, .1, …
	 */
	struct dirs dirs;
	char *uri;
	char *ssh_key; /* NULL: the node has none */
	enum kvm_type type;
	struct remote *watcher; /* NULL: nobody asked for it */
};

/* Paths of one guest. */
struct kvm_paths {
	char state[PATH_MAX]; /* directory */
	char definition[PATH_MAX];
	char run[PATH_MAX]; /* directory */
	char ended[PATH_MAX];
	char console_socket[PATH_MAX]; /* its serial line: one peer at a time */
	char console[PATH_MAX];	       /* all that came out of it */
};

/* ERR_INVALID for an id that cannot be ours. */
int kvm_paths(const struct kvm *kvm, const char *id, struct kvm_paths *paths, struct err *err);
