/* Health checks in words. */
#include "cli/health.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/client.h"

static int refuse(const char *text, struct err *err)
{
	return err_set(err, ERR_INVALID, NULL,
		"%s is not a check: http:PORT[/PATH], tcp:PORT or exec:COMMAND", text);
}

/* "80/health": the port, and where the path begins. */
static int read_port(const char *text, uint64_t *ret_port, const char **ret_path)
{
	size_t digits = strspn(text, "0123456789");
	char port[8];

	if (digits == 0 || digits >= sizeof(port) || (text[digits] && text[digits] != '/'))
		return -1;
	memcpy(port, text, digits);
	port[digits] = '\0';
	*ret_path = text[digits] ? text + digits : NULL;
	return parse_u64(port, UINT16_MAX, ret_port);
}

int health_read(const char *text, json_t **ret, struct err *err)
{
	const char *colon = strchr(text, ':'), *path = NULL;
	uint64_t port = 0;
	json_t *json = NULL;

	if (!colon || !colon[1])
		return refuse(text, err);
	if (strncmp(text, "exec:", 5) == 0)
		json = json_pack("{s:s, s:[s, s, s], s:n, s:n}", "check", "exec", "command", "sh",
			"-c", colon + 1, "port", "path");
	else if (read_port(colon + 1, &port, &path) < 0)
		return refuse(text, err);
	else if (strncmp(text, "http:", 5) == 0)
		json = json_pack("{s:s, s:I, s:s, s:n}", "check", "http", "port", (json_int_t)port,
			"path", path ? path : "/", "command");
	else if (strncmp(text, "tcp:", 4) == 0 && !path)
		json = json_pack("{s:s, s:I, s:n, s:n}", "check", "tcp", "port", (json_int_t)port,
			"path", "command");
	if (!json)
		return refuse(text, err);
	*ret = json;
	return 0;
}

static void add_command(struct strbuf *buf, const json_t *command)
{
	const json_t *word;
	size_t i;

	json_array_foreach (command, i, word)
		strbuf_addf(buf, "%s%s", i > 0 ? " " : "", json_string_value(word));
}

char *health_in_short(const json_t *guest)
{
	const json_t *health = json_at(guest, "health");
	const char *check = json_text(health, "check");
	struct strbuf buf = {0};

	if (!*check)
		return NULL;
	strbuf_addf(&buf, "%s, %s:", json_text(guest, "health_state"), check);
	if (strcmp(check, "exec") == 0)
		add_command(&buf, json_at(health, "command"));
	else
		strbuf_addf(&buf, "%" JSON_INTEGER_FORMAT "%s",
			json_integer_value(json_at(health, "port")), json_text(health, "path"));
	strbuf_addf(&buf, " every %s", json_text(health, "interval"));
	return strbuf_take(&buf);
}
