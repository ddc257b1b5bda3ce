/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a receiver says, as one line of text that does not depend on how the bytes were cut:
 *
 *	text(Hello) ping(abc) binary(00ff) close[1000](bye) error(bad_utf8)
 *
 * A message stands where it ended; one that never ended does not appear. Long payloads are given
 * by length and FNV-1a hash. On the way, what the events promise one by one is checked by abort().
 */
#pragma once
#include "proto/ws_message.h"

#include <stdio.h>

#define WS_TRACE_MAX 4096

struct ws_trace {
	struct ws_receiver receiver;
	char text[WS_TRACE_MAX]; /* cut off when full */
	size_t len;
	uint8_t *message; /* the open one */
	size_t message_len;
	uint8_t message_opcode, message_rsv;
	uint16_t close_code;
	bool in_message;
};

#define ws_trace_require(condition)                                                     \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

static inline void ws_trace_reset(struct ws_trace *t)
{
	free(t->message);
	t->message = NULL;
	t->message_len = t->len = 0;
	t->close_code = 0;
	t->in_message = false;
	t->text[0] = 0;
}

static inline void ws_trace_add(struct ws_trace *t, const char *text)
{
	int n = snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s", text);

	t->len = MIN(t->len + (size_t)n, sizeof(t->text) - 1);
}

static inline void ws_trace_add_payload(struct ws_trace *t, const uint8_t *data, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;
	bool is_plain = true;
	char piece[64];

	for (size_t i = 0; i < len; i++) {
		hash = (hash ^ data[i]) * 0x100000001b3;
		is_plain &= data[i] >= ' ' && data[i] <= '~';
	}
	if (len > 64) {
		snprintf(piece, sizeof(piece), "%zu bytes, %016llx", len, (unsigned long long)hash);
		ws_trace_add(t, piece);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		snprintf(piece, sizeof(piece), is_plain ? "%c" : "%02x", data[i]);
		ws_trace_add(t, piece);
	}
}

static inline void ws_trace_add_event(struct ws_trace *t, const char *name, const uint8_t *data,
				      size_t len)
{
	if (t->len)
		ws_trace_add(t, " ");
	ws_trace_add(t, name);
	ws_trace_add(t, "(");
	ws_trace_add_payload(t, data, len);
	ws_trace_add(t, ")");
}

/* Decodes code points, which is not how proto/utf8.c does it. */
static inline bool ws_trace_is_utf8(const uint8_t *text, size_t len)
{
	static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};

	for (size_t i = 0; i < len;) {
		uint32_t b = text[i++], point;
		size_t more = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;

		if ((b >= 0x80 && b < 0xc0) || b >= 0xf8 || more > len - i)
			return false;
		point = more ? b & (0x3fu >> more) : b;
		for (size_t n = 0; n < more; n++, i++) {
			if ((text[i] & 0xc0) != 0x80)
				return false;
			point = point << 6 | (text[i] & 0x3f);
		}
		if (point < lowest[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
			return false;
	}
	return true;
}

static inline void ws_trace_data(struct ws_trace *t, const struct ws_event *event)
{
	static const char *const names[] = {[WS_OP_TEXT] = "text", [WS_OP_BINARY] = "binary"};

	ws_trace_require(event->is_first == !t->in_message);
	ws_trace_require(event->opcode == WS_OP_TEXT || event->opcode == WS_OP_BINARY);
	if (event->is_first) {
		t->message_opcode = event->opcode;
		t->message_rsv = event->rsv;
		t->in_message = true;
	}
	ws_trace_require(event->opcode == t->message_opcode && event->rsv == t->message_rsv);
	ws_trace_require(event->len > 0 || event->is_last);
	t->message = realloc(t->message, t->message_len + event->len + 1);
	ws_trace_require(t->message);
	memcpy(t->message + t->message_len, event->data, event->len);
	t->message_len += event->len;
	if (event->is_last) {
		ws_trace_require(event->opcode == WS_OP_BINARY || event->rsv ||
				 ws_trace_is_utf8(t->message, t->message_len));
		ws_trace_add_event(t, names[event->opcode], t->message, t->message_len);
		t->in_message = false;
		t->message_len = 0;
	}
}

static inline void ws_trace_close(struct ws_trace *t, const struct ws_event *event)
{
	char name[32];

	ws_trace_require(event->close_code / 1000 == 3 || event->close_code / 1000 == 4 ||
			 (event->close_code >= 1000 && event->close_code <= 1014 &&
			  (event->close_code < 1004 || event->close_code > 1006)) ||
			 (event->close_code == 0 && event->len == 0));
	ws_trace_require(event->len <= WS_CONTROL_MAX - 2);
	ws_trace_require(ws_trace_is_utf8(event->data, event->len));
	t->close_code = event->close_code;
	snprintf(name, sizeof(name), "close[%u]", event->close_code);
	ws_trace_add_event(t, name, event->data, event->len);
}

static inline void ws_trace_event(struct ws_trace *t, const struct ws_event *event)
{
	switch (event->kind) {
	case WS_EVENT_NONE:
		break;
	case WS_EVENT_DATA:
		ws_trace_data(t, event);
		break;
	case WS_EVENT_PING:
		ws_trace_add_event(t, "ping", event->data, event->len);
		break;
	case WS_EVENT_PONG:
		ws_trace_add_event(t, "pong", event->data, event->len);
		break;
	case WS_EVENT_CLOSE:
		ws_trace_close(t, event);
		break;
	}
}

/* The error's symbol is known to proto_error_info() only by its number; tests want to read it. */
static inline const char *ws_trace_error_name(int error)
{
	switch (-error) {
#define X(symbol, name, status, close_code, text) \
	case symbol:                              \
		return name;
		PROTO_ERRORS(X)
#undef X
	default:
		return "?";
	}
}

static inline void ws_trace_error(struct ws_trace *t, int error)
{
	const char *name = ws_trace_error_name(error);
	struct ws_event event;
	uint8_t more[] = {0x82, 0x00};

	ws_trace_add_event(t, "error", (const uint8_t *)name, strlen(name));
	/* A dead receiver stays dead, whatever comes. */
	ws_trace_require(ws_receiver_next(&t->receiver, more, sizeof(more), &event) == error);
	ws_trace_require(ws_receiver_next(&t->receiver, more, 0, &event) == error);
}

/**
 * ws_trace_feed() - all events of @len bytes, unmasked in place
 *
 * Return: bytes consumed, or the error, which then is the last word of the trace
 */
static inline ssize_t ws_trace_feed(struct ws_trace *t, uint8_t *data, size_t len)
{
	size_t done = 0;
	ssize_t n;

	for (;;) {
		struct ws_event event;

		memset(&event, 0xa5, sizeof(event));
		n = ws_receiver_next(&t->receiver, data + done, len - done, &event);
		if (n < 0) {
			ws_trace_error(t, (int)n);
			return n;
		}
		ws_trace_require((size_t)n <= len - done);
		if (event.kind == WS_EVENT_DATA) {
			ws_trace_require(event.data >= data + done);
			ws_trace_require(event.data + event.len == data + done + n);
		}
		ws_trace_require(n > 0 || event.kind == WS_EVENT_NONE);
		ws_trace_require(event.data || event.kind == WS_EVENT_NONE);
		if (n == 0)
			return (ssize_t)done;
		ws_trace_event(t, &event);
		done += (size_t)n;
	}
}
