/* An image: the read-only root file system that guests start from. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "model/name.h"

struct image {
	char name[IMAGE_NAME_MAX + 1];
	char sha256[65];    /* of the archive it came from, hexadecimal */
	uint64_t size;	    /* bytes unpacked */
	uint64_t entries;   /* files, directories, links */
	int64_t created_ms; /* since the epoch */
	uint32_t users;	    /* guests made of it; filled by the agent */
};

/* As the API shows it; a new reference. */
json_t *image_to_json(const struct image *image);
