/* Any bytes as a record of state.db: a damaged one is refused or becomes a guest that can be shown
 * and kept. */
#include "base/cleanup.h"
#include "fuzz.h"
#include "model/guest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *record = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
	CLEANUP(guest_freep) struct guest *guest = NULL;
	CLEANUP(guest_freep) struct guest *back = NULL;
	json_auto_t *shown = NULL;
	json_auto_t *kept = NULL;

	if (!record || guest_from_record(record, &guest, NULL) < 0)
		return 0;
	shown = guest_to_json(guest, NULL);
	kept = guest_to_record(guest);
	REQUIRE(shown && kept);
	REQUIRE(guest_from_record(kept, &back, NULL) == 0);
	return 0;
}
