/* What the handlers share: reading what a request asks for, and answering a change. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/http/http.h"
#include "agent/node/agent.h"
#include "agent/ops/verbs.h"
#include "model/operation.h"

struct err;
struct guest_entry;

/* --- Handlers, by the file they are in ------------------------------------------------------- */

void api_node_get(struct http_request *request, void *data);
void api_node_patch(struct http_request *request, void *data);
void api_node_doctor(struct http_request *request, void *data);
void api_slots_get(struct http_request *request, void *data);

void api_guest_list(struct http_request *request, void *data);
void api_guest_create(struct http_request *request, void *data);
void api_guest_get(struct http_request *request, void *data);
void api_guest_put(struct http_request *request, void *data);
void api_guest_patch(struct http_request *request, void *data);

void api_guest_start(struct http_request *request, void *data);
void api_guest_stop(struct http_request *request, void *data);
void api_guest_restart(struct http_request *request, void *data);
void api_guest_kill(struct http_request *request, void *data);
void api_guest_freeze(struct http_request *request, void *data);
void api_guest_thaw(struct http_request *request, void *data);
void api_guest_rename(struct http_request *request, void *data);
void api_guest_clone(struct http_request *request, void *data);
void api_guest_destroy(struct http_request *request, void *data);

void api_guest_credentials(struct http_request *request, void *data);

void api_storage_get(struct http_request *request, void *data);
void api_storage_enlarge(struct http_request *request, void *data);
void api_storage_trim(struct http_request *request, void *data);

void api_snapshot_list(struct http_request *request, void *data);
void api_snapshot_get(struct http_request *request, void *data);
void api_snapshot_create(struct http_request *request, void *data);
void api_snapshot_delete(struct http_request *request, void *data);
void api_snapshot_restore(struct http_request *request, void *data);

void api_guest_port_list(struct http_request *request, void *data);
void api_guest_port_get(struct http_request *request, void *data);
void api_port_publish_any(struct http_request *request, void *data);
void api_port_publish(struct http_request *request, void *data);
void api_port_unpublish(struct http_request *request, void *data);
void api_port_list(struct http_request *request, void *data);
void api_port_get(struct http_request *request, void *data);
void api_port_switch(struct http_request *request, void *data);

void api_image_list(struct http_request *request, void *data);
void api_image_get(struct http_request *request, void *data);
void api_image_pull(struct http_request *request, void *data);
void api_image_import(struct http_request *request, void *data);
void api_image_delete(struct http_request *request, void *data);

void api_guest_exec(struct http_request *request, void *data);
void api_guest_console(struct http_request *request, void *data);
void api_guest_logs(struct http_request *request, void *data);

void api_session_list(struct http_request *request, void *data);
void api_session_get(struct http_request *request, void *data);
void api_session_end(struct http_request *request, void *data);
void api_session_attach(struct http_request *request, void *data);
void api_session_signal(struct http_request *request, void *data);

void api_file_get(struct http_request *request, void *data);
void api_file_put(struct http_request *request, void *data);
void api_file_delete(struct http_request *request, void *data);

void api_operation_list(struct http_request *request, void *data);
void api_operation_get(struct http_request *request, void *data);
void api_operation_cancel(struct http_request *request, void *data);

void api_stats(struct http_request *request, void *data);
void api_guest_stats(struct http_request *request, void *data);
void api_metrics(struct http_request *request, void *data);

void api_audit_get(struct http_request *request, void *data);

void api_events(struct http_request *request, void *data);
void api_openapi(struct http_request *request, void *data);

/* --- Query parameters ------------------------------------------------------------------------ */

/* "true" or "false"; absent: `otherwise`. */
int query_bool(const struct http_request *request, const char *name, bool otherwise, bool *ret,
	struct err *err);

/* A number from min to max; absent: `otherwise`. */
int query_number(const struct http_request *request, const char *name, uint64_t min, uint64_t max,
	uint64_t otherwise, uint64_t *ret, struct err *err);

/* --- Guests ---------------------------------------------------------------------------------- */

/* The guest of path parameter 0, when If-Match allows; otherwise NULL, and the request is
 * answered.*/
struct guest_entry *requested_guest(struct http_request *request, struct agent *agent);

/* ERR_DENIED, with the field, when the request's peer is no admin and `want` differs from `have`
 * (NULL: a new guest) in what only admins may say. */
int check_admin_fields(const struct http_request *request, const struct guest *have,
	const struct guest *want, struct err *err);

/* ERR_DENIED when the node's configuration asks for a higher role for that verb. */
int check_verb_role(const struct http_request *request, const struct agent *agent, const char *verb,
	struct err *err);

/* The guest as the API shows it: a new reference, NULL without memory. */
json_t *shown_guest(struct agent *agent, struct guest_entry *entry);

/* The protocol and host port of path parameters i and i + 1. */
int requested_port(const struct http_request *request, unsigned i, enum port_proto *ret_proto,
	uint16_t *ret_host, struct err *err);

json_t *published_port_to_json(const struct guest *guest, const struct port *port);

/* --- Sessions -------------------------------------------------------------------------------- */

enum session_attachment {
	ATTACH_LOOK,
	ATTACH_TYPE,
	ATTACH_BEGIN, /* type, in a session that was started for this client, and ends without it */
};

struct session;

/* Answers 101 and hands the connection to the session. */
void session_respond_stream(struct http_request *request, struct agent *agent,
	const struct session *session, uint64_t after, enum session_attachment how);

/* --- Changes --------------------------------------------------------------------------------- */

/* What all changes have in common. */
struct change {
	struct http_request *request;
	struct agent *agent;
	uint64_t wait_s;
	bool dry_run;
	bool to_the_end; /* the answer comes at the end of the operation, however long that takes */
	const char *key; /* NULL: none */
	char hash[65];
};

/* Reads it from the request. False when the request is answered already: something in it is wrong,
 * or its key was used before and the operation of then is the answer. */
bool change_begin(struct change *change, struct http_request *request, struct agent *agent);

/* Ends a change whose plan was made (r is 0) or refused: submits the operation and answers when it
 * is accepted or, as asked for, has ended; in a dry run answers with the plan and drops it. `patch`
 * is shown in a dry run (taken over, may be NULL). */
void change_submit(const struct change *change, int r, const struct err *err, struct op_plan *plan,
	json_t *patch);

/* Makes the plan of a change from what its request says. CHANGE_ANSWERED: it answered the request,
 * as by change_nothing(), and there is no plan. */
#define CHANGE_ANSWERED 1
typedef int (*change_plan)(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err);

/* Handlers of changes: they begin one, have it planned, and end it. The first are about the guest
 * of path parameter 0; the others know of none yet, and their `entry` is NULL. */
void change_handle_guest(struct http_request *request, struct agent *agent, change_plan plan);
void change_handle(struct http_request *request, struct agent *agent, change_plan plan);

/* Answers that all was so already; `result` is taken over. `verb` and `target` are for a dry run.
 */
void change_nothing(
	const struct change *change, const char *verb, const char *target, json_t *result);

/* The operation as the API shows it, with its result (result.c) when it is done; `args` are the
 * operation's own. */
json_t *operation_with_result(
	struct agent *agent, const struct operation *info, const json_t *args);

/* Notes in the audit log who asks for the operation. */
void audit_change(struct agent *agent, struct http_request *request, const struct op *op);

/* Answers with the operation when it has ended or that time is over; `as_change`: the answer of a
 * change (a failure is its problem), else of a read (always the operation). */
void answer_when_ended(struct http_request *request, struct agent *agent, struct op *op,
	uint64_t wait_s, bool as_change);
