/* Archives of images, as they describe themselves. */
#include "drivers/docker/layout.h"

#include <errno.h>
#include <jansson.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/reference.h"
#include "drivers/docker/reply.h"

#define INDEX	  "index.json"
#define BLOBS	  "blobs/sha256/"
#define HEX	  "0123456789abcdef"
#define DIGITS	  64
#define DEPTH_MAX 4 /* of indexes in indexes */

struct layout_entry {
	char name[LAYOUT_NAME_MAX + 1];
	char *text; /* NULL: not kept */
	size_t size;
	UT_hash_handle hh;
};

/* --- Entries --------------------------------------------------------------------------------- */

static const char *const WITHHELD[] = {LAYOUT_MANIFEST, INDEX, "oci-layout", "repositories"};

bool layout_withholds(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(WITHHELD); i++)
		if (strcmp(name, WITHHELD[i]) == 0)
			return true;
	return false;
}

bool layout_begins_with(const char *name)
{
	static const char algorithm[] = "sha256:", blobs[] = "blobs";
	const char *hex =
		strncmp(name, algorithm, strlen(algorithm)) == 0 ? name + strlen(algorithm) : name;

	if (layout_withholds(name) || strcmp(name, "config.json") == 0)
		return true;
	if (strncmp(name, blobs, strlen(blobs)) == 0 && strchr("/", name[strlen(blobs)]))
		return true;
	return strspn(hex, HEX) == DIGITS && strchr("/.", hex[DIGITS]);
}

bool layout_wants(const struct layout *l, const char *name, size_t size)
{
	return layout_withholds(name) ||
	       (strncmp(name, BLOBS, strlen(BLOBS)) == 0 && size <= LAYOUT_TEXT_MAX &&
		       l->texts + size <= LAYOUT_TEXTS_MAX);
}

static struct layout_entry *entry_of(const struct layout *l, const char *name)
{
	struct layout_entry *entry;

	if (strncmp(name, "./", 2) == 0)
		name += 2;
	HASH_FIND_STR(l->entries, name, entry);
	return entry;
}

int layout_add(struct layout *l, const char *name, char *text, size_t size, struct err *err)
{
	AUTOFREE char *owned = text;
	struct layout_entry *entry;

	if (strlen(name) > LAYOUT_NAME_MAX || HASH_COUNT(l->entries) >= LAYOUT_ENTRIES_MAX)
		return err_set(err, ERR_INVALID, NULL,
			"the archive has too many files for images, or too long names");
	if (entry_of(l, name))
		return err_set(err, ERR_INVALID, NULL, "the archive has %s twice", name);
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return err_errno(err, ENOMEM, "no memory for an archive's names");
	snprintf(entry->name, sizeof(entry->name), "%s", name);
	entry->text = TAKE_PTR(owned);
	entry->size = size;
	l->texts += entry->text ? size : 0;
	HASH_ADD_STR(l->entries, name, entry);
	return 0;
}

void layout_finish(struct layout *l)
{
	struct layout_entry *entry, *next;

	HASH_ITER (hh, l->entries, entry, next) {
		HASH_DEL(l->entries, entry);
		free(entry->text);
		free(entry);
	}
}

const char *layout_architecture(const char *machine)
{
	static const struct {
		const char *machine, *oci;
	} names[] = {
		{"x86_64", "amd64"},
		{"aarch64", "arm64"},
		{"armv7l", "arm"},
		{"i686", "386"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(machine, names[i].machine) == 0)
			return names[i].oci;
	return machine; /* riscv64, s390x, ppc64le */
}

/* --- Texts ----------------------------------------------------------------------------------- */

static int parse(const struct layout_entry *entry, json_t **ret, struct err *err)
{
	json_error_t error;

	if (entry->text)
		*ret = json_loadb(entry->text, entry->size, 0, &error);
	if (*ret)
		return 0;
	return err_set(err, ERR_INVALID, NULL, "%.100s of the archive %s", entry->name,
		entry->text ? "is not JSON" : "is too large to be what it should");
}

static bool is_digest(const char *digest)
{
	return strncmp(digest, "sha256:", 7) == 0 && strlen(digest) == 7 + DIGITS &&
	       strspn(digest + 7, HEX) == DIGITS;
}

/* The entry that has a digest of sha256. */
static int blob_of(const struct layout *l, const char *digest, const char *what,
	struct layout_entry **ret, struct err *err)
{
	char name[sizeof(BLOBS) + DIGITS];

	if (!is_digest(digest))
		return err_set(err, ERR_INVALID, NULL,
			"the archive calls its %s \"%.80s\": expected sha256: and 64 digits", what,
			digest);
	snprintf(name, sizeof(name), BLOBS "%s", digest + 7);
	*ret = entry_of(l, name);
	return *ret ? 0
		    : err_set(err, ERR_INVALID, NULL, "the archive lacks its %s %s", what, digest);
}

static bool hashes_to(const struct layout_entry *entry, const char *hex)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	char text[2 * SHA256_DIGEST_SIZE + 1];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, entry->size, (const uint8_t *)entry->text);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	return strcmp(text, hex) == 0;
}

/* A JSON that is known by its digest. */
static int parse_blob(const struct layout *l, const char *digest, json_t **ret, struct err *err)
{
	struct layout_entry *entry = NULL;
	int r = blob_of(l, digest, "manifest", &entry, err);

	if (r == 0)
		r = parse(entry, ret, err);
	if (r == 0 && !hashes_to(entry, digest + 7))
		return err_set(err, ERR_INVALID, NULL,
			"the archive is damaged: %s is something else", digest);
	return r;
}

/* Takes `layers`. */
static int render(const struct layout_choice *choice, const char *config, json_t *layers,
	char **ret, struct err *err)
{
	json_auto_t *json = json_pack(
		"[{s:s s:[s] s:o}]", "Config", config, "RepoTags", choice->name, "Layers", layers);

	*ret = json ? json_dumps(json, JSON_COMPACT) : NULL;
	return *ret ? 0 : err_errno(err, ENOMEM, "no memory for an archive's manifest");
}

/* --- docker save ----------------------------------------------------------------------------- */

static bool is_same_image(const char *name, const char *wanted)
{
	char a[REFERENCE_TEXT_MAX], b[REFERENCE_TEXT_MAX];
	struct reference x, y;

	return reference_parse(name, &x, NULL) == 0 && reference_parse(wanted, &y, NULL) == 0 &&
	       strcmp(reference_print(&x, a), reference_print(&y, b)) == 0;
}

static bool has_tag(const json_t *image, const char *wanted)
{
	const json_t *tag;
	size_t i;

	json_array_foreach (json_object_get(image, "RepoTags"), i, tag)
		if (json_is_string(tag) && is_same_image(json_string_value(tag), wanted))
			return true;
	return false;
}

static int several(const char *wanted, struct err *err)
{
	return err_set(err, ERR_INVALID, "image",
		"the archive has several images, and not one that is called %.200s: load one at a "
		"time",
		wanted);
}

static int choose_saved(const json_t *list, const char *wanted, json_t **ret, struct err *err)
{
	json_t *image;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return err_set(
			err, ERR_INVALID, NULL, "the archive's " LAYOUT_MANIFEST " has no image");
	*ret = json_array_size(list) == 1 ? json_array_get(list, 0) : NULL;
	json_array_foreach (list, i, image)
		if (!*ret && has_tag(image, wanted))
			*ret = image;
	return *ret ? 0 : several(wanted, err);
}

static int check_file(const struct layout *l, const json_t *name, struct err *err)
{
	if (!json_is_string(name))
		return err_set(err, ERR_INVALID, NULL,
			"the archive's " LAYOUT_MANIFEST " is not what docker save writes");
	return entry_of(l, json_string_value(name))
		       ? 0
		       : err_set(err, ERR_INVALID, NULL, "the archive lacks its file %.200s",
				 json_string_value(name));
}

static int tell_saved(const struct layout *l, const struct layout_entry *entry,
	const struct layout_choice *choice, char **ret, struct err *err)
{
	json_auto_t *list = NULL;
	json_t *image = NULL, *layers;
	const json_t *layer;
	size_t i;
	int r = parse(entry, &list, err);

	if (r == 0)
		r = choose_saved(list, choice->wanted, &image, err);
	layers = json_object_get(image, "Layers");
	if (r == 0)
		r = check_file(l, json_object_get(image, "Config"), err);
	json_array_foreach (layers, i, layer)
		if (r == 0)
			r = check_file(l, layer, err);
	if (r < 0)
		return r;
	return render(choice, json_string_value(json_object_get(image, "Config")),
		json_is_array(layers) ? json_incref(layers) : json_array(), ret, err);
}

/* --- OCI image layout ------------------------------------------------------------------------ */

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_index(const json_t *descriptor)
{
	const char *type = reply_text_or_none(descriptor, "mediaType");

	return strcmp(type, "application/vnd.oci.image.index.v1+json") == 0 ||
	       ends_with(type, ".manifest.list.v2+json");
}

/* One that does not say for what it is, is for all. */
static bool is_for(const json_t *descriptor, const char *architecture)
{
	const char *theirs = reply_text_or_none(descriptor, "platform.architecture");

	return theirs[0] == '\0' ||
	       (strcmp(theirs, architecture) == 0 &&
		       strcmp(reply_text_or_none(descriptor, "platform.os"), "linux") == 0);
}

/* What it is called there: a whole name, or a tag alone. */
static bool is_called(const json_t *descriptor, const char *wanted)
{
	static const char *const keys[] = {
		"io.containerd.image.name", "org.opencontainers.image.ref.name"};
	const json_t *annotations = json_object_get(descriptor, "annotations");
	const char *tag = strrchr(wanted, ':');

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *name = json_string_value(json_object_get(annotations, keys[i]));

		if (name && (is_same_image(name, wanted) || (tag && strcmp(name, tag + 1) == 0)))
			return true;
	}
	return false;
}

/* The one for this machine; of several the one that is called so. */
static int choose_described(const json_t *index, const struct layout_choice *choice,
	const json_t **ret, struct err *err)
{
	const json_t *descriptor, *any = NULL, *called = NULL;
	size_t i, fit = 0, fit_called = 0;

	json_array_foreach (json_object_get(index, "manifests"), i, descriptor) {
		if (!is_for(descriptor, choice->architecture))
			continue;
		fit++;
		any = descriptor;
		if (is_called(descriptor, choice->wanted)) {
			fit_called++;
			called = descriptor;
		}
	}
	if (fit == 0)
		return err_set(err, ERR_INVALID, NULL, "the archive has no image for linux/%s",
			choice->architecture);
	*ret = fit == 1 ? any : called;
	return fit == 1 || fit_called == 1 ? 0 : several(choice->wanted, err);
}

static int take_layer(const struct layout *l, const struct layout_choice *choice,
	const json_t *layer, json_t *layers, struct err *err)
{
	struct layout_entry *entry = NULL;
	int r = blob_of(l, reply_text_or_none(layer, "digest"), "layer", &entry, err);

	if (r < 0)
		return r;
	if (!choice->zstd && ends_with(reply_text_or_none(layer, "mediaType"), "zstd"))
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"the archive's layers are compressed with zstd, which needs Docker 23 or "
			"newer");
	return json_array_append_new(layers, json_string(entry->name)) < 0
		       ? err_errno(err, ENOMEM, "no memory for an archive's manifest")
		       : 0;
}

static int tell_manifest(const struct layout *l, const json_t *manifest,
	const struct layout_choice *choice, char **ret, struct err *err)
{
	const char *type = reply_text_or_none(manifest, "config.mediaType");
	json_auto_t *layers = json_array();
	struct layout_entry *config = NULL;
	const json_t *layer;
	size_t i;
	int r;

	if (!ends_with(type, "image.config.v1+json") && !ends_with(type, "container.image.v1+json"))
		return err_set(err, ERR_INVALID, NULL,
			"the archive holds something else than an image to run (%.80s)",
			type[0] ? type : "it does not say what");
	r = blob_of(
		l, reply_text_or_none(manifest, "config.digest"), "configuration", &config, err);
	json_array_foreach (json_object_get(manifest, "layers"), i, layer)
		if (r == 0)
			r = take_layer(l, choice, layer, layers, err);
	return r < 0 ? r : render(choice, config->name, TAKE_PTR(layers), ret, err);
}

static int tell_index(const struct layout *l, const struct layout_entry *entry,
	const struct layout_choice *choice, char **ret, struct err *err)
{
	json_auto_t *at = NULL;
	const json_t *descriptor = NULL;
	bool index = true;
	int r = parse(entry, &at, err);

	for (unsigned depth = 0; r == 0 && index; depth++) {
		json_t *below = NULL;

		if (depth == DEPTH_MAX)
			return err_set(
				err, ERR_INVALID, NULL, "the archive's indexes lead nowhere");
		r = choose_described(at, choice, &descriptor, err);
		if (r < 0)
			return r;
		index = is_index(descriptor);
		r = parse_blob(l, reply_text_or_none(descriptor, "digest"), &below, err);
		json_decref(at);
		at = below;
	}
	return r < 0 ? r : tell_manifest(l, at, choice, ret, err);
}

/* --- Both ------------------------------------------------------------------------------------ */

int layout_manifest(
	const struct layout *l, const struct layout_choice *choice, char **ret, struct err *err)
{
	const struct layout_entry *entry = entry_of(l, LAYOUT_MANIFEST);

	/* Where both are there they say the same, this one in dockerd's own words. */
	if (entry)
		return tell_saved(l, entry, choice, ret, err);
	entry = entry_of(l, INDEX);
	if (entry)
		return tell_index(l, entry, choice, ret, err);
	return err_set(err, ERR_INVALID, NULL,
		"the archive has neither " LAYOUT_MANIFEST " (docker save) nor " INDEX
		" (an OCI image layout): was it cut short, or written by a Docker before 1.10?");
}
