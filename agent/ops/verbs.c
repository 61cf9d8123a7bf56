/* The table of all verbs. */
#include "agent/ops/verbs.h"

#include "agent/ops/internal.h"

const struct op_verb *const OPS_VERBS[] = {
	&GUEST_CREATE,
	&GUEST_START,
	&GUEST_STOP,
	&GUEST_RESTART,
	&GUEST_KILL,
	&GUEST_FREEZE,
	&GUEST_THAW,
	&GUEST_DESTROY,
	&GUEST_UPDATE,
	&GUEST_RENAME,
	&GUEST_ENLARGE,
	&GUEST_TRIM,
	&GUEST_PUBLISH,
	&GUEST_UNPUBLISH,
	&GUEST_SWITCH,
	&IMAGE_IMPORT,
	&IMAGE_DELETE,
	NULL,
};
