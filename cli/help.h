/* Help, made from the tables of commands and options. */
#pragma once

#include <stdio.h>

struct command;

void help_print(FILE *out);
void help_print_command(FILE *out, const struct command *command);
