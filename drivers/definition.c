/* Definitions of guests as files. */
#include "drivers/definition.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/protocol/value.h"

#define DEFINITION_MAX (256 * 1024) /* raw lines, mostly */
#define OWN	       "driver"
#define SUFFIX	       ".json"

bool definition_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

int definition_missing(const char *title, const char *id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, NULL, "the %s driver has no guest %s", title, id);
}

int definition_need(const char *path, const char *title, const char *id, struct err *err)
{
	return definition_exists(path) ? 0 : definition_missing(title, id, err);
}

int definition_load(const char *path, const char *title, const char *id, struct definition *ret,
	struct err *err)
{
	CLEANUP(definition_finish) struct definition d = {0};
	AUTOFREE char *text = NULL;
	int r = file_read(path, DEFINITION_MAX, &text, NULL);

	if (r == -ENOENT)
		return definition_missing(title, id, err);
	if (r < 0)
		return err_errno(err, r, "cannot read %s", path);
	if ((r = value_parse(text, &d.json, err)) < 0 ||
		(r = value_object(d.json, OWN, &d.own, err)) < 0 ||
		(r = value_to_guest(d.json, &d.guest, err)) < 0) {
		err_prefix(err, "%s", path);
		return r;
	}
	*ret = d;
	d = (struct definition){0};
	return 0;
}

void definition_finish(struct definition *d)
{
	value_guest_finish(&d->guest);
	json_decref(d->json);
	d->json = d->own = NULL;
}

static char *print(const struct driver_guest *guest, const json_t *own)
{
	json_t *json = value_from_guest(guest);

	if (json && own && json_object_set_new(json, OWN, json_deep_copy(own)) < 0) {
		json_decref(json);
		return NULL;
	}
	return value_print(json);
}

static int make_parent(const char *path, struct err *err)
{
	AUTOFREE char *dir = strdup(path);
	char *slash = dir ? strrchr(dir, '/') : NULL;
	int r = dir ? 0 : -ENOMEM;

	if (slash && slash > dir) {
		*slash = '\0';
		r = file_mkdirs(dir, 0700);
	}
	return r < 0 ? err_errno(err, r, "cannot make %s", dir ? dir : path) : 0;
}

int definition_save(
	const char *path, const struct driver_guest *guest, const json_t *own, struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = make_parent(path, err);

	if (r < 0)
		return r;
	text = print(guest, own);
	r = text ? file_replace(path, text, 0600, false) : -ENOMEM;
	return r < 0 ? err_errno(err, r, "cannot write %s", path) : 0;
}

int definition_remove(const char *path, struct err *err)
{
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove %s", path);
	return 0;
}

int definition_remove_with(const char *path, const char *dir, struct err *err)
{
	int r = definition_remove(path, err);

	if (r < 0)
		return r;
	r = file_remove_tree(dir);
	return r < 0 ? err_errno(err, r, "cannot remove %s", dir) : 0;
}

/* --- Paths and checks ------------------------------------------------------------------------- */

int definition_paths(
	const char *id, const struct definition_path *paths, size_t count, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (file_path(paths[i].buf, PATH_MAX, "%s/%s%s", paths[i].dir, id, paths[i].rest) <
			0)
			return err_set(
				err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return 0;
}

int definition_check_text(const char *field, const char *text, const char *refused, struct err *err)
{
	for (const char *p = text ? text : ""; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || strchr(refused, *p))
			return err_set(err, ERR_INVALID, field,
				"%s has a character that cannot be used", field);
	return 0;
}

int definition_check_path(const char *field, const char *path, struct err *err)
{
	if (path && path[0] != '/')
		return err_set(err, ERR_INVALID, field, "%s must be an absolute path", field);
	return definition_check_text(field, path, "", err);
}

int definition_check_names(const struct driver_guest *g, const char *refused, struct err *err)
{
	int r;

	if ((r = definition_check_text("name", g->name, refused, err)) < 0 ||
		(r = definition_check_text("net.bridge", g->net.bridge, " /", err)) < 0 ||
		(r = definition_check_text("net.link", g->net.link, " /", err)) < 0)
		return r;
	if (g->net.bridge && !g->net.link)
		return err_set(err, ERR_INVALID, "net.link", "a link on a bridge needs a name");
	return 0;
}

/* --- All of them ----------------------------------------------------------------------------- */

struct list {
	struct driver_status *statuses;
	size_t count, room;
};

/* Room for one more. */
static bool grow(struct list *l)
{
	size_t room = l->room ? l->room * 2 : 16;
	struct driver_status *grown;

	if (l->count < l->room)
		return true;
	grown = reallocarray(l->statuses, room, sizeof(*grown));
	if (!grown)
		return false;
	l->statuses = grown;
	l->room = room;
	return true;
}

static void free_list(struct list *l)
{
	free(l->statuses);
}

static void cut_suffix(char *name)
{
	size_t len = strlen(name), cut = strlen(SUFFIX);

	if (len > cut && strcmp(name + len - cut, SUFFIX) == 0)
		name[len - cut] = '\0';
}

int definition_list(const char *path, definition_look_fn look, void *data,
	struct driver_status **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(closedirp) DIR *dir = opendir(path);
	CLEANUP(free_list) struct list list = {0};
	struct dirent *e;

	if (!dir)
		return err_errno(err, errno, "cannot list %s", path);
	do {
		if (!grow(&list))
			return err_errno(err, ENOMEM, "no memory for a list");
		e = readdir(dir);
		if (e) {
			cut_suffix(e->d_name);
			list.count += look(data, e->d_name, &list.statuses[list.count]);
		}
	} while (e);
	*ret = TAKE_PTR(list.statuses);
	*ret_count = list.count;
	return 0;
}
