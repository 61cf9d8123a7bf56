/* What the tests of the suite share: the driver under test, and short words for calls on guests
 * that fail the test when they fail. */
#pragma once

#include "conformance.h"
#include "ids.h"
#include "subject.h"

/* A test after which no guest is left, however it ended. */
#define guest_test(f) cmocka_unit_test_teardown(f, guests_remove_all)
/* One that the driver is bound to on a condition only; else it is not there at all. */
#define guest_test_if(bound, f)                                                                    \
	((bound) ? (struct CMUnitTest)guest_test(f) : (struct CMUnitTest){.name = NULL})

void guests_begin(const struct environment *environment);
void guests_end(void);
int guests_remove_all(void **state);

const struct environment *environment(void);
struct subject *subject(void);
bool can(enum driver_capability capability);

struct outcome call(struct driver_request request);
struct outcome call_ok(struct driver_request request);
struct outcome call_fails(struct driver_request request, enum err_code code);

struct driver_guest guest_facts(const char *id, enum rootfs_kind kind);
void define_guest(const char *id, enum rootfs_kind kind);
struct driver_status start_guest(const char *id);
/* What a driver asks may be too busy to answer within the time of a status: of what is not known it
 * is asked again. */
struct driver_status status_of(const char *id);
struct driver_status status_at_once(const char *id);
void stop_guest(const char *id, uint64_t timeout_ms);
void destroy_guest(const char *id);

/* GUEST_A, running; where guests are shared it may have been before. */
void borrow_guest(void);
/* Destroys it, unless it is shared. */
void return_guest(void);
/* Guests are machines: their files are reached through them alone, and what stands for a command is
 * a process of the driver's. */
bool is_machine(void);
/* Runs a script of a shell in which $R is GUEST_A's root: out here where that can be reached, else
 * by a command in it. */
void prepare_inside(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends GUEST_A, whose process that is, from outside. */
void end_guest(pid_t pid);
void assert_process_gone(pid_t pid);
/* By itself, in a moment. */
void assert_process_goes(pid_t pid);
void assert_nothing_left(const char *id, bool defined);
/* A call about a file that says nothing of mode and owner, and has no descriptor. */
struct driver_file file_at(enum driver_file_op op, const char *path);
/* A descriptor of a file without a name that holds the text, at its beginning. */
int memory_file(const char *text);
void assert_holds(int fd, const char *text);
/* Waits for the wait status of a command; -1 when its end was not seen. */
int wait_status_of(int status_fd);
/* Runs a command in GUEST_A to its end. */
void assert_exec(const char *const *argv, const char *input, const char *output, const char *errors,
	int status);
