/* What the tests of real LXC guests share: the driver, in this process, on a node of one's own, and
 * short words for calls that fail the test when they fail. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "conformance/ids.h"
#include "drivers/lxc/groups.h"
#include "drivers/lxc/lxc.h"

#define MIB	(1024ULL * 1024)
#define WAIT_MS 60000

/* A test after which no guest is left, however it ended. */
#define guest_test(f) cmocka_unit_test_teardown(f, remove_all)

extern struct driver *g_driver;
extern struct groups g_groups;
extern char g_additions[];

int open_driver(void **state);
int close_driver(void **state);
int remove_all(void **state);

void check(int r, const struct err *err);
struct driver_guest facts(const char *id);
pid_t run_guest(const struct driver_guest *guest);
void update(const struct driver_guest *guest);
struct driver_status guest_status(const char *id);
struct driver_stats stats_of(const char *id);
/* Begins a command in the guest; returns what its wait status comes from. */
int begin(const char *id, const char *script);
/* Waits for the end of a command; its wait status. */
int finish(int fd);
/* Both. */
int run_in(const char *id, const char *script);
/* A command that ends the guest may take with it what waits for its beginning. */
void begin_end(const char *id, const char *script);
/* Waits for the end of a process that is not our child. */
void await_end(pid_t pid);
pid_t parent_of(pid_t pid);

/* The machine's control groups, and the first line of GUEST_A's file in one of them; "" when it has
 * none. */
bool has(const char *controller);
bool is_v2(const char *controller);
const char *kernel(const char *controller, const char *v1, const char *v2);
