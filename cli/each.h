/* Several names in one command: each is done, whatever becomes of the others. */
#pragma once

struct args;
struct cli;
struct err;

/* Calls `one` for every operand. Failures are reported at once when there is more than one; the
 * first of them is returned in the end. */
int each_operand(struct cli *cli, const struct args *args,
	int (*one)(struct cli *cli, const struct args *args, const char *name, struct err *err),
	struct err *err);
