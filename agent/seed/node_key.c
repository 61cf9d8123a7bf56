/* The node's own key for ssh: one file of state_dir, and its public half beside it, which is made
 * from it again whenever it is not that. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/random.h"

#define KEY_MAX 4096

/* What is there and is no key of ours is kept aside: it was somebody's. */
static int set_aside(const char *path, struct err *err)
{
	char aside[PATH_MAX];
	int r = file_path(aside, sizeof(aside), "%s.replaced", path);

	if (r == 0 && rename(path, aside) < 0)
		r = -errno;
	if (r < 0)
		return err_errno(err, r, "cannot put %s aside, which is no key", path);
	log_warning("node_key.replaced", "path=%s aside=%s", path, aside);
	return 0;
}

/* 1: there is none. */
static int read_key(const char *path, uint8_t ret[static HOST_KEY_SEED], struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = file_read(path, KEY_MAX, &text, NULL);

	if (r == -ENOENT)
		return 1;
	if (r < 0 && r != -EFBIG)
		return err_errno(err, r, "cannot read %s", path);
	if (r == 0)
		r = host_key_seed(text, ret);
	if (text)
		explicit_bzero(text, strlen(text));
	if (r == 0)
		return 0;
	r = set_aside(path, err);
	return r < 0 ? r : 1;
}

static int make_key(
	const char *path, const char *comment, uint8_t ret[static HOST_KEY_SEED], struct err *err)
{
	AUTOFREE char *key = NULL;
	int r;

	random_bytes(ret, HOST_KEY_SEED);
	key = render_host_key(ret, comment);
	r = key ? file_replace(path, key, 0600, true) : -ENOMEM;
	if (key)
		explicit_bzero(key, strlen(key));
	return r < 0 ? err_errno(err, r, "cannot write the node's key %s", path) : 0;
}

static int keep_public(const char *path, const char *line, struct err *err)
{
	AUTOFREE char *have = NULL;
	char beside[PATH_MAX];
	int r = file_path(beside, sizeof(beside), "%s.pub", path);

	if (r == 0 && file_read(beside, KEY_MAX, &have, NULL) == 0 && strcmp(have, line) == 0)
		return 0;
	if (r == 0)
		r = file_replace(beside, line, 0644, true);
	return r < 0 ? err_errno(err, r, "cannot write %s.pub", path) : 0;
}

int seed_node_key(const char *path, char **ret_public, struct err *err)
{
	uint8_t random[HOST_KEY_SEED];
	AUTOFREE char *line = NULL;
	int r = read_key(path, random, err);

	if (r > 0)
		r = make_key(path, SEED_NODE_KEY_COMMENT, random, err);
	if (r == 0)
		line = render_host_key_public(random, SEED_NODE_KEY_COMMENT);
	explicit_bzero(random, sizeof(random));
	if (r == 0)
		r = line ? keep_public(path, line, err)
			 : err_errno(err, ENOMEM, "cannot read the node's key");
	if (r == 0)
		*ret_public = TAKE_PTR(line);
	return r;
}
