/* Structured logs. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} LEVELS[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

static struct {
	const char *program;
	_Atomic enum log_level level; /* a reload changes it under the workers */
	bool journal;
} g_log = {.program = "corpus", .level = LOG_LEVEL_INFO};

void log_init(const char *program, enum log_level level)
{
	g_log.program = program;
	g_log.level = level;
	g_log.journal = getenv("JOURNAL_STREAM") != NULL;
}

void log_set_level(enum log_level level)
{
	g_log.level = level;
}

bool log_enabled(enum log_level level)
{
	return level <= g_log.level;
}

int log_level_from_string(const char *name, enum log_level *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(LEVELS); i++)
		if (strcmp(LEVELS[i].name, name) == 0) {
			*ret = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

const char *log_level_to_string(enum log_level level)
{
	return LEVELS[level].name;
}

static size_t put_head(char *line, size_t size, enum log_level level, const char *event)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	if (g_log.journal)
		return (size_t)snprintf(line, size, "<%d>%s ", LEVELS[level].priority, event);
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	return (size_t)snprintf(line, size, "%s.%03ldZ %s[%d] %s %s ", stamp, now.tv_nsec / 1000000,
		g_log.program, getpid(), LEVELS[level].name, event);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	char line[2048];
	size_t used;
	va_list ap;
	int n;

	if (!log_enabled(level))
		return;
	used = put_head(line, sizeof(line), level, event);
	va_start(ap, fmt);
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	va_end(ap);
	if (n > 0)
		used += (size_t)n < sizeof(line) - used - 1 ? (size_t)n : sizeof(line) - used - 2;
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return; /* nobody left to tell */
}

const char *log_quote(char buf[static LOG_QUOTE_MAX], const char *text)
{
	size_t o = 0;

	buf[o++] = '"';
	for (const char *p = text ? text : ""; *p && o < LOG_QUOTE_MAX - 6; p++) {
		unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\') {
			buf[o++] = '\\';
			buf[o++] = *p;
		} else if (c < 0x20 || c == 0x7f) {
			o += (size_t)snprintf(buf + o, 5, "\\x%02x", c);
		} else {
			buf[o++] = *p;
		}
	}
	buf[o++] = '"';
	buf[o] = '\0';
	return buf;
}
