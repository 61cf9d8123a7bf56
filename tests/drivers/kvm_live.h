/* A real machine, booted once, for tests of what is done to it while it runs. */
#pragma once

#include <libvirt/libvirt.h>

#include "base/err.h"
#include "conformance/ids.h"
#include "drivers/driver.h"

#define ID  GUEST_A
#define MIB (1024ULL * 1024)

/* The driver, and what it was told of the guest. */
extern struct driver *g_driver;
extern struct driver_disk g_disk;
extern struct driver_guest g_guest;
/* A connection of the test's own. */
extern virConnectPtr g_conn;
extern virDomainPtr g_domain;

/* Setup and teardown of the group that shares it. */
int live_boot(void **state);
int live_end(void **state);

/* Paths in its volume live until the end. */
const char *in_volume(const char *name);

/* What a call came to, seen from outside of its process. */
struct result {
	int r;
	struct err err;
	struct driver_stats stats[4];
	size_t count;
};
extern struct result *g_result;

typedef int (*call_fn)(struct result *ret);

int create(struct result *ret);
int start(struct result *ret);
int update(struct result *ret);

/* Each call is made in a process of its own, as the host does it; with a rule for fault points. */
pid_t live_begin(call_fn call, const char *rule);
void live_ok(call_fn call);
void live_fails(call_fn call, enum err_code code);
void live_killed_at(const char *point, call_fn call);

bool runs(void);
/* What it may have of the processors, in microseconds of a period. */
long long quota(void);
void wait_for_agent(void);
/* How long anything in it may take, on a node that is busy. */
#define LIVE_PATIENCE_S 60
void pause_briefly(void);
/* Runs a line of shell in the guest and returns what it says, to be freed. */
char *guest_says(const char *line);
long long guest_number(const char *line);
/* Waits until what a line says is in that range: a kernel takes up what it is given in its time. */
void await_number(const char *line, long long min, long long max);

/* Tests of its memory in files, in this order. */
void a_machine_goes_on_from_its_memory_with_the_time_and_the_limits_of_now(void **state);
void a_save_or_a_start_cut_off_anywhere_is_finished_by_its_repeat(void **state);
void a_save_whose_caller_dies_is_waited_for(void **state);
void a_save_that_libvirtd_does_not_survive_leaves_the_guest_running(void **state);
void memory_that_is_damaged_is_refused_and_kept(void **state);
void without_room_the_guest_runs_on(void **state);
