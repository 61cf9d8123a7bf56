/* Lists of words on a command line. */
#include "cli/words.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define BLANKS " \t\n"

static int add_json(json_t *array, const char *text, struct err *err)
{
	json_auto_t *words = json_loads(text, 0, NULL);
	const json_t *word;
	size_t i;

	if (!json_is_array(words))
		return err_set(err, ERR_INVALID, NULL, "%s is not a JSON array", text);
	json_array_foreach (words, i, word)
		if (!json_is_string(word))
			return err_set(
				err, ERR_INVALID, NULL, "%s holds something else than texts", text);
	json_array_extend(array, words);
	return 0;
}

int words_add(json_t *array, const char *text, struct err *err)
{
	if (text[strspn(text, BLANKS)] == '[')
		return add_json(array, text, err);
	for (const char *word = text + strspn(text, BLANKS); *word; word += strspn(word, BLANKS)) {
		size_t length = strcspn(word, BLANKS);

		if (json_array_append_new(array, json_stringn(word, length)) < 0)
			return err_set(err, ERR_INVALID, NULL, "%s is not UTF-8 text", text);
		word += length;
	}
	return 0;
}
