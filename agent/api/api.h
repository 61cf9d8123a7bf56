/* The API's handlers: the table of routes, see docs/openapi.yaml for what each does. */
#pragma once

#include <stddef.h>

#include "agent/http/http.h"

extern const struct http_route API_ROUTES[];
extern const size_t API_ROUTES_COUNT;

struct agent;

/* The audit log's part in http_config.answered. */
void audit_answered(struct agent *agent, const struct http_request *request, unsigned status);
