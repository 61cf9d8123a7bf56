/* Terminals for commands in guests. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Makes a pair. Where the guest of that init process (0: none is known) has terminals of its own,
 * it is one of those: only they have a name inside it, which sudo, screen and others ask for. The
 * guest's root directory may hold anything; nothing outside it is opened. 0 or a negative errno. */
int terminal_open(pid_t init, int *ret_master, int *ret_slave);

int terminal_resize(int master, unsigned rows, unsigned columns);

/* The character that means end of file on it now; 0: none does. */
char terminal_eof(int master);
