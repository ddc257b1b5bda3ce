/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/control_message.h"

#include "base/text_writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define REQUEST(members) "{\"v\":1,\"id\":7,\"cmd\":\"status\"" members "}"

struct refusal {
	const char *line, *code;
	uint64_t id;        /* in the answer */
	const char *detail; /* contained in it: what was wrong, or expected */
};

static void assert_refused(const char *line, size_t len, const struct refusal *want)
{
	struct control_error error = {0};
	struct control_request req;

	assert_int_equal(control_request_parse(line, len, &req, &error), -EINVAL);
	if (strcmp(error.code, want->code) != 0 || !strstr(error.detail, want->detail))
		fail_msg("\"%.80s\": %s, \"%s\"", line, error.code, error.detail);
	assert_int_equal(req.id, want->id);
	assert_null(req.args);
}

static void run(const struct refusal *refusals, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_refused(refusals[i].line, strlen(refusals[i].line), &refusals[i]);
}

#define RUN(refusals) run(refusals, ARRAY_SIZE(refusals))

static void parse_good(const char *line, struct control_request *ret_request)
{
	struct control_error error;

	if (control_request_parse(line, strlen(line), ret_request, &error) < 0)
		fail_msg("\"%s\": %s", line, error.detail);
	assert_true(json_is_object(ret_request->args));
}

/* ---- requests ------------------------------------------------------------------------------ */

static void parse__takes_a_request_apart(void **state)
{
	struct control_request req;

	parse_good(" {\"args\": {\"route\": \"x\"}, \"cmd\": \"show.connections\", \"id\": 9, "
		   "\"v\": 1} ",
		   &req);
	assert_int_equal(req.id, 9);
	assert_string_equal(req.cmd, "show.connections");
	assert_int_equal(json_object_size(req.args), 1);
	assert_string_equal(json_string_value(json_object_get(req.args, "route")), "x");
	control_request_done(&req);
	assert_null(req.args);
	control_request_done(&req);
}

static void parse__args_may_be_missing(void **state)
{
	struct control_request req;

	parse_good(REQUEST(""), &req);
	assert_int_equal(json_object_size(req.args), 0);
	control_request_done(&req);
}

static void parse__id_spans_what_json_integers_do(void **state)
{
	static const struct refusal too_big = {"{\"v\":1,\"id\":9223372036854775808,\"cmd\":\"a\"}",
					       CONTROL_ERROR_JSON, 0, "integer"};
	struct control_request req;

	parse_good("{\"v\":1,\"id\":0,\"cmd\":\"a\"}", &req);
	assert_int_equal(req.id, 0);
	control_request_done(&req);
	parse_good("{\"v\":1,\"id\":9223372036854775807,\"cmd\":\"a\"}", &req);
	assert_int_equal(req.id, INT64_MAX);
	control_request_done(&req);
	assert_refused(too_big.line, strlen(too_big.line), &too_big);
}

static void parse__refuses_what_is_not_one_object(void **state)
{
	static const struct refusal refusals[] = {
	    {"", CONTROL_ERROR_JSON, 0, "end of file"},
	    {" ", CONTROL_ERROR_JSON, 0, "expected one JSON object"},
	    {"hello", CONTROL_ERROR_JSON, 0, "near 'hello'"},
	    {"\"status\"", CONTROL_ERROR_JSON, 0, "expected one JSON object"},
	    {"[]", CONTROL_ERROR_JSON, 0, "an array: expected one JSON object"},
	    {"{\"v\":1,", CONTROL_ERROR_JSON, 0, "byte 7: "},
	    {"{\"v\":1,}", CONTROL_ERROR_JSON, 0, "byte 8: "},
	    {REQUEST("") "{}", CONTROL_ERROR_JSON, 0, "end of file expected"},
	    {REQUEST("") "x", CONTROL_ERROR_JSON, 0, "end of file expected"},
	    {"{'v':1}", CONTROL_ERROR_JSON, 0, "byte 2: "},
	    {"{\"v\":1,\"cmd\":\"\xff\"}", CONTROL_ERROR_JSON, 0, "0xff"},
	    {"{\"v\":1,\"cmd\":\"\xed\xa0\x80\"}", CONTROL_ERROR_JSON, 0, "decode"},
	};

	RUN(refusals);
}

/* The last one would win, or the first: two readers of one line must not disagree. */
static void parse__refuses_duplicate_keys(void **state)
{
	static const struct refusal refusals[] = {
	    {REQUEST(",\"cmd\":\"drain\""), CONTROL_ERROR_JSON, 0, "duplicate object key"},
	    {REQUEST(",\"args\":{\"a\":1,\"a\":2}"), CONTROL_ERROR_JSON, 0, "duplicate object key"},
	    {REQUEST(",\"\\u0076\":1"), CONTROL_ERROR_JSON, 0, "duplicate object key"},
	};

	RUN(refusals);
}

/* A command must not end, for some reader, where a NUL is. */
static void parse__refuses_embedded_nul(void **state)
{
	static const char raw[] = "{\"v\":1,\"id\":7,\"cmd\":\"status\0x\"}";
	static const char behind[] = REQUEST("") "\0";
	static const struct refusal in_json = {NULL, CONTROL_ERROR_JSON, 0, "byte "};
	static const struct refusal refusals[] = {
	    {"{\"v\":1,\"id\":7,\"cmd\":\"status\\u0000x\"}", CONTROL_ERROR_JSON, 0, "\\u0000"},
	    {REQUEST(",\"args\":{\"a\\u0000\":1}"), CONTROL_ERROR_JSON, 0, "NUL"},
	};

	assert_refused(raw, sizeof(raw) - 1, &in_json);
	assert_refused(behind, sizeof(behind) - 1, &in_json);
	RUN(refusals);
}

static void parse__bounds_the_nesting(void **state)
{
	static const struct refusal deep = {NULL, CONTROL_ERROR_JSON, 0, "depth"};
	static char line[16384];
	struct control_request req;
	struct text_writer w;

	for (int depth = 1000; depth <= 3000; depth += 2000) {
		text_writer_init(&w, line, sizeof(line));
		text_put_str(&w, "{\"v\":1,\"id\":7,\"cmd\":\"a\",\"args\":{\"a\":");
		for (int i = 0; i < depth; i++)
			text_put_str(&w, "[");
		for (int i = 0; i < depth; i++)
			text_put_str(&w, "]");
		text_put(&w, "}}", sizeof("}}"));
		assert_false(w.is_truncated);
		if (depth > JSON_PARSER_MAX_DEPTH) {
			assert_refused(line, w.len - 1, &deep);
		} else {
			parse_good(line, &req);
			control_request_done(&req);
		}
	}
}

static void parse__bounds_the_length(void **state)
{
	static const struct refusal too_long = {NULL, CONTROL_ERROR_TOO_LONG, 0, "1048576"};
	_cleanup_free_ char *line = malloc(CONTROL_LINE_MAX + 2);
	struct control_request req;

	memset(line, ' ', CONTROL_LINE_MAX + 1);
	memcpy(line, REQUEST(""), strlen(REQUEST("")));
	line[CONTROL_LINE_MAX] = '\0';
	parse_good(line, &req);
	control_request_done(&req);
	line[CONTROL_LINE_MAX] = ' ';
	assert_refused(line, CONTROL_LINE_MAX + 1, &too_long);
}

static void parse__checks_the_version(void **state)
{
	static const struct refusal refusals[] = {
	    {"{\"id\":7,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 7,
	     "\"v\" is missing: expected the integer 1"},
	    {"{\"v\":\"1\",\"id\":7,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 7, "\"v\" is a string"},
	    {"{\"v\":1.0,\"id\":7,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 7, "fraction"},
	    {"{\"v\":true,\"id\":7,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 7, "a boolean"},
	    {"{\"v\":0,\"id\":7,\"cmd\":\"a\"}", CONTROL_ERROR_VERSION, 7, "0: expected 1"},
	    /* ahead of what that version may have new */
	    {"{\"v\":2,\"id\":7,\"cmd\":5,\"new\":1}", CONTROL_ERROR_VERSION, 7, "2: expected 1"},
	};

	RUN(refusals);
}

static void parse__checks_the_id(void **state)
{
	static const struct refusal refusals[] = {
	    {"{\"v\":1,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 0, "\"id\" is missing"},
	    {"{\"v\":1,\"id\":null,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 0, "\"id\" is null"},
	    {"{\"v\":1,\"id\":\"7\",\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 0,
	     "\"id\" is a string"},
	    {"{\"v\":1,\"id\":1.5,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 0, "0 or more"},
	    {"{\"v\":1,\"id\":-1,\"cmd\":\"a\"}", CONTROL_ERROR_REQUEST, 0, "-1: expected"},
	};

	RUN(refusals);
}

static void parse__checks_the_command(void **state)
{
	static const char *const bad[] = {
	    "",   ".",      "a.",       ".a",     "a..b", "A",    "show connections",
	    "a1", "a-b",    "a.b/c",    "show.X", "\\n",  "a\\n", "\\u00e9",
	    "a,", "a.b.c.", "a\\u007f",
	};
	static const char *const good[] = {"a", "_", "show.connections", "a_b.c_d.e", "z.z"};
	static const struct refusal refusals[] = {
	    {"{\"v\":1,\"id\":7}", CONTROL_ERROR_REQUEST, 7, "\"cmd\" is missing"},
	    {"{\"v\":1,\"id\":7,\"cmd\":5}", CONTROL_ERROR_REQUEST, 7, "\"cmd\" is an integer"},
	    {"{\"v\":1,\"id\":7,\"cmd\":[\"a\"]}", CONTROL_ERROR_REQUEST, 7, "\"cmd\" is an array"},
	};
	static const struct refusal pattern = {NULL, CONTROL_ERROR_REQUEST, 7, "joined by dots"};
	struct control_request req;
	char line[256];

	RUN(refusals);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "{\"v\":1,\"id\":7,\"cmd\":\"%s\"}", bad[i]);
		assert_refused(line, strlen(line), &pattern);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "{\"v\":1,\"id\":7,\"cmd\":\"%s\"}", good[i]);
		parse_good(line, &req);
		assert_string_equal(req.cmd, good[i]);
		control_request_done(&req);
	}
}

static void parse__bounds_the_command(void **state)
{
	static const struct refusal too_long = {NULL, CONTROL_ERROR_REQUEST, 7, "64 bytes"};
	char cmd[CONTROL_COMMAND_MAX + 2] = "", line[256];
	struct control_request req;

	memset(cmd, 'a', CONTROL_COMMAND_MAX);
	snprintf(line, sizeof(line), "{\"v\":1,\"id\":7,\"cmd\":\"%s\"}", cmd);
	parse_good(line, &req);
	assert_string_equal(req.cmd, cmd);
	control_request_done(&req);
	cmd[CONTROL_COMMAND_MAX] = 'a';
	snprintf(line, sizeof(line), "{\"v\":1,\"id\":7,\"cmd\":\"%s\"}", cmd);
	assert_refused(line, strlen(line), &too_long);
}

static void parse__checks_args_and_other_keys(void **state)
{
	static const struct refusal refusals[] = {
	    {REQUEST(",\"args\":[]"), CONTROL_ERROR_REQUEST, 7,
	     "\"args\" is an array: expected an object"},
	    {REQUEST(",\"args\":null"), CONTROL_ERROR_REQUEST, 7, "\"args\" is null"},
	    {REQUEST(",\"arg\":{}"), CONTROL_ERROR_REQUEST, 7, "unknown key \"arg\": expected v,"},
	    {REQUEST(",\"\":{}"), CONTROL_ERROR_REQUEST, 7, "unknown key \"\""},
	};

	RUN(refusals);
}

/* ---- replies ------------------------------------------------------------------------------- */

/* One line, one JSON value, which the caller owns. */
static json_t *load_reply(const char *line, size_t len)
{
	json_t *reply;

	assert_non_null(line);
	assert_ptr_equal(memchr(line, '\n', len), line + len - 1);
	reply = json_loadb(line, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(reply);
	return reply;
}

static void reply_ok__is_one_line(void **state)
{
	static const char want[] =
	    "{\"id\":7,\"ok\":true,\"data\":{\"b\":[1,\"x\\ny\"],\"a\":null},"
	    "\"more\":false}\n";
	json_auto_t *data = json_pack("{s:[is], s:n}", "b", 1, "x\ny", "a");
	size_t len = 0;
	_cleanup_free_ char *line = control_reply_ok(7, data, false, &len);

	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(line, want, len);
	assert_int_equal(data->refcount, 1); /* borrowed */
}

static void reply_ok__takes_any_value_and_id(void **state)
{
	json_auto_t *data = json_string("x"), *reply = NULL;
	size_t len = 0;
	static const char largest[] = "{\"id\":18446744073709551615,";
	_cleanup_free_ char *line = control_reply_ok(UINT64_MAX, data, true, &len);

	assert_true(len > sizeof(largest));
	assert_memory_equal(line, largest, sizeof(largest) - 1);
	free(line);
	line = control_reply_ok(5, data, true, &len);
	reply = load_reply(line, len);
	assert_int_equal(json_integer_value(json_object_get(reply, "id")), 5);
	assert_string_equal(json_string_value(json_object_get(reply, "data")), "x");
	assert_true(json_is_true(json_object_get(reply, "more")));
}

static void reply_error__is_one_line(void **state)
{
	static const char want[] = "{\"id\":3,\"ok\":false,\"error\":{\"code\":\"bad_json\","
				   "\"detail\":\"a \\\"b\\\"\\n\"}}\n";
	size_t len = 0;
	_cleanup_free_ char *line = control_reply_error(3, "bad_json", "a \"b\"\n", &len);

	assert_int_equal(len, sizeof(want) - 1);
	assert_memory_equal(line, want, len);
}

/* Whatever a detail quotes: control characters, and what is not UTF-8. */
static void reply_error__is_json_whatever_the_detail(void **state)
{
	char detail[256] = "";
	size_t len = 0;

	for (int c = 1; c < 256; c++) {
		_cleanup_free_ char *line = NULL;
		json_auto_t *reply = NULL;

		memset(detail, c, sizeof(detail) - 1);
		line = control_reply_error(1, "x", detail, &len);
		reply = load_reply(line, len);
		assert_true(json_string_length(
				json_object_get(json_object_get(reply, "error"), "detail")) > 0);
	}
}

/* A detail that was cut in the middle of a character. */
static void reply_error__of_a_long_unknown_key(void **state)
{
	struct control_error error;
	struct control_request req;
	json_auto_t *reply = NULL;
	_cleanup_free_ char *answer = NULL;
	struct text_writer w;
	char line[1024];
	size_t len = 0;

	text_writer_init(&w, line, sizeof(line));
	text_put_str(&w, "{\"v\":1,\"id\":7,\"cmd\":\"a\",\"");
	for (int i = 0; i < 200; i++)
		text_put_str(&w, "\xe2\x82\xac"); /* U+20AC */
	text_put_str(&w, "\":1}");
	assert_int_equal(control_request_parse(line, w.len, &req, &error), -EINVAL);
	assert_int_equal(strlen(error.detail), sizeof(error.detail) - 1);
	answer = control_reply_error(req.id, error.code, error.detail, &len);
	reply = load_reply(answer, len);
	assert_int_equal(json_integer_value(json_object_get(reply, "id")), 7);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse__takes_a_request_apart),
	    cmocka_unit_test(parse__args_may_be_missing),
	    cmocka_unit_test(parse__id_spans_what_json_integers_do),
	    cmocka_unit_test(parse__refuses_what_is_not_one_object),
	    cmocka_unit_test(parse__refuses_duplicate_keys),
	    cmocka_unit_test(parse__refuses_embedded_nul),
	    cmocka_unit_test(parse__bounds_the_nesting),
	    cmocka_unit_test(parse__bounds_the_length),
	    cmocka_unit_test(parse__checks_the_version),
	    cmocka_unit_test(parse__checks_the_id),
	    cmocka_unit_test(parse__checks_the_command),
	    cmocka_unit_test(parse__bounds_the_command),
	    cmocka_unit_test(parse__checks_args_and_other_keys),
	    cmocka_unit_test(reply_ok__is_one_line),
	    cmocka_unit_test(reply_ok__takes_any_value_and_id),
	    cmocka_unit_test(reply_error__is_one_line),
	    cmocka_unit_test(reply_error__is_json_whatever_the_detail),
	    cmocka_unit_test(reply_error__of_a_long_unknown_key),
	};

	return cmocka_run_group_tests_name("control_message", tests, NULL, NULL);
}
