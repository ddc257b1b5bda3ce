/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head that an endpoint gets, and what else a route reads in a request. Whatever arrives, and
 * whatever the route changes: what goes on is one upgrade request that the parser takes, with the
 * client's address where it belongs, without what was to be removed and without dot segments.
 *
 * The first byte chooses the route; a request head follows.
 */
#include "base/address.h"
#include "lib/http1_invariants.h"
#include "proto/origin.h"
#include "proto/ws_handshake.h"
#include "route/forward.h"
#include "route/hash_key.h"
#include "route/match.h"

#define TARGET_MAX 256
#define ROUTE(keys)                                                \
	"listener l { listen = {\"127.0.0.1:1\"} }\n"              \
	"cluster c { endpoint e { address = \"127.0.0.1:2\" } }\n" \
	"route r { proxy = c " keys " }\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const texts[] = {
    ROUTE(""),
    ROUTE("forwarded = off"),
    ROUTE("forwarded = both headers { remove = {\"X-Forwarded-For\", \"Cookie\"} }"),
    ROUTE("forwarded = rfc7239 headers { add = {\"X-Env: prod\"} remove = {\"X-Env\"} }"),
    ROUTE("rewrite = {\"/api\", \"/\"}"),
    ROUTE("rewrite = {\"/\", \"/prefix/\"}"),
    ROUTE("rewrite = {\"~^/(.*)/(.*)$\", \"/$2/$1$$\"}"),
    ROUTE("rewrite = {\"~a+\", \"$0$0\"} forwarded = both"),
};
static const char *const sources[] = {"192.0.2.1:5", "[2001:db8::1]:5", "unix:/x"};
static const char *const hash_keys[] = {"source",        "host",    "path",
					"header:Cookie", "query:a", "cookie:a"};
static const char *const patterns[] = {"https://a.example", "http://*.a.example:81", "null"};

static const struct config_route *route_at(size_t i)
{
	static struct config *configs[ARRAY_SIZE(texts)];
	struct config_error error;

	if (!configs[i])
		assert(config_load_text("f", texts[i], &configs[i], &error) == 0);
	return &configs[i]->routes[0];
}

static bool ends_with(struct slice value, const char *end)
{
	size_t len = strlen(end);

	return value.len >= len && memcmp(value.ptr + value.len - len, end, len) == 0;
}

static bool has_x(const struct config_route *route)
{
	return route->forwarded == CONFIG_FORWARDED_X || route->forwarded == CONFIG_FORWARDED_BOTH;
}

/* @source: as X-Forwarded-For has it, "" = none */
static void check_client(const struct config_route *route, const struct http1_head *head,
			 const char *source)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("X-Forwarded-For"));

	if (!has_x(route))
		return;
	assert(!field || (!http1_find_next(head, field) && ends_with(field->value, source)));
	assert(field || !source[0]);
	field = http1_find(head, SLICE_LITERAL("X-Forwarded-Proto"));
	assert(field && !http1_find_next(head, field));
	assert(slice_equal(field->value, SLICE_LITERAL("http")));
}

/* Nothing under a removed name but what the gateway itself says under it. */
static void check_removed(const struct config_route *route, const struct http1_head *head)
{
	for (size_t i = 0; i < route->n_remove_headers; i++) {
		struct slice name = slice_from_str(route->remove_headers[i]);
		const struct http1_field *field = http1_find(head, name);

		if (slice_equal_nocase(name, SLICE_LITERAL("Cookie")))
			assert(!field);
		else if (slice_equal_nocase(name, SLICE_LITERAL("X-Env")))
			assert(field && slice_equal(field->value, SLICE_LITERAL("prod")) &&
			       !http1_find_next(head, field));
		else
			assert(!field || !http1_find_next(head, field));
	}
}

static void check_forward(const struct config_route *route, const char *source,
			  const struct http1_head *head, const struct ws_upgrade *upgrade)
{
	static char buf[1 << 17];
	struct http1_limits limits = {.head_bytes = UINT32_MAX,
				      .target_bytes = UINT32_MAX,
				      .fields = HTTP1_FIELDS_MAX};
	struct http1_scan scan = {0};
	struct http1_head after;
	struct ws_upgrade again;
	struct address address;
	struct text_writer w;

	assert(address_parse(source, &address) == 0);
	text_writer_init(&w, buf, sizeof(buf));
	if (forward_write(route, TARGET_MAX, &address.sa, head, &w) < 0)
		return;
	assert(http1_head_scan(&scan, buf, w.len, &limits) == (ssize_t)w.len);
	assert(http1_request_parse(buf, w.len, &limits, &after) == 0);
	assert(ws_handshake_check_request(&after, &again) == 0);
	assert(slice_equal(again.key, upgrade->key));
	assert(slice_equal(after.host, head->host) && slice_equal(after.query, head->query));
	if (route->n_rewrite == 0)
		assert(slice_equal(after.path, head->path));
	else if (!slice_equal(after.path, head->path))
		assert(after.path.len <= TARGET_MAX && !match_has_dot_segment(after.path));
	check_client(route, &after,
		     source[0] == '1'   ? "192.0.2.1"
		     : source[0] == '[' ? "2001:db8::1"
					: "");
	check_removed(route, &after);
}

static void check_hash_keys(const struct http1_head *head)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNIX};

	for (size_t i = 0; i < ARRAY_SIZE(hash_keys); i++)
		assert(hash_key_of(hash_keys[i], head, &nobody) ==
		       hash_key_of(hash_keys[i], head, &nobody));
}

/* One that matches is itself well-formed, and a pattern without a star means itself. */
static void check_origin(const struct http1_head *head)
{
	const struct http1_field *field = http1_find(head, SLICE_LITERAL("Origin"));

	if (!field)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		if (origin_matches(slice_from_str(patterns[i]), field->value))
			assert(origin_is_pattern(field->value));
	}
	if (origin_is_pattern(field->value) && !memmem(field->value.ptr, field->value.len, "*", 1))
		assert(origin_matches(field->value, field->value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_route *route;
	struct ws_upgrade upgrade;
	struct http1_head head;

	if (size < 1)
		return 0;
	route = route_at(data[0] % ARRAY_SIZE(texts));
	if (http1_request_parse((const char *)data + 1, size - 1, &http1_wide, &head) < 0)
		return 0;
	check_hash_keys(&head);
	check_origin(&head);
	if (ws_handshake_check_request(&head, &upgrade) < 0)
		return 0;
	check_forward(route, sources[data[0] / ARRAY_SIZE(texts) % ARRAY_SIZE(sources)], &head,
		      &upgrade);
	return 0;
}
