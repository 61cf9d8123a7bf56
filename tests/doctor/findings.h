/* What a report says, as text: "verdict: message" for each line. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/strbuf.h"
#include "doctor/checks.h"

static inline const char *line_text(const json_t *line, const char *key)
{
	return json_string_value(json_object_get(line, key));
}

/* Every line with a verdict that is not good says what to do, and no other does. */
static inline void assert_advice(const json_t *line)
{
	bool good = strcmp(line_text(line, "verdict"), "good") == 0;

	assert_int_equal(good, line_text(line, "advice") == NULL);
}

/* Takes the report's lines; the caller frees the text. */
static inline char *findings(struct report *report)
{
	struct strbuf buf = {0};
	const json_t *line;
	size_t i;

	assert_false(report->failed);
	json_array_foreach (report->lines, i, line) {
		assert_advice(line);
		strbuf_addf(&buf, "%s%s: %s", i ? "\n" : "", line_text(line, "verdict"),
			line_text(line, "message"));
	}
	report_finish(report);
	return strbuf_take(&buf);
}

static inline void assert_findings(struct report *report, const char *expected)
{
	AUTOFREE char *text = findings(report);

	assert_string_equal(text, expected);
}
