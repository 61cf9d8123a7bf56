/* Commands about images: list, show, import, build, pull, delete. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/facts.h"
#include "cli/fetch.h"
#include "cli/kinds.h"
#include "cli/list.h"
#include "cli/show.h"
#include "cli/source.h"
#include "cli/url.h"

#define KIND_MAX  16
#define KIND_DISK "disk"
#define KIND_OCI  "oci"

static char *image_path(const struct args *args, const char *name)
{
	struct strbuf buf = {0};

	url_path(&buf, "/v1/images/%s", name);
	url_query(&buf, "kind", args_value(args, "kind"));
	return strbuf_take(&buf);
}

int cmd_image_list(struct cli *cli, const struct args *args, struct err *err)
{
	return list_run(cli, args, "/v1/images", &LIST_IMAGES, err);
}

int cmd_image_show(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = image_path(args, args->operands[0]);

	return fetch_and_show(cli, path, show_image, err);
}

/* --- import, build --------------------------------------------------------------------------- */

static void say_image(struct cli *cli, const char *subject, const json_t *image)
{
	const json_t *disk = json_at(image, "disk");

	if (json_is_object(disk))
		cli_say(cli, "image %s: a %s disk of %s, booted by %s", subject,
			json_text(disk, "format"), V_SIZE(disk, "size"), json_text(disk, "boot"));
	else if (*json_text(image, "id"))
		cli_say(cli, "image %s: %s, %s", subject, V_SIZE(image, "size"),
			json_text(image, "id"));
	else if (image)
		cli_say(cli, "image %s: %s in %s entries", subject, V_SIZE(image, "size"),
			V_NUMBER(image, "entries"));
	else
		cli_say(cli, "image %s: imported", subject);
}

/* What is sent, and as what. */
struct upload {
	const char *name, *kind; /* kind NULL: the agent's to say */
	const char *driver;	 /* whose daemon keeps it; NULL: nobody's */
	struct source *source;
};

static int upload(
	struct cli *cli, const struct args *args, const struct upload *upload, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	url_path(&buf, "/v1/images/%s", upload->name);
	url_query(&buf, "kind", upload->kind);
	url_query(&buf, "driver", upload->driver);
	url_query(&buf, "format", args_value(args, "format"));
	url_query(&buf, "boot", args_value(args, "boot"));
	url_query(&buf, "sha256", args_value(args, "sha256"));
	url_query(&buf, "replace", args_has(args, "replace") ? "true" : NULL);
	path = strbuf_take(&buf);
	return change_run(cli,
		&(struct change){
			.method = "PUT",
			.path = path,
			.source = upload->source,
			.subject = upload->name,
			.say = say_image,
		},
		err);
}

/* An upload has no dry run: there is nothing to say about bytes that were not sent. */
static int refuse_dry_run(const struct cli *cli, struct err *err)
{
	return cli->dry_run ? err_set(err, ERR_INVALID, NULL, "an import has no --dry-run") : 0;
}

/* Some show what they are by their first bytes: QEMU's docs/interop/qcow2.txt, "magic"; an OCI
 * image layout by the names with which its tar begins, as builders and `docker save` write it. */
static const char *kind_of_file(const char *path)
{
	static const struct {
		const char *begin, *kind;
		size_t length;
	} KINDS[] = {
		{"QFI\xfb", KIND_DISK, 4}, {"oci-layout", KIND_OCI, 11}, {"blobs/", KIND_OCI, 7}};
	AUTOCLOSE int fd =
		strcmp(path, "-") == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char begin[16] = "";

	if (fd < 0 || pread(fd, begin, sizeof(begin), 0) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(KINDS); i++)
		if (memcmp(begin, KINDS[i].begin, KINDS[i].length) == 0)
			return KINDS[i].kind;
	return NULL;
}

static int open_source(const char *path, struct source **ret, struct err *err)
{
	struct stat st;

	if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return source_open_directory(path, ret, err);
	return source_open_file(path, ret, err);
}

/* What the driver's guests are made of, by the node's word; empty: it does not know. */
static int ask_kind(struct cli *cli, const char *driver, char ret[static KIND_MAX], struct err *err)
{
	CLEANUP(response_finish) struct response response = {0};
	const json_t *one;
	size_t i;
	int r = fetch(cli, "/v1/node", &response, err);

	*ret = '\0';
	if (r < 0)
		return r;
	json_array_foreach (json_at(response.json, "drivers"), i, one)
		if (strcmp(json_text(one, "name"), driver) == 0) {
			snprintf(ret, KIND_MAX, "%s", json_text(one, "image_kind"));
			return 0;
		}
	return err_set(err, ERR_INVALID, "driver", "the node has no driver %s configured", driver);
}

/* Given, or that of the guests of the driver that is given, or by the file; "": the agent's to say.
 */
static int find_kind(struct cli *cli, const struct args *args, const char *path,
	char ret[static KIND_MAX], struct err *err)
{
	const char *given = args_value(args, "kind"), *driver = args_value(args, "driver");

	if (!given && driver)
		return ask_kind(cli, driver, ret, err);
	if (!given)
		given = kind_of_file(path);
	snprintf(ret, KIND_MAX, "%s", given ? given : "");
	return 0;
}

/* Only a daemon's driver is to be named. */
static const char *driver_of(const struct args *args, const char *kind)
{
	return strcmp(kind, KIND_OCI) == 0 ? args_value(args, "driver") : NULL;
}

int cmd_image_import(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(source_closep) struct source *source = NULL;
	char kind[KIND_MAX] = "";
	int r = refuse_dry_run(cli, err);

	if (r == 0)
		r = open_source(args->operands[1], &source, err);
	if (r == 0)
		r = find_kind(cli, args, args->operands[1], kind, err);
	if (r < 0)
		return r;
	return upload(cli, args,
		&(struct upload){.name = args->operands[0],
			.kind = *kind ? kind : NULL,
			.driver = driver_of(args, kind),
			.source = source},
		err);
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
	AUTOFREE const char **argv = calloc(args->operands_count + 3, sizeof(*argv));
	AUTOFREE char *program = kinds_program(args->operands[0]);
	const char *driver = args_value(args, "driver");
	size_t count = 0;

	if (!argv)
		return err_errno(err, ENOMEM, "building an image");
	if (!program)
		return refuse_kind(args->operands[0], err);
	argv[count++] = program;
	if (driver) {
		argv[count++] = "--driver";
		argv[count++] = driver;
	}
	for (size_t i = 1; i < args->operands_count; i++)
		argv[count++] = args->operands[i];
	return source_open_program(argv, ret, err);
}

int cmd_image_build(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(source_closep) struct source *source = NULL;
	const char *name = args_value(args, "name"), *driver = args_value(args, "driver");
	char kind[KIND_MAX] = "";
	int r = refuse_dry_run(cli, err);

	if (r == 0 && args->operands_count == 0)
		r = refuse_kind(NULL, err);
	if (r == 0 && driver)
		r = ask_kind(cli, driver, kind, err);
	if (r == 0)
		r = open_builder(args, &source, err);
	if (r < 0)
		return r;
	return upload(cli, args,
		&(struct upload){.name = name ? name : args->operands[0],
			.kind = *kind ? kind : NULL,
			.driver = driver_of(args, kind),
			.source = source},
		err);
}

/* --- pull ------------------------------------------------------------------------------------ */

static int pull(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	json_auto_t *body =
		json_pack("{s:s, s:s, s:b}", "name", name, "kind", KIND_OCI, "pull", true);
	const char *driver = args_value(args, "driver");

	if (!body)
		return err_set(err, ERR_INVALID, "name", "the name is not UTF-8 text");
	if (driver)
		json_object_set_new(body, "driver", json_string(driver));
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = "/v1/images",
			.body = body,
			.subject = name,
			.say = say_image,
		},
		err);
}

int cmd_image_pull(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, pull, err);
}

/* --- delete ---------------------------------------------------------------------------------- */

static int delete_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	AUTOFREE char *path = image_path(args, name);

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
