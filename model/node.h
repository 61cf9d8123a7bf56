/* The node: whether it takes guests. */
#pragma once

enum node_mode {
	NODE_ACTIVE,
	NODE_DRAIN,	  /* takes no new guest; those it has run on */
	NODE_MAINTENANCE, /* nor changes of guests, except to stop, kill and destroy */
	NODE_MODE_MAX_,
};

const char *node_mode_to_string(enum node_mode mode); /* "active", "drain", "maintenance" */
int node_mode_from_string(const char *text, enum node_mode *ret); /* -EINVAL */
