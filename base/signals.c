/* Signals by name. */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define STANDARD_END 32 /* behind the last of the standard signals */
#define LOWER_HALF   15 /* of the real-time ones: those behind it count from the last */

/* Names that stand for others of the standard signals: signal(7). */
static const struct {
	const char *name;
	int signal;
} ALIASES[] = {{"IOT", SIGIOT}, {"CLD", SIGCLD}, {"IO", SIGIO}};

static const char *standard_name(int signal)
{
	return signal > 0 && signal < STANDARD_END ? sigabbrev_np(signal) : NULL;
}

static int check(int signal)
{
	bool real_time = signal >= SIGRTMIN && signal <= SIGRTMAX;

	return real_time || standard_name(signal) ? signal : -EINVAL;
}

/* SIGRTMIN and SIGRTMAX are as the C library finds them when it runs. */
static int parse_real_time(const char *name)
{
	uint64_t offset;

	if (strcasecmp(name, "RTMIN") == 0)
		return SIGRTMIN;
	if (strcasecmp(name, "RTMAX") == 0)
		return SIGRTMAX;
	if (strncasecmp(name, "RTMIN+", 6) == 0 && parse_u64(name + 6, 30, &offset) == 0)
		return check(SIGRTMIN + (int)offset);
	if (strncasecmp(name, "RTMAX-", 6) == 0 && parse_u64(name + 6, 30, &offset) == 0)
		return check(SIGRTMAX - (int)offset);
	return -EINVAL;
}

int signal_parse(const char *text)
{
	uint64_t number;

	if (parse_u64(text, (uint64_t)SIGRTMAX, &number) == 0)
		return check((int)number);
	if (strncasecmp(text, "SIG", 3) == 0)
		text += 3;
	for (int i = 1; i < STANDARD_END; i++)
		if (standard_name(i) && strcasecmp(standard_name(i), text) == 0)
			return i;
	for (size_t i = 0; i < ARRAY_SIZE(ALIASES); i++)
		if (strcasecmp(ALIASES[i].name, text) == 0)
			return ALIASES[i].signal;
	return parse_real_time(text);
}

const char *signal_format(char buf[static SIGNAL_NAME_MAX], int signal)
{
	buf[0] = '\0';
	if (standard_name(signal))
		snprintf(buf, SIGNAL_NAME_MAX, "SIG%s", standard_name(signal));
	else if (signal == SIGRTMIN || signal == SIGRTMAX)
		snprintf(buf, SIGNAL_NAME_MAX, signal == SIGRTMIN ? "SIGRTMIN" : "SIGRTMAX");
	else if (check(signal) > 0 && signal <= SIGRTMIN + LOWER_HALF)
		snprintf(buf, SIGNAL_NAME_MAX, "SIGRTMIN+%d", signal - SIGRTMIN);
	else if (check(signal) > 0)
		snprintf(buf, SIGNAL_NAME_MAX, "SIGRTMAX-%d", SIGRTMAX - signal);
	return buf;
}
