/* SPDX-License-Identifier: Apache-2.0 */
/* The half of http1_head.h that looks things up in a head which is parsed already. */
#include "proto/http1_head.h"

static const struct http1_field *find_from(const struct http1_head *head, size_t i,
					   struct slice name)
{
	for (; i < head->n_fields; i++) {
		/* Most peers spell as the RFCs do: the same bytes are the quick answer. */
		if (slice_equal(head->fields[i].name, name) ||
		    slice_equal_nocase(head->fields[i].name, name))
			return &head->fields[i];
	}
	return NULL;
}

const struct http1_field *http1_find(const struct http1_head *head, struct slice name)
{
	return find_from(head, 0, name);
}

const struct http1_field *http1_find_next(const struct http1_head *head,
					  const struct http1_field *after)
{
	return find_from(head, (size_t)(after - head->fields) + 1, after->name);
}

/* ---- lists --------------------------------------------------------------------------------- */

/* The character behind a quoted string (RFC 9110 s5.6.4); one that is not closed ends with all. */
static const char *skip_quoted(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
	}
	return p < end ? p + 1 : end;
}

static const char *skip_element(const char *p, const char *end)
{
	while (p < end && *p != ',')
		p = *p == '"' ? skip_quoted(p, end) : p + 1;
	return p;
}

bool http1_list_next(struct slice *rest, struct slice *ret_element)
{
	const char *p = rest->ptr, *end = rest->ptr + rest->len, *last;

	/* RFC 9110 s5.6.1.2: empty elements MUST be parsed and ignored */
	while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
		p++;
	if (p == end) {
		*rest = (struct slice){end, 0};
		return false;
	}
	last = skip_element(p, end);
	*rest = (struct slice){last, (size_t)(end - last)};
	while (last[-1] == ' ' || last[-1] == '\t')
		last--;
	*ret_element = (struct slice){p, (size_t)(last - p)};
	return true;
}

bool http1_list_has(const struct http1_head *head, struct slice name, struct slice token)
{
	const struct http1_field *field;

	for (field = http1_find(head, name); field; field = http1_find_next(head, field)) {
		struct slice rest = field->value, element;

		while (http1_list_next(&rest, &element)) {
			if (slice_equal_nocase(element, token))
				return true;
		}
	}
	return false;
}

/* ---- what names and numbers mean ----------------------------------------------------------- */

bool http1_is_hop_by_hop(struct slice name)
{
	static const struct slice names[] = {
	    SLICE_LITERAL("Connection"),       SLICE_LITERAL("Keep-Alive"),
	    SLICE_LITERAL("Proxy-Connection"), SLICE_LITERAL("TE"),
	    SLICE_LITERAL("Trailer"),          SLICE_LITERAL("Transfer-Encoding"),
	    SLICE_LITERAL("Upgrade"),
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (slice_equal_nocase(name, names[i]))
			return true;
	}
	return false;
}

const char *http1_status_text(unsigned int status)
{
	static const struct {
		uint16_t status;
		const char *text;
	} texts[] = {
	    {100, "Continue"},
	    {101, "Switching Protocols"},
	    {103, "Early Hints"},
	    {200, "OK"},
	    {201, "Created"},
	    {202, "Accepted"},
	    {203, "Non-Authoritative Information"},
	    {204, "No Content"},
	    {205, "Reset Content"},
	    {206, "Partial Content"},
	    {300, "Multiple Choices"},
	    {301, "Moved Permanently"},
	    {302, "Found"},
	    {303, "See Other"},
	    {304, "Not Modified"},
	    {307, "Temporary Redirect"},
	    {308, "Permanent Redirect"},
	    {400, "Bad Request"},
	    {401, "Unauthorized"},
	    {402, "Payment Required"},
	    {403, "Forbidden"},
	    {404, "Not Found"},
	    {405, "Method Not Allowed"},
	    {406, "Not Acceptable"},
	    {407, "Proxy Authentication Required"},
	    {408, "Request Timeout"},
	    {409, "Conflict"},
	    {410, "Gone"},
	    {411, "Length Required"},
	    {412, "Precondition Failed"},
	    {413, "Content Too Large"},
	    {414, "URI Too Long"},
	    {415, "Unsupported Media Type"},
	    {416, "Range Not Satisfiable"},
	    {417, "Expectation Failed"},
	    {421, "Misdirected Request"},
	    {422, "Unprocessable Content"},
	    {423, "Locked"},
	    {424, "Failed Dependency"},
	    {425, "Too Early"},
	    {426, "Upgrade Required"},
	    {428, "Precondition Required"},
	    {429, "Too Many Requests"},
	    {431, "Request Header Fields Too Large"},
	    {451, "Unavailable For Legal Reasons"},
	    {500, "Internal Server Error"},
	    {501, "Not Implemented"},
	    {502, "Bad Gateway"},
	    {503, "Service Unavailable"},
	    {504, "Gateway Timeout"},
	    {505, "HTTP Version Not Supported"},
	    {507, "Insufficient Storage"},
	    {511, "Network Authentication Required"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "";
}
