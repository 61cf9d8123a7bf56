/* Whether machines can run here: what is missing is said in a way that can be acted upon. */
#include "drivers/kvm/probe.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/kvm/accel.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/xpath.h"

#define PROBE_MS	 4500
#define CONNECT_LEAST_MS 1000

#define OFFERS "boolean(/capabilities/guest/arch[@name='x86_64']/domain[@type='kvm'])"

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

bool probe_offers_kvm(const char *capabilities)
{
	CLEANUP(xpath_close) struct xpath xml = {0};

	return xpath_open(&xml, capabilities) && xpath_is(&xml, OFFERS);
}

bool probe_accelerated(
	const struct kvm *kvm, const char *capabilities, char *reason, size_t reason_size)
{
	struct accel_finding finding = {0};

	if (kvm->type != KVM_QEMU)
		return false;
	accel_find(&accel_this_host, kvm->dirs.state, &finding);
	if (finding.works && capabilities && !probe_offers_kvm(capabilities)) {
		snprintf(finding.reason, sizeof(finding.reason),
			"KVM works, but libvirt does not offer it (can libvirtd see /dev/kvm?)");
		finding.works = false;
	}
	snprintf(reason, reason_size, "%s", finding.reason);
	return finding.works;
}

static void fill_acceleration(const struct kvm *kvm, virConnectPtr conn, struct driver_info *ret)
{
	AUTOFREE char *capabilities = conn ? virConnectGetCapabilities(conn) : NULL;
	char reason[200];
	bool accelerated;

	if (kvm->type != KVM_QEMU)
		return;
	accelerated = probe_accelerated(kvm, capabilities, reason, sizeof(reason));
	snprintf(ret->acceleration, sizeof(ret->acceleration), accelerated ? "kvm" : "tcg");
	if (!accelerated)
		snprintf(ret->notice, sizeof(ret->notice),
			"machines are emulated, which is slow: %s", reason);
}

/* Of the 5 s that a probe has: what is left of them for libvirt. */
static uint64_t left_ms(int64_t begun_ns)
{
	int64_t used = (clock_monotonic_ns() - begun_ns) / 1000000;

	return used + CONNECT_LEAST_MS < PROBE_MS ? (uint64_t)(PROBE_MS - used) : CONNECT_LEAST_MS;
}

void probe_host(const struct kvm *kvm, struct driver_info *ret)
{
	AUTOCONN virConnectPtr conn = NULL;
	int64_t begun = clock_monotonic_ns();
	struct err err = {0};

	/* First what may have to be tried out: it is remembered, whatever libvirt does then. */
	fill_acceleration(kvm, NULL, ret);
	if (geteuid() != 0)
		snprintf(ret->problem, sizeof(ret->problem), "the driver has to run as root");
	else if (connect_within(kvm, left_ms(begun), &conn, &err) < 0)
		snprintf(ret->problem, sizeof(ret->problem), "%.255s", err.message);
	if (conn) {
		fill_version(conn, kvm->type, ret);
		fill_acceleration(kvm, conn, ret);
	} else {
		print_version(ret->version, sizeof(ret->version), "libvirt", LIBVIR_VERSION_NUMBER);
	}
	ret->usable = ret->problem[0] == '\0';
}
