/* What a guest of the driver has on the node. */
#include "drivers/docker/define.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/definition.h"
#include "drivers/docker/note.h"

#define PREFIX "corpus-"

int docker_paths(
	const struct docker *docker, const char *id, struct docker_paths *p, struct err *err)
{
	char gates[PATH_MAX];
	const struct definition_path paths[] = {
		{p->definition, docker->dirs.state, ".json"},
		{p->gate, gates, ""},
		{p->note, docker->dirs.run, NOTE_SUFFIX},
		{p->hold, docker->dirs.run, ".hold"},
		{p->console, docker->dirs.run, ".console"},
		{p->ended, docker->dirs.run, ".ended"},
	};

	if (file_path(gates, sizeof(gates), "%s/gates", docker->dirs.run) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
	return definition_paths(id, paths, ARRAY_SIZE(paths), err);
}

/* --- Checks ----------------------------------------------------------------------------------- */

static int check_net(const struct driver_guest *g, struct err *err)
{
	if (g->net.bridge && !g->net.address)
		return err_set(err, ERR_INVALID, "net.address",
			"a container needs an address: there is nothing in it that asks for one");
	return 0;
}

int define_check(const struct driver_guest *g, struct err *err)
{
	int r;

	if (!g->container)
		return err_set(err, ERR_INVALID, "container",
			"a guest of Docker needs an image of that kind, not a tree of files or a "
			"disk");
	if (!g->container->image)
		return err_set(err, ERR_INVALID, "container.image", "there is no image");
	r = definition_check_path("container.data", g->container->data, err);
	if (r == 0)
		r = definition_check_names(g, "", err);
	return r == 0 ? check_net(g, err) : r;
}

/* --- Names ------------------------------------------------------------------------------------ */

uint64_t define_hash(const char *text)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	return hash;
}

const char *define_name(
	const struct driver_guest *g, enum define_name which, char buf[static DEFINE_NAME_MAX])
{
	switch (which) {
	case DEFINE_NAME: snprintf(buf, DEFINE_NAME_MAX, PREFIX "%s", g->name); break;
	case DEFINE_NAME_ELSE:
		snprintf(buf, DEFINE_NAME_MAX, PREFIX "%s.%s", g->name, g->id);
		break;
	case DEFINE_NAME_NEW: snprintf(buf, DEFINE_NAME_MAX, PREFIX "%s.new", g->id); break;
	case DEFINE_NAME_ASIDE: snprintf(buf, DEFINE_NAME_MAX, PREFIX "%s.aside", g->id); break;
	}
	return buf;
}
