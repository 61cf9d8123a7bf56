/* The conformance suite: one test for each rule of drivers/driver.h. */
#include "conformance.h"

#include "base/cleanup.h"
#include "groups.h"
#include "guests.h"

int conformance_run(const char *name, const struct environment *e)
{
	static const struct {
		unsigned part;
		uint32_t capability; /* without it there is nothing to show */
		int (*run)(const char *name);
	} parts[] = {
		{CONFORMANCE_LIFE, 0, life_run},
		{CONFORMANCE_LIFE, 0, limits_run},
		{CONFORMANCE_COMMANDS, DRIVER_CAN_EXEC, commands_run},
		{CONFORMANCE_FILES, DRIVER_CAN_FILE, files_run},
		{CONFORMANCE_FILES, DRIVER_CAN_FILE, files_refused_run},
		{CONFORMANCE_CONSOLES, DRIVER_CAN_CONSOLE, consoles_run},
	};
	int failed = 0;

	guests_begin(e);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		/* The next one ends its guest. */
		if (parts[i].part == CONFORMANCE_CONSOLES && e->own)
			failed += e->own();
		if (e->parts && !(e->parts & parts[i].part))
			continue;
		if (!parts[i].capability || can(parts[i].capability))
			failed += parts[i].run(name);
	}
	guests_end();
	return failed;
}
