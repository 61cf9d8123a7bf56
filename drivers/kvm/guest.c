/* One guest for the time of a call. */
#include "drivers/kvm/guest.h"

#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

void guest_finish(struct kvm_guest *g)
{
	definition_finish(&g->definition);
	if (g->domain)
		virDomainFree(g->domain);
	if (g->conn)
		virConnectClose(g->conn);
	g->domain = NULL;
	g->conn = NULL;
}

int guest_load(struct driver *d, const char *id, struct kvm_guest *g, struct err *err)
{
	int r;

	g->kvm = (struct kvm *)d;
	r = kvm_paths(g->kvm, id, &g->paths, err);
	return r < 0 ? r : definition_load(g->paths.definition, KVM_TITLE, id, &g->definition, err);
}

int guest_look(struct kvm_guest *g, struct err *err)
{
	g->state = g->reason = 0;
	if (!g->domain || virDomainGetState(g->domain, &g->state, &g->reason, 0) == 0)
		return 0;
	/* Not defined but only started, it goes with its end. */
	if (connect_errnum() == VIR_ERR_NO_DOMAIN) {
		virDomainFree(TAKE_PTR(g->domain));
		return 0;
	}
	return connect_error(err, "cannot look at guest %s", g->definition.guest.id);
}

int guest_find(struct kvm_guest *g, virConnectPtr conn, struct err *err)
{
	int r = kvm_domain(conn, g->definition.guest.id, &g->domain, err);

	return r == 0 ? guest_look(g, err) : r;
}

int guest_connect(struct driver *d, const char *id, struct kvm_guest *g, struct err *err)
{
	int r = guest_load(d, id, g, err);

	if (r == 0)
		r = kvm_connect(g->kvm, &g->conn, err);
	return r == 0 ? guest_find(g, g->conn, err) : r;
}

bool guest_is_active(const struct kvm_guest *g)
{
	return g->domain && g->state != VIR_DOMAIN_SHUTOFF && g->state != VIR_DOMAIN_CRASHED;
}

int guest_running(struct driver *d, const char *id, struct kvm_guest *g, struct err *err)
{
	int r = guest_connect(d, id, g, err);

	if (r == 0 && !guest_is_active(g))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return r;
}

/* --- What it is ------------------------------------------------------------------------------ */

enum guest_state guest_state_of(int state, int reason)
{
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
	case VIR_DOMAIN_PMSUSPENDED: /* asleep by its own will: something will wake it */
		return GUEST_RUNNING;
	case VIR_DOMAIN_PAUSED:
		return reason == VIR_DOMAIN_PAUSED_STARTING_UP	   ? GUEST_STARTING
		       : reason == VIR_DOMAIN_PAUSED_SHUTTING_DOWN ? GUEST_STOPPING
								   : GUEST_FROZEN;
	case VIR_DOMAIN_SHUTDOWN: return GUEST_STOPPING;
	default: return GUEST_STOPPED;
	}
}

#define ENDED_WELL  0	     /* as wait(2) has it */
#define ENDED_BADLY (1 << 8) /* with status 1 */

int guest_exit_status_of(int state, int reason, bool ended_by_us)
{
	if (state == VIR_DOMAIN_CRASHED)
		return ENDED_BADLY;
	if (state != VIR_DOMAIN_SHUTOFF || ended_by_us)
		return -1;
	switch (reason) {
	case VIR_DOMAIN_SHUTOFF_SHUTDOWN: return ENDED_WELL;
	case VIR_DOMAIN_SHUTOFF_CRASHED:
	case VIR_DOMAIN_SHUTOFF_FAILED:
	case VIR_DOMAIN_SHUTOFF_DAEMON: return ENDED_BADLY;
	default: return -1;
	}
}

#define PID_FILES   "/run/libvirt/qemu"
#define CMDLINE_MAX (1 << 20)

/* Its command line begins "… -name guest=corpus-ID,": a pid may have passed to another process. */
static bool is_machine(pid_t pid, const char *id)
{
	AUTOFREE char *text = NULL;
	char path[64], want[64];
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	snprintf(want, sizeof(want), "guest=" KVM_NAME_PREFIX "%s", id);
	return file_read(path, CMDLINE_MAX, &text, &size) == 0 &&
	       memmem(text, size, want, strlen(want));
}

pid_t guest_pid(const char *id)
{
	AUTOFREE char *text = NULL;
	char path[PATH_MAX];
	pid_t pid;

	if (file_path(path, sizeof(path), PID_FILES "/" KVM_NAME_PREFIX "%s.pid", id) < 0 ||
		file_read(path, 64, &text, NULL) < 0)
		return 0;
	pid = atoi(text);
	return pid > 1 && is_machine(pid, id) ? pid : 0;
}

void guest_status(const struct kvm_guest *g, struct driver_status *ret)
{
	const char *id = g->definition.guest.id;
	bool ours = access(g->paths.ended, F_OK) == 0;

	*ret = (struct driver_status){.state = guest_state_of(g->state, g->reason),
		.pid = guest_is_active(g) ? guest_pid(id) : 0,
		.exit_status = guest_exit_status_of(g->state, g->reason, ours)};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
}
