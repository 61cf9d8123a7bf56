/* The signal by which a guest's first process is asked to end. The kernel drops one that the
 * process has no handler for (pid_namespaces(7)), and one that has just begun has none yet. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Waits until process `pid` catches the signal, or blocks it to take it by signalfd; until it ends,
 * which its pidfd tells; or until clock_monotonic_ns() is `end_ns`. */
void listen_wait(pid_t pid, int pidfd, int signal, int64_t end_ns);
