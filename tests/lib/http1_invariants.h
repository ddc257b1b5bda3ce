/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold for any bytes whatever, for fuzz targets: scanning does not depend on how the
 * bytes arrive, and a head that was accepted is tiled by its slices without a byte to spare.
 */
#pragma once
#include "lib/split_feeder.h"
#include "proto/http1_head.h"

#define HTTP1_WAYS_MAX 512 /* bytes; longer inputs are cut at one place only */

static const struct http1_limits http1_wide = {
    .head_bytes = 65536,
    .target_bytes = 65536,
    .fields = HTTP1_FIELDS_MAX,
};

/* FNV-1a: something that depends on the input and leaves its bytes to the parser. */
static inline uint64_t http1_hash(const uint8_t *data, size_t len)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ data[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static inline struct http1_limits http1_limits_from(uint64_t hash)
{
	if (hash % 4 != 0)
		return http1_wide;
	return (struct http1_limits){
	    .head_bytes = 1 + hash / 4 % 512,
	    .target_bytes = 1 + hash / 2048 % 128,
	    .fields = 1 + hash / 262144 % 16,
	};
}

/* Scans @len bytes that arrive as a piece of @cut bytes and the rest. */
static inline ssize_t http1_scan_cut(const char *data, size_t len, size_t cut,
				     const struct http1_limits *limits)
{
	_cleanup_free_ char *first = malloc(cut ? cut : 1), *all = malloc(len ? len : 1);
	struct http1_scan scan = {0};
	ssize_t n;

	assert(first && all);
	memcpy(first, data, cut);
	memcpy(all, data, len);
	n = http1_head_scan(&scan, first, cut, limits);
	assert(scan.pos <= cut);
	return n ? n : http1_head_scan(&scan, all, len, limits);
}

/* Return: what http1_head_scan() says, in every way of receiving. */
static inline ssize_t http1_check_scan(const char *data, size_t len, size_t cut,
				       const struct http1_limits *limits)
{
	ssize_t whole = http1_scan_cut(data, len, 0, limits);
	struct split_feeder feeder;
	struct slice received;

	assert(http1_scan_cut(data, len, cut, limits) == whole);
	split_feeder_init(&feeder, data, len);
	/* Every way costs the square of the length: seldom enough to be quick. */
	while (cut % 8 == 0 && len <= HTTP1_WAYS_MAX && split_feeder_next_way(&feeder)) {
		struct http1_scan scan = {0};
		ssize_t n = 0;

		while (n == 0 && split_feeder_next_received(&feeder, &received))
			n = http1_head_scan(&scan, received.ptr, received.len, limits);
		assert(n == whole);
	}
	if (whole > 0) {
		assert((size_t)whole <= len && (size_t)whole <= limits->head_bytes);
		assert(whole >= 4 && memcmp(data + whole - 4, "\r\n\r\n", 4) == 0);
	}
	return whole;
}

static inline const char *http1_skip_spaces(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* @p stands behind the start line. Fields, one a line, up to the empty line at @end. */
static inline void http1_check_fields(const struct http1_head *head, const char *p, const char *end)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		struct slice name = head->fields[i].name, value = head->fields[i].value;

		assert(name.ptr == p && http1_is_token(name));
		p += name.len;
		assert(*p == ':');
		p = http1_skip_spaces(p + 1);
		assert(value.len == 0 || value.ptr == p);
		for (size_t k = 0; k < value.len; k++) {
			uint8_t c = (uint8_t)value.ptr[k];

			assert(c == '\t' || (c >= ' ' && c != 0x7f));
		}
		p = http1_skip_spaces(p + value.len);
		assert(memcmp(p, "\r\n", 2) == 0);
		p += 2;
	}
	assert(end - p == 2 && memcmp(p, "\r\n", 2) == 0);
}

static inline const char *http1_check_part(const char *p, struct slice part, const char *behind)
{
	assert(part.ptr == p);
	p += part.len;
	assert(memcmp(p, behind, strlen(behind)) == 0);
	return p + strlen(behind);
}

static inline void http1_check_request(const struct http1_head *head, const char *buf, size_t len)
{
	const char *target_end = head->target.ptr + head->target.len, *p;
	const struct http1_field *host = http1_find(head, SLICE_LITERAL("Host"));

	p = http1_check_part(buf, head->method, " ");
	p = http1_check_part(p, head->target,
			     head->minor_version ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
	http1_check_fields(head, p, buf + len);
	/* path and query end the target, or "/" stands for the path that an authority lacks */
	assert(head->path.len > 0 && head->path.ptr[0] == '/');
	assert(head->query.ptr + head->query.len == target_end);
	if (head->path.ptr + head->path.len != target_end && head->path.ptr != head->host.ptr - 1)
		assert(head->path.ptr[head->path.len] == '?' &&
		       head->query.ptr == head->path.ptr + head->path.len + 1);
	assert(!memchr(head->path.ptr, '?', head->path.len));
	for (const char *c = head->target.ptr; c < target_end; c++)
		assert(*c > ' ' && *c < 0x7f && *c != '#');
	assert(host || head->minor_version == 0);
	assert(!host || (host->value.len > 0 && !http1_find_next(head, host)));
	if (head->target.ptr[0] == '/')
		assert(host ? slice_equal(host->value, head->host) : head->host.len == 0);
	assert(!memchr(head->host.ptr, '@', head->host.len));
}

static inline void http1_check_framing(const struct http1_head *head)
{
	const struct http1_field *length = http1_find(head, SLICE_LITERAL("Content-Length"));
	const struct http1_field *coding = http1_find(head, SLICE_LITERAL("Transfer-Encoding"));

	assert(!(length && coding));
	assert(head->has_content_length == (length != NULL));
	assert(head->is_chunked == (coding != NULL));
	assert(head->has_content_length || head->content_length == 0);
}
