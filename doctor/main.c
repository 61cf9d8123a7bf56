/* corpus-doctor: looks at this host and says what of it suits guests, what does not, and what to do
 * about it. Changes nothing. Run by corpusd (GET /v1/node/doctor), and by `corpus doctor` where no
 * corpusd answers. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "doctor/examine.h"
#include "doctor/report.h"

#define DEFAULT_CONFIG "/etc/corpus/corpusd.yaml"

struct options {
	const char *config, *drivers;
	bool json, ruleset;
};

static int usage(FILE *out, int status)
{
	fputs("usage: corpus-doctor [--config FILE] [--json]\n\n"
	      "Prints what was found, a JSON object on each line; with --json an array of them.\n"
	      "The exit status tells only whether it could look.\n",
		out);
	return status;
}

static int parse(int argc, char **argv, struct options *ret)
{
	static const struct option OPTIONS[] = {{"config", required_argument, NULL, 'c'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'},
		{"drivers", required_argument, NULL, 'd'}, /* corpusd tells what it knows */
		{"list-ruleset", no_argument, NULL, 'l'},  /* in a process of its own */
		{0}};
	int c;

	while ((c = getopt_long(argc, argv, "c:jh", OPTIONS, NULL)) >= 0)
		switch (c) {
		case 'c': ret->config = optarg; break;
		case 'd': ret->drivers = optarg; break;
		case 'j': ret->json = true; break;
		case 'l': ret->ruleset = true; break;
		case 'h': exit(usage(stdout, EXIT_SUCCESS));
		default: return -1;
		}
	if (!ret->config && access(DEFAULT_CONFIG, F_OK) == 0)
		ret->config = DEFAULT_CONFIG;
	return optind < argc ? -1 : 0;
}

/* A configuration with an error is a finding; the defaults are looked at then. */
static struct config *load_config(const char *path, struct report *report)
{
	struct config *config = NULL;
	struct err err;

	if (config_load(path, &config, &err) == 0)
		return config;
	report_add(report, "configuration", VERDICT_BAD, "corpusd --check-config tells, too.", "%s",
		err.message);
	return config_load(NULL, &config, &err) == 0 ? config : NULL;
}

static int print_report(const struct report *report, bool whole)
{
	const json_t *line;
	size_t i;

	if (whole && json_dumpf(report->lines, stdout, JSON_COMPACT) < 0)
		return -1;
	json_array_foreach (report->lines, i, line) {
		if (whole)
			break;
		if (json_dumpf(line, stdout, JSON_COMPACT) < 0)
			return -1;
		fputc('\n', stdout);
	}
	return fflush(stdout);
}

static int examine(const struct options *options)
{
	CLEANUP(report_finish) struct report report = {0};
	struct config *config = load_config(options->config, &report);

	if (!config)
		return EXIT_FAILURE;
	if (geteuid() != 0)
		report_add(&report, "user", VERDICT_WARNING, "Run `sudo corpus doctor`.",
			"only root sees everything: what follows may be wrong");
	examine_host(&report, config);
	examine_machines(&report, config);
	if (options->drivers)
		examine_told_drivers(&report, options->drivers);
	else
		examine_drivers(&report, config);
	config_free(config);
	return !report.failed && print_report(&report, options->json) == 0 ? EXIT_SUCCESS
									   : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct options options = {0};

	if (parse(argc, argv, &options) < 0)
		return usage(stderr, 2);
	log_init("corpus-doctor", LOG_LEVEL_ERROR);
	if (options.ruleset)
		return examine_print_ruleset() < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	return examine(&options);
}
