/* What the API answers, as tables for people. Every function takes the API's JSON as it is and
 * prints to cli->out; what is missing in it is left out. */
#pragma once

#include <jansson.h>

struct cli;

void show_node(struct cli *cli, const json_t *node);
void show_mode_plan(struct cli *cli, const json_t *plan);
void show_slots(struct cli *cli, const json_t *slots);

/* With what it uses (GET /v1/guests/NAME/stats), or NULL. */
void show_guest(struct cli *cli, const json_t *guest, const json_t *stats);

/* What one wants to know after a guest was made: its state and how to reach it. */
void show_guest_access(struct cli *cli, const char *name, const json_t *guest);

void show_storage(struct cli *cli, const json_t *storage);
void show_image(struct cli *cli, const json_t *image);
void show_operation(struct cli *cli, const json_t *operation);

/* One line for an event. */
void show_event(struct cli *cli, const json_t *event);

/* Where an operation is, and who asked for it; written into buf, which is returned. */
const char *shown_step(char *buf, const json_t *operation);
const char *shown_asker(char *buf, const json_t *operation);

/* "key=value, ..."; the caller frees it. */
char *shown_labels(const json_t *labels);
