/* Ending machines. QEMU is told to end by us, and libvirt sees to the rest: that way one that hears
 * nothing is gone in seconds, for which libvirt takes ten. */
#include "drivers/kvm/stop.h"

#include <errno.h>
#include <libvirt/virterror.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/kvm/remains.h"

/* A guest that is still booting misses the first time; one that is on its way down is not
 * disturbed. */
#define ASK_AGAIN_MS	  500
#define ASK_AGAIN_MOST_MS 8000
#define LOOK_MS		  50
#define TERM_MS		  2000 /* QEMU writes what it still holds of a disk's tables */

int stop_mark(const struct kvm_guest *g, struct err *err)
{
	int r = file_replace(g->paths.ended, "", 0600, false);

	return r < 0 ? err_errno(err, r, "cannot write %s", g->paths.ended) : 0;
}

void stop_unmark(const struct kvm_guest *g)
{
	unlink(g->paths.ended);
}

int stop_clear(const struct kvm_guest *g, struct err *err)
{
	int r = file_remove_tree(g->paths.run);

	if (g->kvm->type == KVM_QEMU)
		remains_remove_groups(g->definition.guest.id);
	return r < 0 ? err_errno(err, r, "cannot remove %s", g->paths.run) : 0;
}

/* --- Asking ------------------------------------------------------------------------------------
 */

/* By the guest agent where it is at work, and in any case by the power button. */
static void ask(const struct kvm_guest *g, bool first)
{
	if (g->kvm->type != KVM_QEMU)
		virDomainShutdown(g->domain);
	else if (!first || virDomainShutdownFlags(g->domain, VIR_DOMAIN_SHUTDOWN_GUEST_AGENT) < 0)
		virDomainShutdownFlags(g->domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

static void wait_ms(int pidfd, int64_t ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	poll(&p, pidfd >= 0 ? 1 : 0, ms > INT_MAX ? INT_MAX : (int)ms);
}

static bool is_over(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd >= 0 && poll(&p, 1, 0) == 1;
}

/* Waits for a piece of time, less when QEMU ends; libvirt then needs a moment. */
static int wait_and_look(struct kvm_guest *g, int pidfd, int64_t ms, struct err *err)
{
	if (pidfd >= 0 && !is_over(pidfd))
		wait_ms(pidfd, ms);
	else
		wait_ms(-1, ms < LOOK_MS ? ms : LOOK_MS);
	return guest_look(g, err);
}

static int64_t ms_until(int64_t end_ns)
{
	return (end_ns - clock_monotonic_ns() + 999999) / 1000000;
}

/* Until it has ended, or time is up. */
static int ask_and_wait(struct kvm_guest *g, int pidfd, uint64_t timeout_ms, struct err *err)
{
	int64_t end = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000, again = 0;
	int64_t pause = ASK_AGAIN_MS;
	bool first = true;

	while (guest_is_active(g) && ms_until(end) > 0) {
		int64_t left;
		int r;

		if (ms_until(again) <= 0) {
			ask(g, first);
			fault_point("driver.kvm.stop.asked");
			first = false;
			again = clock_monotonic_ns() + pause * INT64_C(1000000);
			pause = pause * 2 < ASK_AGAIN_MOST_MS ? pause * 2 : ASK_AGAIN_MOST_MS;
		}
		left = ms_until(end) < ms_until(again) ? ms_until(end) : ms_until(again);
		r = wait_and_look(g, pidfd, left, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- Ending ------------------------------------------------------------------------------------
 */

static void end_process(int pidfd, enum stop_how how)
{
	if (how == STOP_WRITE) {
		process_signal(pidfd, SIGTERM);
		if (pidfd >= 0)
			wait_ms(pidfd, TERM_MS);
	}
	if (!is_over(pidfd))
		process_signal(pidfd, SIGKILL);
}

static int destroy(struct kvm_guest *g, int pidfd, enum stop_how how, struct err *err)
{
	int r = 0;

	end_process(pidfd, how);
	fault_point("driver.kvm.stop.killed");
	if (virDomainDestroy(g->domain) < 0)
		r = connect_error(err, "cannot end guest %s", g->definition.guest.id);
	if (guest_look(g, r < 0 ? NULL : err) < 0)
		return r < 0 ? r : -EIO;
	/* It may have ended by itself a moment before. */
	return guest_is_active(g) ? r : 0;
}

/* Our libvirt may be somebody else's machine: its processes are none of ours then. */
static int open_process(const struct kvm_guest *g)
{
	const char *id = g->definition.guest.id;
	pid_t pid = g->kvm->type == KVM_QEMU ? guest_pid(id) : 0;
	AUTOCLOSE int fd = pid > 0 ? process_pidfd(pid) : -1;

	return fd >= 0 && guest_pid(id) == pid ? TAKE_FD(fd) : -1;
}

int kvm_guest_end(struct kvm_guest *g, enum stop_how how, uint64_t timeout_ms, struct err *err)
{
	AUTOCLOSE int pidfd = guest_is_active(g) ? open_process(g) : -1;
	int r = 0;

	if (!guest_is_active(g))
		return stop_clear(g, err);
	r = stop_mark(g, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.stop.marked");
	if (timeout_ms > 0) {
		/* Frozen ones hear nothing. */
		if (g->state == VIR_DOMAIN_PAUSED)
			virDomainResume(g->domain);
		r = ask_and_wait(g, pidfd, timeout_ms, err);
	}
	if (r == 0 && guest_is_active(g))
		r = destroy(g, pidfd, how, err);
	fault_point("driver.kvm.stop.ended");
	return r == 0 ? stop_clear(g, err) : r;
}

/* --- Forgetting --------------------------------------------------------------------------------
 */

int stop_undefine(struct kvm_guest *g, struct err *err)
{
	const char *id = g->definition.guest.id;

	/* Not all that libvirt drives has all of this to forget. */
	if (g->domain && virDomainUndefineFlags(g->domain, STOP_FORGET) < 0 &&
		virDomainUndefine(g->domain) < 0 && connect_errnum() != VIR_ERR_NO_DOMAIN)
		return connect_error(err, "cannot remove the domain of guest %s", id);
	if (g->kvm->type == KVM_QEMU)
		remains_remove_logs(id);
	return 0;
}
