/* References to images. */
#include "drivers/docker/reference.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define LOWER	 "abcdefghijklmnopqrstuvwxyz"
#define UPPER	 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS	 "0123456789"
#define OFFICIAL "library/"

/* --- Parts ----------------------------------------------------------------------------------- */

/* Lower-case words, between which are a dot, one or two underscores, or dashes. */
static bool is_component(const char *text, size_t length)
{
	size_t i = 0;

	for (;;) {
		size_t word = strspn(text + i, LOWER DIGITS), between;

		if (word == 0 || i + word > length)
			return false;
		i += word;
		if (i == length)
			return true;
		between = strspn(text + i, "-");
		if (between == 0 && text[i] == '.')
			between = 1;
		else if (between == 0)
			between = strspn(text + i, "_");
		if (between == 0 || (text[i] == '_' && between > 2) || i + between >= length)
			return false;
		i += between;
	}
}

static bool is_path(const char *path)
{
	for (;;) {
		size_t length = strcspn(path, "/");

		if (!is_component(path, length))
			return false;
		if (path[length] == '\0')
			return true;
		path += length + 1;
	}
}

/* A host's name or address, and perhaps a port. */
static bool is_registry(const char *text)
{
	size_t host = text[0] == '[' ? strspn(text + 1, DIGITS "abcdefABCDEF:") + 2
				     : strspn(text, LOWER UPPER DIGITS ".-");
	const char *port = text + host;

	if (host == 0 || strchr(".-", text[0]) || strchr(".-", port[-1]) || strstr(text, "..") ||
		(text[0] == '[' && port[-1] != ']'))
		return false;
	return port[0] == '\0' ||
	       (port[0] == ':' && port[1] != '\0' && strspn(port + 1, DIGITS) == strlen(port + 1));
}

static bool is_tag(const char *tag)
{
	size_t length = strlen(tag);

	return length > 0 && length <= REFERENCE_TAG_MAX && !strchr(".-", tag[0]) &&
	       strspn(tag, LOWER UPPER DIGITS "_.-") == length;
}

static bool is_digest(const char *digest)
{
	static const struct {
		const char *name;
		size_t digits;
	} kinds[] = {{"sha256:", 64}, {"sha384:", 96}, {"sha512:", 128}};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t length = strlen(kinds[i].name);

		if (strncmp(digest, kinds[i].name, length) == 0)
			return strlen(digest) == length + kinds[i].digits &&
			       strspn(digest + length, DIGITS "abcdef") == kinds[i].digits;
	}
	return false;
}

/* What stands before the first slash is a registry when it cannot be a name of the hub. */
static bool names_registry(const char *text, size_t length)
{
	return text[length] == '/' &&
	       (memchr(text, '.', length) || memchr(text, ':', length) ||
		       (length == strlen("localhost") && memcmp(text, "localhost", length) == 0));
}

/* --- Parsing --------------------------------------------------------------------------------- */

/* Cuts off what follows the last `mark` in `text`, behind all of its slashes. */
static const char *cut(char *text, char mark)
{
	char *at = strrchr(text, mark);

	if (!at || strchr(at, '/'))
		return NULL;
	*at = '\0';
	return at + 1;
}

static void split_registry(char *text, struct reference *r)
{
	size_t length = strcspn(text, "/");
	const char *path = text;

	if (names_registry(text, length)) {
		snprintf(r->registry, sizeof(r->registry), "%.*s", (int)length, text);
		path += length + 1;
	} else {
		snprintf(r->registry, sizeof(r->registry), REFERENCE_HUB);
	}
	if (strcmp(r->registry, "index." REFERENCE_HUB) == 0)
		snprintf(r->registry, sizeof(r->registry), REFERENCE_HUB);
	snprintf(r->path, sizeof(r->path), "%s%s",
		strcmp(r->registry, REFERENCE_HUB) == 0 && !strchr(path, '/') ? OFFICIAL : "",
		path);
}

static int refuse(const char *text, const char *why, struct err *err)
{
	return err_set(err, ERR_INVALID, "image", "\"%.200s\" is no name of a Docker image: %s",
		text, why);
}

int reference_parse(const char *text, struct reference *ret, struct err *err)
{
	char copy[IMAGE_NAME_MAX + 1];
	struct reference r = {0};
	const char *digest, *tag;

	if (strlen(text) > IMAGE_NAME_MAX)
		return refuse(text, "it is too long", err);
	snprintf(copy, sizeof(copy), "%s", text);
	digest = cut(copy, '@');
	if (digest && !is_digest(digest))
		return refuse(text, "expected @sha256: and 64 digits", err);
	tag = cut(copy, ':');
	if (tag && !is_tag(tag))
		return refuse(
			text, "its tag has other characters than letters, digits, . _ -", err);
	split_registry(copy, &r);
	if (!is_registry(r.registry))
		return refuse(text, "its registry is no host", err);
	if (!is_path(r.path))
		return refuse(text,
			"expected lower-case letters and digits, with . _ - between them, as in "
			"debian:12 or registry.example.org/team/app:1.2",
			err);
	if (digest)
		snprintf(r.digest, sizeof(r.digest), "%s", digest);
	else
		snprintf(r.tag, sizeof(r.tag), "%s", tag ? tag : "latest");
	if (strlen(reference_print(&r, (char[REFERENCE_TEXT_MAX]){0})) > IMAGE_NAME_MAX)
		return refuse(text, "it is too long", err);
	*ret = r;
	return 0;
}

/* --- Printing -------------------------------------------------------------------------------- */

const char *reference_repository(const struct reference *r, char buf[static REFERENCE_TEXT_MAX])
{
	const char *path = r->path;

	if (strcmp(r->registry, REFERENCE_HUB) != 0) {
		snprintf(buf, REFERENCE_TEXT_MAX, "%s/%s", r->registry, path);
		return buf;
	}
	if (strncmp(path, OFFICIAL, strlen(OFFICIAL)) == 0 && !strchr(path + strlen(OFFICIAL), '/'))
		path += strlen(OFFICIAL);
	snprintf(buf, REFERENCE_TEXT_MAX, "%s", path);
	return buf;
}

const char *reference_print(const struct reference *r, char buf[static REFERENCE_TEXT_MAX])
{
	size_t used;

	reference_repository(r, buf);
	used = strlen(buf);
	snprintf(buf + used, REFERENCE_TEXT_MAX - used, "%s%s", r->digest[0] ? "@" : ":",
		r->digest[0] ? r->digest : r->tag);
	return buf;
}
