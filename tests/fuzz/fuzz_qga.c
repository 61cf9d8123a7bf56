/* Whatever a guest's agent may answer, and whatever may come from a guest's shell before a command
 * begins: both are in the guest's hands. */

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/launch.h"
#include "drivers/kvm/qga_message.h"
#include "fuzz.h"

static void parse_answers(const char *text)
{
	struct qga_status status = {0};
	struct err err = {0};
	int64_t number;

	if (qga_parse_status(text, &status, &err) == 0) {
		REQUIRE(!status.output || status.output_size <= QGA_OUTPUT_MAX);
		REQUIRE(!status.output || status.output[status.output_size] == '\0');
		REQUIRE(status.exited || !status.output);
	} else {
		REQUIRE(err.code == ERR_DRIVER && !status.output);
	}
	qga_status_finish(&status);
	if (qga_parse_pid(text, &number, &err) == 0)
		REQUIRE(number > 0);
	if (qga_parse_number(text, &number, &err) == 0)
		REQUIRE(number >= 0);
	qga_parse_can(text, "guest-exec", &err);
	qga_parse_trim(text, &err);
}

static void read_beginning(const char *text, size_t size)
{
	const char *const argv[] = {"x", NULL};
	struct driver_exec exec = {.argv = argv, .cwd = "/y"};
	struct launch launch = {.exec = &exec, .token = "0123"};
	struct err err = {0};
	size_t end = 0;

	switch (launch_read(&launch, text, size, &end, &err)) {
	case LAUNCH_MORE: REQUIRE(err.code == ERR_OK && size <= LAUNCH_LINE_MAX); break;
	case LAUNCH_OK: REQUIRE(end > 0 && end <= size && text[end - 1] == '\n'); break;
	case LAUNCH_NONE:
	case LAUNCH_FAILED: REQUIRE(err.code != ERR_OK); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = fuzz_text(data, size);

	parse_answers(text);
	read_beginning(text, size);
	return 0;
}
