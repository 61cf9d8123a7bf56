/* UTF-8. */
#include "base/utf8.h"

#include "base/cleanup.h"

/* Well-formed byte sequences: Unicode, table 3-7. The second byte has bounds of its own, which
 * shut out overlong forms, surrogates and what lies beyond U+10FFFF. */
static const struct {
	unsigned char first_min, first_max, second_min, second_max;
	size_t length;
} FORMS[] = {
	{0x01, 0x7f, 0, 0, 1},
	{0xc2, 0xdf, 0x80, 0xbf, 2},
	{0xe0, 0xe0, 0xa0, 0xbf, 3},
	{0xe1, 0xec, 0x80, 0xbf, 3},
	{0xed, 0xed, 0x80, 0x9f, 3},
	{0xee, 0xef, 0x80, 0xbf, 3},
	{0xf0, 0xf0, 0x90, 0xbf, 4},
	{0xf1, 0xf3, 0x80, 0xbf, 4},
	{0xf4, 0xf4, 0x80, 0x8f, 4},
};

size_t utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	for (size_t i = 0; i < ARRAY_SIZE(FORMS); i++) {
		if (p[0] < FORMS[i].first_min || p[0] > FORMS[i].first_max)
			continue;
		if (FORMS[i].length > 1 &&
			(p[1] < FORMS[i].second_min || p[1] > FORMS[i].second_max))
			return 0;
		for (size_t k = 2; k < FORMS[i].length; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return FORMS[i].length;
	}
	return 0;
}

void utf8_scrub(char *text)
{
	while (*text) {
		size_t n = utf8_length(text);

		if (n == 0)
			*text = '?';
		else if (n == 1 && ((unsigned char)*text < 0x20 || *text == 0x7f))
			*text = ' ';
		text += n ? n : 1;
	}
}
