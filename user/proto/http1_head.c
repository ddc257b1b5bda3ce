/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/http1_head.h"

#include <arpa/inet.h>
#include <endian.h>

#define REQUEST_LINE_EXTRA 32 /* bytes of a request line that are not its target */
#define VERSION_LEN        8  /* "HTTP/1.1" */
#define IPV6_TEXT_MAX      45 /* "[" and "]" not counted */
#define PORT_MAX           65535

/* ---- characters ---------------------------------------------------------------------------- */

enum {
	CHAR_TOKEN = 1 << 0,  /* tchar (RFC 9110 s5.6.2) */
	CHAR_TARGET = 1 << 1, /* what a request target may contain */
	CHAR_HOST = 1 << 2,   /* what the name in a Host may contain */
};

/*
 * Targets: all of visible ASCII but '#', which begins the fragment that never goes on the wire
 * (RFC 9110 s7.1). RFC 3986 would have '"', '<', '>', '\\', '^', '`', '{', '|', '}' encoded, but
 * browsers send most of them as they are.
 *
 * Hosts: the unreserved characters of RFC 3986 s2.3. Its reg-name also allows sub-delims and
 * percent-encoding; no DNS name needs them, and a comma there is how two Host fields look after
 * somebody merged them.
 */
static const uint8_t char_class[256] = {
    ['0' ... '9'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['A' ... 'Z'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['a' ... 'z'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['-'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['.'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['_'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['~'] = CHAR_TOKEN | CHAR_TARGET | CHAR_HOST,
    ['!'] = CHAR_TOKEN | CHAR_TARGET,
    ['$' ... '\''] = CHAR_TOKEN | CHAR_TARGET,
    ['*' ... '+'] = CHAR_TOKEN | CHAR_TARGET,
    ['^'] = CHAR_TOKEN | CHAR_TARGET,
    ['`'] = CHAR_TOKEN | CHAR_TARGET,
    ['|'] = CHAR_TOKEN | CHAR_TARGET,
    ['#'] = CHAR_TOKEN,
    ['"'] = CHAR_TARGET,
    ['(' ... ')'] = CHAR_TARGET,
    [','] = CHAR_TARGET,
    ['/'] = CHAR_TARGET,
    [':' ... '@'] = CHAR_TARGET,
    ['[' ... ']'] = CHAR_TARGET,
    ['{'] = CHAR_TARGET,
    ['}'] = CHAR_TARGET,
};

static const char *skip_class(const char *p, const char *end, uint8_t class)
{
	while (p < end && (char_class[(uint8_t)*p] & class))
		p++;
	return p;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_control(char c)
{
	return (uint8_t)c < 0x20 || c == 0x7f;
}

/* The top bit of each of 8 bytes that is a control character; exact up to the first of them. */
static uint64_t control_bytes(const char *p)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint64_t word, del;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	del = word ^ (ones * 0x7f);
	return (((word - ones * 0x20) & ~word) | ((del - ones) & ~del)) & (ones * 0x80);
}

/* Goes over what a field value may contain (RFC 9110 s5.5), to the first control character. */
static const char *skip_text(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t found = control_bytes(p);

		if (!found) {
			p += 8;
			continue;
		}
		p += __builtin_ctzll(found) / 8;
		if (*p != '\t')
			return p;
		p++;
	}
	while (p < end && (!is_control(*p) || *p == '\t'))
		p++;
	return p;
}

bool http1_is_token(struct slice s)
{
	const char *end = s.ptr + s.len;

	return s.len > 0 && skip_class(s.ptr, end, CHAR_TOKEN) == end;
}

static size_t start_line_max(const struct http1_limits *limits)
{
	return (size_t)limits->target_bytes + REQUEST_LINE_EXTRA;
}

/* ---- scan ---------------------------------------------------------------------------------- */

ssize_t http1_head_scan(struct http1_scan *scan, const char *buf, size_t len,
			const struct http1_limits *limits)
{
	size_t line_max = start_line_max(limits);
	const char *end = buf + MIN(len, limits->head_bytes);
	const char *p = buf + scan->pos;

	while (p < end) {
		p = skip_text(p, end);
		if (scan->n_lines == 0 && (size_t)(p - buf) > line_max)
			return -EHTTP_TARGET_LONG;
		if (p == end)
			break;
		/* RFC 9112 s2.2: a bare CR is invalid; s11.1 on what a bare LF leads to */
		if (*p != '\r')
			return -EHTTP_CONTROL_CHAR;
		if (p + 1 == end)
			break;
		if (p[1] != '\n')
			return -EHTTP_CONTROL_CHAR;
		p += 2;
		if ((size_t)(p - buf) == scan->line_start + 2)
			return scan->n_lines > 0 ? p - buf : -EHTTP_SYNTAX;
		if (scan->n_lines > MIN(limits->fields, HTTP1_FIELDS_MAX))
			return -EHTTP_FIELDS_MANY;
		scan->n_lines++;
		scan->line_start = (uint32_t)(p - buf);
	}
	if (len >= limits->head_bytes)
		return -EHTTP_HEAD_LARGE;
	scan->pos = (uint32_t)(p - buf);
	return 0;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Why a line cannot go on at @p. */
static int line_error(const char *p, const char *end)
{
	if (p == end || *p == '\t' || !is_control(*p))
		return -EHTTP_SYNTAX;
	if (*p == '\r' && (p + 1 == end || p[1] == '\n'))
		return -EHTTP_SYNTAX;
	return -EHTTP_CONTROL_CHAR;
}

static int take_line_end(const char **pos, const char *end)
{
	const char *p = *pos;

	if (end - p < 2 || p[0] != '\r' || p[1] != '\n')
		return line_error(p, end);
	*pos = p + 2;
	return 0;
}

static int take_char(const char **pos, const char *end, char c)
{
	if (*pos == end || **pos != c)
		return line_error(*pos, end);
	(*pos)++;
	return 0;
}

/* HTTP-version (RFC 9112 s2.3), which is case-sensitive. */
static int take_version(const char **pos, const char *end, uint8_t *ret_minor)
{
	const char *p = *pos;

	if (end - p < VERSION_LEN || memcmp(p, "HTTP/", 5) != 0 || !is_digit(p[5]) || p[6] != '.' ||
	    !is_digit(p[7]))
		return -EHTTP_SYNTAX;
	if (p[5] != '1' || p[7] > '1')
		return -EHTTP_VERSION;
	*ret_minor = (uint8_t)(p[7] - '0');
	*pos = p + VERSION_LEN;
	return 0;
}

/* Why there is no "name:" at @name, whose token ends at @p. */
static int name_error(const char *name, const char *p, const char *end)
{
	const char *after = p;

	while (after < end && is_space(*after))
		after++;
	if (after == p)
		return line_error(p, end);
	/* RFC 9112 s5.2, s2.2: a server MUST reject a folded line, and one after the start line */
	if (p == name)
		return -EHTTP_OBS_FOLD;
	/* RFC 9112 s5.1: a server MUST reject white space between name and colon */
	return after < end && *after == ':' ? -EHTTP_FIELD_SPACE : -EHTTP_SYNTAX;
}

static int take_field(const char **pos, const char *end, struct http1_field *ret_field)
{
	const char *name = *pos, *name_end = skip_class(name, end, CHAR_TOKEN);
	const char *value, *value_end;
	int error;

	if (name_end == name || name_end == end || *name_end != ':')
		return name_error(name, name_end, end);
	value = name_end + 1;
	*pos = value_end = skip_text(value, end);
	error = take_line_end(pos, end);
	if (error < 0)
		return error;
	while (value < value_end && is_space(*value))
		value++;
	while (value < value_end && is_space(value_end[-1]))
		value_end--;
	ret_field->name = (struct slice){name, (size_t)(name_end - name)};
	ret_field->value = (struct slice){value, (size_t)(value_end - value)};
	return 0;
}

/* Fields and the empty line, which must be the end of the head. */
static int take_fields(const char *p, const char *end, const struct http1_limits *limits,
		       struct http1_head *head)
{
	size_t max = MIN(limits->fields, HTTP1_FIELDS_MAX);
	int error;

	while (p < end && *p != '\r') {
		if (head->n_fields == max)
			return -EHTTP_FIELDS_MANY;
		error = take_field(&p, end, &head->fields[head->n_fields]);
		if (error < 0)
			return error;
		head->n_fields++;
	}
	error = take_line_end(&p, end);
	if (error < 0)
		return error;
	return p == end ? 0 : -EHTTP_SYNTAX;
}

/* ---- what the fields must say -------------------------------------------------------------- */

/* Digits alone: no sign, no list, no space (RFC 9110 s8.6). */
static int parse_content_length(struct slice value, uint64_t *ret_length)
{
	uint64_t length = 0;

	if (value.len == 0)
		return -EHTTP_FRAMING;
	for (size_t i = 0; i < value.len; i++) {
		if (!is_digit(value.ptr[i]) || __builtin_mul_overflow(length, 10, &length) ||
		    __builtin_add_overflow(length, (uint64_t)(value.ptr[i] - '0'), &length))
			return -EHTTP_FRAMING;
	}
	*ret_length = length;
	return 0;
}

static int check_framing(struct http1_head *head)
{
	const struct http1_field *length = http1_find(head, SLICE_LITERAL("Content-Length"));
	const struct http1_field *coding = http1_find(head, SLICE_LITERAL("Transfer-Encoding"));

	if (length) {
		/* RFC 9112 s6.3 items 3 and 5: both together, or several lengths, are an attack */
		if (coding || http1_find_next(head, length))
			return -EHTTP_FRAMING;
		head->has_content_length = true;
		return parse_content_length(length->value, &head->content_length);
	}
	if (coding) {
		/* RFC 9112 s6.1: faulty in HTTP/1.0; chunked MUST NOT be applied twice */
		if (head->minor_version == 0 || http1_find_next(head, coding) ||
		    !slice_equal_nocase(coding->value, SLICE_LITERAL("chunked")))
			return -EHTTP_FRAMING;
		head->is_chunked = true;
	}
	return 0;
}

static bool is_ipv6(const char *p, size_t len)
{
	char text[IPV6_TEXT_MAX + 1];
	struct in6_addr address;

	if (len > IPV6_TEXT_MAX)
		return false;
	memcpy(text, p, len);
	text[len] = '\0';
	return inet_pton(AF_INET6, text, &address) == 1;
}

/* *DIGIT (RFC 3986 s3.2.3) */
static bool is_port(const char *p, const char *end)
{
	uint32_t port = 0;

	for (; p < end; p++) {
		if (!is_digit(*p))
			return false;
		port = port * 10 + (uint32_t)(*p - '0');
		if (port > PORT_MAX)
			return false;
	}
	return true;
}

/* uri-host [ ":" port ] (RFC 9110 s7.2), which leaves out userinfo */
static bool is_host(struct slice s)
{
	const char *end = s.ptr + s.len, *p;

	if (s.len > 0 && s.ptr[0] == '[') {
		const char *bracket = memchr(s.ptr, ']', s.len);

		if (!bracket || !is_ipv6(s.ptr + 1, (size_t)(bracket - s.ptr - 1)))
			return false;
		p = bracket + 1;
	} else {
		p = skip_class(s.ptr, end, CHAR_HOST);
		/* RFC 9110 s4.2.1: an empty host MUST be rejected */
		if (p == s.ptr)
			return false;
	}
	return p == end || (*p == ':' && is_port(p + 1, end));
}

/* RFC 9112 s3.2: 400 to a request without Host (HTTP/1.1), with two, or with an invalid one */
static int check_host(struct http1_head *head)
{
	const struct http1_field *host = http1_find(head, SLICE_LITERAL("Host"));

	if (!host)
		return head->minor_version == 0 ? 0 : -EHTTP_HOST;
	if (http1_find_next(head, host) || !is_host(host->value))
		return -EHTTP_HOST;
	/* RFC 9112 s3.2.2: with an absolute target, the received Host MUST be ignored */
	if (head->host.len == 0)
		head->host = host->value;
	return 0;
}

/* ---- request target ------------------------------------------------------------------------ */

/* The authority behind "scheme://", or NULL. */
static const char *skip_scheme(struct slice target)
{
	static const struct slice schemes[] = {
	    {"ws", 2},
	    {"wss", 3},
	    {"http", 4},
	    {"https", 5},
	};
	const char *colon = memchr(target.ptr, ':', target.len);
	struct slice scheme;

	if (!colon)
		return NULL;
	scheme = (struct slice){target.ptr, (size_t)(colon - target.ptr)};
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (slice_equal_nocase(scheme, schemes[i]))
			return target.len - scheme.len >= 3 && memcmp(colon, "://", 3) == 0
				   ? colon + 3
				   : NULL;
	}
	return NULL;
}

/* absolute-form (RFC 9112 s3.2.2): the host of @head, and where the path begins. */
static int split_absolute(struct http1_head *head, const char **ret_path)
{
	const char *authority = skip_scheme(head->target),
		   *end = head->target.ptr + head->target.len;
	const char *p;

	/* RFC 9112 s3.2.3, s3.2.4: authority-form and asterisk-form are not for GET */
	if (!authority)
		return -EHTTP_TARGET;
	for (p = authority; p < end && *p != '/' && *p != '?';)
		p++;
	head->host = (struct slice){authority, (size_t)(p - authority)};
	if (!is_host(head->host))
		return -EHTTP_TARGET;
	*ret_path = p;
	return 0;
}

static int split_target(struct http1_head *head)
{
	const char *path = head->target.ptr, *end = head->target.ptr + head->target.len;
	const char *path_end, *query;

	if (*path != '/') {
		int error = split_absolute(head, &path);

		if (error < 0)
			return error;
	}
	query = memchr(path, '?', (size_t)(end - path));
	path_end = query ? query : end;
	head->path = (struct slice){path, (size_t)(path_end - path)};
	head->query =
	    query ? (struct slice){query + 1, (size_t)(end - query - 1)} : (struct slice){end, 0};
	/* RFC 9110 s4.2.3: an empty path is "/"; the second one of "://" serves */
	if (head->path.len == 0)
		head->path = (struct slice){head->host.ptr - 1, 1};
	return 0;
}

/* ---- heads --------------------------------------------------------------------------------- */

/* method SP request-target SP HTTP-version CRLF (RFC 9112 s3) */
static int take_request_line(const char **pos, const char *end, const struct http1_limits *limits,
			     struct http1_head *head)
{
	const char *method = *pos, *target;
	int error;

	*pos = skip_class(method, end, CHAR_TOKEN);
	head->method = (struct slice){method, (size_t)(*pos - method)};
	if (head->method.len == 0)
		return line_error(*pos, end);
	if ((error = take_char(pos, end, ' ')) < 0)
		return error;
	target = *pos;
	*pos = skip_class(target, end, CHAR_TARGET);
	head->target = (struct slice){target, (size_t)(*pos - target)};
	if (*pos < end && (**pos == '#' || (uint8_t)**pos >= 0x80))
		return -EHTTP_TARGET;
	if (head->target.len == 0)
		return line_error(*pos, end);
	if (head->target.len > limits->target_bytes)
		return -EHTTP_TARGET_LONG;
	if ((error = take_char(pos, end, ' ')) < 0 ||
	    (error = take_version(pos, end, &head->minor_version)) < 0 ||
	    (error = take_line_end(pos, end)) < 0)
		return error;
	return split_target(head);
}

/* HTTP-version SP status-code SP [ reason-phrase ] CRLF (RFC 9112 s4) */
static int take_status_line(const char **pos, const char *end, struct http1_head *head)
{
	const char *p;
	int error;

	if ((error = take_version(pos, end, &head->minor_version)) < 0 ||
	    (error = take_char(pos, end, ' ')) < 0)
		return error;
	p = *pos;
	if (end - p < 3 || !is_digit(p[0]) || !is_digit(p[1]) || !is_digit(p[2]))
		return line_error(p, end);
	head->status = (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0'));
	/* RFC 9110 s15: other values are invalid */
	if (head->status < 100 || head->status > 599)
		return -EHTTP_SYNTAX;
	*pos = p + 3;
	if ((error = take_char(pos, end, ' ')) < 0)
		return error;
	p = *pos;
	*pos = skip_text(p, end);
	head->reason = (struct slice){p, (size_t)(*pos - p)};
	return take_line_end(pos, end);
}

/* What follows the start line from @buf to @p is the same in requests and responses. */
static int take_rest(const char *buf, const char *p, const char *end,
		     const struct http1_limits *limits, struct http1_head *head)
{
	if ((size_t)(p - buf) > start_line_max(limits) + 2)
		return -EHTTP_TARGET_LONG;
	return take_fields(p, end, limits, head);
}

/* Not the array of fields: clearing that would cost more than all the rest. */
static void begin(struct http1_head *head, const char *buf)
{
	struct slice none = {buf, 0};

	head->method = head->target = head->path = head->query = head->host = head->reason = none;
	head->status = 0;
	head->minor_version = 0;
	head->has_content_length = head->is_chunked = false;
	head->content_length = 0;
	head->n_fields = 0;
}

int http1_request_parse(const char *buf, size_t len, const struct http1_limits *limits,
			struct http1_head *ret_head)
{
	const char *p = buf, *end = buf + len;
	int error;

	begin(ret_head, buf);
	if (len > limits->head_bytes)
		return -EHTTP_HEAD_LARGE;
	if ((error = take_request_line(&p, end, limits, ret_head)) < 0 ||
	    (error = take_rest(buf, p, end, limits, ret_head)) < 0 ||
	    (error = check_host(ret_head)) < 0)
		return error;
	return check_framing(ret_head);
}

int http1_response_parse(const char *buf, size_t len, const struct http1_limits *limits,
			 struct http1_head *ret_head)
{
	const char *p = buf, *end = buf + len;
	int error;

	begin(ret_head, buf);
	if (len > limits->head_bytes)
		return -EHTTP_HEAD_LARGE;
	if ((error = take_status_line(&p, end, ret_head)) < 0 ||
	    (error = take_rest(buf, p, end, limits, ret_head)) < 0)
		return error;
	return check_framing(ret_head);
}
