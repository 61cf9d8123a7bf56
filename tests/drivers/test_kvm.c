/* The KVM driver passes the conformance suite in process with machines that libvirt's test driver
 * plays, and with real ones across the boundary; with the argument "inline" with those in process,
 * too. What they boot is a boot sector, which has nothing to run commands with. */
#include <libvirt/libvirt.h>
#include <stdio.h>
#include <string.h>

#include "conformance/conformance.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/kvm.h"
#include "kvm_machines.h"
#include "kvm_node.h"

/* What libvirt plays is gone with the last connection to it. */
static virConnectPtr g_played;

static void end_played(const char *id)
{
	char name[KVM_NAME_MAX];
	virDomainPtr domain = virDomainLookupByName(g_played, connect_name(name, id));

	if (domain) {
		virDomainDestroy(domain);
		virDomainFree(domain);
	}
}

/* It starts what no QEMU would. */
static const struct driver_disk *played_disk(const char *id, enum rootfs_kind kind)
{
	static struct driver_disk missing;

	if (kind != ROOTFS_NO_INIT)
		return kvm_machine_disk(id, kind);
	missing = *kvm_machine_disk(id, kind);
	missing.base = "/nonexistent/base";
	return &missing;
}

static int run_played(struct environment e)
{
	int failed;

	e.config.endpoint = "test:///default";
	e.disk = played_disk;
	e.broken_says = "/nonexistent/base";
	e.end_played = end_played;
	g_played = virConnectOpen(KVM_NODE_TEST_URI);
	failed = g_played ? conformance_run("kvm played", &e) : 1;
	virConnectClose(g_played);
	return failed;
}

int main(int argc, char **argv)
{
	static const struct crash_point points[] = {
		{CRASH_CREATE, "driver.kvm.create.before"},
		{CRASH_CREATE, "driver.kvm.create.saved"},
		{CRASH_START, "driver.kvm.start.cleared"},
		{CRASH_START, "driver.kvm.start.defined"},
		{CRASH_START, "driver.kvm.start.created"},
		{CRASH_STOP, "driver.kvm.stop.marked"},
		{CRASH_STOP, "driver.kvm.stop.asked"},
		{CRASH_STOP, "driver.kvm.stop.ended"},
		{CRASH_DESTROY, "driver.kvm.stop.killed"},
		{CRASH_DESTROY, "driver.kvm.destroy.ended"},
		{CRASH_DESTROY, "driver.kvm.destroy.undefined"},
		{0, NULL},
	};
	struct environment e = {.bridge = NODE_BRIDGE,
		.disk = kvm_machine_disk,
		.broken_says = "not in qcow2 format",
		.leftovers = kvm_node_leftovers,
		.parts = CONFORMANCE_LIFE,
		.crash_points = points};
	bool inline_too = argc > 1 && strcmp(argv[1], "inline") == 0;
	int failed;

	kvm_node_enter();
	e.config = node_config();
	e.ops = &kvm_driver_ops;
	failed = run_played(e);
	if (inline_too)
		failed += conformance_run("kvm in process", &e);
	e.ops = NULL;
	e.program = KVM_PROGRAM;
	return failed + conformance_run("kvm across the boundary", &e);
}
