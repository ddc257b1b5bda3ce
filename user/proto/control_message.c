/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_message.h"

#include "base/text_writer.h"

#include <stdarg.h>
#include <stdio.h>

#define REPLY_FRAME_MAX 128 /* bytes of a reply besides its data, or code and detail */
#define JSON_ESCAPE_MAX 6   /* bytes that one byte of a string may become: "\u001f" */

/* ---- requests ------------------------------------------------------------------------------ */

static int refuse(struct control_error *error, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static int refuse(struct control_error *error, const char *code, const char *fmt, ...)
{
	va_list args;

	snprintf(error->code, sizeof(error->code), "%s", code);
	va_start(args, fmt);
	vsnprintf(error->detail, sizeof(error->detail), fmt, args);
	va_end(args);
	return -EINVAL;
}

static const char *type_name(const json_t *value)
{
	if (!value)
		return "missing";
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "of an unknown type";
}

static int mistyped(struct control_error *error, const char *key, const json_t *value,
		    const char *expected)
{
	return refuse(error, CONTROL_ERROR_REQUEST, "\"%s\" is %s: expected %s", key,
		      type_name(value), expected);
}

static int check_version(const json_t *request, struct control_error *error)
{
	const json_t *v = json_object_get(request, "v");

	if (!json_is_integer(v))
		return mistyped(error, "v", v, "the integer 1");
	if (json_integer_value(v) != CONTROL_VERSION)
		return refuse(error, CONTROL_ERROR_VERSION,
			      "\"v\" is %" JSON_INTEGER_FORMAT ": expected %d",
			      json_integer_value(v), CONTROL_VERSION);
	return 0;
}

static int check_keys(json_t *request, struct control_error *error)
{
	const char *key;
	json_t *value;

	json_object_foreach(request, key, value)
	{
		if (strcmp(key, "v") != 0 && strcmp(key, "id") != 0 && strcmp(key, "cmd") != 0 &&
		    strcmp(key, "args") != 0)
			return refuse(error, CONTROL_ERROR_REQUEST,
				      "unknown key \"%s\": expected v, id, cmd and args", key);
	}
	return 0;
}

static int check_id(const json_t *request, struct control_error *error)
{
	const json_t *id = json_object_get(request, "id");

	if (!json_is_integer(id))
		return mistyped(error, "id", id, "an integer of 0 or more");
	if (json_integer_value(id) < 0)
		return refuse(error, CONTROL_ERROR_REQUEST,
			      "\"id\" is %" JSON_INTEGER_FORMAT
			      ": expected an integer of 0 or more",
			      json_integer_value(id));
	return 0;
}

/* [a-z_]+(\.[a-z_]+)* */
static bool is_command(const char *s)
{
	for (;; s++) {
		size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz_");

		s += len;
		if (len == 0 || (*s != '.' && *s != '\0'))
			return false;
		if (*s == '\0')
			return true;
	}
}

static int take_command(const json_t *request, char ret_cmd[CONTROL_COMMAND_MAX + 1],
			struct control_error *error)
{
	const json_t *cmd = json_object_get(request, "cmd");

	if (!json_is_string(cmd))
		return mistyped(error, "cmd", cmd, "a string such as \"show.connections\"");
	if (json_string_length(cmd) > CONTROL_COMMAND_MAX || !is_command(json_string_value(cmd)))
		return refuse(error, CONTROL_ERROR_REQUEST,
			      "\"cmd\" is \"%.100s\": expected words of a-z and _ joined by dots, "
			      "at most %d bytes",
			      json_string_value(cmd), CONTROL_COMMAND_MAX);
	memcpy(ret_cmd, json_string_value(cmd), json_string_length(cmd) + 1);
	return 0;
}

static int take_args(const json_t *request, json_t **ret_args, struct control_error *error)
{
	json_t *args = json_object_get(request, "args");

	if (args && !json_is_object(args))
		return mistyped(error, "args", args, "an object");
	args = args ? json_incref(args) : json_object();
	if (!args)
		return refuse(error, CONTROL_ERROR_BUSY, "out of memory");
	*ret_args = args;
	return 0;
}

static int load(const char *line, size_t len, json_t **ret_request, struct control_error *error)
{
	json_auto_t *request = NULL;
	json_error_t where;

	if (len > CONTROL_LINE_MAX)
		return refuse(error, CONTROL_ERROR_TOO_LONG,
			      "a line of %zu bytes: expected at most %u", len, CONTROL_LINE_MAX);
	/* Nesting is bounded by jansson itself, at JSON_PARSER_MAX_DEPTH (2048). */
	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	if (!request)
		return refuse(error, CONTROL_ERROR_JSON, "byte %d: %s: expected one JSON object",
			      where.position, where.text);
	if (!json_is_object(request))
		return refuse(error, CONTROL_ERROR_JSON, "the line is %s: expected one JSON object",
			      type_name(request));
	*ret_request = TAKE_PTR(request);
	return 0;
}

int control_request_parse(const char *line, size_t len, struct control_request *ret_request,
			  struct control_error *ret_error)
{
	json_auto_t *request = NULL;
	int error;

	*ret_request = (struct control_request){0};
	if ((error = load(line, len, &request, ret_error)) < 0)
		return error;
	/* First of all, so that every other error is answered with it. */
	if (json_integer_value(json_object_get(request, "id")) > 0)
		ret_request->id = (uint64_t)json_integer_value(json_object_get(request, "id"));
	/* The version next: of another one we know nothing. */
	if ((error = check_version(request, ret_error)) < 0 ||
	    (error = check_keys(request, ret_error)) < 0 ||
	    (error = check_id(request, ret_error)) < 0 ||
	    (error = take_command(request, ret_request->cmd, ret_error)) < 0)
		return error;
	return take_args(request, &ret_request->args, ret_error);
}

void control_request_done(struct control_request *req)
{
	json_decref(req->args);
	req->args = NULL;
}

/* ---- replies ------------------------------------------------------------------------------- */

static int reply_begin(struct text_writer *w, size_t payload_max, uint64_t id, bool is_ok)
{
	size_t cap = REPLY_FRAME_MAX + payload_max;
	char *buf = malloc(cap);

	if (!buf)
		return -ENOMEM;
	text_writer_init(w, buf, cap);
	text_put_str(w, "{\"id\":");
	text_put_u64(w, id);
	text_put_str(w, is_ok ? ",\"ok\":true" : ",\"ok\":false");
	return 0;
}

static char *reply_end(struct text_writer *w, size_t *ret_len)
{
	assert(!w->is_truncated);
	*ret_len = w->len;
	return w->buf;
}

char *control_reply_ok(uint64_t id, json_t *data, bool more, size_t *ret_len)
{
	_cleanup_free_ char *text = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
	struct text_writer w;

	if (!text || reply_begin(&w, strlen(text), id, true) < 0)
		return NULL;
	text_put_str(&w, ",\"data\":");
	text_put_str(&w, text);
	text_put_str(&w, more ? ",\"more\":true}\n" : ",\"more\":false}\n");
	return reply_end(&w, ret_len);
}

/* Not by jansson: @detail may quote what is not UTF-8, or be cut inside a character. */
char *control_reply_error(uint64_t id, const char *code, const char *detail, size_t *ret_len)
{
	struct text_writer w;

	if (reply_begin(&w, JSON_ESCAPE_MAX * (strlen(code) + strlen(detail)), id, false) < 0)
		return NULL;
	text_put_str(&w, ",\"error\":{\"code\":");
	text_put_json_string(&w, slice_from_str(code));
	text_put_str(&w, ",\"detail\":");
	text_put_json_string(&w, slice_from_str(detail));
	text_put_str(&w, "}}\n");
	return reply_end(&w, ret_len);
}
