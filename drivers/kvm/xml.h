/* A guest as libvirt's XML (libvirt.org/formatdomain.html); used inside drivers/kvm only. All of it
 * is pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "drivers/addition.h"
#include "drivers/kvm/instance.h"
#include "drivers/kvm/limits.h"

struct err;

/* What a machine is made of besides what its guest is. */
struct xml_facts {
	const struct driver_guest *guest;
	const struct limits_plan *plan;
	enum kvm_type type;
	bool accelerated; /* by the processor */
	bool direct_io;	  /* its disk can be read and written past the node's cache */
	const char *dac;  /* whom QEMU runs as, "+64055:+64055"; NULL: libvirt chooses */
	const char *console_socket, *console; /* as struct kvm_paths */
};

/* The text of a domain, which the caller frees; NULL when memory ran out. */
char *xml_render(const struct xml_facts *facts);

/* Additions are elements of a domain, one after the other, or all of them in one <domain>. What can
 * be known of one without a domain: ERR_INVALID names origin and line. */
int xml_check(const struct addition *addition, struct err *err);

/* A domain with additions, one after the other. An element of <domain> that is there already gets
 * the attributes of the added one, and its children in the place of those with their names; devices
 * and security labels are added to those that are there. Errors as xml_check. The caller frees
 * *ret. */
int xml_merge(const char *domain, const struct addition *additions, size_t count, char **ret,
	struct err *err);
