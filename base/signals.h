/* Signals by name. The names of the real-time ones count from what the C library leaves of them,
 * as programs do: signal(7). */
#pragma once

#define SIGNAL_NAME_MAX 20

/* The number of a signal that is given by its name with or without SIG, in any case ("SIGTERM",
 * "term", "RTMIN+3", "RTMAX-1"), or by its number. -EINVAL. */
int signal_parse(const char *text);

/* Its whole name, of the real-time ones as kill(1) lists them: "SIGTERM", "SIGRTMIN+3",
 * "SIGRTMAX-3"; empty for a number that is no signal's. */
const char *signal_format(char buf[static SIGNAL_NAME_MAX], int signal);
