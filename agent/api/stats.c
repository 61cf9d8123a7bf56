/* Handlers of what is used: one guest's figures, all at once, and metrics. */
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/metrics/metrics.h"
#include "agent/metrics/sampler.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"

/* A request that waits for figures. */
struct asked {
	struct http_request *request;
	struct agent *agent;
	char id[GUEST_ID_LEN + 1];
	bool open_metrics;
};

/* Frees the text. */
static void respond(struct http_request *request, const char *type, char *text, size_t size)
{
	AUTOFREE char *owned = text;
	struct err err;

	if (owned) {
		http_respond_text(request, 200, type, owned, size);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
	http_respond_error(request, &err, NULL);
}

static void want(struct http_request *request, struct agent *agent, const struct asked *what,
	int64_t max_age_ms, void (*ready)(void *data))
{
	struct asked *asked = malloc(sizeof(*asked));

	if (!asked) {
		respond(request, NULL, NULL, 0);
		return;
	}
	*asked = *what;
	asked->request = request;
	asked->agent = agent;
	sampler_want(agent->sampler, max_age_ms, ready, asked);
}

static void guest_ready(void *data)
{
	AUTOFREE struct asked *asked = data;
	struct guest_entry *entry = registry_by_id(asked->agent->registry, asked->id);
	struct err err;
	size_t size = 0;
	char *text;

	if (!entry) {
		err_set(&err, ERR_NOT_FOUND, NULL, "the guest does not exist any more");
		http_respond_error(asked->request, &err, NULL);
		return;
	}
	text = stats_guest_json(asked->agent, entry->guest, &size);
	respond(asked->request, "application/json", text, size);
}

void api_guest_stats(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry = requested_guest(request, agent);
	struct asked asked = {0};

	if (!entry)
		return;
	memcpy(asked.id, entry->guest->id, sizeof(asked.id));
	want(request, agent, &asked, 0, guest_ready);
}

static void all_ready(void *data)
{
	AUTOFREE struct asked *asked = data;
	size_t size = 0;
	char *text = stats_all_json(asked->agent, &size);

	respond(asked->request, "application/json", text, size);
}

void api_stats(struct http_request *request, void *data)
{
	want(request, data, &(struct asked){0}, 0, all_ready);
}

static void metrics_ready(void *data)
{
	AUTOFREE struct asked *asked = data;
	size_t size = 0;
	char *text = metrics_render(asked->agent, asked->open_metrics, &size);

	respond(asked->request, asked->open_metrics ? METRICS_OPEN_TYPE : METRICS_CLASSIC_TYPE,
		text, size);
}

/* OpenMetrics, unless the client takes only the older form. */
static bool wants_open_metrics(const struct http_request *request)
{
	const char *accept = http_header(request, "Accept");

	return !accept || strstr(accept, "application/openmetrics-text") ||
	       !strstr(accept, "text/plain");
}

/* What was sampled by itself is new enough: scraping costs no driver anything. */
void api_metrics(struct http_request *request, void *data)
{
	struct agent *agent = data;
	int64_t age_ms = (int64_t)agent->config->stats_interval_ms * 2;

	want(request, agent, &(struct asked){.open_metrics = wants_open_metrics(request)}, age_ms,
		metrics_ready);
}
