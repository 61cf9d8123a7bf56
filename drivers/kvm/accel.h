/* Whether machines run accelerated by KVM here. That /dev/kvm opens says nothing: where KVM is
 * itself emulated, or half there, a machine is made and then stands still. So it is tried out, by
 * booting something small (boot.S) that does what every ordinary kernel needs, and what came of it
 * is remembered until the host changes. */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Where things are on a host. Tests put others in their place. */
struct accel_host {
	const char *qemu;	 /* the program that guests run in; looked up in PATH */
	const char *accelerator; /* QEMU's name of what is tried: "kvm" */
	const char *device;	 /* /dev/kvm */
	const char *cpuinfo;	 /* /proc/cpuinfo */
	const char *machine_id;	 /* /etc/machine-id */
	const char *user;	 /* who QEMU runs as; NULL: as libvirt would have it */
	unsigned timeout_ms;	 /* how long what is booted may take */
};

extern const struct accel_host accel_this_host;

struct accel_finding {
	bool works;
	char reason[200];  /* why it does not, as part of a sentence; empty when it does */
	int64_t found_ms;  /* when it was tried out, since the epoch; 0: it was not, since one look
			      was enough (nothing to open, no QEMU) */
	bool inconclusive; /* it took too long: tried again when this is some hours old */
};

/* What is so here: looked up in `state_dir` (a file "acceleration"), or else tried out, which takes
 * a tenth of a second where KVM works, accel_this_host.timeout_ms and a little at the most, and
 * leaves nothing behind. Of several at once one tries and the others wait for it. Meant for a
 * process of one thread. Never fails: what cannot be found out does not work, and why is said. */
void accel_find(const struct accel_host *host, const char *state_dir, struct accel_finding *ret);

/* What one look shows: false, with the reason, when there is nothing to try or to try it with. */
bool accel_look(const struct accel_host *host, struct accel_finding *ret);

/* What was found out before, if it is still about this host as it is; false: nothing is known. */
bool accel_recall(const struct accel_host *host, const char *state_dir, struct accel_finding *ret);
