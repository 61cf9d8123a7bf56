/* What has been put into a guest and has to be taken out of it again, kept on the node: one file
 * for each, locked by whoever put it there for as long as that lives. A file that nobody locks was
 * left by one who died, and is cleaned up after by the next who enters the guest. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "drivers/kvm/instance.h"

struct err;

#define LEDGER_TEXT_MAX 8192

struct ledger {
	int fd; /* -1: nothing is noted */
	char path[PATH_MAX];
};

/* Notes a text before what it tells of is done. */
int ledger_note(
	const struct kvm_paths *paths, const char *text, struct ledger *ret, struct err *err);
/* It is undone. With CLEANUP after a `struct ledger l = {.fd = -1}` when that is sure in time; what
 * is only closed (ledger_leave) is for the next one. */
void ledger_strike(struct ledger *ledger);
void ledger_leave(struct ledger *ledger);

/* Takes over a note that nobody holds: false when there is none. */
bool ledger_take(
	const struct kvm_paths *paths, struct ledger *ret, char text[static LEDGER_TEXT_MAX]);
