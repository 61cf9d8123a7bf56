/* One look at whether what is in a guest works: a connection, a page, a command. Everything happens
 * on the loop; nothing blocks. What a guest answers is not trusted: a few bytes of it are read. */
#pragma once

#include <stdbool.h>

struct agent;
struct check;
struct err;
struct guest;

#define CHECK_WHY_MAX 160

/* `why` is NULL when it is good, else a few words. */
typedef void (*check_done_fn)(void *data, const char *why);

/* Begins the check that the guest's health asks for. `done` is called once, later, within the
 * timeout of the check. */
int check_start(struct agent *agent, const struct guest *guest, check_done_fn done, void *data,
	struct check **ret, struct err *err);

/* Ends it without a word. Accepts NULL, returns NULL. */
struct check *check_cancel(struct check *check);
