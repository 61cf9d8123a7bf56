/* Keys of ssh on a command line. */
#include "cli/keys.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define KEY_FILE_MAX (1 << 20)

int keys_read(const char *word, json_t **ret, struct err *err)
{
	json_auto_t *keys = json_array();
	AUTOFREE char *text = NULL;
	char *rest, *line;
	int r;

	if (strchr(word, ' ')) {
		json_array_append_new(keys, json_string(word));
		*ret = TAKE_PTR(keys);
		return 0;
	}
	r = file_read(strcmp(word, "-") == 0 ? "/dev/stdin" : word, KEY_FILE_MAX, &text, NULL);
	if (r < 0)
		return err_set(err, ERR_INVALID, NULL, "%s: %s: neither a key nor a file of keys",
			word, strerrordesc_np(-r));
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (line[strspn(line, " \t\r")] && line[strspn(line, " \t")] != '#')
			json_array_append_new(keys, json_string(line));
	if (json_array_size(keys) == 0)
		return err_set(err, ERR_INVALID, NULL, "%s holds no keys", word);
	*ret = TAKE_PTR(keys);
	return 0;
}
