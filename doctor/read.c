/* Files and programs of the host. */
#include "doctor/read.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"

#define TEXT_MAX (16 << 20)

char *read_text(const char *path)
{
	char *text = NULL;

	return file_read(path, TEXT_MAX, &text, NULL) < 0 ? NULL : text;
}

uint64_t read_number(const char *path)
{
	AUTOFREE char *text = read_text(path);

	return text ? strtoull(text, NULL, 10) : 0;
}
