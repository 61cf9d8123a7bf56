/* Runs the conformance suite on a driver program, in whatever language it is: test_driver_program
 * PROGRAM. For drivers that need no more than the plain root trees; others make an environment of
 * their own, as test_lxc.c does. */
#include <stdio.h>

#include "conformance/conformance.h"
#include "plain.h"

int main(int argc, char **argv)
{
	struct environment e = {.rootfs = plain_rootfs};
	int failed;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PROGRAM\n", argv[0]);
		return 2;
	}
	plain_enter();
	e.config = plain_config();
	e.program = argv[1];
	failed = conformance_run(argv[1], &e);
	plain_leave();
	return failed;
}
