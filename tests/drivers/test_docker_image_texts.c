/* What the Docker driver makes of names of images, of files of credentials and of the texts in
 * archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/docker/layout.h"
#include "drivers/docker/reference.h"
#include "drivers/docker/registries.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- References ------------------------------------------------------------------------------ */

static void references_are_read_as_docker_reads_them(void **state)
{
	static const struct {
		const char *text, *registry, *path, *tag, *shown;
	} good[] = {
		{"debian", "docker.io", "library/debian", "latest", "debian:latest"},
		{"debian:12", "docker.io", "library/debian", "12", "debian:12"},
		{"team/app:1.2", "docker.io", "team/app", "1.2", "team/app:1.2"},
		{"docker.io/debian:12", "docker.io", "library/debian", "12", "debian:12"},
		{"index.docker.io/library/debian", "docker.io", "library/debian", "latest",
			"debian:latest"},
		{"docker.io/library/a/b", "docker.io", "library/a/b", "latest",
			"library/a/b:latest"},
		{"localhost/app", "localhost", "app", "latest", "localhost/app:latest"},
		{"localhost:5000/app", "localhost:5000", "app", "latest",
			"localhost:5000/app:latest"},
		{"Registry.example.org:5000/team/app:V_1.2-x", "Registry.example.org:5000",
			"team/app", "V_1.2-x", "Registry.example.org:5000/team/app:V_1.2-x"},
		{"[::1]:5000/app", "[::1]:5000", "app", "latest", "[::1]:5000/app:latest"},
		{"a__b/c-----d.e:x", "docker.io", "a__b/c-----d.e", "x", "a__b/c-----d.e:x"},
		{"app:1@sha256:" HEX64, "docker.io", "library/app", "", "app@sha256:" HEX64},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		char text[REFERENCE_TEXT_MAX];
		struct reference r;

		assert_int_equal(reference_parse(good[i].text, &r, NULL), 0);
		assert_string_equal(r.registry, good[i].registry);
		assert_string_equal(r.path, good[i].path);
		assert_string_equal(r.tag, good[i].tag);
		assert_string_equal(reference_print(&r, text), good[i].shown);
	}
}

static void what_docker_would_not_take_is_refused(void **state)
{
	static const char *const bad[] = {"", ":", "@", "Debian", "debian:", "debian:-x", "a//b",
		"/a", "a/", "a..b", "a___b", "-a", "a-", "a b", "a:b:c", "debian@sha256:12",
		("debian@md5:" HEX64), "debian@", "ex ample.org/a", ".org/a", "a.:5/b", "a.org:/b",
		"a.org:x/b", "http://a.org/b", "[::1/a", "é", "debian\n:12"};
	struct err err = {0};
	struct reference r;
	char text[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err = (struct err){0};
		if (reference_parse(bad[i], &r, &err) == 0)
			fail_msg("%s is taken", bad[i]);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.field, "image");
	}
	memset(text, 'a', sizeof(text));
	text[IMAGE_NAME_MAX - 3] = '\0'; /* with the tag that it gets it is too long */
	assert_true(reference_parse(text, &r, NULL) < 0);
	text[IMAGE_NAME_MAX - 7] = '\0';
	assert_int_equal(reference_parse(text, &r, NULL), 0);
}

/* --- Credentials ----------------------------------------------------------------------------- */

static char *header_of(const char *file, const char *registry, struct err *err)
{
	char path[] = "/tmp/corpus-test-registries-XXXXXX";
	char *header = NULL;
	int r;

	close(mkstemp(path));
	assert_int_equal(file_write(path, file), 0);
	r = registries_header(path, registry, &header, err);
	assert_int_equal(r < 0, !header);
	unlink(path);
	return header;
}

static void credentials_are_found_as_docker_finds_them(void **state)
{
	/* eyJ…: the JSON of each, by base64(1). */
	static const struct {
		const char *file, *registry, *header;
	} cases[] = {
		{"{}", "localhost:5000", "eyJzZXJ2ZXJhZGRyZXNzIjoibG9jYWxob3N0OjUwMDAifQ=="},
		{"{\"auths\":{\"localhost:5000\":{\"auth\":\"dTpwOng=\"}}}", "localhost:5000",
			"eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InA6eCIsInNlcnZlcmFkZHJlc3MiOiJsb2Nhb"
			"Ghvc3Q6NTAwMCJ9"},
		{"{\"auths\":{\"https://index.docker.io/v1/\":{\"username\":\"u\",\"password\":"
		 "\"p\"}}}",
			"docker.io",
			"eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAiLCJzZXJ2ZXJhZGRyZXNzIjoiaHR0cHM6L"
			"y9pbmRleC5kb2NrZXIuaW8vdjEvIn0="},
		{"{\"auths\":{},\"credsStore\":\"\"}", "a.org",
			"eyJzZXJ2ZXJhZGRyZXNzIjoiYS5vcmcifQ=="},
		{"{\"auths\":{\"a.org\":{\"identitytoken\":\"t\"}},\"credsStore\":\"x\"}", "a.org",
			"eyJpZGVudGl0eXRva2VuIjoidCIsInNlcnZlcmFkZHJlc3MiOiJhLm9yZyJ9"},
	};
	char *header = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTOFREE char *found = header_of(cases[i].file, cases[i].registry, NULL);

		assert_string_equal(found, cases[i].header);
	}
	assert_int_equal(registries_header("/nonexistent", "a.org", &header, NULL), 0);
	free(header);
	assert_int_equal(registries_header(NULL, "a.org", &header, NULL), 0);
	free(header);
}

static void files_of_credentials_that_cannot_be_used_are_named(void **state)
{
	static const struct {
		const char *file;
		enum err_code code;
		const char *said;
	} cases[] = {
		{"nonsense", ERR_INVALID, "JSON"},
		{"[]", ERR_INVALID, "JSON"},
		{"{\"auths\":{\"a.org\":{\"auth\":\"!!\"}}}", ERR_INVALID, "base64"},
		{"{\"auths\":{\"a.org\":{\"auth\":\"dQ==\"}}}", ERR_INVALID, "user:password"},
		{"{\"auths\":{\"a.org\":{}},\"credsStore\":\"pass\"}", ERR_UNSUPPORTED,
			"docker-credential-pass"},
		{"{\"credHelpers\":{\"a.org\":\"ecr\"}}", ERR_UNSUPPORTED, "docker-credential-ecr"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = {0};

		assert_null(header_of(cases[i].file, "a.org", &err));
		assert_int_equal(err.code, cases[i].code);
		assert_string_equal(err.field, "registries");
		assert_non_null(strstr(err.message, cases[i].said));
	}
}

/* --- Archives -------------------------------------------------------------------------------- */

struct text {
	const char *name, *text;
};

static int told(
	const struct text *texts, const struct layout_choice *choice, char **ret, struct err *err)
{
	struct layout l = {0};
	int r;

	for (; texts->name; texts++)
		assert_int_equal(
			layout_add(&l, texts->name, texts->text ? strdup(texts->text) : NULL,
				texts->text ? strlen(texts->text) : 0, err),
			0);
	r = layout_manifest(&l, choice, ret, err);
	layout_finish(&l);
	return r;
}

static const struct layout_choice CHOICE = {
	.wanted = "app:2", .name = "corpus-load:x", .architecture = "amd64"};

static void of_what_docker_saves_one_image_is_told_by_one_name(void **state)
{
	AUTOFREE char *one = NULL, *two = NULL, *none = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(
		told((const struct text[]){{"c.json", NULL}, {"l/layer.tar", NULL},
			     {"manifest.json", "[{\"Config\":\"c.json\",\"RepoTags\":[\"other:1\","
					       "\"more:2\"],\"Layers\":[\"./l/layer.tar\"]}]"},
			     {NULL, NULL}},
			&CHOICE, &one, &err),
		0);
	assert_string_equal(one, "[{\"Config\":\"c.json\",\"RepoTags\":[\"corpus-load:x\"],"
				 "\"Layers\":[\"./l/layer.tar\"]}]");
	assert_int_equal(told((const struct text[]){{"c", NULL}, {"d", NULL},
				      {"manifest.json",
					      "[{\"Config\":\"c\",\"RepoTags\":null,\"Layers\":[]},"
					      "{\"Config\":\"d\",\"RepoTags\":[\"docker.io/library/"
					      "app:2\"],\"Layers\":[]}]"},
				      {NULL, NULL}},
				 &CHOICE, &two, &err),
		0);
	assert_non_null(strstr(two, "\"Config\":\"d\""));
	assert_true(told((const struct text[]){{"c", NULL}, {"d", NULL},
				 {"manifest.json", "[{\"Config\":\"c\",\"Layers\":[]},"
						   "{\"Config\":\"d\",\"Layers\":[]}]"},
				 {NULL, NULL}},
			    &CHOICE, &none, &err) < 0);
	assert_non_null(strstr(err.message, "several"));
}

static void archives_that_are_not_whole_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *name, *text, *said;
	} cases[] = {
		{"a", NULL, "neither"},
		{"manifest.json", "[", "not JSON"},
		{"manifest.json", "{}", "no image"},
		{"manifest.json", "[]", "no image"},
		{"manifest.json", "[1]", "not what docker save writes"},
		{"manifest.json", "[{\"Config\":\"../etc/passwd\"}]", "../etc/passwd"},
		{"manifest.json", "[{\"Config\":\"manifest.json\",\"Layers\":[\"l\"]}]",
			"lacks its file l"},
		{"index.json", "{}", "linux/amd64"},
		{"index.json", "{\"manifests\":[{}]}", "expected sha256"},
		{"index.json", "{\"manifests\":[{\"digest\":\"sha256:" HEX64 "\"}]}",
			"lacks its manifest"},
		{"index.json",
			"{\"manifests\":[{\"digest\":\"sha256:" HEX64
			"\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}}]}",
			"no image for linux/amd64"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct text texts[] = {{cases[i].name, cases[i].text}, {NULL, NULL}};
		struct err err = {0};
		char *ret = NULL;

		assert_true(told(texts, &CHOICE, &ret, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.message, cases[i].said))
			fail_msg("%s", err.message);
		assert_null(ret);
	}
}

/* "blobs/sha256/HEX" of a text, and "sha256:HEX". */
static void name_blob(const char *text, char blob[static 80], char digest[static 80])
{
	uint8_t raw[SHA256_DIGEST_SIZE];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, strlen(text), (const uint8_t *)text);
	sha256_digest(&context, sizeof(raw), raw);
	size_t used = (size_t)snprintf(blob, 80, "blobs/sha256/");

	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(blob + used + 2 * i, 3, "%02x", raw[i]);
	sprintf(digest, "sha256:%s", blob + 13);
}

static void of_an_image_for_many_machines_this_ones_is_told(void **state)
{
	char manifest[800], inner[800], index[800], config_blob[80], config[80], layer_blob[80],
		layer[80], manifest_blob[80], manifest_digest[80], inner_blob[80], inner_digest[80];
	struct layout_choice zstd = CHOICE;
	AUTOFREE char *found = NULL, *none = NULL;
	struct err err = {0};

	(void)state;
	name_blob("{}", config_blob, config);
	name_blob("layer", layer_blob, layer);
	sprintf(manifest,
		"{\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\","
		"\"digest\":\"%s\"},\"layers\":[{\"mediaType\":\"application/"
		"vnd.oci.image.layer.v1."
		"tar+zstd\",\"digest\":\"%s\"}]}",
		config, layer);
	name_blob(manifest, manifest_blob, manifest_digest);
	sprintf(inner,
		"{\"manifests\":[{\"digest\":\"sha256:" HEX64
		"\",\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}},{\"digest\":"
		"\"sha256:" HEX64
		"\",\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}},"
		"{\"digest\":\"%s\",\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
		manifest_digest);
	name_blob(inner, inner_blob, inner_digest);
	sprintf(index,
		"{\"manifests\":[{\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
		"\"digest\":\"%s\"}]}",
		inner_digest);

	const struct text texts[] = {{config_blob, "{}"}, {layer_blob, NULL},
		{manifest_blob, manifest}, {inner_blob, inner}, {"index.json", index},
		{NULL, NULL}};

	assert_true(told(texts, &CHOICE, &none, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	zstd.zstd = true;
	assert_int_equal(told(texts, &zstd, &found, &err), 0);
	assert_non_null(strstr(found, config_blob));
	assert_non_null(strstr(found, layer_blob));
	/* What is kept under the manifest's name is another text. */
	const struct text damaged[] = {
		{manifest_blob, "{}"}, {inner_blob, inner}, {"index.json", index}, {NULL, NULL}};

	assert_true(told(damaged, &zstd, &none, &err) < 0);
	assert_non_null(strstr(err.message, "damaged"));
}

static void what_an_archive_begins_with_tells_what_it_is(void **state)
{
	static const char *const images[] = {"blobs", "blobs/", ("blobs/sha256/" HEX64), HEX64,
		(HEX64 ".json"), (HEX64 "/layer.tar"), (HEX64 ".tar.gz"), ("sha256:" HEX64),
		"index.json", "oci-layout", "manifest.json", "repositories"};
	static const char *const files[] = {
		"bin", "etc/", "blobsters", (HEX64 "0"), "usr/bin/env", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++)
		assert_true(layout_begins_with(images[i]));
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_false(layout_begins_with(files[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(references_are_read_as_docker_reads_them),
		cmocka_unit_test(what_docker_would_not_take_is_refused),
		cmocka_unit_test(credentials_are_found_as_docker_finds_them),
		cmocka_unit_test(files_of_credentials_that_cannot_be_used_are_named),
		cmocka_unit_test(of_what_docker_saves_one_image_is_told_by_one_name),
		cmocka_unit_test(archives_that_are_not_whole_are_refused_with_the_reason),
		cmocka_unit_test(of_an_image_for_many_machines_this_ones_is_told),
		cmocka_unit_test(what_an_archive_begins_with_tells_what_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
