/* What machines need beside libvirt: QEMU and its tools, a way to their disks, and a processor that
 * carries them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "doctor/checks.h"

/* --- Programs -------------------------------------------------------------------------------- */

void check_qemu(struct report *report, const struct qemu_facts *facts)
{
	const struct {
		bool there;
		enum verdict verdict;
		const char *message, *advice;
	} needs[] = {
		{facts->qemu, VERDICT_BAD,
			"QEMU (qemu-system-x86_64) is missing: no machine can start",
			"Install the package qemu-system-x86."},
		{facts->qemu_img, VERDICT_BAD,
			"qemu-img is missing: disks cannot be imported, made or resized",
			"Install the package qemu-utils."},
		{facts->storage_daemon, VERDICT_WARNING,
			"qemu-storage-daemon is missing: disks cannot be shrunk",
			"Install the package qemu-system-common."},
		{facts->e2fsck && facts->resize2fs, VERDICT_WARNING,
			"e2fsck or resize2fs is missing: disks cannot be shrunk",
			"Install the package e2fsprogs."},
		{facts->uefi, VERDICT_WARNING,
			"there is no UEFI firmware: images that boot by it do not start",
			"Install the package ovmf."},
	};
	bool whole = true;

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (!needs[i].there)
			report_add(report, "qemu", needs[i].verdict, needs[i].advice, "%s",
				needs[i].message);
		whole &= needs[i].there;
	}
	if (whole)
		report_add(report, "qemu", VERDICT_GOOD, NULL,
			"QEMU, its tools and UEFI firmware are there");
}

/* --- The way to disks ------------------------------------------------------------------------ */

void check_reach(struct report *report, const char *user, const char *pool, const char *blocked)
{
	AUTOFREE char *advice = NULL;

	if (!blocked) {
		report_add(report, "qemu", VERDICT_GOOD, NULL,
			"QEMU, as the user %s, reaches the pool", user);
		return;
	}
	if (asprintf(&advice, "`chmod o+x %s` lets it pass without showing what is in there.",
		    blocked) < 0)
		advice = NULL;
	report_add(report, "qemu", VERDICT_BAD, advice ? advice : "Let it pass.",
		"QEMU runs as the user %s, who cannot pass %s on the way to the pool (%s)", user,
		blocked, pool);
}

/* --- Acceleration ---------------------------------------------------------------------------- */

/* " (found out 3 days ago)"; empty when it is seen at one look. */
static void tell_age(const struct acceleration_facts *facts, char *ret, size_t size)
{
	static const struct {
		int64_t ms;
		const char *name;
	} UNITS[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"}};
	int64_t age = facts->now_ms - facts->found_ms;

	ret[0] = '\0';
	if (!facts->found_ms)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(UNITS); i++)
		if (age >= UNITS[i].ms) {
			snprintf(ret, size, " (found out %" PRId64 " %s%s ago)", age / UNITS[i].ms,
				UNITS[i].name, age / UNITS[i].ms == 1 ? "" : "s");
			return;
		}
	snprintf(ret, size, " (found out just now)");
}

/* What to do about machines that are emulated. */
static char *emulation_advice(const struct acceleration_facts *facts)
{
	char *advice = NULL;
	int r;

	if (!facts->device)
		r = asprintf(&advice,
			"`modprobe kvm_intel` or `kvm_amd`; switch virtualisation on in the "
			"firmware, or where this is a virtual machine itself let its host pass it "
			"on (nested).");
	else if (facts->hidden)
		r = asprintf(&advice, "To have it tried again remove %s, and restart corpusd.",
			facts->file);
	else
		r = asprintf(&advice,
			"Hide /dev/kvm from libvirtd, so that it offers and tries nothing that "
			"does "
			"not work (where QEMU aborts with it each start takes more than a minute): "
			"`systemctl edit libvirtd`, there [Service] and "
			"InaccessiblePaths=/dev/kvm, "
			"then `systemctl restart libvirtd` (guests run on). To have it tried again "
			"remove %s, and restart corpusd.",
			facts->file);
	return r < 0 ? NULL : advice;
}

void check_acceleration(struct report *report, const struct acceleration_facts *facts)
{
	AUTOFREE char *advice = NULL;
	char age[64];

	tell_age(facts, age, sizeof(age));
	if (facts->known && facts->works && facts->hidden) {
		report_add(report, "acceleration", VERDICT_WARNING,
			"Look for InaccessiblePaths= and PrivateDevices= in `systemctl cat "
			"libvirtd`.",
			"KVM works here%s, but libvirtd cannot see /dev/kvm: machines are "
			"emulated, many times slower",
			age);
		return;
	}
	if (facts->known && facts->works) {
		report_add(report, "acceleration", VERDICT_GOOD, NULL, "KVM works here%s", age);
		return;
	}
	if (facts->device && !facts->known) {
		report_add(report, "acceleration", VERDICT_WARNING,
			"The driver finds it out when it is first asked: restart corpusd, and look "
			"at `corpus node`.",
			"whether KVM works here has not been found out");
		return;
	}
	advice = emulation_advice(facts);
	report_add(report, "acceleration", VERDICT_WARNING, advice ? advice : "See docs/kvm.md.",
		"machines are emulated, many times slower than by KVM: %s%s", facts->reason, age);
}
