/* Any bytes as the beginning of a disk: what is approved refers to no other file, and its figures
 * hold together. The last eight bytes are the size of the whole file. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "fuzz.h"
#include "storage/disk_check.h"
#include "storage/qcow2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct qcow2 qcow2 = {0};
	uint64_t file_size;
	struct err err = {0};
	int r;

	if (size < sizeof(file_size))
		return 0;
	size -= sizeof(file_size);
	memcpy(&file_size, data + size, sizeof(file_size));
	r = qcow2_parse(data, size, file_size, &qcow2, &err);
	REQUIRE((r < 0) == (err.code != ERR_OK));
	if (r == 0) {
		static const uint8_t none[8];

		REQUIRE(size >= 72 && memcmp(data, "QFI\xfb", 4) == 0);
		REQUIRE(memcmp(data + 8, none, 8) == 0);
		REQUIRE(qcow2.size > 0 && qcow2.size % 512 == 0);
		REQUIRE(qcow2.cluster_size >= 512 && qcow2.cluster_size <= 2U << 20);
		REQUIRE(qcow2_size(data, size, &qcow2.size) == 0);
		REQUIRE(disk_look(data, size) == DISK_LOOKS_QCOW2);
	}
	REQUIRE((disk_check_raw(data, size, &err) < 0) ==
		(disk_look(data, size) != DISK_LOOKS_RAW));
	return 0;
}
