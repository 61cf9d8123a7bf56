/* Handlers of images. */
#include <errno.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "model/name.h"

static json_t *image_json(struct agent *agent, const struct image *image)
{
	struct image counted = *image;

	counted.users = registry_image_users(agent->registry, image->name);
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

void api_image_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct image *image = agent_image(agent, http_param(request, 0));
	struct err err;

	if (image) {
		http_respond_json(request, 200, image_json(agent, image));
		return;
	}
	err_set(&err, ERR_NOT_FOUND, NULL, "there is no image named %.128s",
		http_param(request, 0));
	http_respond_error(request, &err, NULL);
}

static int check_sha256(const char *text, struct err *err)
{
	if (!text || (strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64))
		return 0;
	return err_set(
		err, ERR_INVALID, "sha256", "sha256 must be 64 lower-case hexadecimal digits");
}

static int read_import(
	const struct http_request *request, struct image_upload *ret, struct err *err)
{
	int r;

	*ret = (struct image_upload){.name = http_param(request, 0),
		.sha256 = http_query(request, "sha256"),
		.fd = -1,
		.whole_fd = -1};
	r = name_check_image(ret->name, "name", err);
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

void api_image_import(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct image_upload upload;
	struct op_plan plan = {0};
	struct change change;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent))
		return;
	r = read_import(request, &upload, &err);
	if (r == 0)
		r = connect(request, &upload, &err);
	if (r == 0)
		r = plan_image_import(agent, &plan, &upload, &err);
	/* The body has to be read to its end before there can be an answer. */
	change.to_the_end = true;
	change_submit(&change, r, &err, &plan, NULL);
}

void api_image_delete(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct op_plan plan = {0};
	struct change change;
	struct err err;
	int r;

	if (!change_begin(&change, request, agent))
		return;
	r = plan_image_delete(agent, &plan, http_param(request, 0), &err);
	change_submit(&change, r, &err, &plan, NULL);
}
