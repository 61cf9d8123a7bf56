/* Commands about images: list, show, import, build, delete. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/facts.h"
#include "cli/fetch.h"
#include "cli/kinds.h"
#include "cli/list.h"
#include "cli/show.h"
#include "cli/source.h"
#include "cli/url.h"

static char *image_path(const char *name)
{
	struct strbuf buf = {0};

	url_path(&buf, "/v1/images/%s", name);
	return strbuf_take(&buf);
}

int cmd_image_list(struct cli *cli, const struct args *args, struct err *err)
{
	return list_run(cli, args, "/v1/images", &LIST_IMAGES, err);
}

int cmd_image_show(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = image_path(args->operands[0]);

	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	return fetch_and_show(cli, path, show_image, err);
}

/* --- import, build --------------------------------------------------------------------------- */

static void say_image(struct cli *cli, const char *subject, const json_t *image)
{
	if (image)
		cli_say(cli, "image %s: %s in %s entries", subject, V_SIZE(image, "size"),
			V_NUMBER(image, "entries"));
	else
		cli_say(cli, "image %s: imported", subject);
}

static int upload(struct cli *cli, const struct args *args, const char *name, struct source *source,
	struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	url_path(&buf, "/v1/images/%s", name);
	url_query(&buf, "sha256", args_value(args, "sha256"));
	url_query(&buf, "replace", args_has(args, "replace") ? "true" : NULL);
	path = strbuf_take(&buf);
	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "PUT",
			.path = path,
			.source = source,
			.subject = name,
			.say = say_image,
		},
		err);
}

/* An upload has no dry run: there is nothing to say about bytes that were not sent. */
static int refuse_dry_run(const struct cli *cli, struct err *err)
{
	return cli->dry_run ? err_set(err, ERR_INVALID, NULL, "an import has no --dry-run") : 0;
}

static int open_source(const char *path, struct source **ret, struct err *err)
{
	struct stat st;

	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return source_open_directory(path, ret, err);
	return source_open_file(path, ret, err);
}

int cmd_image_import(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(source_closep) struct source *source = NULL;
	int r = refuse_dry_run(cli, err);

	if (r == 0)
		r = open_source(args->operands[1], &source, err);
	return r < 0 ? r : upload(cli, args, args->operands[0], source, err);
}

static int refuse_kind(const char *kind, struct err *err)
{
	AUTOFREE char *kinds = kinds_list(", ");
	const char *known = kinds && *kinds ? kinds : "none is installed";

	if (!kind)
		return err_set(err, ERR_INVALID, NULL, "say which kind of image: %s", known);
	return err_set(
		err, ERR_INVALID, NULL, "there is no kind of image %s; known are: %s", kind, known);
}

/* The kind's program and what is handed on to it. */
static int open_builder(const struct args *args, struct source **ret, struct err *err)
{
	AUTOFREE const char **argv = calloc(args->operands_count + 1, sizeof(*argv));
	AUTOFREE char *program = kinds_program(args->operands[0]);

	if (!argv)
		return err_errno(err, ENOMEM, "building an image");
	if (!program)
		return refuse_kind(args->operands[0], err);
	argv[0] = program;
	for (size_t i = 1; i < args->operands_count; i++)
		argv[i] = args->operands[i];
	return source_open_program(argv, ret, err);
}

int cmd_image_build(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(source_closep) struct source *source = NULL;
	const char *name = args_value(args, "name");
	int r = refuse_dry_run(cli, err);

	if (r == 0 && args->operands_count == 0)
		r = refuse_kind(NULL, err);
	if (r == 0)
		r = open_builder(args, &source, err);
	return r < 0 ? r : upload(cli, args, name ? name : args->operands[0], source, err);
}

/* --- delete ---------------------------------------------------------------------------------- */

static int delete_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	AUTOFREE char *path = image_path(name);

	(void)args;
	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "DELETE",
			.path = path,
			.subject = name,
			.past = "deleted",
		},
		err);
}

int cmd_image_delete(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, delete_one, err);
}
