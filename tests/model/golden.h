/* Text that is rendered against files that are read by people: golden/NAME beside the test. With
 * UPDATE_GOLDEN in the environment the file is rewritten instead. */
#pragma once

void assert_golden(const char *name, const char *text);
