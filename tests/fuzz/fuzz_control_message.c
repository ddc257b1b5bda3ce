/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of the control socket. An accepted request says the same when it is written and read
 * again; a refused one has a known code; and every answer is one line of JSON.
 */
#include "base/std.h"
#include "proto/control_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Return: one JSON object, which the caller owns; frees @line. */
static json_t *load_reply(char *line, size_t len)
{
	json_t *reply;

	assert(line && len > 0);
	assert(memchr(line, '\n', len) == line + len - 1);
	reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	assert(json_is_object(reply));
	free(line);
	return reply;
}

static void check_refused(const struct control_request *req, const struct control_error *error)
{
	static const char *const codes[] = {CONTROL_ERROR_JSON, CONTROL_ERROR_REQUEST,
					    CONTROL_ERROR_VERSION, CONTROL_ERROR_TOO_LONG};
	bool is_known = false;
	size_t len = 0;
	char *line;
	json_t *reply;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		is_known = is_known || strcmp(error->code, codes[i]) == 0;
	assert(is_known);
	assert(error->detail[0] != '\0' && memchr(error->detail, '\0', sizeof(error->detail)));
	assert(!req->args);
	line = control_reply_error(req->id, error->code, error->detail, &len);
	reply = load_reply(line, len);
	assert(json_is_false(json_object_get(reply, "ok")));
	json_decref(reply);
}

static void check_command(const char *cmd)
{
	size_t len = strlen(cmd);

	assert(len > 0 && len <= CONTROL_COMMAND_MAX);
	assert(strspn(cmd, "abcdefghijklmnopqrstuvwxyz_.") == len);
	assert(cmd[0] != '.' && cmd[len - 1] != '.' && !strstr(cmd, ".."));
}

static void check_reply(const struct control_request *req)
{
	size_t len = 0;
	char *line = control_reply_ok(req->id, req->args, true, &len);
	json_t *reply = load_reply(line, len);

	assert(json_integer_value(json_object_get(reply, "id")) == (json_int_t)req->id);
	assert(json_equal(json_object_get(reply, "data"), req->args));
	json_decref(reply);
}

static void check_again(const struct control_request *req)
{
	json_t *written = json_pack("{s:O, s:s, s:I, s:i}", "args", req->args, "cmd", req->cmd,
				    "id", (json_int_t)req->id, "v", CONTROL_VERSION);
	char *line = json_dumps(written, JSON_COMPACT);
	struct control_request again;
	struct control_error error;

	assert(line);
	/* Escapes and numbers may have grown. */
	if (strlen(line) <= CONTROL_LINE_MAX) {
		assert(control_request_parse(line, strlen(line), &again, &error) == 0);
		assert(again.id == req->id && strcmp(again.cmd, req->cmd) == 0);
		assert(json_equal(again.args, req->args));
		control_request_done(&again);
	}
	free(line);
	json_decref(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size ? size : 1);
	struct control_error error = {0};
	struct control_request req;

	assert(line);
	if (size)
		memcpy(line, data, size);
	if (control_request_parse(line, size, &req, &error) < 0) {
		check_refused(&req, &error);
	} else {
		assert(json_is_object(req.args) && req.id <= INT64_MAX);
		check_command(req.cmd);
		check_reply(&req);
		check_again(&req);
		control_request_done(&req);
	}
	free(line);
	return 0;
}
