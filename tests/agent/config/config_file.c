/* A file of a configuration, for tests. */
#include "config_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"

char g_path[] = "/tmp/corpus-config-XXXXXX";

int config_file_make(void **state)
{
	int fd = mkstemp(g_path);

	(void)state;
	unsetenv("CORPUS_LIBEXEC");
	return fd < 0 ? -1 : close(fd);
}

int config_file_remove(void **state)
{
	(void)state;
	return unlink(g_path);
}

int load(const char *text, struct config **ret, struct err *err)
{
	assert_int_equal(file_replace(g_path, text, 0600, false), 0);
	return config_load(g_path, ret, err);
}

struct config *load_good(const char *text)
{
	struct config *config = NULL;
	struct err err;

	if (load(text, &config, &err) < 0)
		fail_msg("%s", err.message);
	return config;
}

/* A commented-out setting, as opposed to prose: "#key", "#  key" or "#    key". */
static bool is_setting(const char *line)
{
	return line[0] == '#' &&
	       (line[1] > ' ' || (line[1] == ' ' && line[2] == ' ' && line[5] != ' ' &&
					 line[3] != '\0' && line[3] != '\n'));
}

char *uncommented(void)
{
	AUTOFREE char *text = NULL;
	struct strbuf buf = {0};
	char *rest, *line;

	assert_int_equal(file_read(EXAMPLE, 1 << 20, &text, NULL), 0);
	rest = text;
	while ((line = strsep(&rest, "\n")))
		strbuf_addf(&buf, "%s\n", is_setting(line) ? line + 1 : line);
	return strbuf_take(&buf);
}
