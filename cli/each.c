/* Several names in one command. */
#include "cli/each.h"

#include "base/err.h"
#include "cli/args.h"
#include "cli/cli.h"

int each_operand(struct cli *cli, const struct args *args,
	int (*one)(struct cli *cli, const struct args *args, const char *name, struct err *err),
	struct err *err)
{
	int result = 0;

	for (size_t i = 0; i < args->operands_count && !cli_interrupted(); i++) {
		struct err failure = {0};
		int r = one(cli, args, args->operands[i], &failure);

		if (r < 0 && args->operands_count > 1) {
			cli_report(cli, args->operands[i], &failure);
			cli->reported = true;
		}
		if (r < 0 && result == 0) {
			*err = failure;
			result = r;
		}
	}
	return result;
}
