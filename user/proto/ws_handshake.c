/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_handshake.h"

#include "base/random.h"
#include "proto/ws_frame.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#define KEY_BYTES     16
#define ACCEPT_SUFFIX "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* s1.3 */

/* ---- key and accept ------------------------------------------------------------------------ */

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

/*
 * 22 characters and "==" decode to 16 bytes and 4 bits. Bits other than zero there are left to the
 * decoder by RFC 4648 s3.5. They do no harm, for nobody decodes a key: it is hashed as it is.
 */
static bool is_key(struct slice s)
{
	if (s.len != WS_KEY_LEN || s.ptr[22] != '=' || s.ptr[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++) {
		if (!is_base64(s.ptr[i]))
			return false;
	}
	return true;
}

void ws_handshake_accept(const char key[WS_KEY_LEN], char ret_accept[WS_ACCEPT_LEN + 1])
{
	char text[WS_KEY_LEN + sizeof(ACCEPT_SUFFIX) - 1];
	/* Zero without memory for OpenSSL's context: the peer refuses that, and learns nothing. */
	uint8_t digest[SHA_DIGEST_LENGTH] = {0};

	memcpy(text, key, WS_KEY_LEN);
	memcpy(text + WS_KEY_LEN, ACCEPT_SUFFIX, sizeof(ACCEPT_SUFFIX) - 1);
	SHA1((uint8_t *)text, sizeof(text), digest);
	EVP_EncodeBlock((uint8_t *)ret_accept, digest, sizeof(digest));
}

void ws_handshake_new_key(char ret_key[WS_KEY_LEN + 1])
{
	uint8_t nonce[KEY_BYTES];

	random_secure(nonce, sizeof(nonce));
	EVP_EncodeBlock((uint8_t *)ret_key, nonce, sizeof(nonce));
}

/* ---- extensions: the grammar of s9.1 ------------------------------------------------------- */

static void skip_spaces(struct slice *s)
{
	while (s->len > 0 && (*s->ptr == ' ' || *s->ptr == '\t')) {
		s->ptr++;
		s->len--;
	}
}

static bool skip_char(struct slice *s, char c)
{
	skip_spaces(s);
	if (s->len == 0 || *s->ptr != c)
		return false;
	s->ptr++;
	s->len--;
	return true;
}

static bool is_delimiter(char c)
{
	return c == '=' || c == ';' || c == ' ' || c == '\t';
}

static bool take_token(struct slice *s, struct slice *ret_token)
{
	size_t len = 0;

	skip_spaces(s);
	while (len < s->len && !is_delimiter(s->ptr[len]))
		len++;
	*ret_token = (struct slice){s->ptr, len};
	s->ptr += len;
	s->len -= len;
	return http1_is_token(*ret_token);
}

/* The rest of a quoted string that, without its escapes, MUST be a token (s9.1). */
static bool skip_quoted_token(struct slice *s)
{
	bool is_empty = true;

	while (s->len > 0 && *s->ptr != '"') {
		size_t escape = *s->ptr == '\\' ? 1 : 0;

		if (s->len <= escape || !http1_is_token((struct slice){s->ptr + escape, 1}))
			return false;
		s->ptr += escape + 1;
		s->len -= escape + 1;
		is_empty = false;
	}
	return !is_empty && skip_char(s, '"');
}

/* extension-token *( ";" token [ "=" ( token | quoted-string ) ] ) */
static bool parse_extension(struct slice s, struct slice *ret_name)
{
	struct slice token;

	if (!take_token(&s, ret_name))
		return false;
	while (skip_char(&s, ';')) {
		if (!take_token(&s, &token))
			return false;
		if (skip_char(&s, '=') &&
		    !(skip_char(&s, '"') ? skip_quoted_token(&s) : take_token(&s, &token)))
			return false;
	}
	skip_spaces(&s);
	return s.len == 0;
}

/* ---- both sides ---------------------------------------------------------------------------- */

/*
 * Whether Connection includes the token "Upgrade". A proxy looks for each of its options among all
 * fields, so their number is bounded: 16 kB of them would cost milliseconds.
 */
static bool connection_upgrades(const struct http1_head *head)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Connection"));
	bool has_upgrade = false;
	size_t n = 0;

	for (; field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, option;

		while (http1_list_next(&rest, &option)) {
			if (++n > WS_CONNECTION_MAX)
				return false;
			if (slice_equal_nocase(option, SLICE_LITERAL("Upgrade")))
				has_upgrade = true;
		}
	}
	return has_upgrade;
}

/* The value of a field that stands there once, or an empty slice. */
static struct slice only_value(const struct http1_head *head, struct slice name)
{
	const struct http1_field *field = http1_find(head, name);

	if (!field || http1_find_next(head, field))
		return (struct slice){"", 0};
	return field->value;
}

/* ---- what a client asks for ---------------------------------------------------------------- */

/* s4.1 item 10: tokens, all unique. s11.3.4: the field MAY appear several times in a request. */
static int take_protocols(const struct http1_head *head, struct ws_upgrade *u)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Sec-WebSocket-Protocol"));
	bool is_present = field;

	for (; field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, protocol;

		while (http1_list_next(&rest, &protocol)) {
			if (u->n_protocols == WS_PROTOCOLS_MAX || !http1_is_token(protocol))
				return -EWS_PROTOCOL;
			for (size_t i = 0; i < u->n_protocols; i++) {
				if (slice_equal(u->protocols[i], protocol))
					return -EWS_PROTOCOL;
			}
			u->protocols[u->n_protocols++] = protocol;
		}
	}
	return is_present && u->n_protocols == 0 ? -EWS_PROTOCOL : 0;
}

/* s9.1: what does not follow the grammar MUST fail. s11.3.2: MAY appear several times. */
static int take_extensions(const struct http1_head *head, struct ws_upgrade *u)
{
	const struct http1_field *field =
	    http1_find(head, SLICE_LITERAL("Sec-WebSocket-Extensions"));
	bool is_present = field;

	for (; field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, extension;

		while (http1_list_next(&rest, &extension)) {
			if (u->n_extensions == WS_EXTENSIONS_MAX ||
			    !parse_extension(extension, &u->extensions[u->n_extensions]))
				return -EWS_EXTENSION;
			u->n_extensions++;
		}
	}
	return is_present && u->n_extensions == 0 ? -EWS_EXTENSION : 0;
}

int ws_handshake_check_request(const struct http1_head *head, struct ws_upgrade *ret_upgrade)
{
	struct ws_upgrade u;
	int error;

	/* RFC 6455 s4.2.1 item 1: a GET of HTTP/1.1 or higher */
	if (!slice_equal(head->method, SLICE_LITERAL("GET")))
		return -EHTTP_METHOD;
	if (head->minor_version < 1)
		return -EHTTP_VERSION;
	/* item 3: Upgrade contains "websocket" */
	if (!http1_list_has(head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket")))
		return -EWS_UPGRADE;
	/* A body would be taken for frames, or frames for a body; some clients do say "0". */
	if (head->is_chunked || head->content_length > 0)
		return -EHTTP_BODY;
	/* item 4: Connection includes the token "Upgrade" */
	if (!connection_upgrades(head))
		return -EWS_CONNECTION;
	/* item 6, s11.3.5 (once); ahead of the key, which another version may not have */
	if (!slice_equal(only_value(head, SLICE_LITERAL("Sec-WebSocket-Version")),
			 SLICE_LITERAL("13")))
		return -EWS_VERSION;
	/* item 5, s11.3.1 (once) */
	u.key = only_value(head, SLICE_LITERAL("Sec-WebSocket-Key"));
	if (!is_key(u.key))
		return -EWS_KEY;
	u.n_protocols = u.n_extensions = 0;
	if ((error = take_protocols(head, &u)) < 0 || (error = take_extensions(head, &u)) < 0)
		return error;
	*ret_upgrade = u;
	return 0;
}

/* ---- what an endpoint answers -------------------------------------------------------------- */

static bool is_among(struct slice s, const struct slice *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_equal(list[i], s))
			return true;
	}
	return false;
}

static int take_answered_extensions(const struct http1_head *head, const struct ws_upgrade *offered,
				    uint8_t *ret_allowed_rsv)
{
	const struct http1_field *field =
	    http1_find(head, SLICE_LITERAL("Sec-WebSocket-Extensions"));
	struct slice rest, extension, name;
	uint8_t allowed = 0;

	if (field) {
		rest = field->value;
		/* s11.3.2: MUST NOT appear more than once in a response */
		if (http1_find_next(head, field) || rest.len == 0)
			return -EUP_EXTENSION;
		while (http1_list_next(&rest, &extension)) {
			/* s4.1 step 5: the client MUST fail if it was not asked for */
			if (!parse_extension(extension, &name) ||
			    !is_among(name, offered->extensions, offered->n_extensions))
				return -EUP_EXTENSION;
			allowed |= slice_equal(name, SLICE_LITERAL("permessage-deflate"))
				       ? WS_RSV1
				       : WS_RSV_MASK;
		}
	}
	*ret_allowed_rsv = allowed;
	return 0;
}

static int take_answered_protocol(const struct http1_head *head, const struct ws_upgrade *offered,
				  struct slice *ret_protocol)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Sec-WebSocket-Protocol"));

	if (!field) {
		*ret_protocol = (struct slice){"", 0};
		return 0;
	}
	/* s11.3.4: MUST NOT appear more than once in a response; s4.1 step 6: one of those offered
	 */
	if (http1_find_next(head, field) ||
	    !is_among(field->value, offered->protocols, offered->n_protocols))
		return -EUP_PROTOCOL;
	*ret_protocol = field->value;
	return 0;
}

int ws_handshake_check_response(const struct http1_head *head, const char key[WS_KEY_LEN],
				const struct ws_upgrade *upgrade, struct ws_upgraded *ret_upgraded)
{
	char accept[WS_ACCEPT_LEN + 1];
	struct ws_upgraded result;
	int error;

	/* RFC 6455 s4.1 step 1 */
	if (head->status != 101)
		return -EUP_STATUS;
	/* RFC 9110 s7.8: HTTP/1.0 knows no upgrade; RFC 6455 s4.1 step 2: to websocket alone */
	if (head->minor_version < 1 ||
	    !slice_equal_nocase(only_value(head, SLICE_LITERAL("Upgrade")),
				SLICE_LITERAL("websocket")))
		return -EUP_UPGRADE;
	/* step 3 */
	if (!connection_upgrades(head))
		return -EUP_UPGRADE;
	/* step 4, s11.3.3 (once) */
	ws_handshake_accept(key, accept);
	if (!slice_equal(only_value(head, SLICE_LITERAL("Sec-WebSocket-Accept")),
			 (struct slice){accept, WS_ACCEPT_LEN}))
		return -EUP_ACCEPT;
	if ((error = take_answered_extensions(head, upgrade, &result.allowed_rsv)) < 0 ||
	    (error = take_answered_protocol(head, upgrade, &result.protocol)) < 0)
		return error;
	*ret_upgraded = result;
	return 0;
}
