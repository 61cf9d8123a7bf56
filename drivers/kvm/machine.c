/* What a running machine is made of. Source: libvirt's formatdomain page. */
#include "drivers/kvm/machine.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/connect.h"

static void free_docp(xmlDocPtr *doc)
{
	if (*doc)
		xmlFreeDoc(*doc);
}

static void free_contextp(xmlXPathContextPtr *context)
{
	if (*context)
		xmlXPathFreeContext(*context);
}

/* The text of what an expression finds, for the caller to free; "" when it finds nothing. */
static char *text_of(xmlXPathContextPtr context, const char *expression)
{
	xmlXPathObjectPtr object = xmlXPathEvalExpression((const xmlChar *)expression, context);
	xmlChar *text = object ? xmlXPathCastToString(object) : NULL;
	char *copy = strdup(text ? (const char *)text : "");

	xmlFree(text);
	xmlXPathFreeObject(object);
	return copy;
}

static uint64_t number_of(xmlXPathContextPtr context, const char *expression)
{
	AUTOFREE char *text = text_of(context, expression);

	return text ? strtoull(text, NULL, 10) : 0;
}

static bool is(xmlXPathContextPtr context, const char *expression)
{
	AUTOFREE char *text = text_of(context, expression);

	return text && strcmp(text, "true") == 0;
}

/* Which disk it is; a path is compared as a variable, whatever is in it. */
static void find_disk(xmlXPathContextPtr context, const char *path, struct machine *ret)
{
	AUTOFREE char *target = NULL;

	xmlXPathRegisterVariable(
		context, (const xmlChar *)"path", xmlXPathNewCString(path ? path : ""));
	target = text_of(context, "/domain/devices/disk[source/@file=$path]/target/@dev");
	if (target && strlen(target) < sizeof(ret->disk))
		snprintf(ret->disk, sizeof(ret->disk), "%s", target);
}

int machine_read(const char *xml, const char *path, struct machine *ret, struct err *err)
{
	CLEANUP(free_docp)
	xmlDocPtr doc = xmlReadMemory(xml, (int)strlen(xml), "domain", NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	CLEANUP(free_contextp)
	xmlXPathContextPtr context = doc ? xmlXPathNewContext(doc) : NULL;
	uint64_t slots, used;

	if (!context)
		return err_set(err, ERR_DRIVER, NULL, "cannot read libvirt's description of it");
	*ret = (struct machine){
		.accelerated = is(context, "/domain/@type='kvm'"),
		.agent = is(context, "/domain/devices/channel/target"
				     "[@name='org.qemu.guest_agent.0']/@state='connected'"),
		.memory_max_kib = number_of(context, "/domain/maxMemory"),
	};
	slots = number_of(context, "/domain/maxMemory/@slots");
	used = number_of(context, "count(/domain/devices/memory)");
	ret->slots_free = slots > used ? (unsigned)(slots - used) : 0;
	find_disk(context, path, ret);
	return 0;
}

int machine_look(virDomainPtr domain, const char *path, struct machine *ret, struct err *err)
{
	AUTOFREE char *xml = virDomainGetXMLDesc(domain, 0);

	return xml ? machine_read(xml, path, ret, err)
		   : connect_error(err, "cannot get libvirt's description of it");
}
