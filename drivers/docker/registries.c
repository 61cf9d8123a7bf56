/* Credentials for registries. */
#include "drivers/docker/registries.h"

#include <errno.h>
#include <jansson.h>
#include <nettle/base64.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "drivers/docker/reference.h"

#define FILE_MAX (1024 * 1024)
#define HUB_KEY	 "index.docker.io" /* how the file calls it */

struct credentials {
	const char *user, *password, *token; /* borrowed, or in `decoded` */
	char *decoded;
};

static void credentials_finish(struct credentials *c)
{
	free(c->decoded);
}

/* --- The file -------------------------------------------------------------------------------- */

static int load(const char *path, json_t **ret, struct err *err)
{
	AUTOFREE char *text = NULL;
	json_error_t error;
	int r = path ? file_read(path, FILE_MAX, &text, NULL) : -ENOENT;

	if (r == -ENOENT) {
		*ret = json_object();
		return *ret ? 0 : err_errno(err, ENOMEM, "no memory for credentials");
	}
	if (r < 0)
		return err_set(
			err, ERR_INVALID, "registries", "cannot read %s: %s", path, strerror(-r));
	*ret = json_loads(text, 0, &error);
	if (json_is_object(*ret))
		return 0;
	json_decref(*ret);
	*ret = NULL;
	return err_set(err, ERR_INVALID, "registries",
		"%s is no object in JSON, as docker login writes it (line %d)", path, error.line);
}

/* Keys are hosts, or URLs below which a registry is. */
static bool is_key_of(const char *key, const char *registry)
{
	const char *host = strstr(key, "://");
	size_t length;

	host = host ? host + 3 : key;
	length = strcspn(host, "/");
	if (strcmp(registry, REFERENCE_HUB) == 0 && length == strlen(HUB_KEY) &&
		strncmp(host, HUB_KEY, length) == 0)
		return true;
	return length == strlen(registry) && strncmp(host, registry, length) == 0;
}

static json_t *entry_of(const json_t *file, const char *member, const char *registry)
{
	const char *key;
	json_t *value;

	json_object_foreach (json_object_get(file, member), key, value)
		if (is_key_of(key, registry))
			return value;
	return NULL;
}

/* "user:password" in base64. */
static int decode(const char *auth, struct credentials *c)
{
	size_t length = strlen(auth), size = 0;
	char *colon;

	c->decoded = calloc(1, length / 4 * 3 + 1);
	if (!c->decoded)
		return -ENOMEM;
	if (parse_base64(auth, length, (uint8_t *)c->decoded, &size) < 0)
		return -EINVAL;
	colon = strchr(c->decoded, ':');
	if (!colon)
		return -EINVAL;
	*colon = '\0';
	c->user = c->decoded;
	c->password = colon + 1;
	return 0;
}

static int read_entry(const json_t *entry, struct credentials *c)
{
	const char *auth = json_string_value(json_object_get(entry, "auth"));

	c->token = json_string_value(json_object_get(entry, "identitytoken"));
	c->user = json_string_value(json_object_get(entry, "username"));
	c->password = json_string_value(json_object_get(entry, "password"));
	if (c->user && c->password)
		return 0;
	return auth && auth[0] ? decode(auth, c) : 0;
}

static int find(const char *path, const json_t *file, const char *registry, struct credentials *c,
	struct err *err)
{
	const char *store = json_string_value(json_object_get(file, "credsStore"));
	const char *helper = json_string_value(entry_of(file, "credHelpers", registry));

	if (read_entry(entry_of(file, "auths", registry), c) < 0)
		return err_set(err, ERR_INVALID, "registries",
			"auths of %s in %s: \"auth\" is not user:password in base64", registry,
			path);
	if (c->user || c->token || (!helper && (!store || !store[0])))
		return 0;
	return err_set(err, ERR_UNSUPPORTED, "registries",
		"%s leaves the credentials of %s to the program docker-credential-%s, which the "
		"node does not run: put them under \"auths\"",
		path, registry, helper ? helper : store);
}

/* --- The header ------------------------------------------------------------------------------ */

/* RFC 4648, 5: with the characters of URLs, padded. */
static char *encode(const char *text)
{
	size_t size = strlen(text), used;
	char *encoded = malloc(BASE64_ENCODE_LENGTH(size) + BASE64_ENCODE_FINAL_LENGTH + 1);
	struct base64_encode_ctx context;

	if (!encoded)
		return NULL;
	base64url_encode_init(&context);
	used = base64_encode_update(&context, encoded, size, (const uint8_t *)text);
	used += base64_encode_final(&context, encoded + used);
	encoded[used] = '\0';
	return encoded;
}

static char *render(const struct credentials *c, const char *registry)
{
	bool hub = strcmp(registry, REFERENCE_HUB) == 0;
	json_t *json = json_pack("{s:s* s:s* s:s* s:s}", "username", c->user, "password",
		c->password, "identitytoken", c->token, "serveraddress",
		hub ? "https://" HUB_KEY "/v1/" : registry);
	AUTOFREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text ? encode(text) : NULL;
}

int registries_header(const char *path, const char *registry, char **ret, struct err *err)
{
	CLEANUP(credentials_finish) struct credentials c = {0};
	json_t *file = NULL;
	int r = load(path, &file, err);

	if (r == 0)
		r = find(path, file, registry, &c, err);
	if (r == 0) {
		*ret = render(&c, registry);
		r = *ret ? 0 : err_errno(err, ENOMEM, "no memory for credentials");
	}
	json_decref(file);
	return r;
}
