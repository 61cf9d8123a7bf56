/* Any text for the decoders of the driver protocol: a driver may be anybody's program. A call that
 * is understood can be written again. */

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/protocol/message.h"
#include "fuzz.h"

static void decode_agents(const char *text)
{
	struct message_hello hello = {0};
	struct message_call call = {0};
	struct err err = {0};

	if (message_decode_hello(text, &hello, &err) == 0)
		message_hello_finish(&hello);
	if (message_decode_call(text, &call, &err) == 0) {
		AUTOFREE char *again = message_encode_call(call.serial, &call.request);

		REQUIRE(again);
		message_call_finish(&call);
	}
}

static void decode_drivers(const char *text)
{
	struct message_answer answer = {0};
	struct err err = {0};
	char name[DRIVER_NAME_MAX + 1];

	message_decode_welcome(text, name, &err);
	if (message_decode_answer(text, &answer, &err) == 0)
		message_answer_finish(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTOFREE char *text = fuzz_text(data, size);

	decode_agents(text);
	decode_drivers(text);
	return 0;
}
