/* What the drivers say: told by the agent, or asked of their programs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "doctor/checks.h"
#include "doctor/examine.h"
#include "drivers/client/client.h"

#define PROBE_MS 6000 /* a driver may take 5 s */

/* --- Told ------------------------------------------------------------------------------------ */

void examine_told_drivers(struct report *report, const char *text)
{
	json_auto_t *drivers = json_loads(text, 0, NULL);
	const json_t *driver;
	size_t i;

	json_array_foreach (drivers, i, driver)
		check_driver(
			report, &(struct driver_facts){.name = report_text(driver, "name"),
					.version = report_text(driver, "version"),
					.acceleration = report_text(driver, "acceleration"),
					.problem = report_text(driver, "problem"),
					.notice = report_text(driver, "notice"),
					.usable = json_is_true(json_object_get(driver, "usable"))});
}

/* --- Asked ----------------------------------------------------------------------------------- */

/* A directory for a driver that is only asked: its guests' own are not touched. */
static void remove_place(void *place)
{
	(void)file_remove_tree(place);
}

struct probe {
	sd_event *loop;
	struct driver_info info;
	struct err err;
};

static void answered(void *data, const struct driver_reply *reply)
{
	struct probe *probe = data;

	if (reply->result < 0)
		probe->err = reply->error;
	else
		probe->info = *reply->info;
	sd_event_exit(probe->loop, 0);
}

static void state_changed(void *data, bool up)
{
	(void)data;
	(void)up;
}

static void guest_changed(void *data, const struct driver_status *status)
{
	(void)data;
	(void)status;
}

static int probe_driver(const struct config *config, const struct driver_settings *settings,
	const char *place, struct probe *probe)
{
	const struct driver_client_config client_config = {.name = settings->name,
		.program = settings->program,
		.driver = {.state_dir = place,
			.run_dir = place,
			.log_dir = place,
			.endpoint = settings->endpoint,
			.idmap_base = config->idmap.base,
			.idmap_count = config->idmap.count}};
	const struct driver_client_events events = {state_changed, guest_changed, NULL};
	struct driver_client *client = NULL;
	int r = driver_client_create(probe->loop, &client_config, &events, &client, &probe->err);

	if (r == 0)
		r = driver_client_call(client,
			&(struct driver_request){
				.call = DRIVER_CALL_PROBE, .deadline_ms = PROBE_MS},
			answered, probe, &probe->err);
	if (r == 0)
		r = sd_event_loop(probe->loop);
	driver_client_destroy(client);
	return r;
}

static void examine_driver(
	struct report *report, const struct config *config, const struct driver_settings *settings)
{
	CLEANUP(remove_place) char place[] = "/tmp/corpus-doctor-XXXXXX";
	struct probe probe = {0};

	if (access(settings->program, X_OK) < 0)
		snprintf(probe.err.message, sizeof(probe.err.message),
			"its program %s is missing: install the package corpus-driver-%s",
			settings->program, settings->name);
	else if (!mkdtemp(place) || sd_event_new(&probe.loop) < 0)
		err_errno(&probe.err, errno, "cannot ask the driver");
	else
		(void)probe_driver(config, settings, place, &probe);
	sd_event_unref(probe.loop);
	check_driver(report,
		&(struct driver_facts){.name = settings->name,
			.version = probe.info.version,
			.acceleration = probe.info.acceleration,
			.problem = *probe.err.message ? probe.err.message : probe.info.problem,
			.notice = probe.info.notice,
			.usable = probe.info.usable});
}

void examine_drivers(struct report *report, const struct config *config)
{
	for (size_t i = 0; i < config->drivers_count; i++)
		examine_driver(report, config, &config->drivers[i]);
}
