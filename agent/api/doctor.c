/* GET /v1/node/doctor: what corpus-doctor says of this host. It runs as a process of its own, since
 * much of what it looks at (a file system, the firewall's rules) can hang or crash who looks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/api/internal.h"
#include "agent/core/worker.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/process.h"

#define DOCTOR_MS  5000
#define REPORT_MAX (1 << 20)

struct examination {
	struct http_request *request;
	char *program, *config, *drivers;
	json_t *checks;
	struct err err;
	int r;
};

static struct examination *examination_free(struct examination *examination)
{
	if (!examination)
		return NULL;
	free(examination->program);
	free(examination->config);
	free(examination->drivers);
	json_decref(examination->checks);
	free(examination);
	return NULL;
}

/* One at a time: one that hangs holds a worker until its deadline. Touched on the loop only. */
static bool under_way;

/* What the agent knows of its drivers, so that they need not be asked again. */
static char *drivers_text(const struct agent *agent)
{
	json_auto_t *list = json_array();

	for (size_t i = 0; i < agent->drivers_count; i++) {
		const struct agent_driver *driver = &agent->drivers[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "name", driver->settings->name,
				"version", driver->info.version, "acceleration",
				driver->info.acceleration, "problem", driver->info.problem,
				"notice", driver->info.notice, "usable", driver->info.usable));
	}
	return json_dumps(list, JSON_COMPACT);
}

/* --- On a worker ----------------------------------------------------------------------------- */

static int run_doctor(const struct examination *examination, int output, struct err *err)
{
	const char *config = examination->config;
	const char *argv[] = {examination->program, "--json", "--drivers", examination->drivers,
		config ? "--config" : NULL, config, NULL};

	return process_run(
		&(struct process_options){
			.argv = argv, .stdin_fd = -1, .stdout_fd = output, .timeout_ms = DOCTOR_MS},
		err);
}

static int read_report(int fd, json_t **ret, struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : file_read_fd(fd, REPORT_MAX, &text, NULL);

	if (r < 0)
		return err_errno(err, r, "cannot read what corpus-doctor says");
	*ret = json_loads(text, 0, NULL);
	if (!json_is_array(*ret))
		return err_set(err, ERR_INTERNAL, NULL, "corpus-doctor said what nobody knows");
	return 0;
}

static void examination_work(void *data)
{
	struct examination *examination = data;
	AUTOCLOSE int output = memfd_create("doctor", MFD_CLOEXEC);

	examination->r = output < 0 ? err_errno(&examination->err, errno, "no room for a report")
				    : run_doctor(examination, output, &examination->err);
	if (examination->r == 0)
		examination->r = read_report(output, &examination->checks, &examination->err);
}

/* --- On the loop ----------------------------------------------------------------------------- */

/* The worst of all. */
static const char *overall(const json_t *checks)
{
	static const char *const VERDICTS[] = {"good", "warning", "bad"};
	size_t worst = 0, i;
	const json_t *line;

	json_array_foreach (checks, i, line) {
		const char *verdict = json_string_value(json_object_get(line, "verdict"));

		for (size_t v = worst; verdict && v < ARRAY_SIZE(VERDICTS); v++)
			if (strcmp(VERDICTS[v], verdict) == 0)
				worst = v;
	}
	return VERDICTS[worst];
}

static void examination_done(void *data)
{
	struct examination *examination = data;

	under_way = false;
	if (examination->r < 0)
		http_respond_error(examination->request, &examination->err, NULL);
	else
		http_respond_json(examination->request, 200,
			json_pack("{s:s, s:O}", "verdict", overall(examination->checks), "checks",
				examination->checks));
	examination_free(examination);
}

void api_node_doctor(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct examination *examination = NULL;
	struct err err = {0};
	int r = -ENOMEM;

	if (under_way)
		r = err_set(&err, ERR_RATE, NULL, "the host is being looked at: ask again");
	else
		examination = calloc(1, sizeof(*examination));
	if (examination) {
		examination->request = request;
		examination->drivers = drivers_text(agent);
		examination->config = agent->config_path ? strdup(agent->config_path) : NULL;
		r = libexec_find("corpus-doctor", &examination->program, &err);
	}
	if (r == 0 && (!examination->drivers || (agent->config_path && !examination->config)))
		r = -ENOMEM;
	if (r == 0)
		r = workers_submit(agent->workers, examination_work, examination_done, examination);
	under_way |= r == 0;
	if (r == 0)
		return;
	examination_free(examination);
	if (err.code == ERR_OK)
		err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
	http_respond_error(request, &err, NULL);
}
