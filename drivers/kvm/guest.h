/* One guest for the time of a call: what is kept of it, and its domain; used inside drivers/kvm
 * only. */
#pragma once

#include <libvirt/libvirt.h>

#include "drivers/definition.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/define.h"
#include "drivers/kvm/instance.h"

struct err;

struct kvm_guest {
	struct kvm *kvm;
	struct kvm_paths paths;
	struct definition definition;
	virConnectPtr conn;  /* NULL until guest_connect */
	virDomainPtr domain; /* NULL: libvirt has none of it */
	int state, reason;   /* virDomainState and its reason; 0 without a domain */
};

/* With CLEANUP(guest_finish) on a zeroed one; what follows fills it bit by bit. */
void guest_finish(struct kvm_guest *guest);

/* What is kept of it. ERR_NOT_FOUND. */
int guest_load(struct driver *driver, const char *id, struct kvm_guest *guest, struct err *err);
/* And its domain, and what that is now. Errors as kvm_connect and kvm_domain. */
int guest_connect(struct driver *driver, const char *id, struct kvm_guest *guest, struct err *err);
/* And it is running or frozen: else ERR_ILLEGAL_STATE. */
int guest_running(struct driver *driver, const char *id, struct kvm_guest *guest, struct err *err);

/* What guest_connect does of one that is loaded, by a connection of somebody else. */
int guest_find(struct kvm_guest *guest, virConnectPtr conn, struct err *err);

/* Looks again what the domain is now. */
int guest_look(struct kvm_guest *guest, struct err *err);

/* What a guest is, of one that guest_connect has filled. */
void guest_status(const struct kvm_guest *guest, struct driver_status *ret);
bool guest_is_active(const struct kvm_guest *guest);

/* The machine's process as the node sees it; 0: none, or not on this node. */
pid_t guest_pid(const char *id);

/* By a domain's state and reason, and whether we ended it. */
enum guest_state guest_state_of(int state, int reason);
int guest_exit_status_of(int state, int reason, bool ended_by_us);
