/* A file of a configuration, for tests: what it says is a text of theirs. */
#pragma once

#include "agent/config/config.h"
#include "base/err.h"

extern char g_path[];

/* Setup and teardown of a group. */
int config_file_make(void **state);
int config_file_remove(void **state);

int load(const char *text, struct config **ret, struct err *err);
/* Fails the test when it is not accepted. */
struct config *load_good(const char *text);

/* The example that is installed, with its settings no longer commented out; to be freed. */
char *uncommented(void);
