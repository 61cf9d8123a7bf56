/* Fault points, see fault.h. Only compiled into builds for tests. */
#include "base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define RULES_MAX 16

static struct {
	pthread_mutex_t lock;
	bool loaded;
	size_t count;
	struct rule {
		char point[96];
		char action[32];
		unsigned long nth; /* 0: every passage */
		unsigned long seen;
	} rules[RULES_MAX];
} g_faults = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool known(const char *action)
{
	return strcmp(action, "kill") == 0 || strcmp(action, "fail") == 0 ||
	       strncmp(action, "wait:", 5) == 0;
}

static void load(void)
{
	const char *text = getenv("CORPUS_FAULT");
	AUTOFREE char *copy = strdup(text ? text : "");
	char *save = NULL;

	g_faults.loaded = true;
	if (!copy)
		abort();
	for (char *p = strtok_r(copy, ",", &save); p && g_faults.count < RULES_MAX;
		p = strtok_r(NULL, ",", &save)) {
		struct rule *rule = &g_faults.rules[g_faults.count];

		/* A test whose rule is not understood would pass without having tested. */
		if (sscanf(p, "%95[^=]=%31[^@]@%lu", rule->point, rule->action, &rule->nth) < 2 ||
			!known(rule->action)) {
			dprintf(STDERR_FILENO, "CORPUS_FAULT: bad rule %s\n", p);
			abort();
		}
		g_faults.count++;
	}
}

static bool matches(const struct rule *rule, const char *point)
{
	size_t n = strlen(rule->point);

	if (n > 0 && rule->point[n - 1] == '*')
		return strncmp(rule->point, point, n - 1) == 0;
	return strcmp(rule->point, point) == 0;
}

/* The action for this passage, copied out from under the lock; empty when there is none. */
static void take_action(const char *point, char action[static 32])
{
	action[0] = '\0';
	pthread_mutex_lock(&g_faults.lock);
	if (!g_faults.loaded)
		load();
	for (size_t i = 0; i < g_faults.count; i++) {
		struct rule *rule = &g_faults.rules[i];

		if (!matches(rule, point))
			continue;
		rule->seen++;
		if (rule->nth == 0 || rule->nth == rule->seen)
			memcpy(action, rule->action, sizeof(rule->action));
	}
	pthread_mutex_unlock(&g_faults.lock);
}

bool fault_point(const char *fmt, ...)
{
	char point[96], action[32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(point, sizeof(point), fmt, ap);
	va_end(ap);
	take_action(point, action);
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strncmp(action, "wait:", 5) == 0) {
		long ms = strtol(action + 5, NULL, 10);

		nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000},
			NULL);
	}
	return strcmp(action, "fail") == 0;
}
