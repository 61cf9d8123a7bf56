/* What machines use; used inside drivers/kvm only. */
#pragma once

#include <libvirt/libvirt.h>

#include "drivers/driver.h"

struct err;

/* As driver_ops.stats. */
int kvm_stats(struct driver *driver, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err);

/* --- Its parts, for tests ----------------------------------------------------------------------
 */

/* Takes what libvirt says of a domain. Without word from its balloon memory stays 0. Pure. */
void stats_take(virTypedParameterPtr params, int count, struct driver_stats *ret);

/* Takes what the node's kernel says of a machine's process, of these texts: /proc/PID/status, and
 * cpu.stat of its control group. NULL: there is none. Pure. */
void stats_take_process(const char *status, const char *cpu_stat, struct driver_stats *ret);

/* Where that cpu.stat is, by /proc/PID/cgroup; -ENOENT where it has none. Pure. */
int stats_group(const char *cgroup, char *buf, size_t size);
