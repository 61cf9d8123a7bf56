/* What a running machine is made of. Source: libvirt's formatdomain page. */
#include "drivers/kvm/machine.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/xpath.h"

/* Which disk it is; a path is compared as a variable, whatever is in it. */
static void find_disk(struct xpath *xml, const char *path, struct machine *ret)
{
	AUTOFREE char *target = NULL;

	xpath_let(xml, "path", path ? path : "");
	target = xpath_text(xml, "/domain/devices/disk[source/@file=$path]/target/@dev");
	if (target && strlen(target) < sizeof(ret->disk))
		snprintf(ret->disk, sizeof(ret->disk), "%s", target);
}

int machine_read(const char *xml, const char *path, struct machine *ret, struct err *err)
{
	CLEANUP(xpath_close) struct xpath x = {0};
	uint64_t slots, used;

	if (!xpath_open(&x, xml))
		return err_set(err, ERR_DRIVER, NULL, "cannot read libvirt's description of it");
	*ret = (struct machine){
		.accelerated = xpath_is(&x, "/domain/@type='kvm'"),
		.agent = xpath_is(&x, "/domain/devices/channel/target"
				      "[@name='org.qemu.guest_agent.0']/@state='connected'"),
		.memory_max_kib = xpath_number(&x, "/domain/maxMemory"),
	};
	slots = xpath_number(&x, "/domain/maxMemory/@slots");
	used = xpath_number(&x, "count(/domain/devices/memory)");
	ret->slots_free = slots > used ? (unsigned)(slots - used) : 0;
	find_disk(&x, path, ret);
	return 0;
}

int machine_look(virDomainPtr domain, const char *path, struct machine *ret, struct err *err)
{
	AUTOFREE char *xml = virDomainGetXMLDesc(domain, 0);

	return xml ? machine_read(xml, path, ret, err)
		   : connect_error(err, "cannot get libvirt's description of it");
}
