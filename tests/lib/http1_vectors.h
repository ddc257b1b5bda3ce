/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors for the HTTP/1.1 parser: each is received in every way (split_feeder.h), and must give
 * the same result in all of them.
 */
#pragma once
#include "base/text_writer.h"
#include "lib/assert_slice.h"
#include "lib/split_feeder.h"
#include "proto/http1_head.h"

#define MORE 1 /* result of feed(): the head is not complete */

static const struct http1_limits usual = {
    .head_bytes = 16384,
    .target_bytes = 4096,
    .fields = 64,
};

typedef int parse_fn(const char *buf, size_t len, const struct http1_limits *limits,
		     struct http1_head *ret_head);

struct vector {
	const char *input;
	int error; /* what scan or parse say, 0 = accepted */
};

/* Everything that a head says, for comparing two. */
static inline void describe(const struct http1_head *head, struct text_writer *w)
{
	const struct slice parts[] = {head->method, head->target, head->path,
				      head->query,  head->host,   head->reason};

	text_printf(w, "%u 1.%u %d %d", head->status, head->minor_version, head->has_content_length,
		    head->is_chunked);
	text_put_u64(w, head->content_length);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		text_printf(w, "|%zu:%.*s", parts[i].len, SLICE_ARG(parts[i]));
	for (size_t i = 0; i < head->n_fields; i++)
		text_printf(w, "|%.*s:%.*s", SLICE_ARG(head->fields[i].name),
			    SLICE_ARG(head->fields[i].value));
	assert_false(w->is_truncated);
}

/* One way of receiving: scans until something happens, then parses. */
static inline int feed_pieces(struct split_feeder *feeder, parse_fn *parse,
			      const struct http1_limits *limits, struct http1_head *head)
{
	struct http1_scan scan = {0};
	struct slice received;

	while (split_feeder_next_received(feeder, &received)) {
		ssize_t n = http1_head_scan(&scan, received.ptr, received.len, limits);

		if (n < 0)
			return (int)n;
		if (n > 0)
			return parse(received.ptr, (size_t)n, limits, head);
	}
	return MORE;
}

/* Feeds @input in every way; the result must be the same in all. */
static inline int feed_limited(parse_fn *parse, const char *input, size_t len,
			       const struct http1_limits *limits)
{
	char texts[2][32768];
	struct text_writer first, now;
	struct split_feeder feeder;
	struct http1_head head;
	int first_result = 0;

	text_writer_init(&first, texts[0], sizeof(texts[0]));
	split_feeder_init(&feeder, input, len);
	while (split_feeder_next_way(&feeder)) {
		int result = feed_pieces(&feeder, parse, limits, &head);

		text_writer_init(&now, texts[1], sizeof(texts[1]));
		if (result == 0)
			describe(&head, feeder.n_ways == 1 ? &first : &now);
		if (feeder.n_ways == 1) {
			first_result = result;
			continue;
		}
		if (result != first_result)
			fail_msg("\"%.*s\": %d, but %d if received in way %zu", (int)len, input,
				 first_result, result, feeder.n_ways);
		assert_int_equal(now.len, first.len);
		assert_memory_equal(now.buf, first.buf, now.len);
	}
	return first_result;
}

static inline int feed(parse_fn *parse, const char *input)
{
	return feed_limited(parse, input, strlen(input), &usual);
}

static inline const char *result_name(int result)
{
	if (result == MORE)
		return "incomplete";
	return result == 0 ? "accepted" : proto_error_info(result)->name;
}

static inline void run(parse_fn *parse, const struct vector *vectors, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int result = feed(parse, vectors[i].input);

		if (result != vectors[i].error)
			fail_msg("\"%s\": %s instead of %s", vectors[i].input, result_name(result),
				 result_name(vectors[i].error));
	}
}

#define RUN(parse, vectors) run(parse, vectors, ARRAY_SIZE(vectors))

/* Parses a head that is expected to be good, without scanning it. */
static inline void parse_good(const char *input, struct http1_head *head)
{
	assert_int_equal(feed(http1_request_parse, input), 0);
	assert_int_equal(http1_request_parse(input, strlen(input), &usual, head), 0);
}

#define GET(target, fields) "GET " target " HTTP/1.1\r\nHost: h\r\n" fields "\r\n"
