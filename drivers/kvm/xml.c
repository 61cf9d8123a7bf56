/* A guest as libvirt's XML. It is written by libxml2, which escapes whatever text it is given. */
#include "drivers/kvm/xml.h"

#include <inttypes.h>
#include <libvirt/libvirt.h>
#include <libxml/xmlwriter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "drivers/kvm/connect.h"

/* After something has failed the rest is left out. */
struct out {
	xmlTextWriterPtr writer;
	bool failed;
};

static void note(struct out *o, int written)
{
	o->failed |= written < 0;
}

static void begin(struct out *o, const char *name)
{
	note(o, xmlTextWriterStartElement(o->writer, BAD_CAST name));
}

static void end(struct out *o)
{
	note(o, xmlTextWriterEndElement(o->writer));
}

static void attribute(struct out *o, const char *name, const char *value)
{
	note(o, xmlTextWriterWriteAttribute(o->writer, BAD_CAST name, BAD_CAST value));
}

static void attribute_u64(struct out *o, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	attribute(o, name, text);
}

static void text_of(struct out *o, const char *name, const char *text)
{
	note(o, xmlTextWriterWriteElement(o->writer, BAD_CAST name, BAD_CAST text));
}

static void number(struct out *o, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	text_of(o, name, text);
}

static void write_element(struct out *o, const char *name, const char *const *attributes)
{
	begin(o, name);
	for (; *attributes; attributes += 2)
		attribute(o, attributes[0], attributes[1]);
	end(o);
}

/* An element without content; pairs of attributes follow, ended by NULL. */
#define element(o, name, ...) write_element(o, name, (const char *const[]){__VA_ARGS__})

/* --- Who it is ------------------------------------------------------------------------------- */

static void identity(struct out *o, const struct driver_guest *g)
{
	char name[KVM_NAME_MAX], uuid[VIR_UUID_STRING_BUFLEN];

	text_of(o, "name", connect_name(name, g->id));
	text_of(o, "uuid", connect_uuid(uuid, g->id));
	text_of(o, "title", g->name);
	begin(o, "metadata");
	begin(o, "corpus:guest");
	attribute(o, "xmlns:corpus", KVM_NAMESPACE);
	attribute(o, "id", g->id);
	end(o);
	end(o);
}

/* --- What it may take ------------------------------------------------------------------------ */

static void kib(struct out *o, const char *name, uint64_t value)
{
	char text[24];

	begin(o, name);
	attribute(o, "unit", "KiB");
	snprintf(text, sizeof(text), "%" PRIu64, value);
	note(o, xmlTextWriterWriteString(o->writer, BAD_CAST text));
	end(o);
}

static void memory(struct out *o, const struct limits_plan *p)
{
	char text[24];

	if (p->memory_max_kib) {
		begin(o, "maxMemory");
		attribute_u64(o, "slots", p->slots);
		attribute(o, "unit", "KiB");
		snprintf(text, sizeof(text), "%" PRIu64, p->memory_max_kib);
		note(o, xmlTextWriterWriteString(o->writer, BAD_CAST text));
		end(o);
	}
	kib(o, "memory", p->memory_kib);
	kib(o, "currentMemory", p->memory_kib);
}

/* The first one is there for good; libvirt wants the others marked to let them come and go. */
static void vcpus(struct out *o, const struct limits_plan *p, enum kvm_type type)
{
	char text[24];

	begin(o, "vcpu");
	attribute(o, "placement", "static");
	attribute_u64(o, "current", p->vcpus);
	snprintf(text, sizeof(text), "%u", p->vcpus_max);
	note(o, xmlTextWriterWriteString(o->writer, BAD_CAST text));
	end(o);
	if (type != KVM_QEMU)
		return;
	begin(o, "vcpus");
	for (unsigned i = 0; i < p->vcpus_max; i++) {
		begin(o, "vcpu");
		attribute_u64(o, "id", i);
		attribute(o, "enabled", i < p->vcpus ? "yes" : "no");
		attribute(o, "hotpluggable", i == 0 ? "no" : "yes");
		end(o);
	}
	end(o);
}

static void cputune(struct out *o, const struct limits_plan *p, enum kvm_type type)
{
	if (!p->quota_us || type == KVM_XEN)
		return;
	begin(o, "cputune");
	number(o, "global_period", p->period_us);
	number(o, "global_quota", p->quota_us);
	end(o);
}

static void iotune(struct out *o, const struct limits_plan *p)
{
	if (!p->io_read && !p->io_write)
		return;
	begin(o, "iotune");
	if (p->io_read)
		number(o, "read_bytes_sec", p->io_read);
	if (p->io_write)
		number(o, "write_bytes_sec", p->io_write);
	end(o);
}

/* --- What it boots --------------------------------------------------------------------------- */

static void boot_kernel(struct out *o, const struct driver_disk *d)
{
	text_of(o, "kernel", d->kernel);
	if (d->initrd)
		text_of(o, "initrd", d->initrd);
	if (d->cmdline && d->cmdline[0])
		text_of(o, "cmdline", d->cmdline);
}

/* libvirt finds a firmware that boots what nobody has signed. */
static void boot_uefi(struct out *o, const struct driver_disk *d)
{
	begin(o, "firmware");
	element(o, "feature", "enabled", "no", "name", "secure-boot", NULL);
	end(o);
	text_of(o, "nvram", d->nvram);
	element(o, "boot", "dev", "hd", NULL);
}

static void os(struct out *o, const struct xml_facts *f)
{
	const struct driver_disk *d = f->guest->disk;
	bool uefi = !d->kernel && d->uefi;

	begin(o, "os");
	if (uefi)
		attribute(o, "firmware", "efi");
	begin(o, "type");
	if (f->type == KVM_QEMU)
		attribute(o, "machine", "q35");
	note(o, xmlTextWriterWriteString(o->writer, BAD_CAST "hvm"));
	end(o);
	if (d->kernel)
		boot_kernel(o, d);
	else if (uefi)
		boot_uefi(o, d);
	else
		element(o, "boot", "dev", "hd", NULL);
	end(o);
}

static void features(struct out *o)
{
	begin(o, "features");
	element(o, "acpi", NULL);
	element(o, "apic", NULL);
	end(o);
}

/* Memory can be plugged only into a machine that has a NUMA node to plug it into. */
static void numa(struct out *o, const struct limits_plan *p)
{
	char cpus[24];

	snprintf(cpus, sizeof(cpus), "0-%u", p->vcpus_max - 1);
	begin(o, "numa");
	begin(o, "cell");
	attribute(o, "id", "0");
	attribute(o, "cpus", p->vcpus_max > 1 ? cpus : "0");
	attribute_u64(o, "memory", p->memory_kib);
	attribute(o, "unit", "KiB");
	end(o);
	end(o);
}

static void cpu(struct out *o, const struct xml_facts *f)
{
	if (f->type != KVM_QEMU)
		return;
	begin(o, "cpu");
	attribute(o, "mode", f->accelerated ? "host-passthrough" : "maximum");
	if (f->plan->memory_max_kib)
		numa(o, f->plan);
	end(o);
}

/* Ticks that were missed are made up for by the real-time clock alone; the HPET, which costs
 * emulation, is for what has no other clock. */
static void clock_of(struct out *o, enum kvm_type type)
{
	begin(o, "clock");
	attribute(o, "offset", "utc");
	if (type == KVM_QEMU) {
		element(o, "timer", "name", "rtc", "tickpolicy", "catchup", NULL);
		element(o, "timer", "name", "pit", "tickpolicy", "delay", NULL);
		element(o, "timer", "name", "hpet", "present", "no", NULL);
	}
	end(o);
}

static void endings(struct out *o)
{
	text_of(o, "on_poweroff", "destroy");
	text_of(o, "on_reboot", "restart");
	text_of(o, "on_crash", "destroy");
}

/* The files are made accessible by us, once, and not by libvirt at each start. */
static void label(struct out *o, const char *dac)
{
	if (!dac)
		return;
	begin(o, "seclabel");
	attribute(o, "type", "static");
	attribute(o, "model", "dac");
	attribute(o, "relabel", "no");
	text_of(o, "label", dac);
	end(o);
}

/* --- What is in it --------------------------------------------------------------------------- */

static void target(struct out *o, enum kvm_type type, char letter)
{
	char dev[8];

	snprintf(dev, sizeof(dev), "%s%c", type == KVM_XEN ? "xvd" : "vd", letter);
	element(o, "target", "dev", dev, "bus", type == KVM_XEN ? "xen" : "virtio", NULL);
}

/* A full pool stops the machine, until there is room again: it does not see broken writes. */
static void disk_driver(struct out *o, const struct xml_facts *f)
{
	begin(o, "driver");
	attribute(o, "name", "qemu");
	attribute(o, "type", "qcow2");
	if (f->type != KVM_XEN) {
		if (f->direct_io) {
			attribute(o, "cache", "none");
			attribute(o, "io", "native");
		} else {
			attribute(o, "cache", "writeback");
		}
		attribute(o, "error_policy", "enospace");
		attribute(o, "discard", "unmap");
	}
	end(o);
}

/* What is below the overlay is said to the end: nothing is found out from what is in the files. */
static void disk(struct out *o, const struct xml_facts *f)
{
	const struct driver_disk *d = f->guest->disk;

	begin(o, "disk");
	attribute(o, "type", "file");
	attribute(o, "device", "disk");
	disk_driver(o, f);
	element(o, "source", "file", d->path, NULL);
	begin(o, "backingStore");
	attribute(o, "type", "file");
	element(o, "format", "type", disk_format_to_string(d->base_format), NULL);
	element(o, "source", "file", d->base, NULL);
	element(o, "backingStore", NULL);
	end(o);
	target(o, f->type, 'a');
	iotune(o, f->plan);
	end(o);
}

static void seed(struct out *o, const struct xml_facts *f)
{
	if (!f->guest->disk->seed)
		return;
	begin(o, "disk");
	attribute(o, "type", "file");
	attribute(o, "device", "disk");
	element(o, "driver", "name", "qemu", "type", "raw", NULL);
	element(o, "source", "file", f->guest->disk->seed, NULL);
	element(o, "backingStore", NULL);
	target(o, f->type, 'b');
	element(o, "readonly", NULL);
	end(o);
}

static void network(struct out *o, const struct xml_facts *f)
{
	const struct driver_guest *g = f->guest;

	if (!g->net.bridge)
		return;
	begin(o, "interface");
	attribute(o, "type", "bridge");
	element(o, "mac", "address", FMT_MAC(g->net.mac), NULL);
	element(o, "source", "bridge", g->net.bridge, NULL);
	element(o, "target", "dev", g->net.link, NULL);
	if (f->type != KVM_XEN)
		element(o, "model", "type", "virtio", NULL);
	end(o);
}

static void console(struct out *o, const struct xml_facts *f)
{
	begin(o, "serial");
	attribute(o, "type", "unix");
	element(o, "source", "mode", "bind", "path", f->console_socket, NULL);
	if (f->type != KVM_XEN)
		element(o, "log", "file", f->console, "append", "on", NULL);
	element(o, "target", "port", "0", NULL);
	end(o);
}

static void guest_agent(struct out *o)
{
	begin(o, "channel");
	attribute(o, "type", "unix");
	element(o, "target", "type", "virtio", "name", "org.qemu.guest_agent.0", NULL);
	end(o);
}

static void entropy(struct out *o)
{
	begin(o, "rng");
	attribute(o, "model", "virtio");
	begin(o, "backend");
	attribute(o, "model", "random");
	note(o, xmlTextWriterWriteString(o->writer, BAD_CAST "/dev/urandom"));
	end(o);
	end(o);
}

#define BALLOON_PERIOD_S "5"

static void balloon(struct out *o, enum kvm_type type)
{
	begin(o, "memballoon");
	attribute(o, "model", type == KVM_XEN ? "xen" : "virtio");
	if (type == KVM_QEMU)
		element(o, "stats", "period", BALLOON_PERIOD_S, NULL);
	end(o);
}

/* No screen, no USB, no sound: what is not there takes no memory and has no holes. */
static void devices(struct out *o, const struct xml_facts *f)
{
	begin(o, "devices");
	disk(o, f);
	seed(o, f);
	network(o, f);
	console(o, f);
	if (f->type != KVM_XEN) {
		guest_agent(o);
		entropy(o);
		element(o, "controller", "type", "usb", "model", "none", NULL);
		element(o, "panic", "model", "isa", NULL);
	}
	balloon(o, f->type);
	end(o);
}

/* --- The whole ------------------------------------------------------------------------------- */

static const char *domain_type(const struct xml_facts *f)
{
	if (f->type == KVM_QEMU)
		return f->accelerated ? "kvm" : "qemu";
	return f->type == KVM_XEN ? "xen" : "test";
}

static void domain(struct out *o, const struct xml_facts *f)
{
	begin(o, "domain");
	attribute(o, "type", domain_type(f));
	identity(o, f->guest);
	memory(o, f->plan);
	vcpus(o, f->plan, f->type);
	cputune(o, f->plan, f->type);
	os(o, f);
	features(o);
	cpu(o, f);
	clock_of(o, f->type);
	endings(o);
	label(o, f->dac);
	devices(o, f);
	end(o);
}

char *xml_render(const struct xml_facts *facts)
{
	xmlBufferPtr buffer = xmlBufferCreate();
	struct out o = {.writer = buffer ? xmlNewTextWriterMemory(buffer, 0) : NULL};
	char *text = NULL;

	if (o.writer) {
		xmlTextWriterSetIndent(o.writer, 1);
		xmlTextWriterSetIndentString(o.writer, BAD_CAST "  ");
		domain(&o, facts);
		note(&o, xmlTextWriterEndDocument(o.writer));
		xmlFreeTextWriter(o.writer);
		text = o.failed ? NULL : strdup((const char *)xmlBufferContent(buffer));
	}
	xmlBufferFree(buffer);
	return text;
}
