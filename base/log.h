/* Structured logs: one event a line, `event key=value …`, to stderr or, when a journal reads
 * stderr, with its severity prefix. Thread-safe: each line is one write. */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Sets what is printed and the name that precedes each line; `program` must stay valid. */
void log_init(const char *program, enum log_level level);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* Parses "error", "warning", "info" or "debug"; -EINVAL otherwise. */
int log_level_from_string(const char *name, enum log_level *ret);
const char *log_level_to_string(enum log_level level);

/* `event` is a stable dotted name ("operation.failed"); fmt yields its key=value pairs. Wrap text
 * that may hold spaces with log_quote. */
void log_event(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...)	log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warning(event, ...) log_event(LOG_LEVEL_WARNING, event, __VA_ARGS__)
#define log_info(event, ...)	log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...)                                                                      \
	do {                                                                                       \
		if (log_enabled(LOG_LEVEL_DEBUG))                                                  \
			log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__);                            \
	} while (0)

#define LOG_QUOTE_MAX 512

/* Writes `text` in double quotes, control characters and quotes escaped, cut where it does not fit,
 * into buf and returns buf. */
const char *log_quote(char buf[static LOG_QUOTE_MAX], const char *text);

/* Quotes into a buffer that lives until the end of the enclosing block. */
#define LOG_Q(text) log_quote((char[LOG_QUOTE_MAX]){0}, text)
