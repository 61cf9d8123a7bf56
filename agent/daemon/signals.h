/* The signals that people and the system send to corpusd. */
#pragma once

struct agent;
struct err;

/* SIGTERM and SIGINT end the loop, SIGPWR tells that the node goes down, SIGHUP has the
 * configuration read again. Before any thread is made, so that all of them leave signals to the
 * loop. */
int signals_watch(struct agent *agent, struct err *err);
