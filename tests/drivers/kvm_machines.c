/* Disks for machines that tests run. */
#include "kvm_machines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/program.h"

#define MACHINES_MAX 64
#define SECTOR	     512
#define DISK_SIZE    (1024 * 1024)

/* Registers of ICH9's power management, where SeaBIOS puts them: PM1_STS 0x600, PM1_EN 0x602,
 * PM1_CNT 0x604; bit 8 of the first two is the power button, bit 13 of the last one is SLP_EN, with
 * sleep type 0 as QEMU has it for "off". */
static const uint8_t SAY_UP[] = {
	0xba,
	0xf8,
	0x03, /* mov dx, COM1 */
	0xb0,
	'u',
	0xee, /* out dx, 'u' */
	0xb0,
	'p',
	0xee,
	0xb0,
	'\n',
	0xee,
};
static const uint8_t WAIT_FOR_BUTTON[] = {
	0xb0,
	0xff,
	0xe6,
	0xa1, /* only the timer interrupts */
	0xba,
	0x02,
	0x06,
	0xb8,
	0x00,
	0x01,
	0xef, /* PM1_EN: the button */
	0xfb,
	0xf4, /* sti; hlt */
	0xba,
	0x00,
	0x06,
	0xed,
	0xf6,
	0xc4,
	0x01, /* PM1_STS: was it pressed? */
	0x74,
	0xf5, /* no: again */
	0xba,
	0x04,
	0x06,
	0xb8,
	0x00,
	0x20,
	0xef, /* PM1_CNT: off */
	0xeb,
	0xfe,
};
static const uint8_t WAIT_FOR_EVER[] = {0xfa, 0xf4, 0xeb, 0xfd}; /* cli; hlt; again */

struct machine {
	char name[64];
	char path[PATH_MAX], base[PATH_MAX], kernel[PATH_MAX], initrd[PATH_MAX];
	char *cmdline;
	struct driver_disk disk;
};

static struct machine g_machines[MACHINES_MAX];
static size_t g_count;

static void die(const char *what)
{
	fprintf(stderr, "cannot make a machine's disk: %s\n", what);
	exit(1);
}

static void write_boot_sector(const char *path, bool ends)
{
	uint8_t sector[SECTOR] = {0};
	CLEANUP(fclosep) FILE *f = fopen(path, "we");
	const uint8_t *rest = ends ? WAIT_FOR_BUTTON : WAIT_FOR_EVER;

	memcpy(sector, SAY_UP, sizeof(SAY_UP));
	memcpy(sector + sizeof(SAY_UP), rest,
		ends ? sizeof(WAIT_FOR_BUTTON) : sizeof(WAIT_FOR_EVER));
	sector[SECTOR - 2] = 0x55;
	sector[SECTOR - 1] = 0xaa;
	if (!f || fwrite(sector, SECTOR, 1, f) != 1 || ftruncate(fileno(f), DISK_SIZE) < 0)
		die(path);
}

static void write_overlay(const char *path, const char *base, const char *format)
{
	RUN("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", format, path);
}

/* The one of that name, if it has been made; else a new one with a folder of its own. */
static struct machine *find_or_add(const char *id, const char *kind, bool *ret_is_new)
{
	struct machine *m = g_machines;
	char name[sizeof(m->name)], folder[PATH_MAX - 64];

	snprintf(name, sizeof(name), "%s of %s", kind, id);
	for (; m < g_machines + g_count; m++)
		if (strcmp(m->name, name) == 0)
			return m;
	if (g_count == MACHINES_MAX)
		die("too many");
	/* Ids that nobody made are no names of folders. */
	snprintf(folder, sizeof(folder), "%s/machines", node_dir());
	mkdir(folder, 0711);
	snprintf(folder, sizeof(folder), "%s/machines/%zu", node_dir(), g_count);
	if (mkdir(folder, 0711) < 0)
		die(folder);
	snprintf(m->name, sizeof(m->name), "%s", name);
	snprintf(m->path, sizeof(m->path), "%s/disk.qcow2", folder);
	snprintf(m->base, sizeof(m->base), "%s/base", folder);
	snprintf(m->kernel, sizeof(m->kernel), "%s/kernel", folder);
	snprintf(m->initrd, sizeof(m->initrd), "%s/initrd", folder);
	g_count++;
	*ret_is_new = true;
	return m;
}

const struct driver_disk *kvm_machine_disk(const char *id, enum rootfs_kind kind)
{
	static const char *const kinds[] = {"plain", "broken", "stubborn", "slow"};
	bool is_new = false;
	struct machine *m = find_or_add(id, kinds[kind], &is_new);

	if (!is_new)
		return &m->disk;
	write_boot_sector(m->base, kind != ROOTFS_STUBBORN);
	write_overlay(m->path, m->base, "raw");
	m->disk = (struct driver_disk){.path = m->path,
		.base = m->base,
		.base_format = kind == ROOTFS_NO_INIT ? DISK_QCOW2 : DISK_RAW};
	return &m->disk;
}

static void copy(const char *from, const char *name, const char *to)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", from, name);
	RUN("cp", "--reflink=auto", path, to);
}

void kvm_machine_await(bool (*comes_up)(void), void (*start_anew)(void))
{
	if (comes_up())
		return;
	start_anew();
	assert_true(comes_up());
}

const struct driver_disk *kvm_machine_disk_on_image(const char *id)
{
	bool is_new = false;
	struct machine *m = find_or_add(id, "image", &is_new);
	const char *image = kvm_node_image();
	char path[PATH_MAX];

	if (!is_new)
		return &m->disk;
	copy(image, "disk.qcow2", m->base);
	copy(image, "kernel", m->kernel);
	copy(image, "initrd", m->initrd);
	write_overlay(m->path, m->base, "qcow2");
	snprintf(path, sizeof(path), "%s/cmdline", image);
	if (file_read(path, DISK_CMDLINE_MAX + 1, &m->cmdline, NULL) < 0)
		die(path);
	m->cmdline[strcspn(m->cmdline, "\n")] = '\0';
	m->disk = (struct driver_disk){.path = m->path,
		.base = m->base,
		.base_format = DISK_QCOW2,
		.kernel = m->kernel,
		.initrd = m->initrd,
		.cmdline = m->cmdline};
	return &m->disk;
}
