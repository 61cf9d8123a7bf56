/* Gathering the facts of this host, and having them checked. Nothing on it is changed. */
#pragma once

struct config;
struct report;

/* All but the drivers, and what only machines need. */
void examine_host(struct report *report, const struct config *config);

/* libvirt, QEMU and KVM, where a driver of machines is configured. */
void examine_machines(struct report *report, const struct config *config);

/* What the kernel's firewall holds, by libnftables, as JSON to standard output. Meant for a process
 * of its own: the library may crash or hang on rules that it does not know. 0 or a negative errno.
 */
int examine_print_ruleset(void);

/* The drivers, from a JSON array of {name, version, problem, usable}. */
void examine_told_drivers(struct report *report, const char *text);

/* The drivers, by asking each: its program is started, away from the guests' own definitions, and
 * ended again. */
void examine_drivers(struct report *report, const struct config *config);
