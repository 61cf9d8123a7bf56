/* The host name that the kernel tells in a guest that is a container; for drivers. */
#pragma once

#include <sys/types.h>

struct err;

/* How much of a guest's name that is: all of it, or, where it is longer than the kernel takes
 * (uname(2)), its first part. */
int hostname_length(const char *name);

/* Gives a running guest that host name. */
int hostname_set(pid_t init, const char *name, struct err *err);
