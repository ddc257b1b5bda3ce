/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control protocol (contracts.md s6): one JSON object a line over the control socket. Text to
 * struct and back; what the commands do is the daemon's business. JSON is jansson's.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>

#define CONTROL_VERSION     1
#define CONTROL_LINE_MAX    (1u << 20) /* bytes of one line, without its newline */
#define CONTROL_COMMAND_MAX 64

/* Errors of the envelope; commands add codes of their own. */
#define CONTROL_ERROR_JSON     "bad_json"    /* not one JSON object */
#define CONTROL_ERROR_REQUEST  "bad_request" /* v, id, cmd or args missing, unknown or mistyped */
#define CONTROL_ERROR_VERSION  "bad_version"
#define CONTROL_ERROR_COMMAND  "unknown_command"
#define CONTROL_ERROR_ARGUMENT "bad_argument"
#define CONTROL_ERROR_TOO_LONG "line_too_long"
#define CONTROL_ERROR_BUSY     "busy"

struct control_request {
	uint64_t id;
	char cmd[CONTROL_COMMAND_MAX + 1]; /* "show.connections" */
	json_t *args;                      /* an object, owned; never NULL after success */
};

struct control_error {
	char code[32];
	char detail[256];
};

void control_request_done(struct control_request *req);

/**
 * control_request_parse() - one line, without its newline
 * @ret_request: on success owned by the caller; on failure only ret_request->id is meaningful (0
 *               if it could not be read), so that the answer can carry it
 * @ret_error: what to tell the sender; written on failure
 *
 * Exactly one object {"v", "id", "cmd", "args"} of which only args may be missing: id an integer of
 * 0 or more, cmd words of [a-z_] joined by dots. Refused: duplicate keys, NUL in a string, what is
 * not UTF-8, other keys, nesting beyond jansson's JSON_PARSER_MAX_DEPTH (2048).
 *
 * Return: 0 or -EINVAL.
 */
int control_request_parse(const char *line, size_t len, struct control_request *ret_request,
			  struct control_error *ret_error);

/**
 * control_reply_ok() / control_reply_error() - one reply line with its newline
 * @data: borrowed; any JSON value
 * @detail: any bytes; what is not UTF-8 becomes U+FFFD
 *
 * Return: owned string (free()), or NULL without memory.
 */
char *control_reply_ok(uint64_t id, json_t *data, bool more, size_t *ret_len);
char *control_reply_error(uint64_t id, const char *code, const char *detail, size_t *ret_len);
