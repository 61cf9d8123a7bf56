/* Metrics as text: both forms, escaping, histograms; what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/metrics/counters.h"
#include "agent/metrics/exposition.h"
#include "base/cleanup.h"
#include "model/operation.h"

static const struct family g_bytes = {
	"corpus_sent_bytes", FAMILY_COUNTER, "bytes", "What was sent."};
static const struct family g_info = {"corpus_build", FAMILY_INFO, NULL, "Its version."};
static const struct family g_times = {
	"corpus_wait_seconds", FAMILY_HISTOGRAM, "seconds", "How long."};

static void assert_exposed(struct exposition *exposition, const char *expected)
{
	size_t size = 0;
	AUTOFREE char *text = expose_end(exposition, &size);

	assert_string_equal(text, expected);
	assert_int_equal(size, strlen(expected));
}

static void expose_both(struct exposition *exposition)
{
	const struct label label = {"guest", "web"};

	expose_family(exposition, &g_bytes);
	expose_number(exposition, &label, 1, 18446744073709551615u);
	expose_family(exposition, &g_info);
	expose_number(exposition, NULL, 0, 1);
}

static void the_two_forms_differ_where_they_must(void **state)
{
	struct exposition open = {.open_metrics = true}, classic = {0};

	(void)state;
	expose_both(&open);
	assert_exposed(&open, "# TYPE corpus_sent_bytes counter\n"
			      "# UNIT corpus_sent_bytes bytes\n"
			      "# HELP corpus_sent_bytes What was sent.\n"
			      "corpus_sent_bytes_total{guest=\"web\"} 18446744073709551615\n"
			      "# TYPE corpus_build info\n"
			      "# HELP corpus_build Its version.\n"
			      "corpus_build_info 1\n"
			      "# EOF\n");
	expose_both(&classic);
	assert_exposed(&classic, "# TYPE corpus_sent_bytes_total counter\n"
				 "# HELP corpus_sent_bytes_total What was sent.\n"
				 "corpus_sent_bytes_total{guest=\"web\"} 18446744073709551615\n"
				 "# TYPE corpus_build_info gauge\n"
				 "# HELP corpus_build_info Its version.\n"
				 "corpus_build_info 1\n");
}

static void values_of_labels_are_escaped(void **state)
{
	const struct label labels[] = {{"a", "\\ \" \n."}, {"b", ""}};
	struct exposition exposition = {0};
	size_t size = 0;
	AUTOFREE char *text = NULL;

	(void)state;
	exposition.family = &g_info;
	expose_seconds(&exposition, labels, 2, 1500000001);
	text = expose_end(&exposition, &size);
	assert_string_equal(text, "corpus_build_info{a=\"\\\\ \\\" \\n.\",b=\"\"} 1.500000001\n");
}

static void a_histogram_adds_up(void **state)
{
	static const uint64_t ns[] = {1000000, 1000000000};
	static const char *const text[] = {"0.001", "1.0"};
	const struct bounds bounds = {ns, text, 2};
	struct histogram histogram = {0};
	struct exposition exposition = {0};

	(void)state;
	histogram_add(&histogram, &bounds, -5); /* the clock was set back */
	histogram_add(&histogram, &bounds, 1000000);
	histogram_add(&histogram, &bounds, 1000001);
	histogram_add(&histogram, &bounds, 2000000000);
	exposition.family = &g_times;
	expose_histogram(&exposition, NULL, 0, &histogram, &bounds);
	assert_exposed(&exposition, "corpus_wait_seconds_bucket{le=\"0.001\"} 2\n"
				    "corpus_wait_seconds_bucket{le=\"1.0\"} 3\n"
				    "corpus_wait_seconds_bucket{le=\"+Inf\"} 4\n"
				    "corpus_wait_seconds_sum 2.002000001\n"
				    "corpus_wait_seconds_count 4\n");
}

static void assert_counts(const struct counters *counters, const char *line, bool there)
{
	struct exposition exposition = {0};
	size_t size = 0;
	AUTOFREE char *text = NULL;

	counters_expose(counters, &exposition);
	text = expose_end(&exposition, &size);
	if ((strstr(text, line) != NULL) != there)
		fail_msg("%s: %s", line, text);
}

static void operations_and_requests_are_counted_by_what_they_were(void **state)
{
	struct counters *counters = counters_create();
	struct operation operation = {.verb = "guest.start",
		.state = OPERATION_DONE,
		.created_ms = 1000,
		.ended_ms = 1007};

	(void)state;
	counters_operation(counters, &operation, "lxc");
	counters_operation(counters, &operation, "lxc");
	operation.state = OPERATION_FAILED;
	counters_operation(counters, &operation, NULL);
	counters_request(counters, "/v1/node", "GET", 200, 1);
	counters_request(counters, NULL, "GET", 404, 1);
#define START "verb=\"guest.start\",driver="
	assert_counts(
		counters, "\ncorpus_operations_total{" START "\"lxc\",result=\"done\"} 2\n", true);
	assert_counts(
		counters, "\ncorpus_operations_total{" START "\"\",result=\"failed\"} 1\n", true);
	assert_counts(counters, "_bucket{" START "\"lxc\",result=\"done\",le=\"0.005\"} 0\n", true);
	assert_counts(counters, "_bucket{" START "\"lxc\",result=\"done\",le=\"0.01\"} 2\n", true);
	assert_counts(counters,
		"corpus_http_requests_total{route=\"/v1/node\",method=\"GET\",status=\"2xx\"} 1\n",
		true);
	assert_counts(counters, "route=\"\",method=\"GET\",status=\"4xx\"} 1\n", true);
	assert_counts(counters, "status=\"5xx\"", false);
	counters_destroy(counters);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_two_forms_differ_where_they_must),
		cmocka_unit_test(values_of_labels_are_escaped),
		cmocka_unit_test(a_histogram_adds_up),
		cmocka_unit_test(operations_and_requests_are_counted_by_what_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
