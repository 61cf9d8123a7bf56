/* A guest made after another one: what it takes over, and what the request says otherwise. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "model/guest_fields.h"

/* The same ports inside; which ports of the node lead to them is the clone's own. */
static json_t *ports_anywhere(const struct guest *guest)
{
	json_t *ports = guest_ports_to_json(guest);
	json_t *port;
	size_t i;

	json_array_foreach (ports, i, port)
		json_object_del(port, "host");
	return ports;
}

/* All that one would have to say to create such a guest. */
static json_t *as_request(const struct guest *guest)
{
	json_t *json = guest_changeable_to_json(guest);
	json_auto_t *fixed = json_pack("{s:s, s:s, s:b, s:{s:I}, s:o}", "driver", guest->driver,
		"image", guest->image, "privileged", guest->privileged, "storage", "size",
		(json_int_t)guest->storage_size, "ports", ports_anywhere(guest));

	json_object_update(json, fixed);
	return json;
}

/* What the clone's files are made for. */
static int check_fixed(const json_t *request, struct err *err)
{
	static const char *const FIXED[] = {"driver", "image", "privileged"};

	for (size_t i = 0; i < ARRAY_SIZE(FIXED); i++)
		if (json_object_get(request, FIXED[i]))
			return err_set(err, ERR_INVALID, FIXED[i],
				"%s of a clone is that of the guest it is made of", FIXED[i]);
	return 0;
}

/* Its image is what the other one's name meant, whatever the name means today. */
static int take_image(const struct guest_container *from, struct guest **guest, struct err *err)
{
	struct guest_container **container = &(*guest)->container;

	if (!*container)
		*container = guest_container_create();
	if (!*container) {
		*guest = guest_free(*guest);
		return err_errno(err, ENOMEM, "cannot read the request");
	}
	memcpy((*container)->image_id, from->image_id, sizeof(from->image_id));
	return 0;
}

int guest_from_clone_request(
	const struct guest *from, const json_t *request, struct guest **ret, struct err *err)
{
	json_auto_t *merged = NULL;
	int r;

	if (!json_is_object(request))
		return err_set(err, ERR_INVALID, "", "the request must be an object");
	r = check_fixed(request, err);
	if (r < 0)
		return r;
	merged = as_request(from);
	if (!merged)
		return err_errno(err, ENOMEM, "cannot read the request");
	guest_merge(merged, request);
	r = guest_from_request(merged, ret, err);
	if (r == 0 && from->container)
		r = take_image(from->container, ret, err);
	/* A machine does all of its first boot again: its id is another. */
	if (r == 0)
		(*ret)->first_boot_done = from->first_boot_done && !from->disk;
	return r;
}
