/* Any bytes as a merge patch. What is refused changes nothing; what is accepted may be applied once
 * more without a further change. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fuzz.h"
#include "model/guest.h"

static const char EXAMPLE[] =
	"{\"name\": \"g\", \"image\": \"i\", \"slots\": 3, \"environment\": \"prod\","
	"\"limits\": {\"cpus\": 1.5, \"memory\": \"1GiB\", \"pids\": 50},"
	"\"labels\": {\"a\": \"1\", \"b\": \"2\"}, \"autostart\": {\"on\": false},"
	"\"health\": {\"check\": \"http\", \"port\": 80}, \"raw\": [\"a\"],"
	"\"user_data\": \"x\", \"restart\": {\"policy\": \"always\"}}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *patch = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
	json_auto_t *example = json_loads(EXAMPLE, 0, NULL);
	CLEANUP(guest_freep) struct guest *guest = NULL;
	json_auto_t *before = NULL;
	json_auto_t *once = NULL;
	json_auto_t *twice = NULL;
	struct err err = {0};
	int r;

	if (!patch)
		return 0;
	REQUIRE(guest_from_request(example, &guest, NULL) == 0);
	before = guest_to_record(guest);
	r = guest_patch(guest, patch, &err);
	once = guest_to_record(guest);
	REQUIRE(once);
	if (r < 0) {
		REQUIRE(err.code == ERR_INVALID && *err.message);
		REQUIRE(json_equal(before, once));
		return 0;
	}
	REQUIRE(guest_patch(guest, patch, NULL) == 0);
	twice = guest_to_record(guest);
	REQUIRE(json_equal(once, twice));
	return 0;
}
