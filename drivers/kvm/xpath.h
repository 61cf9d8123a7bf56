/* Looking things up in libvirt's documents; used inside drivers/kvm only. */
#pragma once

#include <libxml/xpath.h>
#include <stdbool.h>
#include <stdint.h>

struct xpath {
	xmlDocPtr doc;
	xmlXPathContextPtr context; /* NULL: it is no document */
};

/* With CLEANUP(xpath_close); false when it is no document, in which then nothing is found. */
bool xpath_open(struct xpath *xpath, const char *text);
void xpath_close(struct xpath *xpath);

/* `name` stands for the text as $name, whatever is in that. */
void xpath_let(struct xpath *xpath, const char *name, const char *text);

/* The text of what an expression finds, for the caller to free; "" when it finds nothing. */
char *xpath_text(const struct xpath *xpath, const char *expression);
uint64_t xpath_number(const struct xpath *xpath, const char *expression);
/* Of an expression that is true or false. */
bool xpath_is(const struct xpath *xpath, const char *expression);
