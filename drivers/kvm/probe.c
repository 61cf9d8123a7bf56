/* Whether machines can run here: what is missing is said in a way that can be acted upon. */
#include "drivers/kvm/probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "drivers/kvm/accel.h"
#include "drivers/kvm/connect.h"

/* libvirt's version numbers are a million times the first, a thousand times the second, … */
static void print_version(char *buf, size_t size, const char *name, unsigned long v)
{
	snprintf(buf, size, "%s %lu.%lu.%lu", name, v / 1000000, v / 1000 % 1000, v % 1000);
}

static void fill_version(virConnectPtr conn, enum kvm_type type, struct driver_info *ret)
{
	unsigned long library = 0, hypervisor = 0;
	char a[32] = "", b[32] = "";

	virConnectGetLibVersion(conn, &library);
	print_version(a, sizeof(a), "libvirt", library);
	if (type != KVM_TEST && virConnectGetVersion(conn, &hypervisor) == 0)
		print_version(b, sizeof(b), type == KVM_XEN ? ", Xen" : ", QEMU", hypervisor);
	snprintf(ret->version, sizeof(ret->version), "%s%s", a, b);
}

static void fill_acceleration(const struct kvm *kvm, struct driver_info *ret)
{
	struct accel_finding finding;

	if (kvm->type != KVM_QEMU)
		return;
	accel_find(&accel_this_host, kvm->state_dir, &finding);
	snprintf(ret->acceleration, sizeof(ret->acceleration), "%s", finding.works ? "kvm" : "tcg");
	if (!finding.works)
		snprintf(ret->notice, sizeof(ret->notice),
			"machines are emulated, which is slow: %s", finding.reason);
}

void probe_host(const struct kvm *kvm, struct driver_info *ret)
{
	AUTOCONN virConnectPtr conn = NULL;
	struct err err = {0};

	fill_acceleration(kvm, ret);
	if (geteuid() != 0)
		snprintf(ret->problem, sizeof(ret->problem), "the driver has to run as root");
	else if (kvm_connect(kvm, &conn, &err) < 0)
		snprintf(ret->problem, sizeof(ret->problem), "%.255s", err.message);
	if (conn)
		fill_version(conn, kvm->type, ret);
	else
		print_version(ret->version, sizeof(ret->version), "libvirt", LIBVIR_VERSION_NUMBER);
	ret->usable = ret->problem[0] == '\0';
}
