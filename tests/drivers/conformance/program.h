/* Programs that tests run on the host, at most for a minute. */
#pragma once

struct err;

/* Runs one to its end; fails as process_run does. */
int program_try(const char *const *argv, int timeout_ms, struct err *err);

/* Those that must succeed; else the test fails (outside of one: the process ends) with what they
 * said. */
void program_run(const char *const *argv);
#define RUN(...) program_run((const char *const[]){__VA_ARGS__, NULL})
/* A script of the shell, to its first failure. */
void program_shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
