/* What of a guest only admins may say: what weakens the wall between it and the node. */
#include "agent/api/internal.h"
#include "base/err.h"
#include "base/strv.h"

int check_admin_fields(const struct http_request *request, const struct guest *have,
	const struct guest *want, struct err *err)
{
	if (http_peer_role(request) >= ROLE_ADMIN)
		return 0;
	if (want->privileged && !(have && have->privileged))
		return err_set(err, ERR_DENIED, "privileged",
			"privileged guests are for admins only: root in them is root of the node");
	if (!strv_equal(want->raw, have ? have->raw : NULL))
		return err_set(err, ERR_DENIED, "raw",
			"raw lines are for admins only: they can undo what guards the node");
	return 0;
}

int check_verb_role(const struct http_request *request, const struct agent *agent, const char *verb,
	struct err *err)
{
	enum role needed = config_verb_role(agent->config, verb);

	if (http_peer_role(request) >= needed)
		return 0;
	return err_set(err, ERR_DENIED, NULL,
		"%s needs the role %s on this node (see verbs in corpusd.yaml); yours is %s", verb,
		role_to_string(needed), role_to_string(http_peer_role(request)));
}
