/* Faults on demand. */
#include "drivers/fake/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "drivers/fake/fake.h"
#include "drivers/protocol/value.h"
#include "drivers/protocol/wire.h"

#define FAULTS_MAX 65536

static int g_wire = -1;

void fake_set_wire(int fd)
{
	g_wire = fd;
}

/* One less of a counter; false when it was at zero. Absent counters never get there. */
static bool count_down(json_t *fault, const char *key, bool *changed)
{
	json_t *n = json_object_get(fault, key);

	if (!json_is_integer(n))
		return true;
	if (json_integer_value(n) <= 0)
		return false;
	json_integer_set(n, json_integer_value(n) - 1);
	*changed = true;
	return true;
}

/* Whether this passage of the call is hit; `changed` when a counter was. */
static bool hits(json_t *fault, bool *changed)
{
	if (json_object_get(fault, "skip") && count_down(fault, "skip", changed))
		return false;
	return count_down(fault, "count", changed);
}

/* The fault for this passage, as a new reference; NULL when there is none. Calls run side by side
 * in processes of their own, so the counters are kept under a lock. */
static json_t *take(const char *state_dir, const char *call)
{
	char path[PATH_MAX];
	AUTOCLOSE int dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTOFREE char *text = NULL, *changed_text = NULL;
	json_t *all = NULL, *fault;
	bool changed = false, hit;

	if (dir < 0 || flock(dir, LOCK_EX) < 0 ||
		file_path(path, sizeof(path), "%s/faults.json", state_dir) < 0 ||
		file_read(path, FAULTS_MAX, &text, NULL) < 0 || value_parse(text, &all, NULL) < 0)
		return NULL;
	fault = json_object_get(all, call);
	if (!fault)
		fault = json_object_get(all, "*");
	hit = fault && hits(fault, &changed);
	fault = hit ? json_incref(fault) : NULL;
	changed_text = value_print(all);
	if (changed && changed_text)
		file_replace(path, changed_text, 0600, false);
	return fault;
}

static void crash(pid_t host)
{
	kill(host, SIGKILL);
	kill(getpid(), SIGKILL);
}

static bool says(const json_t *fault, const char *key, const char *when)
{
	const char *text = json_string_value(json_object_get(fault, key));

	return text && strcmp(text, when) == 0;
}

static void hang(void)
{
	for (;;)
		pause();
}

static void wait_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static void act(json_t *fault, pid_t host)
{
	const char *garbage = json_string_value(json_object_get(fault, "garbage"));

	if (garbage && g_wire >= 0)
		wire_send(g_wire, garbage, NULL, 0, 0);
	wait_ms((long)json_integer_value(json_object_get(fault, "delay_ms")));
	if (says(fault, "crash", "before"))
		crash(host);
	if (json_is_true(json_object_get(fault, "hang")) || says(fault, "hang", "before"))
		hang();
}

int fault_before(const char *state_dir, enum driver_call call, pid_t host, struct fault *ret,
	struct err *err)
{
	json_t *fault = take(state_dir, driver_call_to_string(call));
	json_t *error = json_object_get(fault, "error");
	int r = 0;

	*ret = (struct fault){.host = host};
	if (!fault)
		return 0;
	ret->crash_after = says(fault, "crash", "after");
	ret->hang_after = says(fault, "hang", "after");
	ret->late_ms = (long)json_integer_value(json_object_get(fault, "late_ms"));
	act(fault, host);
	if (error) {
		r = value_to_error(error, err, err);
		r = r < 0 ? r : err_errnum(err->code);
	}
	json_decref(fault);
	return r;
}

int fault_after(const struct fault *fault, int result)
{
	if (fault->crash_after)
		crash(fault->host);
	if (fault->hang_after)
		hang();
	wait_ms(fault->late_ms);
	return result;
}
