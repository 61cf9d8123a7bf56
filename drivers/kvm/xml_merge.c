/* Text that people add to a domain. They may do what root of the node may, but not what would make
 * the agent's picture of the guest wrong. */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/kvm/xml.h"

#define OPTIONS (XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOBLANKS)
/* What can be said to QEMU itself (libvirt.org/kbase/qemu-passthrough-security.html). */
#define OPENING "<additions xmlns:qemu=\"http://libvirt.org/schemas/domain/qemu/1.0\">"
#define CLOSING "\n</additions>"

DEFINE_CLEANUP(xmlDocPtr, xmlFreeDoc)
DEFINE_CLEANUP(xmlParserCtxtPtr, xmlFreeParserCtxt)

/* Elements of <domain>, their children and attributes that cannot be set. */
static const struct {
	const char *path, *why;
} REFUSED[] = {
	{"name", "it follows from the guest's id"},
	{"uuid", "it follows from the guest's id"},
	{"title", "rename the guest instead"},
	{"metadata", "it says that the domain is the agent's"},
	{"memory", "use limits.memory instead"},
	{"currentMemory", "use limits.memory instead"},
	{"maxMemory", "use limits.memory instead"},
	{"vcpu", "use limits.cpus instead"},
	{"vcpus", "use limits.cpus instead"},
	{"cputune/period", "use limits.cpus instead"},
	{"cputune/quota", "use limits.cpus instead"},
	{"cputune/global_period", "use limits.cpus instead"},
	{"cputune/global_quota", "use limits.cpus instead"},
	{"cpu/numa", "memory could not be plugged in"},
	{"os/@firmware", "the image says how it boots"},
	{"os/type", "the image says how it boots"},
	{"os/loader", "the image says how it boots"},
	{"os/nvram", "the image says how it boots"},
	{"os/kernel", "the image says how it boots"},
	{"os/initrd", "the image says how it boots"},
	{"os/cmdline", "the image says how it boots"},
	{"on_poweroff", "use the guest's restart policy instead"},
	{"on_reboot", "use the guest's restart policy instead"},
	{"on_crash", "use the guest's restart policy instead"},
};

/* Devices of which a machine has one: an added one takes the place of ours. */
static const char *const SINGLE_DEVICES[] = {"emulator", "memballoon"};

/* --- Messages -------------------------------------------------------------------------------- */

static int refuse_node(const struct addition *a, xmlNodePtr node, const char *text, struct err *err)
{
	return addition_refuse(a, (int)xmlGetLineNo(node), text, err);
}

static int no_memory(struct err *err)
{
	return err_errno(err, ENOMEM, "no memory for a domain");
}

/* --- Checking -------------------------------------------------------------------------------- */

static bool is_called(xmlNodePtr node, const char *name)
{
	return strcmp((const char *)node->name, name) == 0;
}

static int check_path(const struct addition *a, xmlNodePtr node, const char *path, struct err *err)
{
	char text[200];

	for (size_t i = 0; i < ARRAY_SIZE(REFUSED); i++)
		if (strcmp(REFUSED[i].path, path) == 0) {
			snprintf(text, sizeof(text), "%s cannot be set: %s", path, REFUSED[i].why);
			return refuse_node(a, node, text, err);
		}
	return 0;
}

static int check_below(const struct addition *a, xmlNodePtr node, struct err *err)
{
	char path[128];
	int r = 0;

	for (xmlAttrPtr at = node->properties; at && r == 0; at = at->next) {
		snprintf(path, sizeof(path), "%.50s/@%.50s", (const char *)node->name,
			(const char *)at->name);
		r = check_path(a, node, path, err);
	}
	for (xmlNodePtr c = xmlFirstElementChild(node); c && r == 0; c = xmlNextElementSibling(c)) {
		snprintf(path, sizeof(path), "%.50s/%.50s", (const char *)node->name,
			(const char *)c->name);
		r = check_path(a, c, path, err);
	}
	return r;
}

static int check_label(const struct addition *a, xmlNodePtr node, struct err *err)
{
	xmlChar *model = xmlGetProp(node, BAD_CAST "model");
	bool ours = !model || strcmp((const char *)model, "dac") == 0;

	xmlFree(model);
	if (!is_called(node, "seclabel") || !ours)
		return 0;
	return refuse_node(a, node,
		"seclabel needs a model, and not dac: the guest's files belong to whom libvirt "
		"runs QEMU as",
		err);
}

static int check_element(const struct addition *a, xmlNodePtr node, struct err *err)
{
	int r = check_path(a, node, (const char *)node->name, err);

	if (r == 0)
		r = check_below(a, node, err);
	return r == 0 ? check_label(a, node, err) : r;
}

static int check_all(const struct addition *a, xmlNodePtr parent, struct err *err)
{
	for (xmlNodePtr n = parent->children; n; n = n->next) {
		int r = 0;

		if (n->type == XML_ELEMENT_NODE)
			r = check_element(a, n, err);
		else if (n->type != XML_COMMENT_NODE)
			r = refuse_node(a, n, "expected elements of libvirt's <domain>", err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- Reading --------------------------------------------------------------------------------- */

/* What is in a <domain> is meant, where there is one. */
static xmlNodePtr parent_of_elements(xmlDocPtr doc)
{
	xmlNodePtr root = xmlDocGetRootElement(doc), first = xmlFirstElementChild(root);

	return first && is_called(first, "domain") && !xmlNextElementSibling(first) ? first : root;
}

static int refuse_text(const struct addition *a, xmlParserCtxtPtr parser, struct err *err)
{
	const xmlError *e = xmlCtxtGetLastError(parser);
	char text[200];

	if (!e || e->code == XML_ERR_NO_MEMORY)
		return no_memory(err);
	snprintf(text, sizeof(text), "%.*s", e->message ? (int)strcspn(e->message, "\n") : 0,
		e->message ? e->message : "");
	return addition_refuse(a, e->line, text, err);
}

static int read_addition(const struct addition *a, xmlDocPtr *ret, struct err *err)
{
	CLEANUP(xmlFreeParserCtxtp) xmlParserCtxtPtr parser = xmlNewParserCtxt();
	CLEANUP(xmlFreeDocp) xmlDocPtr doc = NULL;
	CLEANUP(strbuf_finish) struct strbuf b = {0};
	int r;

	strbuf_add(&b, OPENING);
	strbuf_add(&b, a->text);
	strbuf_add(&b, CLOSING);
	if (!parser || b.failed || b.used > INT_MAX)
		return no_memory(err);
	doc = xmlCtxtReadMemory(parser, b.text, (int)b.used, NULL, NULL, OPTIONS);
	if (!doc || !parser->nsWellFormed)
		return refuse_text(a, parser, err);
	r = check_all(a, parent_of_elements(doc), err);
	if (r == 0)
		*ret = TAKE_PTR(doc);
	return r;
}

int xml_check(const struct addition *addition, struct err *err)
{
	CLEANUP(xmlFreeDocp) xmlDocPtr doc = NULL;

	return read_addition(addition, &doc, err);
}

/* --- Merging --------------------------------------------------------------------------------- */

static xmlNodePtr child_called(xmlNodePtr parent, const xmlChar *name)
{
	for (xmlNodePtr c = xmlFirstElementChild(parent); c; c = xmlNextElementSibling(c))
		if (xmlStrEqual(c->name, name))
			return c;
	return NULL;
}

static void remove_node(xmlNodePtr node)
{
	xmlUnlinkNode(node);
	xmlFreeNode(node);
}

static int append(xmlNodePtr parent, xmlNodePtr node)
{
	xmlNodePtr copy = xmlDocCopyNode(node, parent->doc, 1);

	if (!copy || !xmlAddChild(parent, copy)) {
		xmlFreeNode(copy);
		return -ENOMEM;
	}
	return 0;
}

static int append_children(xmlNodePtr parent, xmlNodePtr from)
{
	int r = 0;

	for (xmlNodePtr c = from->children; c && r == 0; c = c->next)
		r = append(parent, c);
	return r;
}

static bool is_usb(xmlNodePtr node)
{
	xmlChar *type = xmlGetProp(node, BAD_CAST "type");
	bool usb = is_called(node, "controller") && type && strcmp((const char *)type, "usb") == 0;

	xmlFree(type);
	return usb;
}

/* Ours says that there is no USB. */
static void make_room_for_device(xmlNodePtr devices, xmlNodePtr added)
{
	xmlNodePtr next;

	for (xmlNodePtr c = xmlFirstElementChild(devices); c && is_usb(added); c = next) {
		next = xmlNextElementSibling(c);
		if (is_usb(c))
			remove_node(c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(SINGLE_DEVICES); i++) {
		xmlNodePtr ours = child_called(devices, BAD_CAST SINGLE_DEVICES[i]);

		if (ours && is_called(added, SINGLE_DEVICES[i]))
			remove_node(ours);
	}
}

static int merge_devices(xmlNodePtr devices, xmlNodePtr added)
{
	for (xmlNodePtr c = xmlFirstElementChild(added); c; c = xmlNextElementSibling(c))
		make_room_for_device(devices, c);
	return append_children(devices, added);
}

static int merge_element(xmlNodePtr ours, xmlNodePtr added)
{
	for (xmlAttrPtr a = added->properties; a; a = a->next) {
		xmlChar *value = xmlNodeListGetString(added->doc, a->children, 1);
		bool set = xmlSetProp(ours, a->name, value);

		xmlFree(value);
		if (!set)
			return -ENOMEM;
	}
	if (!xmlFirstElementChild(added) && added->children)
		xmlNodeSetContent(ours, NULL);
	for (xmlNodePtr c = xmlFirstElementChild(added); c; c = xmlNextElementSibling(c))
		for (xmlNodePtr old; (old = child_called(ours, c->name));)
			remove_node(old);
	return append_children(ours, added);
}

/* The schema wants labels side by side. */
static int append_label(xmlNodePtr ours, xmlNodePtr added)
{
	xmlNodePtr copy = xmlDocCopyNode(added, ours->doc, 1);

	if (!copy || !xmlAddNextSibling(ours, copy)) {
		xmlFreeNode(copy);
		return -ENOMEM;
	}
	return 0;
}

static int merge_one(xmlNodePtr domain, xmlNodePtr added)
{
	xmlNodePtr ours = child_called(domain, added->name);

	if (!ours || added->ns)
		return append(domain, added);
	if (is_called(added, "seclabel"))
		return append_label(ours, added);
	return is_called(added, "devices") ? merge_devices(ours, added)
					   : merge_element(ours, added);
}

static int merge(xmlNodePtr domain, const struct addition *a, struct err *err)
{
	CLEANUP(xmlFreeDocp) xmlDocPtr doc = NULL;
	int r = read_addition(a, &doc, err);

	if (r < 0)
		return r;
	for (xmlNodePtr n = xmlFirstElementChild(parent_of_elements(doc)); n;
		n = xmlNextElementSibling(n))
		if (merge_one(domain, n) < 0)
			return no_memory(err);
	return 0;
}

int xml_merge(const char *domain, const struct addition *additions, size_t count, char **ret,
	struct err *err)
{
	CLEANUP(xmlFreeDocp)
	xmlDocPtr doc = xmlReadMemory(domain, (int)strlen(domain), NULL, NULL, OPTIONS);
	xmlChar *text = NULL;
	int size = 0, r = doc ? 0 : no_memory(err);

	for (size_t i = 0; i < count && r == 0; i++)
		r = merge(xmlDocGetRootElement(doc), &additions[i], err);
	if (r < 0)
		return r;
	xmlDocDumpFormatMemory(doc, &text, &size, 1);
	*ret = text ? strdup((const char *)text) : NULL;
	xmlFree(text);
	return *ret ? 0 : no_memory(err);
}
