/* Who may do what: each role may do all that the ones before it may. */
#pragma once

enum role {
	ROLE_NONE,     /* nothing */
	ROLE_VIEWER,   /* look */
	ROLE_OPERATOR, /* create, change and destroy guests */
	ROLE_ADMIN,    /* the node itself */
};

static inline const char *role_to_string(enum role role)
{
	static const char *const NAMES[] = {
		[ROLE_NONE] = "none",
		[ROLE_VIEWER] = "viewer",
		[ROLE_OPERATOR] = "operator",
		[ROLE_ADMIN] = "admin",
	};

	return NAMES[role];
}
