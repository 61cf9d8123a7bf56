/* The columns of all lists. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/list.h"
#include "cli/show.h"

/* --- Guests ---------------------------------------------------------------------------------- */

/* "40001:80 40002:53/udp": what is published, without ssh. */
static char *ports_in_short(const json_t *guest)
{
	struct strbuf buf = {0};
	const json_t *port;
	size_t i;

	json_array_foreach (json_at(guest, "ports"), i, port) {
		if (strcmp(json_text(port, "purpose"), "ssh") == 0)
			continue;
		strbuf_add(&buf, buf.used ? " " : "");
		strbuf_addf(&buf, "%s:%s%s", V_NUMBER(port, "host"), V_NUMBER(port, "guest"),
			strcmp(json_text(port, "proto"), "udp") == 0 ? "/udp" : "");
	}
	return strbuf_take(&buf);
}

static char *labels_in_short(const json_t *guest)
{
	return shown_labels(json_at(guest, "labels"));
}

static char *count_snapshots(const json_t *guest)
{
	char *text;

	return asprintf(&text, "%zu", json_array_size(json_at(guest, "snapshots"))) < 0 ? NULL
											: text;
}

static char *restart_needed(const json_t *guest)
{
	return value_list(guest, "restart_needed");
}

static const struct list_column GUEST_COLUMNS[] = {
	{"name", "name", LIST_TEXT, true},
	{"state", "state", LIST_STATE, true},
	{"driver", "driver", LIST_TEXT, true},
	{"image", "image", LIST_TEXT, true},
	{"slots", "slots", LIST_NUMBER, true},
	{"storage", "storage.size", LIST_SIZE, true},
	{"address", "network.address", LIST_TEXT, true},
	{"ssh", "ssh.port", LIST_NUMBER, true},
	{"ports", NULL, LIST_TEXT, true, ports_in_short},
	{"id", "id", LIST_TEXT},
	{"environment", "environment", LIST_TEXT},
	{"cpus", "limits.cpus", LIST_NUMBER},
	{"memory", "limits.memory", LIST_SIZE},
	{"health", "health_state", LIST_STATE},
	{"restarts", "restarts", LIST_NUMBER},
	{"restart-needed", NULL, LIST_TEXT, false, restart_needed},
	{"autostart", "autostart.on", LIST_SWITCH},
	{"privileged", "privileged", LIST_SWITCH},
	{"snapshots", NULL, LIST_NUMBER, false, count_snapshots},
	{"labels", NULL, LIST_TEXT, false, labels_in_short},
	{"mac", "network.mac", LIST_TEXT},
	{"since", "since", LIST_TIME},
	{"created", "created", LIST_TIME},
	{"problem", "problem", LIST_TEXT},
	{0},
};

const struct list LIST_GUESTS = {"guests", "after", GUEST_COLUMNS};

static const struct list_column SNAPSHOT_COLUMNS[] = {
	{"name", "name", LIST_TEXT, true},
	{"created", "created", LIST_TIME, true},
	{"consistency", "consistency", LIST_TEXT, true},
	{"memory", "memory", LIST_SWITCH, true},
	{"size", "size", LIST_SIZE},
	{0},
};

const struct list LIST_SNAPSHOTS = {"snapshots", NULL, SNAPSHOT_COLUMNS};

static const struct list_column PORT_COLUMNS[] = {
	{"proto", "proto", LIST_TEXT, true},
	{"host", "host", LIST_NUMBER, true},
	{"guest", "guest", LIST_NUMBER, true},
	{"purpose", "purpose", LIST_TEXT, true},
	{"name", "name", LIST_TEXT, true},
	{"address", "address", LIST_TEXT, true},
	{0},
};

const struct list LIST_PORTS = {"ports", NULL, PORT_COLUMNS};

/* --- Images ---------------------------------------------------------------------------------- */

/* Enough to tell images apart: of Docker's their ids, "sha256:…". */
static char *short_digest(const json_t *image)
{
	const char *digest = json_text(image, "sha256"),
		   *colon = strchr(json_text(image, "id"), ':');

	return strndup(*digest || !colon ? digest : colon + 1, 12);
}

static const struct list_column IMAGE_COLUMNS[] = {
	{"name", "name", LIST_TEXT, true},
	{"kind", "kind", LIST_TEXT, true},
	{"size", "size", LIST_SIZE, true},
	{"entries", "entries", LIST_NUMBER, true},
	{"guests", "users", LIST_NUMBER, true},
	{"created", "created", LIST_TIME, true},
	{"sha256", "sha256", LIST_TEXT, true, short_digest},
	{"boot", "disk.boot", LIST_TEXT},
	{"format", "disk.format", LIST_TEXT},
	{"disk", "disk.size", LIST_SIZE},
	{"driver", "driver", LIST_TEXT},
	{"id", "id", LIST_TEXT},
	{0},
};

const struct list LIST_IMAGES = {"images", NULL, IMAGE_COLUMNS};

/* --- Operations and sessions ----------------------------------------------------------------- */

static char *step_of(const json_t *operation)
{
	return strdup(shown_step((char[VALUE_MAX]){0}, operation));
}

static char *asker_of(const json_t *operation)
{
	return strdup(shown_asker((char[VALUE_MAX]){0}, operation));
}

static const struct list_column OPERATION_COLUMNS[] = {
	{"id", "id", LIST_TEXT, true},
	{"verb", "verb", LIST_TEXT, true},
	{"target", "target", LIST_TEXT, true},
	{"state", "state", LIST_STATE, true},
	{"step", "step", LIST_TEXT, true, step_of},
	{"who", "uid", LIST_TEXT, true, asker_of},
	{"created", "created", LIST_TIME, true},
	{"problem", "error.detail", LIST_TEXT, true},
	{"started", "started", LIST_TIME},
	{"ended", "ended", LIST_TIME},
	{0},
};

const struct list LIST_OPERATIONS = {"operations", "before", OPERATION_COLUMNS};

/* "ended (0)", "ended (KILL)", else the state. */
static char *ending(const json_t *session)
{
	const char *signal = json_text(session, "signal"), *state = json_text(session, "state");
	char *text;
	int r;

	if (json_is_true(json_at(session, "lost")))
		r = asprintf(&text, "ended (not seen)");
	else if (*signal)
		r = asprintf(&text, "ended (%s)", signal);
	else if (json_at(session, "status"))
		r = asprintf(&text, "ended (%s)", V_NUMBER(session, "status"));
	else
		r = asprintf(&text, "%s", state);
	return r < 0 ? NULL : text;
}

/* As it would be typed, nearly. */
static char *command_line(const json_t *session)
{
	const json_t *word;
	struct strbuf buf = {0};
	size_t i;

	json_array_foreach (json_at(session, "command"), i, word)
		strbuf_addf(&buf, "%s%s", i ? " " : "", json_string_value(word));
	if (!buf.used)
		strbuf_add(&buf, json_text(session, "kind"));
	return strbuf_take(&buf);
}

static const struct list_column SESSION_COLUMNS[] = {
	{"session", "id", LIST_TEXT, true},
	{"guest", "guest", LIST_TEXT, true},
	{"state", "state", LIST_STATE, true, ending},
	{"clients", "clients", LIST_NUMBER, true},
	{"created", "created", LIST_TIME, true},
	{"command", NULL, LIST_TEXT, true, command_line},
	{"user", "user", LIST_TEXT},
	{"kind", "kind", LIST_TEXT},
	{"pid", "pid", LIST_NUMBER},
	{0},
};

const struct list LIST_SESSIONS = {"sessions", NULL, SESSION_COLUMNS};

/* --- By command ------------------------------------------------------------------------------ */

const struct list *list_of_command(const char *command)
{
	static const struct {
		const char *command;
		const struct list *list;
	} LISTS[] = {{"list", &LIST_GUESTS}, {"image list", &LIST_IMAGES}, {"ports", &LIST_PORTS},
		{"operations", &LIST_OPERATIONS}, {"snapshot list", &LIST_SNAPSHOTS},
		{"sessions", &LIST_SESSIONS}};

	for (size_t i = 0; i < ARRAY_SIZE(LISTS); i++)
		if (strcmp(LISTS[i].command, command) == 0)
			return LISTS[i].list;
	return NULL;
}
