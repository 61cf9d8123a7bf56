/* Reading from the agent and showing what came. */
#pragma once

#include <jansson.h>

struct cli;
struct err;
struct response;

/* GET; on failure the problem document is printed where JSON is wanted. */
int fetch(struct cli *cli, const char *path, struct response *ret, struct err *err);

/* GET and show: as it came with --json, else by `show`. */
int fetch_and_show(struct cli *cli, const char *path, void (*show)(struct cli *, const json_t *),
	struct err *err);
