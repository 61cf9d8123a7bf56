/* What libvirt leaves behind of our machines. */
#include "drivers/kvm/remains.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "drivers/cgroup/cgroup.h"
#include "drivers/definition.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/stop.h"

static void each(
	const char *before, const char *id, const char *after, void (*act)(const char *path))
{
	char path[PATH_MAX];
	glob_t found = {0};

	snprintf(path, sizeof(path), "%s" KVM_NAME_PREFIX "%s%s", before, id, after);
	if (glob(path, GLOB_NOSORT, NULL, &found) == 0)
		for (size_t i = 0; i < found.gl_pathc; i++)
			act(found.gl_pathv[i]);
	globfree(&found);
}

static void remove_log(const char *path)
{
	unlink(path);
}

void remains_remove_groups(const char *id)
{
	each("/sys/fs/cgroup/machine/qemu-*-", id, ".libvirt-qemu", cgroup_remove);
	each("/sys/fs/cgroup/*/machine/qemu-*-", id, ".libvirt-qemu", cgroup_remove);
}

void remains_remove_logs(const char *id)
{
	each("/var/log/libvirt/qemu/", id, ".log*", remove_log);
}

/* --- Domains ---------------------------------------------------------------------------------- */

static bool has_no_guest(struct kvm *kvm, virConnectPtr conn, const char *id)
{
	AUTODOMAIN virDomainPtr ours = NULL;
	struct kvm_paths paths;

	return kvm_paths(kvm, id, &paths, NULL) == 0 && !definition_exists(paths.definition) &&
	       kvm_domain(conn, id, &ours, NULL) == 0 && ours;
}

/* One that was transient when it ended cannot be undefined before it is defined. */
static bool forget(virConnectPtr conn, virDomainPtr domain)
{
	AUTOFREE char *xml = NULL;
	AUTODOMAIN virDomainPtr defined = NULL;

	if (virDomainUndefineFlags(domain, STOP_FORGET) == 0)
		return true;
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	defined = xml ? virDomainDefineXML(conn, xml) : NULL;
	return defined && virDomainUndefineFlags(defined, STOP_FORGET) == 0;
}

void remains_remove_domains(struct kvm *kvm, virConnectPtr conn)
{
	virDomainPtr *domains = NULL;
	int count = virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_INACTIVE);

	for (int i = 0; i < count; i++) {
		const char *id = connect_id_of(virDomainGetName(domains[i]));

		if (id && has_no_guest(kvm, conn, id))
			log_info("driver.kvm.domain_removed", "guest=%s done=%s", id,
				forget(conn, domains[i]) ? "yes" : "no");
		virDomainFree(domains[i]);
	}
	free(domains);
}
