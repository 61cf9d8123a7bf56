/* The lines of a report. */
#include "doctor/report.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/utf8.h"

const char *verdict_to_string(enum verdict verdict)
{
	static const char *const NAMES[] = {
		[VERDICT_GOOD] = "good", [VERDICT_WARNING] = "warning", [VERDICT_BAD] = "bad"};

	return NAMES[verdict];
}

/* What others wrote (a name of a chain, a driver's problem) need not be fit for JSON. */
static json_t *harmless(const char *text)
{
	char buf[1024];

	snprintf(buf, sizeof(buf), "%s", text);
	utf8_scrub(buf);
	return json_string(buf);
}

void report_add(struct report *report, const char *check, enum verdict verdict, const char *advice,
	const char *fmt, ...)
{
	AUTOFREE char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (!report->lines)
		report->lines = json_array();
	if (!message || json_array_append_new(report->lines,
				json_pack("{s:s, s:s, s:o, s:o}", "check", check, "verdict",
					verdict_to_string(verdict), "message", harmless(message),
					"advice", advice ? harmless(advice) : json_null())) < 0)
		report->failed = true;
}

const char *report_text(const json_t *json, const char *field)
{
	const char *text = json_string_value(json_object_get(json, field));

	return text ? text : "";
}

void report_finish(struct report *report)
{
	json_decref(report->lines);
	*report = (struct report){0};
}
