/* Starting machines: what has to be so on the host, what libvirt is told, and what it means when it
 * fails. */
#include "drivers/kvm/start.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libvirt/virterror.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/parse.h"
#include "drivers/addition.h"
#include "drivers/kvm/limits.h"
#include "drivers/kvm/owner.h"
#include "drivers/kvm/probe.h"
#include "drivers/kvm/save.h"
#include "drivers/kvm/stop.h"
#include "drivers/kvm/update.h"
#include "drivers/kvm/xml.h"

/* --- What has to be so -------------------------------------------------------------------------
 */

int start_check(const struct driver_guest *g, struct err *err)
{
	CLEANUP(additions_finish) struct additions raw = {0};
	struct limits_host host;
	int r = define_check(g, err);

	if (r == 0)
		r = limits_host(&host, err);
	if (r == 0)
		r = limits_check(&g->limits, &host, err);
	if (r == 0)
		r = additions_add_raw(&raw, g->raw, err);
	return r == 0 && raw.count ? xml_check(&raw.list[0], err) : r;
}

#define MEMINFO_MAX 16384

/* In KiB, of proc(5). */
static uint64_t meminfo(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	uint64_t kib = 0;

	return at && sscanf(at + strlen(key), ": %" SCNu64, &kib) == 1 ? kib : 0;
}

/* Where memory is short a machine starts, and is killed later: or another one is in its stead. */
static int check_memory(uint64_t kib, struct err *err)
{
	AUTOFREE char *text = NULL;
	uint64_t free_kib;

	if (file_read("/proc/meminfo", MEMINFO_MAX, &text, NULL) < 0)
		return 0;
	free_kib = meminfo(text, "MemAvailable") + meminfo(text, "SwapFree");
	if (kib <= free_kib)
		return 0;
	return err_set(err, ERR_NO_ROOM, "limits.memory",
		"the machine needs %s of memory, and the node has only %s free",
		FMT_SIZE(kib * 1024), FMT_SIZE(free_kib * 1024));
}

static int check_node(const struct kvm_guest *g, const struct limits_plan *plan, struct err *err)
{
	const char *bridge = g->definition.guest.net.bridge;

	if (g->kvm->type != KVM_QEMU)
		return 0;
	if (bridge && if_nametoindex(bridge) == 0)
		return err_set(err, ERR_DRIVER, "net.bridge", "there is no bridge %s", bridge);
	return check_memory(plan->memory_kib, err);
}

/* How libvirt runs QEMU. */
struct qemu {
	struct owner owner;
	bool accelerated;
};

static int find_qemu(const struct kvm_guest *g, struct qemu *ret, struct err *err)
{
	AUTOFREE char *capabilities = virConnectGetCapabilities(g->conn);
	char reason[256];

	if (!capabilities)
		return connect_error(err, "cannot find out whom QEMU runs as");
	owner_of(capabilities, &ret->owner);
	ret->accelerated = probe_accelerated(g->kvm, capabilities, reason, sizeof(reason));
	return 0;
}

/* --- The domain --------------------------------------------------------------------------------
 */

static int render(const struct kvm_guest *g, const struct limits_plan *plan,
	const struct qemu *qemu, char **ret, struct err *err)
{
	CLEANUP(additions_finish) struct additions additions = {0};
	const struct driver_guest *guest = &g->definition.guest;
	char dac[OWNER_LABEL_MAX];
	struct xml_facts facts = {.guest = guest,
		.plan = plan,
		.type = g->kvm->type,
		.accelerated = qemu->accelerated,
		.direct_io = owner_direct_io(guest->disk->path),
		.dac = qemu->owner.known ? owner_label(dac, &qemu->owner) : NULL,
		.console_socket = g->paths.console_socket,
		.console = g->paths.console};
	AUTOFREE char *text = xml_render(&facts);
	int r;

	if (!text)
		return err_errno(err, ENOMEM, "no memory for a domain");
	r = additions_read_files(&additions, g->kvm->dirs.additions, guest->name, "xml", err);
	if (r == 0)
		r = additions_add_raw(&additions, guest->raw, err);
	return r == 0 ? xml_merge(text, additions.list, additions.count, ret, err) : r;
}

static int define(struct kvm_guest *g, const char *xml, struct err *err)
{
	virDomainPtr domain = virDomainDefineXML(g->conn, xml);

	if (!domain)
		return connect_error(err, "libvirt does not take the guest");
	if (g->domain)
		virDomainFree(g->domain);
	g->domain = domain;
	return 0;
}

/* --- Failing -----------------------------------------------------------------------------------
 */

const char *start_cause(const char *message)
{
	static const char said[] = "qemu-system-";
	const char *last = NULL, *colon;

	for (const char *p = message; (p = strstr(p, said)); p += strlen(said))
		last = p;
	colon = last ? strstr(last, ": ") : NULL;
	if (!colon)
		return message;
	/* "-blockdev {…}: Failed to …": what was asked of it is long, and says nothing. */
	last = strstr(colon, "}: ");
	return last ? last + 3 : colon + 2;
}

static int fail(struct kvm_guest *g, struct err *err)
{
	const virError *e = virGetLastError();
	const char *cause = e && e->message ? start_cause(e->message) : "libvirt does not say why";
	const char *path = g->definition.guest.disk->path;

	if (strstr(cause, "Failed to get \"write\" lock") ||
		connect_errnum() == VIR_ERR_RESOURCE_BUSY)
		return err_set(err, ERR_CONFLICT, "disk.path",
			"the disk is in use by something else: %s", path);
	if (strstr(cause, "annot allocate memory"))
		return err_set(err, ERR_NO_ROOM, "limits.memory",
			"the node has not enough memory for the machine: %s", cause);
	/* "Not valid" means what is in its way. */
	if (e && (cause != e->message || e->code == VIR_ERR_OPERATION_INVALID))
		return err_set(err, ERR_DRIVER, NULL, "the machine does not start: %s", cause);
	return connect_error(err, "the machine does not start");
}

/* --- Starting ----------------------------------------------------------------------------------
 */

static int prepare(struct kvm_guest *g, char **ret_xml, struct err *err)
{
	const struct driver_guest *guest = &g->definition.guest;
	struct limits_host host;
	struct limits_plan plan;
	struct qemu qemu = {0};
	int r;

	if ((r = limits_host(&host, err)) < 0 || (r = limits_check(&guest->limits, &host, err)) < 0)
		return r;
	limits_plan(
		&guest->limits, &host, guest->disk->kernel ? guest->disk->cmdline : NULL, &plan);
	if ((r = check_node(g, &plan, err)) < 0 || (r = find_qemu(g, &qemu, err)) < 0 ||
		(r = owner_give(&qemu.owner, guest->disk, err)) < 0)
		return r;
	return render(g, &plan, &qemu, ret_xml, err);
}

/* What is left of its last run goes; until it runs it counts as ended by us. */
static int clear(const struct kvm_guest *g, struct err *err)
{
	int r = stop_mark(g, err);

	if (r == 0)
		r = stop_clear(g, err);
	if (r < 0)
		return r;
	r = file_mkdirs(g->paths.run, 0700);
	return r < 0 ? err_errno(err, r, "cannot make %s", g->paths.run) : 0;
}

#define SETTLE_MS 10000
#define LOOK_MS	  50

int start_settle(struct kvm_guest *g, struct err *err)
{
	int64_t end = clock_monotonic_ns() + SETTLE_MS * INT64_C(1000000);
	enum guest_state state;

	while ((state = guest_state_of(g->state, g->reason)) == GUEST_STARTING &&
		clock_monotonic_ns() < end) {
		int r;

		poll(NULL, 0, LOOK_MS);
		r = guest_look(g, err);
		if (r < 0)
			return r;
	}
	if (state != GUEST_STARTING && state != GUEST_STOPPING)
		return 0;
	return kvm_guest_end(g, STOP_WRITE, 0, err);
}

/* Another one may have been faster. Memory that somebody had libvirt itself save (virsh
 * managedsave) is of another state of the disk by now. */
static int create(struct kvm_guest *g, struct err *err)
{
	unsigned flags = g->kvm->type == KVM_QEMU ? VIR_DOMAIN_START_FORCE_BOOT : 0;

	if (virDomainCreateWithFlags(g->domain, flags) < 0) {
		int r = fail(g, err);

		if (guest_look(g, NULL) < 0 || !guest_is_active(g))
			return r;
	}
	fault_point("driver.kvm.start.created");
	return guest_look(g, err);
}

int kvm_guest_start(struct kvm_guest *g, bool from_memory, struct err *err)
{
	AUTOFREE char *xml = NULL;
	int r = prepare(g, &xml, err);

	if (r == 0)
		r = clear(g, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.start.cleared");
	r = define(g, xml, err);
	fault_point("driver.kvm.start.defined");
	if (r < 0)
		return r;
	if (from_memory)
		return save_restore(g, err);
	r = create(g, err);
	if (r == 0)
		update_after_start(g);
	return r;
}
