/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/admin_api.h"

#include "app/sluiced/commands.h"
#include "app/sluiced/control_call.h"
#include "proto/control_message.h"

#define BLOCK_BYTES 32768 /* of a chunk, at most */

struct admin_call {
	struct control_call call;
	json_t *args;
	struct MHD_Connection *connection; /* NULL once the request is over */
	void (*on_resume)(void *arg);
	void *arg;
	char *text; /* what is ready to be sent, and how far it was */
	size_t len, sent;
	unsigned int status; /* 0 = not known yet */
	bool has_bad_args;
	bool is_list, has_rows;
	bool has_ended; /* the command has; text is the rest */
	bool is_cut;    /* it has failed within the body */
	bool is_suspended;
};

static void free_if_done(struct admin_call *call)
{
	if (call->connection || !call->has_ended)
		return;
	json_decref(call->args);
	free(call->text);
	free(call);
}

/* ---- responses ----------------------------------------------------------------------------- */

static void add_headers(struct MHD_Response *response, const char *type)
{
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	(void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned int status,
			     struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	add_headers(response, "application/json");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

enum MHD_Result admin_queue_json(struct MHD_Connection *connection, unsigned int status,
				 json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	if (!text)
		return MHD_NO;
	return queue(connection, status,
		     MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

enum MHD_Result admin_queue_error(struct MHD_Connection *connection, unsigned int status,
				  const char *code, const char *detail)
{
	return admin_queue_json(connection, status,
				json_pack("{s:{s:s, s:s}}", "error", "code", code, "detail",
					  detail));
}

/* ---- from the command ---------------------------------------------------------------------- */

static void resume(struct admin_call *call)
{
	if (!call->is_suspended)
		return;
	call->is_suspended = false;
	MHD_resume_connection(call->connection);
	call->on_resume(call->arg);
}

static void set_text(struct admin_call *call, char *text)
{
	free(call->text);
	call->text = text;
	call->len = text ? strlen(text) : 0;
	call->sent = 0;
	if (!text)
		call->is_cut = true;
}

/* The rows of a page without their brackets, behind what separates them from those before. */
static void set_rows(struct admin_call *call, const json_t *rows, bool is_last)
{
	const char *before = call->is_list ? call->has_rows ? "," : "" : "[";
	_cleanup_free_ char *array = json_dumps(rows, JSON_COMPACT);
	char *text = NULL;
	int len = -1;

	if (json_array_size(rows) == 0)
		len = asprintf(&text, "%s%s", call->is_list ? "" : "[", is_last ? "]" : "");
	else if (array)
		len = asprintf(&text, "%s%.*s%s", before, (int)strlen(array) - 2, array + 1,
			       is_last ? "]" : "");
	set_text(call, len < 0 ? NULL : text);
	call->is_list = true;
	call->has_rows |= json_array_size(rows) > 0;
}

static void end(struct admin_call *call)
{
	call->has_ended = true;
	if (call->connection)
		resume(call);
	else
		free_if_done(call);
}

static void finish(struct control_call *base, json_t *data)
{
	struct admin_call *call = container_of(base, struct admin_call, call);

	if (json_is_array(data))
		set_rows(call, data, true);
	else
		set_text(call, json_dumps(data, JSON_COMPACT));
	json_decref(data);
	if (!call->status)
		call->status = MHD_HTTP_OK;
	end(call);
}

static void fail(struct control_call *base, const char *code, const char *detail)
{
	struct admin_call *call = container_of(base, struct admin_call, call);
	json_t *body = json_pack("{s:{s:s, s:s}}", "error", "code", code, "detail", detail);

	if (call->status)
		call->is_cut = true;
	else if (strcmp(code, CONTROL_ERROR_ARGUMENT) == 0)
		call->status = MHD_HTTP_BAD_REQUEST;
	else
		call->status = MHD_HTTP_SERVICE_UNAVAILABLE;
	set_text(call, call->is_cut ? NULL : json_dumps(body, JSON_COMPACT));
	json_decref(body);
	end(call);
}

/* The next one comes when this one was taken, see take_body(). */
static bool page(struct control_call *base, json_t *data)
{
	struct admin_call *call = container_of(base, struct admin_call, call);

	set_rows(call, data, false);
	json_decref(data);
	call->status = MHD_HTTP_OK;
	resume(call);
	return false;
}

static const struct control_caller caller = {.finish = finish, .fail = fail, .page = page};

/* ---- to the client ------------------------------------------------------------------------- */

/* What a command has failed to send is not made up for: the client sees a body cut short. */
static ssize_t take_body(void *arg, uint64_t offset, char *buf, size_t size)
{
	struct admin_call *call = arg;
	size_t n;

	if (call->sent == call->len && !call->has_ended)
		control_go_on(&call->call);
	if (call->is_cut)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = MIN(size, call->len - call->sent);
	if (n > 0) {
		memcpy(buf, call->text + call->sent, n);
		call->sent += n;
		return (ssize_t)n;
	}
	if (call->has_ended)
		return MHD_CONTENT_READER_END_OF_STREAM;
	call->is_suspended = true;
	MHD_suspend_connection(call->connection);
	return 0;
}

enum MHD_Result admin_call_respond(struct admin_call *call)
{
	if (!call->status) {
		call->is_suspended = true;
		MHD_suspend_connection(call->connection);
		return MHD_YES;
	}
	if (call->has_ended && !call->is_cut) {
		size_t len = call->len;

		call->len = call->sent = 0;
		return queue(call->connection, call->status,
			     MHD_create_response_from_buffer(len, TAKE_PTR(call->text),
							     MHD_RESPMEM_MUST_FREE));
	}
	return queue(call->connection, call->status,
		     MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, take_body,
						       call, NULL));
}

void admin_call_resume(struct admin_call *call)
{
	if (!call->is_suspended)
		return;
	call->is_suspended = false;
	call->is_cut = true;
	if (!call->status)
		call->status = MHD_HTTP_SERVICE_UNAVAILABLE;
	MHD_resume_connection(call->connection);
}

void admin_call_leave(struct admin_call *call)
{
	call->connection = NULL;
	call->is_suspended = false;
	if (call->has_ended)
		free_if_done(call);
	else
		control_leave(&call->call);
}

/* What is no UTF-8 must not just be missing: a filter less shows more. */
static enum MHD_Result add_argument(void *arg, enum MHD_ValueKind kind, const char *key,
				    const char *value)
{
	struct admin_call *call = arg;

	if (json_object_set_new(call->args, key, json_string(value ? value : "")) == 0)
		return MHD_YES;
	call->has_bad_args = true;
	return MHD_NO;
}

int admin_call_new(struct gateway *gateway, struct MHD_Connection *connection, const char *cmd,
		   void (*on_resume)(void *arg), void *arg, struct admin_call **ret_call)
{
	struct admin_call *call = calloc(1, sizeof(*call));

	if (!call)
		return -ENOMEM;
	call->args = json_object();
	call->call =
	    (struct control_call){.caller = &caller, .gateway = gateway, .args = call->args};
	call->connection = connection;
	call->on_resume = on_resume;
	call->arg = arg;
	*ret_call = call;
	(void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, add_argument, call);
	if (call->has_bad_args)
		control_fail(&call->call, CONTROL_ERROR_ARGUMENT, "an argument is not UTF-8");
	else
		commands_run(&call->call, cmd);
	return 0;
}
