/* What the doctor found: a line for each thing looked at, with a verdict and, where it is not good,
 * what to do. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

enum verdict {
	VERDICT_GOOD,
	VERDICT_WARNING, /* guests run, with something less than they could have */
	VERDICT_BAD,	 /* guests will not run, or not be reached */
};

const char *verdict_to_string(enum verdict verdict); /* "good", "warning", "bad" */

struct report {
	json_t *lines; /* an array of {check, verdict, message, advice} */
	bool failed;   /* memory ran out: a line is missing */
};

/* Adds a line. `check` is a stable word, the same for all lines about one thing; `advice` a whole
 * sentence, NULL where nothing is to be done. */
void report_add(struct report *report, const char *check, enum verdict verdict, const char *advice,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* The text of a field of what was read, "" where it has none. */
const char *report_text(const json_t *json, const char *field);

void report_finish(struct report *report);
