/* Images. */
#include "model/image.h"

#include "base/names.h"
#include "base/parse.h"

static const char *const KINDS[] = {
	[IMAGE_TREE] = "tree", [IMAGE_DISK] = "disk", [IMAGE_OCI] = "oci"};
static const char *const FORMATS[] = {[DISK_QCOW2] = "qcow2", [DISK_RAW] = "raw"};
static const char *const BOOTS[] = {
	[DISK_BOOT_BIOS] = "bios", [DISK_BOOT_UEFI] = "uefi", [DISK_BOOT_KERNEL] = "kernel"};

DEFINE_NAMES(image_kind, KINDS)
DEFINE_NAMES(disk_format, FORMATS)
DEFINE_NAMES(disk_boot, BOOTS)

static json_t *disk_to_json(const struct image_disk *disk)
{
	return json_pack("{s:s, s:s, s:I}", "format", disk_format_to_string(disk->format), "boot",
		disk_boot_to_string(disk->boot), "size", (json_int_t)disk->size);
}

json_t *image_to_json(const struct image *image)
{
	bool kept = image->kind == IMAGE_OCI;
	json_t *json = json_pack("{s:s, s:s, s:I, s:s, s:I, s:s*, s:s*, s:s*}", "name", image->name,
		"kind", image_kind_to_string(image->kind), "size", (json_int_t)image->size,
		"created", FMT_TIME(image->created_ms), "users", (json_int_t)image->users, "sha256",
		kept ? NULL : image->sha256, "id", kept ? image->id : NULL, "driver",
		kept ? image->driver : NULL);

	if (json && !kept)
		json_object_set_new(json, "entries", json_integer((json_int_t)image->entries));
	if (json && image->kind == IMAGE_DISK)
		json_object_set_new(json, "disk", disk_to_json(&image->disk));
	return json;
}
