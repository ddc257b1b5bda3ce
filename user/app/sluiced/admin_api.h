/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sluicectl show` shows, by HTTP: GET /api/v1/connections?route=chat runs the command
 * show.connections with {"route": "chat"}, and the body is its data. Lists are sent page by page,
 * so that an answer takes no more memory than one of them, however long it is.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>
#include <microhttpd.h>

struct admin_call; /* belongs to its request, and to its command until that has finished it */
struct gateway;

/**
 * admin_call_new() - run @cmd with the request's query as arguments
 * @on_resume: the connection, which admin_call_respond() has suspended, may go on: run its daemon
 *
 * Return: 0, or -ENOMEM.
 */
int admin_call_new(struct gateway *gateway, struct MHD_Connection *connection, const char *cmd,
		   void (*on_resume)(void *arg), void *arg, struct admin_call **ret_call);
/** admin_call_respond() - from the request's handler: begin the response, or suspend the connection
 * until there is something to say. Return: what the handler is to return */
enum MHD_Result admin_call_respond(struct admin_call *call);
/** admin_call_resume() - the daemon is going to stop, which it cannot with suspended connections */
void admin_call_resume(struct admin_call *call);
/** admin_call_leave() - the request is over, with or without its response */
void admin_call_leave(struct admin_call *call);

/** admin_queue_json() - respond with @body, whose reference is taken. Return: as MHD */
enum MHD_Result admin_queue_json(struct MHD_Connection *connection, unsigned int status,
				 json_t *body);
/** admin_queue_error() - {"error": {"code", "detail"}} */
enum MHD_Result admin_queue_error(struct MHD_Connection *connection, unsigned int status,
				  const char *code, const char *detail);
