/* An image: what guests start from, never written. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/name.h"

/* An image is known by its name and its kind: each driver takes one kind, so that guests of all
 * drivers can name the same image. */
enum image_kind {
	IMAGE_TREE, /* a root file system, as files */
	IMAGE_DISK, /* a disk to boot a machine from */
	IMAGE_OCI,  /* programs and their environment, kept by the daemon of a driver */
	IMAGE_KIND_MAX_,
};

const char *image_kind_to_string(enum image_kind value);	    /* "tree", "disk", "oci" */
int image_kind_from_string(const char *text, enum image_kind *ret); /* -EINVAL */

enum disk_format { DISK_QCOW2, DISK_RAW, DISK_FORMAT_MAX_ };

const char *disk_format_to_string(enum disk_format value);	      /* "qcow2", "raw" */
int disk_format_from_string(const char *text, enum disk_format *ret); /* -EINVAL */

/* What brings it up: firmware that starts what is on the disk, or a kernel that lies beside it. */
enum disk_boot { DISK_BOOT_BIOS, DISK_BOOT_UEFI, DISK_BOOT_KERNEL, DISK_BOOT_MAX_ };

const char *disk_boot_to_string(enum disk_boot value);		  /* "bios", "uefi", "kernel" */
int disk_boot_from_string(const char *text, enum disk_boot *ret); /* -EINVAL */

#define DISK_CMDLINE_MAX 1023

/* What is known of a disk besides its bytes. */
struct image_disk {
	enum disk_format format;
	enum disk_boot boot;
	bool initrd;			    /* beside the kernel */
	char cmdline[DISK_CMDLINE_MAX + 1]; /* of the kernel */
	uint64_t size;			    /* bytes, as the guest sees it */
};

struct image {
	char name[IMAGE_NAME_MAX + 1];
	enum image_kind kind;
	struct image_disk disk; /* of IMAGE_DISK */
	char sha256[65];	/* of the archive or file it came from, hexadecimal */
	uint64_t size;		/* bytes unpacked */
	uint64_t entries;	/* files, directories, links */
	int64_t created_ms;	/* since the epoch */
	/* Of IMAGE_OCI, of which no sha256 or entries are known: whose daemon keeps it, and what
	 * never means anything else. */
	char driver[DRIVER_NAME_MAX + 1], id[IMAGE_ID_MAX + 1];
	uint32_t users; /* guests made of it; filled by the agent */
};

/* As the API shows it; a new reference. */
json_t *image_to_json(const struct image *image);
