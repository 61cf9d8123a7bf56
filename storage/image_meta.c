/* meta.json: what an image is, beside its root file system or disk. A clone carries a copy, so that
 * a volume tells which image it was made of even after the image is gone. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "storage/pool.h"

#define META_NAME    "meta.json"
#define META_MAX     65536
#define META_VERSION 1

static json_t *disk_to_json(const struct image_disk *disk)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:I}", "format", disk_format_to_string(disk->format),
		"boot", disk_boot_to_string(disk->boot), "initrd", disk->initrd, "cmdline",
		disk->cmdline, "size", (json_int_t)disk->size);
}

static int disk_from_json(json_t *json, struct image_disk *ret)
{
	const char *format, *boot, *cmdline;
	struct image_disk disk = {0};
	json_int_t size;
	int initrd;

	if (json_unpack(json, "{s:s, s:s, s:b, s:s, s:I}", "format", &format, "boot", &boot,
		    "initrd", &initrd, "cmdline", &cmdline, "size", &size) < 0 ||
		disk_format_from_string(format, &disk.format) < 0 ||
		disk_boot_from_string(boot, &disk.boot) < 0 ||
		strlen(cmdline) >= sizeof(disk.cmdline) || size < 0)
		return -EINVAL;
	disk.initrd = initrd;
	disk.size = (uint64_t)size;
	snprintf(disk.cmdline, sizeof(disk.cmdline), "%s", cmdline);
	*ret = disk;
	return 0;
}

static json_t *image_to_meta(const struct image *image, uint64_t base)
{
	json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "version",
		META_VERSION, "name", image->name, "kind", image_kind_to_string(image->kind),
		"sha256", image->sha256, "size", (json_int_t)image->size, "entries",
		(json_int_t)image->entries, "created_ms", (json_int_t)image->created_ms, "base",
		(json_int_t)base);

	if (json && image->kind == IMAGE_DISK)
		json_object_set_new(json, "disk", disk_to_json(&image->disk));
	return json;
}

int image_meta_write(int dir, const struct image *image, uint64_t base, struct err *err)
{
	AUTOCLOSE int fd = -1;
	AUTOFREE char *text = NULL;
	CLEANUP(json_decrefp)
	json_t *json = image_to_meta(image, base);
	int r;

	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	if (!text)
		return err_errno(err, ENOMEM, "cannot describe the image");
	fd = openat(dir, META_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? err_errno(err, r, "cannot write the image's " META_NAME) : 0;
}

int image_meta_rewrite(int dir, const struct image *image, uint64_t base, struct err *err)
{
	if (unlinkat(dir, META_NAME, 0) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot replace the image's " META_NAME);
	return image_meta_write(dir, image, base, err);
}

/* One from before there were kinds says none. */
static int kind_from_meta(json_t *json, struct image *image)
{
	json_t *kind = json_object_get(json, "kind");
	int r = kind ? image_kind_from_string(json_string_value(kind), &image->kind) : 0;

	if (r == 0 && image->kind == IMAGE_DISK)
		r = disk_from_json(json_object_get(json, "disk"), &image->disk);
	return r;
}

static int image_from_meta(json_t *json, struct image *ret, uint64_t *ret_base)
{
	struct image image = {0};
	json_int_t size, entries, created, base;
	const char *name, *sha256;
	int version;

	if (json_unpack(json, "{s:i, s:s, s:s, s:I, s:I, s:I, s:I}", "version", &version, "name",
		    &name, "sha256", &sha256, "size", &size, "entries", &entries, "created_ms",
		    &created, "base", &base) < 0 ||
		version != META_VERSION || strlen(name) >= sizeof(image.name) ||
		strlen(sha256) >= sizeof(image.sha256) || kind_from_meta(json, &image) < 0)
		return -EINVAL;
	snprintf(image.name, sizeof(image.name), "%s", name);
	snprintf(image.sha256, sizeof(image.sha256), "%s", sha256);
	image.size = (uint64_t)size;
	image.entries = (uint64_t)entries;
	image.created_ms = created;
	*ret = image;
	*ret_base = (uint64_t)base;
	return 0;
}

int image_meta_read(int dir, struct image *ret, uint64_t *ret_base, struct err *err)
{
	CLEANUP(json_decrefp) json_t *json = NULL;
	AUTOFREE char *text = NULL;
	uint64_t base;
	int r = file_read_at(dir, META_NAME, META_MAX, &text, NULL);

	if (r < 0)
		return err_errno(err, r, "cannot read the image's " META_NAME);
	json = json_loads(text, 0, NULL);
	if (!json || image_from_meta(json, ret, &base) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the image's " META_NAME " is damaged");
	if (ret_base)
		*ret_base = base;
	return 0;
}
