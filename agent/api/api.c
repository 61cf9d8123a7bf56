/* The table of routes. */
#include "agent/api/api.h"

#include "agent/api/internal.h"
#include "base/cleanup.h"

#define QUERY(...) ((const char *const[]){__VA_ARGS__, NULL})

/* What changes of a guest take. */
#define CHANGE QUERY("wait", "dry_run")

#define GUEST "/v1/guests/{}"

const struct http_route API_ROUTES[] = {
	{HTTP_GET, "/v1/node", ROLE_VIEWER, BODY_NONE, NULL, api_node_get},
	{HTTP_PATCH, "/v1/node", ROLE_ADMIN, BODY_JSON, QUERY("dry_run"), api_node_patch},
	{HTTP_GET, "/v1/node/doctor", ROLE_VIEWER, BODY_NONE, NULL, api_node_doctor},
	{HTTP_GET, "/v1/node/slots", ROLE_VIEWER, BODY_NONE, NULL, api_slots_get},

	{HTTP_GET, "/v1/guests", ROLE_VIEWER, BODY_NONE,
		QUERY("state", "driver", "environment", "image", "label", "name", "fields", "limit",
			"after"),
		api_guest_list},
	{HTTP_POST, "/v1/guests", ROLE_OPERATOR, BODY_JSON, CHANGE, api_guest_create},
	{HTTP_GET, GUEST, ROLE_VIEWER, BODY_NONE, NULL, api_guest_get},
	{HTTP_PUT, GUEST, ROLE_OPERATOR, BODY_JSON, CHANGE, api_guest_put},
	{HTTP_PATCH, GUEST, ROLE_OPERATOR, BODY_JSON, CHANGE, api_guest_patch},
	{HTTP_DELETE, GUEST, ROLE_OPERATOR, BODY_NONE, QUERY("destroy", "wait", "dry_run"),
		api_guest_destroy},
	{HTTP_POST, GUEST "/actions/start", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_start},
	{HTTP_POST, GUEST "/actions/stop", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_stop},
	{HTTP_POST, GUEST "/actions/restart", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_restart},
	{HTTP_POST, GUEST "/actions/kill", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_kill},
	{HTTP_POST, GUEST "/actions/freeze", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_freeze},
	{HTTP_POST, GUEST "/actions/thaw", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_guest_thaw},
	{HTTP_POST, GUEST "/actions/rename", ROLE_OPERATOR, BODY_JSON, CHANGE, api_guest_rename},

	{HTTP_GET, GUEST "/credentials", ROLE_ADMIN, BODY_NONE, NULL, api_guest_credentials},
	{HTTP_POST, GUEST "/actions/clone", ROLE_OPERATOR, BODY_JSON, CHANGE, api_guest_clone},

	{HTTP_GET, GUEST "/storage", ROLE_VIEWER, BODY_NONE, NULL, api_storage_get},
	{HTTP_POST, GUEST "/storage/enlarge", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_storage_enlarge},
	{HTTP_POST, GUEST "/storage/trim", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_storage_trim},

	{HTTP_GET, GUEST "/snapshots", ROLE_VIEWER, BODY_NONE, NULL, api_snapshot_list},
	{HTTP_POST, GUEST "/snapshots", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_snapshot_create},
	{HTTP_GET, GUEST "/snapshots/{}", ROLE_VIEWER, BODY_NONE, NULL, api_snapshot_get},
	{HTTP_DELETE, GUEST "/snapshots/{}", ROLE_OPERATOR, BODY_NONE, CHANGE, api_snapshot_delete},
	{HTTP_POST, GUEST "/snapshots/{}/restore", ROLE_OPERATOR, BODY_JSON_OPTIONAL, CHANGE,
		api_snapshot_restore},

	{HTTP_GET, GUEST "/ports", ROLE_VIEWER, BODY_NONE, NULL, api_guest_port_list},
	{HTTP_POST, GUEST "/ports", ROLE_OPERATOR, BODY_JSON, CHANGE, api_port_publish_any},
	{HTTP_GET, GUEST "/ports/{}/{}", ROLE_VIEWER, BODY_NONE, NULL, api_guest_port_get},
	{HTTP_PUT, GUEST "/ports/{}/{}", ROLE_OPERATOR, BODY_JSON, CHANGE, api_port_publish},
	{HTTP_DELETE, GUEST "/ports/{}/{}", ROLE_OPERATOR, BODY_NONE, CHANGE, api_port_unpublish},

	{HTTP_POST, GUEST "/exec", ROLE_OPERATOR, BODY_JSON, NULL, api_guest_exec},
	{HTTP_GET, GUEST "/console", ROLE_OPERATOR, BODY_NONE, NULL, api_guest_console},
	{HTTP_GET, GUEST "/logs", ROLE_VIEWER, BODY_NONE, QUERY("tail", "follow"), api_guest_logs},
	{HTTP_GET, GUEST "/files", ROLE_OPERATOR, BODY_NONE, QUERY("path"), api_file_get},
	{HTTP_PUT, GUEST "/files", ROLE_OPERATOR, BODY_STREAM,
		QUERY("path", "mode", "uid", "gid", "directory"), api_file_put},
	{HTTP_DELETE, GUEST "/files", ROLE_OPERATOR, BODY_NONE, QUERY("path"), api_file_delete},

	{HTTP_GET, "/v1/sessions", ROLE_VIEWER, BODY_NONE, QUERY("guest"), api_session_list},
	{HTTP_GET, "/v1/sessions/{}", ROLE_VIEWER, BODY_NONE, NULL, api_session_get},
	{HTTP_DELETE, "/v1/sessions/{}", ROLE_OPERATOR, BODY_NONE, NULL, api_session_end},
	{HTTP_GET, "/v1/sessions/{}/attach", ROLE_OPERATOR, BODY_NONE, QUERY("after", "input"),
		api_session_attach},
	{HTTP_POST, "/v1/sessions/{}/signal", ROLE_OPERATOR, BODY_JSON, NULL, api_session_signal},

	{HTTP_GET, "/v1/ports", ROLE_VIEWER, BODY_NONE, QUERY("guest"), api_port_list},
	{HTTP_GET, "/v1/ports/{}/{}", ROLE_VIEWER, BODY_NONE, NULL, api_port_get},
	{HTTP_POST, "/v1/ports/{}/{}/switch", ROLE_OPERATOR, BODY_JSON, CHANGE, api_port_switch},

	{HTTP_GET, "/v1/images", ROLE_VIEWER, BODY_NONE, NULL, api_image_list},
	{HTTP_POST, "/v1/images", ROLE_OPERATOR, BODY_JSON, CHANGE, api_image_pull},
	{HTTP_GET, "/v1/images/{}", ROLE_VIEWER, BODY_NONE, QUERY("kind"), api_image_get},
	{HTTP_PUT, "/v1/images/{}", ROLE_OPERATOR, BODY_STREAM,
		QUERY("kind", "driver", "format", "boot", "sha256", "replace", "wait"),
		api_image_import},
	{HTTP_DELETE, "/v1/images/{}", ROLE_OPERATOR, BODY_NONE, QUERY("kind", "wait", "dry_run"),
		api_image_delete},

	{HTTP_GET, "/v1/operations", ROLE_VIEWER, BODY_NONE, QUERY("target", "limit", "before"),
		api_operation_list},
	{HTTP_GET, "/v1/operations/{}", ROLE_VIEWER, BODY_NONE, QUERY("wait"), api_operation_get},
	{HTTP_DELETE, "/v1/operations/{}", ROLE_OPERATOR, BODY_NONE, NULL, api_operation_cancel},

	{HTTP_GET, "/v1/stats", ROLE_VIEWER, BODY_NONE, NULL, api_stats},
	{HTTP_GET, GUEST "/stats", ROLE_VIEWER, BODY_NONE, NULL, api_guest_stats},
	{HTTP_GET, "/metrics", ROLE_VIEWER, BODY_NONE, NULL, api_metrics},

	{HTTP_GET, "/v1/audit", ROLE_ADMIN, BODY_NONE, QUERY("limit"), api_audit_get},
	{HTTP_GET, "/v1/events", ROLE_VIEWER, BODY_NONE, QUERY("after", "follow"), api_events},
	{HTTP_GET, "/v1/openapi.json", ROLE_VIEWER, BODY_NONE, NULL, api_openapi},
};

const size_t API_ROUTES_COUNT = ARRAY_SIZE(API_ROUTES);
