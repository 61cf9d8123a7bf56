/* XPath in libvirt's documents. */
#include "drivers/kvm/xpath.h"

#include <libxml/parser.h>
#include <libxml/xpathInternals.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

bool xpath_open(struct xpath *x, const char *text)
{
	x->doc = xmlReadMemory(text, (int)strlen(text), "libvirt", NULL,
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	x->context = x->doc ? xmlXPathNewContext(x->doc) : NULL;
	return x->context;
}

void xpath_close(struct xpath *x)
{
	xmlXPathFreeContext(x->context);
	xmlFreeDoc(x->doc);
	*x = (struct xpath){0};
}

void xpath_let(struct xpath *x, const char *name, const char *text)
{
	xmlXPathRegisterVariable(x->context, BAD_CAST name, xmlXPathNewCString(text));
}

char *xpath_text(const struct xpath *x, const char *expression)
{
	xmlXPathObjectPtr object =
		x->context ? xmlXPathEvalExpression(BAD_CAST expression, x->context) : NULL;
	xmlChar *text = object ? xmlXPathCastToString(object) : NULL;
	char *copy = strdup(text ? (const char *)text : "");

	xmlFree(text);
	xmlXPathFreeObject(object);
	return copy;
}

uint64_t xpath_number(const struct xpath *x, const char *expression)
{
	AUTOFREE char *text = xpath_text(x, expression);

	return text ? strtoull(text, NULL, 10) : 0;
}

bool xpath_is(const struct xpath *x, const char *expression)
{
	AUTOFREE char *text = xpath_text(x, expression);

	return text && strcmp(text, "true") == 0;
}
