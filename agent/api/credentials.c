/* What opens a guest: shown to admins, and nowhere else. */
#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/err.h"

void api_guest_credentials(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct err err;
	struct guest_entry *entry = registry_by_name(agent->registry, http_param(request, 0), &err);
	const struct guest *guest = entry ? entry->guest : NULL;

	if (!guest) {
		http_respond_error(request, &err, NULL);
		return;
	}
	http_add_header(request, "Cache-Control", "no-store");
	http_respond_json(request, 200,
		json_pack("{s:s, s:s?, s:s?}", "user", "root", "password",
			*guest->password ? guest->password : NULL, "user_data", guest->user_data));
}
