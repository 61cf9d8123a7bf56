/* What the suite's tests of files share: calls on files of GUEST_A that fail the test when they
 * fail, in a directory that is there while one of them runs. */
#pragma once

#include <jansson.h>

#include "guests.h"

#define DIR_INSIDE "/corpus-files"

struct outcome do_file(struct driver_file file);
struct outcome file_ok(struct driver_file file);
void file_fails(struct driver_file file, enum err_code code);

/* Writes the text, whatever else `file` says. */
struct outcome put(struct driver_file file, const char *text);
void put_ok(struct driver_file file, const char *text);
void assert_reads(const char *path, const char *text);

/* A directory's entries by their names; the caller's. */
json_t *listed(const char *path);

/* Removes DIR_INSIDE. */
void clear(void);
/* Whether the test reaches the guest's files also while it does not run. */
bool is_tree(void);
/* Runs a test on a guest that is stopped, where that has files, then on one that runs. */
void in_both(void (*test)(void));
