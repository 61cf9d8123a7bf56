/* A pool of its own for each test, in a directory of its own, gone at the end whatever happened. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

/* The kinds of pool that every test of the contract runs on. */
struct backend {
	const char *name;
	bool on_existing; /* a directory on a btrfs that is there already */
	enum storage_quota quota;
};
extern const struct backend g_backends[];
extern const size_t g_backends_count;

struct fixture {
	const struct backend *backend;
	char dir[64];
	char path[96], loop_file[96];
	char host[96], host_file[96]; /* the existing btrfs of on_existing */
	struct storage_config config;
	struct storage *storage;
	size_t groups; /* that fixture_note_groups saw */
};

/* The pool is not open yet. */
void fixture_prepare(struct fixture *f, const struct backend *backend);
void fixture_end(struct fixture *f);

/* The pool of a suite, and the setup and teardown of its tests, on the kind that *state says (NULL:
 * the first): with the pool open, or closed as yet. */
extern struct fixture g_f;
int fixture_setup(void **state);
int fixture_setup_closed(void **state);
int fixture_teardown(void **state);

/* Whoever runs a group gives it this teardown, too: that of a test does not run when its setup
 * failed. */
#define FIXTURE_TEST(name, setup) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

/* Runs them on the kind of pool that is named, or on each; how many failed. */
int fixture_run_each(struct CMUnitTest *tests, size_t count, const char *only);
/* On each whose file system is its own. */
int fixture_run_loops(struct CMUnitTest *tests, size_t count);

/* Open the pool (again), and close it. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

/* Only the configuration, for a pool of another process. An existing btrfs has no `loop_file`. */
void fixture_configure(
	struct fixture *f, const struct backend *backend, const char *path, const char *loop_file);

/* Removes a loop pool, so that the next opening makes a new one; nothing on an existing btrfs. */
void fixture_discard(struct fixture *f);

/* Writes what is dirty in the pool to disk, and wakes who frees what was deleted. */
void fixture_sync(struct fixture *f);

/* Imports the little image under that name. */
void fixture_import(struct fixture *f, const char *name);
/* Imports what `fd` holds, and closes it. */
int fixture_import_fd(struct fixture *f, const char *name, int fd, struct err *err);

/* Number of entries of a directory below the pool, hidden ones too. */
size_t fixture_count(struct fixture *f, const char *dir);

/* Quota groups of subvolumes that the pool's file system has. */
size_t fixture_groups(struct fixture *f);
void fixture_note_groups(struct fixture *f);
/* Tends the pool until there are as many as were noted. */
void fixture_await_groups(struct fixture *f);

/* Writes `size` bytes of data that do not compress; the number written, short at a failure. */
uint64_t fixture_fill(const char *path, uint64_t size);

/* Whether it holds, tried until a deadline: for what the kernel does in the background. */
bool fixture_eventually(struct fixture *f, bool (*holds)(struct fixture *f));

#define assert_ok(call)                                                                            \
	do {                                                                                       \
		struct err *err_ = &g_err;                                                         \
		*err_ = (struct err){0};                                                           \
		if ((call) < 0)                                                                    \
			fail_msg("%s: %s", #call, err_->message);                                  \
	} while (0)
extern struct err g_err;

#define assert_error(call, wanted)                                                                 \
	do {                                                                                       \
		g_err = (struct err){0};                                                           \
		assert_true((call) < 0);                                                           \
		if (g_err.code != (wanted))                                                        \
			fail_msg("%s: %s, not %s: %s", #call, err_code_to_string(g_err.code),      \
				err_code_to_string(wanted), g_err.message);                        \
	} while (0)
