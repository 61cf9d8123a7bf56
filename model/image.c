/* Images. */
#include "model/image.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"

static const char *const KINDS[] = {
	[IMAGE_TREE] = "tree", [IMAGE_DISK] = "disk", [IMAGE_OCI] = "oci"};
static const char *const FORMATS[] = {[DISK_QCOW2] = "qcow2", [DISK_RAW] = "raw"};
static const char *const BOOTS[] = {
	[DISK_BOOT_BIOS] = "bios", [DISK_BOOT_UEFI] = "uefi", [DISK_BOOT_KERNEL] = "kernel"};

static int find(const char *const *names, size_t count, const char *text, unsigned *ret)
{
	for (unsigned i = 0; text && i < count; i++)
		if (strcmp(names[i], text) == 0) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

const char *image_kind_to_string(enum image_kind kind)
{
	return kind < IMAGE_KIND_MAX_ ? KINDS[kind] : "unknown";
}

int image_kind_from_string(const char *text, enum image_kind *ret)
{
	unsigned found;
	int r = find(KINDS, ARRAY_SIZE(KINDS), text, &found);

	if (r == 0)
		*ret = (enum image_kind)found;
	return r;
}

const char *disk_format_to_string(enum disk_format format)
{
	return format < DISK_FORMAT_MAX_ ? FORMATS[format] : "unknown";
}

int disk_format_from_string(const char *text, enum disk_format *ret)
{
	unsigned found;
	int r = find(FORMATS, ARRAY_SIZE(FORMATS), text, &found);

	if (r == 0)
		*ret = (enum disk_format)found;
	return r;
}

const char *disk_boot_to_string(enum disk_boot boot)
{
	return boot < DISK_BOOT_MAX_ ? BOOTS[boot] : "unknown";
}

int disk_boot_from_string(const char *text, enum disk_boot *ret)
{
	unsigned found;
	int r = find(BOOTS, ARRAY_SIZE(BOOTS), text, &found);

	if (r == 0)
		*ret = (enum disk_boot)found;
	return r;
}

json_t *image_to_json(const struct image *image)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "name", image->name, "kind",
		image_kind_to_string(image->kind), "sha256", image->sha256, "size",
		(json_int_t)image->size, "entries", (json_int_t)image->entries, "created",
		FMT_TIME(image->created_ms), "users", (json_int_t)image->users);

	if (json && image->kind == IMAGE_DISK)
		json_object_set_new(json, "disk",
			json_pack("{s:s, s:s, s:I}", "format",
				disk_format_to_string(image->disk.format), "boot",
				disk_boot_to_string(image->disk.boot), "size",
				(json_int_t)image->disk.size));
	return json;
}
