/* Until a guest's first process hears a signal. */
#include "drivers/inside/listen.h"

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#define STEP_MS	   10 /* between looks: that cannot be waited for */
#define STATUS_MAX 16384

/* One of the sets of signals in the status of a process (proc(5)). */
static unsigned long long set_of(const char *status, const char *name)
{
	const char *line = strstr(status, name);
	unsigned long long set = 0;

	if (line)
		sscanf(line + strlen(name), " %llx", &set);
	return set;
}

static bool hears(pid_t pid, int signal)
{
	AUTOFREE char *status = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (file_read(path, STATUS_MAX, &status, NULL) < 0)
		return false;
	return (set_of(status, "\nSigCgt:") | set_of(status, "\nSigBlk:")) >> (signal - 1) & 1;
}

void listen_wait(pid_t pid, int pidfd, int signal, int64_t end_ns)
{
	struct pollfd end = {.fd = pidfd, .events = POLLIN};

	while (!hears(pid, signal) && clock_monotonic_ns() < end_ns)
		if (poll(&end, 1, STEP_MS) == 1)
			return;
}
