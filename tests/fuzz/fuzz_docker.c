/* Whatever dockerd, a registry by way of it, or an archive of images may say. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/engine_head.h"
#include "drivers/docker/layout.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/progress.h"
#include "drivers/docker/reference.h"
#include "fuzz.h"

static int take_object(void *data, json_t *object, struct err *err)
{
	(void)err;
	progress_pull(data, object);
	return 0;
}

/* In two pieces, as a socket may cut it. */
static void read_lines(const char *text, size_t size)
{
	struct progress progress = {.fd = -1};
	struct lines l = {.object = take_object, .data = &progress};
	struct err err = {0};

	if (lines_take(&l, text, size / 2, &err) == 0 &&
		lines_take(&l, text + size / 2, size - size / 2, &err) == 0)
		lines_end(&l, &err);
	REQUIRE(err.code == ERR_OK || err.code == ERR_DRIVER);
	lines_finish(&l);
	progress_finish(&progress);
}

static void read_head(const char *text, size_t size)
{
	struct err err = {0};
	int status = 0, r = engine_head(text, size, &status, &err);

	REQUIRE(r <= (int)size);
	REQUIRE(r <= 0 || (status >= 100 && status < 600));
	REQUIRE(r >= 0 || err.code == ERR_DRIVER);
}

/* What is read as a reference and printed means the same. */
static void read_reference(const char *text)
{
	char shown[REFERENCE_TEXT_MAX], again[REFERENCE_TEXT_MAX];
	struct reference r, s;
	struct err err = {0};

	if (reference_parse(text, &r, &err) < 0) {
		REQUIRE(err.code == ERR_INVALID);
		return;
	}
	REQUIRE(strlen(reference_print(&r, shown)) <= IMAGE_NAME_MAX);
	REQUIRE(reference_parse(shown, &s, NULL) == 0);
	REQUIRE(strcmp(reference_print(&s, again), shown) == 0);
}

static void read_archive(const char *name, const char *text, size_t size)
{
	const struct layout_choice choice = {
		.wanted = "a:1", .name = "b:2", .architecture = "amd64"};
	struct layout l = {0};
	struct err err = {0};
	char *told = NULL, *copy = strndup(text, size);

	layout_add(&l, "c", NULL, 0, NULL);
	layout_add(&l, name, copy, strlen(copy), &err);
	if (layout_manifest(&l, &choice, &told, &err) == 0)
		REQUIRE(strstr(told, "\"RepoTags\":[\"b:2\"]"));
	else
		REQUIRE(err.code == ERR_INVALID || err.code == ERR_UNSUPPORTED);
	free(told);
	layout_finish(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = fuzz_text(data, size);

	read_lines(text, size);
	read_head(text, size);
	read_reference(text);
	read_archive("manifest.json", text, size);
	read_archive("index.json", text, size);
	return 0;
}
