/* Handlers of images. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "model/name.h"
#include "model/reader.h"

static json_t *image_json(struct agent *agent, const struct image *image)
{
	struct image counted = *image;

	counted.users = registry_image_users(agent->registry, image);
	return image_to_json(&counted);
}

void api_image_list(struct http_request *request, void *data)
{
	struct agent *agent = data;
	json_t *list = json_array();

	for (size_t i = 0; i < agent->images_count; i++)
		json_array_append_new(list, image_json(agent, &agent->images[i]));
	http_respond_json(request, 200, json_pack("{s:o}", "images", list));
}

/* --- Which one ------------------------------------------------------------------------------- */

/* Query parameter `kind`; `given` says whether it is there. */
static int read_kind(
	const struct http_request *request, enum image_kind *ret, bool *given, struct err *err)
{
	const char *text = http_query(request, "kind");

	*given = text;
	if (text && image_kind_from_string(text, ret) < 0)
		return err_set(err, ERR_INVALID, "kind", "kind must be tree, disk or oci");
	return 0;
}

/* The image of path parameter 0, of the kind that is asked for, or of the only one there is. */
static struct image *requested_image(
	struct http_request *request, struct agent *agent, struct err *err)
{
	const char *name = http_param(request, 0);
	enum image_kind kind = IMAGE_TREE;
	struct image *found = NULL;
	bool given;

	if (read_kind(request, &kind, &given, err) < 0)
		return NULL;
	for (enum image_kind k = 0; k < IMAGE_KIND_MAX_; k++) {
		struct image *image = given && k != kind ? NULL : agent_image(agent, k, name);

		if (image && found) {
			err_set(err, ERR_CONFLICT, "kind",
				"there are images named %.128s of the kinds %s and %s: say which "
				"by kind",
				name, image_kind_to_string(found->kind), image_kind_to_string(k));
			return NULL;
		}
		found = image ? image : found;
	}
	if (!found)
		err_set(err, ERR_NOT_FOUND, NULL, "there is no image named %.128s%s%s", name,
			given ? " of the kind " : "", given ? image_kind_to_string(kind) : "");
	return found;
}

void api_image_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct err err;
	struct image *image = requested_image(request, agent, &err);

	if (image)
		http_respond_json(request, 200, image_json(agent, image));
	else
		http_respond_error(request, &err, NULL);
}

/* --- Import ---------------------------------------------------------------------------------- */

static int check_sha256(const char *text, struct err *err)
{
	if (!text || (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64))
		return 0;
	return err_set(
		err, ERR_INVALID, "sha256", "sha256 must be 64 lower-case hexadecimal digits");
}

/* What is said about a disk. */
struct disk_query {
	bool format_given, boot_given;
	enum disk_format format;
	enum disk_boot boot;
};

static int read_disk_query(
	const struct http_request *request, struct disk_query *ret, struct err *err)
{
	const char *format = http_query(request, "format"), *boot = http_query(request, "boot");

	*ret = (struct disk_query){
		.format_given = format, .boot_given = boot, .boot = DISK_BOOT_BIOS};
	if (format && disk_format_from_string(format, &ret->format) < 0)
		return err_set(err, ERR_INVALID, "format", "format must be qcow2 or raw");
	if (boot && (disk_boot_from_string(boot, &ret->boot) < 0 || ret->boot == DISK_BOOT_KERNEL))
		return err_set(err, ERR_INVALID, "boot",
			"boot must be bios or uefi; with a kernel beside the disk it is that which "
			"is started");
	return 0;
}

/* Whoever says how a disk is booted, or its format, has a disk. */
static int read_import_kind(const struct http_request *request, const struct disk_query *query,
	enum image_kind *ret, struct err *err)
{
	bool disk = query->format_given || query->boot_given, given;
	int r;

	*ret = disk ? IMAGE_DISK : IMAGE_TREE;
	r = read_kind(request, ret, &given, err);
	if (r == 0 && disk && *ret != IMAGE_DISK)
		r = err_set(err, ERR_INVALID, query->format_given ? "format" : "boot",
			"format and boot are said of disks: leave them out, or give kind=disk");
	return r;
}

static int read_import(const struct http_request *request, struct disk_query *query,
	struct image_upload *ret, struct err *err)
{
	int r;

	*ret = (struct image_upload){.name = http_param(request, 0),
		.driver = http_query(request, "driver"),
		.sha256 = http_query(request, "sha256"),
		.fd = -1,
		.whole_fd = -1};
	r = read_disk_query(request, query, err);
	if (r == 0)
		r = read_import_kind(request, query, &ret->kind, err);
	if (r == 0)
		r = ret->kind == IMAGE_OCI ? name_check_reference(ret->name, "name", err)
					   : name_check_image(ret->name, "name", err);
	if (r == 0 && ret->driver && ret->kind != IMAGE_OCI)
		r = err_set(err, ERR_INVALID, "driver",
			"driver is said of images of the kind oci: leave it out, or give kind=oci");
	ret->format = query->format_given ? &query->format : NULL;
	ret->boot = query->boot;
	if (r == 0)
		r = check_sha256(ret->sha256, err);
	if (r == 0)
		r = query_bool(request, "replace", false, &ret->replace, err);
	return r;
}

static int connect(struct http_request *request, struct image_upload *upload, struct err *err)
{
	AUTOCLOSE int whole_fd = http_stream_whole(request, err);

	if (whole_fd < 0)
		return whole_fd;
	upload->fd = http_stream_to_pipe(request, err);
	if (upload->fd < 0)
		return upload->fd;
	upload->whole_fd = TAKE_FD(whole_fd);
	return 0;
}

static int plan_import(
	struct change *change, struct guest_entry *none, struct op_plan *ret, struct err *err)
{
	struct image_upload upload;
	struct disk_query query = {0};
	int r = read_import(change->request, &query, &upload, err);

	(void)none;
	/* The body has to be read to its end before there can be an answer. */
	change->to_the_end = true;
	if (r == 0)
		r = connect(change->request, &upload, err);
	return r < 0 ? r : plan_image_import(change->agent, ret, &upload, err);
}

void api_image_import(struct http_request *request, void *data)
{
	change_handle(request, data, plan_import);
}

/* --- Pull ------------------------------------------------------------------------------------ */

struct pull {
	char *name; /* owned */
	char driver[DRIVER_NAME_MAX + 1];
	enum image_kind kind;
	bool pull;
};

static void pull_finish(struct pull *pull)
{
	free(pull->name);
}

static int read_pull_kind(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	enum image_kind *kind = member;
	const char *text = json_string_value(value);

	(void)field;
	if (!text || image_kind_from_string(text, kind) < 0 || *kind != IMAGE_OCI)
		return err_set(err, ERR_INVALID, path,
			"%s must be oci: others are imported, by PUT", path);
	return 0;
}

static const struct reader_field PULL[] = {
	{.name = "name",
		.read = reader_text,
		.offset = offsetof(struct pull, name),
		.required = true,
		.check = name_check_reference},
	{.name = "kind", .read = read_pull_kind, .offset = offsetof(struct pull, kind)},
	{.name = "driver",
		.read = reader_chars,
		.offset = offsetof(struct pull, driver),
		.size = DRIVER_NAME_MAX + 1,
		.check = name_check_word},
	{.name = "pull", .read = reader_bool, .offset = offsetof(struct pull, pull)},
};

static int read_pull(const json_t *body, struct pull *ret, struct err *err)
{
	int r = reader_object(body, "", PULL, ARRAY_SIZE(PULL), ret, err);

	if (r == 0 && !ret->pull)
		r = err_set(err, ERR_INVALID, "pull",
			"pull must be true: an image that is not pulled is imported, by PUT");
	return r;
}

static int plan_pull(
	struct change *change, struct guest_entry *none, struct op_plan *ret, struct err *err)
{
	CLEANUP(pull_finish) struct pull pull = {.pull = true};
	int r = read_pull(http_body(change->request), &pull, err);

	(void)none;
	return r < 0 ? r
		     : plan_image_pull(change->agent, ret, pull.name,
			       *pull.driver ? pull.driver : NULL, err);
}

void api_image_pull(struct http_request *request, void *data)
{
	change_handle(request, data, plan_pull);
}

/* --- Delete ---------------------------------------------------------------------------------- */

static int plan_delete(
	struct change *change, struct guest_entry *none, struct op_plan *ret, struct err *err)
{
	struct image *image = requested_image(change->request, change->agent, err);

	(void)none;
	return image ? plan_image_delete(change->agent, ret, image, err) : err_errnum(err->code);
}

void api_image_delete(struct http_request *request, void *data)
{
	change_handle(request, data, plan_delete);
}
