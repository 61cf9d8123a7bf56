/* Any bytes as a creation request. What is refused says so in words that JSON can hold; what is
 * accepted can be shown, asked for again without a difference, and kept. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fuzz.h"
#include "model/guest.h"

static void check_refusal(int r, const struct err *err)
{
	json_auto_t *message = json_string(err->message);
	json_auto_t *field = json_string(err->field);

	REQUIRE(r < 0 && err->code == ERR_INVALID && *err->message && message && field);
}

static void check_again(const struct guest *guest)
{
	static const char *const read_only[] = {"id", "state", "since", "problem", "pid",
		"addresses", "ssh", "created", "etag", "health_state", "restarts", "snapshots",
		"user_data_size", "seed_pending", "restart_needed", "disk", "image_id"};
	CLEANUP(guest_freep) struct guest *again = NULL;
	json_auto_t *json = guest_to_json(guest, "192.0.2.1");
	json_auto_t *difference = NULL;

	REQUIRE(json);
	for (size_t i = 0; i < ARRAY_SIZE(read_only); i++)
		json_object_del(json, read_only[i]);
	REQUIRE(guest_from_request(json, &again, NULL) == 0);
	REQUIRE(guest_diff(guest, again, &difference, NULL) == 0);
	REQUIRE(json_object_size(difference) == 0);
}

static void check_record(struct guest *guest)
{
	CLEANUP(guest_freep) struct guest *back = NULL;
	json_auto_t *record = NULL;
	json_auto_t *again = NULL;

	strcpy(guest->id, "0123456789ab");
	record = guest_to_record(guest);
	REQUIRE(guest_from_record(record, &back, NULL) == 0);
	again = guest_to_record(back);
	REQUIRE(json_equal(record, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_auto_t *json = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
	CLEANUP(guest_freep) struct guest *guest = NULL;
	struct err err = {0};
	int r;

	if (!json)
		return 0;
	r = guest_from_request(json, &guest, &err);
	if (r < 0) {
		REQUIRE(!guest);
		check_refusal(r, &err);
		return 0;
	}
	REQUIRE(guest->ports_count <= GUEST_PORTS_MAX && guest->labels_count <= GUEST_LABELS_MAX);
	REQUIRE(guest_port_by_purpose(guest, "ssh"));
	check_again(guest);
	check_record(guest);
	return 0;
}
