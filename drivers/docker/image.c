/* Images that dockerd has: found, listed, removed. */
#include "drivers/docker/image.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "drivers/docker/reply.h"

#define ID_PREFIX "sha256:"
#define ASK_MS	  30000

/* --- What dockerd says ----------------------------------------------------------------------- */

static bool is_id(const char *text)
{
	return strlen(text) == IMAGE_ID_MAX && strncmp(text, ID_PREFIX, strlen(ID_PREFIX)) == 0 &&
	       strspn(text + strlen(ID_PREFIX), "0123456789abcdef") == 64;
}

static int take_id(const json_t *image, struct driver_image *ret, struct err *err)
{
	const char *id;
	int r = reply_text(image, "Id", &id, err);

	if (r < 0)
		return r;
	if (!is_id(id))
		return err_set(err, ERR_DRIVER, NULL, "dockerd calls an image \"%.80s\"", id);
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	return 0;
}

static uint64_t size_of(const json_t *image)
{
	int64_t size = reply_number_or_none(image, "Size");

	return size > 0 ? (uint64_t)size : 0;
}

/* RFC 3339; 0 for what does not say when it was made. */
static int64_t parse_time(const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t seconds;

	if (!rest)
		return 0;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	seconds = timegm(&tm);
	if (strptime(rest, "%z", &tm))
		seconds -= tm.tm_gmtoff;
	return seconds > 0 ? (int64_t)seconds * 1000 : 0;
}

/* --- Finding --------------------------------------------------------------------------------- */

static int inspect(
	struct engine *engine, const char *name, struct driver_image *image, struct err *err)
{
	json_t *json = NULL;
	int status = 0, r;

	r = engine_call(engine,
		&(struct engine_request){.path = "/images/{}/json",
			.name = name,
			.what = "look for the image",
			.timeout_ms = ASK_MS,
			.ret_status = &status},
		&json, err);
	if (r < 0 && status == 404)
		return err_set(err, ERR_NOT_FOUND, "image",
			"Docker has no image %s: pull or load it", name);
	if (r == 0)
		r = take_id(json, image, err);
	if (r == 0) {
		image->size = size_of(json);
		image->created_ms = parse_time(reply_text_or_none(json, "Created"));
	}
	json_decref(json);
	return r;
}

int image_find(struct engine *engine, const char *name, struct driver_image *ret, struct err *err)
{
	char text[REFERENCE_TEXT_MAX];
	struct driver_image image = {0};
	struct reference reference;
	int r = is_id(name) ? 0 : reference_parse(name, &reference, err);

	if (r < 0)
		return r;
	snprintf(image.name, sizeof(image.name), "%s",
		is_id(name) ? name : reference_print(&reference, text));
	r = inspect(engine, image.name, &image, err);
	if (r == 0)
		*ret = image;
	return r;
}

/* --- The list -------------------------------------------------------------------------------- */

struct list {
	struct driver_image *images;
	size_t count, room;
};

static bool is_own(const char *name)
{
	static const char *const own[] = {IMAGE_SNAPSHOTS, IMAGE_LAYERS, IMAGE_LOADING};
	size_t length = strcspn(name, ":@");

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (length == strlen(own[i]) && strncmp(name, own[i], length) == 0)
			return true;
	return false;
}

static int add(struct list *l, const struct driver_image *image, struct err *err)
{
	if (l->count == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		struct driver_image *grown = reallocarray(l->images, room, sizeof(*grown));

		if (!grown)
			return err_errno(err, ENOMEM, "no memory for a list of images");
		l->images = grown;
		l->room = room;
	}
	l->images[l->count++] = *image;
	return 0;
}

/* Adds it by each name in `names`; *ret_named tells whether there was one. */
static int add_names(struct list *l, const json_t *names, struct driver_image *image,
	bool *ret_named, struct err *err)
{
	const json_t *value;
	size_t i;
	int r = 0;

	json_array_foreach (names, i, value) {
		const char *name = json_string_value(value);

		if (!name || strstr(name, "<none>") || strlen(name) > IMAGE_NAME_MAX)
			continue;
		*ret_named = true;
		snprintf(image->name, sizeof(image->name), "%s", name);
		if (r == 0 && !is_own(name))
			r = add(l, image, err);
	}
	return r;
}

static int add_image(struct list *l, const json_t *json, struct err *err)
{
	struct driver_image image = {.size = size_of(json)};
	int64_t created = reply_number_or_none(json, "Created");
	bool named = false;
	int r = take_id(json, &image, err);

	if (created > 0 && created < INT64_MAX / 1000)
		image.created_ms = created * 1000;
	if (r == 0)
		r = add_names(l, reply_at(json, "RepoTags"), &image, &named, err);
	/* Pulled by its digest, that is its only name. */
	if (r == 0 && !named)
		r = add_names(l, reply_at(json, "RepoDigests"), &image, &named, err);
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct driver_image *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int list(
	struct engine *engine, struct driver_image **ret, size_t *ret_count, struct err *err)
{
	struct list l = {0};
	json_t *json = NULL;
	const json_t *image;
	size_t i;
	int r = engine_call(engine,
		&(struct engine_request){
			.path = "/images/json", .what = "list images", .timeout_ms = ASK_MS},
		&json, err);

	if (r == 0 && !json_is_array(json))
		r = err_set(err, ERR_DRIVER, NULL, "dockerd's list of images is none");
	json_array_foreach (json, i, image)
		if (r == 0)
			r = add_image(&l, image, err);
	json_decref(json);
	if (r < 0) {
		free(l.images);
		return r;
	}
	if (l.count > 0)
		qsort(l.images, l.count, sizeof(*l.images), by_name);
	*ret = l.images;
	*ret_count = l.count;
	return 0;
}

/* --- Removing -------------------------------------------------------------------------------- */

#define REMOVE_MS 120000 /* large layers take their time */

int image_remove(struct engine *engine, const char *name, struct err *err)
{
	struct err failed = {0};
	int r = engine_call(engine,
		&(struct engine_request){.method = "DELETE",
			.path = "/images/{}",
			.name = name,
			.what = "remove the image",
			.timeout_ms = REMOVE_MS},
		NULL, &failed);

	if (r == 0 || failed.code == ERR_NOT_FOUND)
		return 0;
	if (failed.code == ERR_CONFLICT)
		return err_set(err, ERR_CONFLICT, "image", "%s", failed.message);
	if (err)
		*err = failed;
	return r;
}

/* --- Messages -------------------------------------------------------------------------------- */

/* What registries and dockerd say, as it is found in their words. */
static const struct {
	const char *words;
	enum err_code code;
} WORDS[] = {
	{"unauthorized", ERR_DENIED},
	{"authentication required", ERR_DENIED},
	{"no basic auth credentials", ERR_DENIED},
	{"denied", ERR_DENIED},
	{"403 forbidden", ERR_DENIED}, /* containerd */
	{"not found", ERR_NOT_FOUND},
	{"manifest unknown", ERR_NOT_FOUND},
	{"name unknown", ERR_NOT_FOUND},
	{"does not exist", ERR_NOT_FOUND},
	{"no space left on device", ERR_NO_ROOM},
};

static enum err_code code_by_words(const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
		if (strcasestr(text, WORDS[i].words))
			return WORDS[i].code;
	return ERR_DRIVER;
}

int image_refused(const char *text, struct err *err)
{
	enum err_code code = code_by_words(text);

	return err_set(err, code, code == ERR_DENIED || code == ERR_NOT_FOUND ? "image" : NULL,
		"%s", text);
}

int image_message(void *data, json_t *message, struct err *err)
{
	const char *text = reply_text_or_none(message, "errorDetail.message");

	(void)data;
	if (text[0] == '\0')
		text = reply_text_or_none(message, "error");
	return text[0] ? image_refused(text, err) : 0;
}

/* --- The driver's function ------------------------------------------------------------------- */

/* Names that people may give: as Docker prints them, and none of ours. */
static int check_name(const char *name, char text[static REFERENCE_TEXT_MAX], struct err *err)
{
	struct reference reference;
	int r = reference_parse(name, &reference, err);

	if (r < 0)
		return r;
	reference_print(&reference, text);
	if (is_own(text))
		return err_set(err, ERR_INVALID, "image",
			"images called %.*s are the driver's own: choose another name",
			(int)strcspn(text, ":@"), text);
	return 0;
}

static int find_one(struct engine *engine, const char *name, struct driver_image **ret,
	size_t *ret_count, struct err *err)
{
	AUTOFREE struct driver_image *image = calloc(1, sizeof(*image));
	int r = image ? image_find(engine, name, image, err)
		      : err_errno(err, ENOMEM, "no memory for an image");

	if (r < 0)
		return r;
	*ret = TAKE_PTR(image);
	*ret_count = 1;
	return 0;
}

static int change(struct docker *docker, struct engine *engine,
	const struct driver_image_work *work, struct err *err)
{
	switch (work->op) {
	case DRIVER_IMAGE_PULL: return image_pull(docker, engine, work, err);
	case DRIVER_IMAGE_LOAD: return image_load(docker, engine, work, err);
	case DRIVER_IMAGE_REMOVE: return image_remove(engine, work->name, err);
	default: return 0;
	}
}

int docker_image(struct driver *driver, const struct driver_image_work *work,
	struct driver_image **ret, size_t *ret_count, struct err *err)
{
	struct docker *docker = (struct docker *)driver;
	AUTOENGINE struct engine *engine = NULL;
	struct driver_image_work named = *work;
	char name[REFERENCE_TEXT_MAX];
	int r = 0;

	*ret = NULL;
	*ret_count = 0;
	/* Whoever reads how far it is may go at any time. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (work->op != DRIVER_IMAGE_LIST &&
		!(work->op == DRIVER_IMAGE_FIND && is_id(work->name))) {
		r = check_name(work->name, name, err);
		named.name = name;
	}
	if (r == 0)
		r = engine_open(docker->socket, 0, &engine, err);
	if (r == 0)
		r = change(docker, engine, &named, err);
	if (r < 0 || work->op == DRIVER_IMAGE_REMOVE)
		return r;
	return work->op == DRIVER_IMAGE_LIST ? list(engine, ret, ret_count, err)
					     : find_one(engine, named.name, ret, ret_count, err);
}
