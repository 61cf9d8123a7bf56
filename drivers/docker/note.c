/* Notes of runs. */
#include "drivers/docker/note.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/docker/gate/gate.h"

/* "PID START CONTAINER DISK GATE" */
#define NOTE_MAX    160
#define NOTE_FORMAT "%d %" PRIu64 " %s %s %d\n"
#define NOTE_SCAN   "%d %" SCNu64 " %79s %23s %d"
#define NOTE_LEAST  4 /* of before there was GATE */

int note_write(const char *path, pid_t pid, const char *container, const char *disk)
{
	char text[NOTE_MAX];
	uint64_t start = 0;
	int r = process_start_time(pid, &start);

	if (r < 0)
		return r;
	snprintf(text, sizeof(text), NOTE_FORMAT, pid, start, container, disk ? disk : "-",
		GATE_VERSION);
	return file_replace(path, text, 0600, false);
}

int note_read(const char *path, struct note *ret)
{
	AUTOFREE char *text = NULL;
	struct note note = {0};
	uint64_t start = 0;

	if (file_read(path, NOTE_MAX, &text, NULL) < 0 ||
		sscanf(text, NOTE_SCAN, &note.pid, &note.start, note.container, note.disk,
			&note.gate) < NOTE_LEAST ||
		process_start_time(note.pid, &start) < 0 || start != note.start)
		return -ENOENT;
	*ret = note;
	return 0;
}
