/* JSON bodies. */
#include "agent/http/body.h"

#include <string.h>
#include <strings.h>

#include "agent/http/http.h"
#include "base/cleanup.h"
#include "base/err.h"

/* How deep the brackets outside of strings nest; jansson's own bound cannot be set. */
static unsigned depth(const char *text, size_t size)
{
	unsigned now = 0, most = 0;
	bool string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				string = false;
		} else if (c == '"') {
			string = true;
		} else if (c == '{' || c == '[') {
			now++;
			most = now > most ? now : most;
		} else if ((c == '}' || c == ']') && now > 0) {
			now--;
		}
	}
	return most;
}

int body_parse(const char *text, size_t size, json_t **ret, struct err *err)
{
	json_error_t error;
	json_t *json;

	if (size == 0)
		return err_set(err, ERR_MALFORMED, NULL, "the body must be a JSON object");
	if (depth(text, size) > HTTP_JSON_DEPTH)
		return err_set(err, ERR_MALFORMED, NULL, "the body is nested deeper than %d levels",
			HTTP_JSON_DEPTH);
	json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return err_set(err, ERR_MALFORMED, NULL,
			"the body is not valid JSON: line %d, column %d: %s", error.line,
			error.column, error.text);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, ERR_MALFORMED, NULL, "the body must be a JSON object");
	}
	*ret = json;
	return 0;
}

bool body_type_is_json(const char *content_type)
{
	static const char JSON[] = "application/json", CHARSET[] = "charset=";
	const char *at = content_type;

	if (strncasecmp(at, JSON, sizeof(JSON) - 1) != 0)
		return false;
	at += sizeof(JSON) - 1;
	at += strspn(at, " \t");
	if (*at == '\0')
		return true;
	if (*at++ != ';')
		return false;
	at += strspn(at, " \t");
	if (strncasecmp(at, CHARSET, sizeof(CHARSET) - 1) != 0)
		return false;
	at += sizeof(CHARSET) - 1;
	return strcasecmp(at, "utf-8") == 0 || strcasecmp(at, "\"utf-8\"") == 0;
}
