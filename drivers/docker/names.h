/* Names in a running container: its own, and whom it asks for those of others. Docker makes the
 * files for them, which are mounted into the container, anew at each start; used inside
 * drivers/docker only. */
#pragma once

#include <sys/types.h>

struct driver_guest;
struct err;

/* Gives the container whose first process that is its names: the kernel's host name, and
 * /etc/hosts, /etc/hostname and /etc/resolv.conf. */
int names_give(const struct driver_guest *guest, pid_t pid, struct err *err);

/* Their texts; NULL when memory ran out. */
char *names_hosts(const struct driver_guest *guest);
char *names_resolv(const struct driver_guest *guest); /* "": there is nobody to ask */
