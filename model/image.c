/* Images. */
#include "model/image.h"

#include "base/parse.h"

json_t *image_to_json(const struct image *image)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:s, s:I}", "name", image->name, "sha256",
		image->sha256, "size", (json_int_t)image->size, "entries",
		(json_int_t)image->entries, "created", FMT_TIME(image->created_ms), "users",
		(json_int_t)image->users);
}
