/* corpus-unpack MAX-BYTES MAX-ENTRIES: unpacks the archive on stdin into the directory that
 * descriptor 3 is open on, after confining itself. The agent starts it for each import; it is of no
 * use by hand. Its one line of output is "ok BYTES ENTRIES" or "error CODE MESSAGE". */
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "storage/unpack/archive.h"
#include "storage/unpack/confine.h"
#include "storage/unpack/extract.h"

#define TARGET_FD 3

static int run(const struct extract_limits *limits, struct extract *x, struct err *err)
{
	int r = confine(TARGET_FD, limits->size, err);

	if (r == 0)
		r = extract_init(x, limits, err);
	if (r == 0)
		r = archive_extract(STDIN_FILENO, x, err);
	return r;
}

static int parse_limits(int argc, char **argv, struct extract_limits *ret)
{
	if (argc != 3 || parse_u64(argv[1], INT64_MAX, &ret->size) < 0 ||
		parse_u64(argv[2], INT64_MAX, &ret->entries) < 0)
		return -EINVAL;
	return 0;
}

/* Never by exit(): what an attacker may have changed is not run through once more. */
static _Noreturn void report(const char *line, int length, int status)
{
	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(1);
	_exit(status);
}

int main(int argc, char **argv)
{
	struct extract_limits limits;
	struct extract x = {.root = -1, .parent = -1};
	struct err err = {0};
	char line[ERR_MESSAGE_MAX + 64];

	if (parse_limits(argc, argv, &limits) < 0) {
		fputs("corpus-unpack is started by corpusd\n", stderr);
		return 2;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	umask(0);
	/* Names in archives are UTF-8, or bytes that are kept as they are. */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (run(&limits, &x, &err) < 0)
		report(line,
			snprintf(line, sizeof(line), "error %s %s\n", err_code_to_string(err.code),
				err.message),
			1);
	report(line,
		snprintf(line, sizeof(line), "ok %" PRIu64 " %" PRIu64 "\n", x.size, x.entries), 0);
}
