/* The ids of guests in tests. */
#include "ids.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

#define RUN "CORPUS_TEST_RUN"

/* What all of this run have in common. */
static const char *run_id(void)
{
	char text[12];
	uint8_t bytes[5];

	if (!getenv(RUN)) {
		random_bytes(bytes, sizeof(bytes));
		snprintf(text, sizeof(text), "%02x%02x%02x%02x%02x0", bytes[0], bytes[1], bytes[2],
			bytes[3], bytes[4]);
		setenv(RUN, text, 1);
	}
	return getenv(RUN);
}

const char *guest_id(char which)
{
	static char ids[16][13];
	char *id = ids[strchr("0123456789abcdef", which) - "0123456789abcdef"];

	if (!id[0])
		snprintf(id, sizeof(ids[0]), "%.11s%c", run_id(), which);
	return id;
}

const char *around(const char *before, const char *id, const char *after)
{
	static char texts[8][192];
	static unsigned next;
	char *text = texts[next++ % 8];

	snprintf(text, sizeof(texts[0]), "%s%s%s", before, id, after);
	return text;
}
