/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any routes and any requests: what the index finds is what trying all routes in their order finds.
 *
 * Lines of text: "HOST PATH", where PATH may end in '*' or be "~REGEX", and flags behind a second
 * blank: h wants header "H: 1", p wants subprotocol "p". Up to an empty line they are routes,
 * behind it requests.
 */
#include "lib/match_naive.h"

#include <sys/socket.h>

#define CHECK(condition)                  \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

#define ROUTES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
	char *host, *path, *flags; /* "" if missing */
};

static char header[] = "H", *headers[] = {header, NULL}, protocol[] = "p";
static struct config_field fields[] = {{.name = {"H", 1}, .value = {"1", 1}, .has_value = true}};

/* Cuts a line off @rest. */
static struct line next_line(char **rest)
{
	char *text = strsep(rest, "\n");
	struct line line = {.host = strsep(&text, " ")};

	line.path = text ? strsep(&text, " ") : "";
	line.flags = text ? text : "";
	return line;
}

static bool is_path(const char *path)
{
	return path[0] == '/' && !strstr(path, "/.") && !strchr(path, '%') && !strchr(path, '\\');
}

static struct config_route route_of(const struct line *line)
{
	struct config_route route = {.host = line->host[0] ? line->host : NULL};
	size_t len = strlen(line->path);

	for (char *p = line->host; *p; p++)
		*p = ascii_lower(*p);
	if (line->path[0] == '~') {
		struct regex_error error;

		if (regex_new(line->path + 1, &route.path_regex, &error) == 0)
			route.path = line->path;
	} else if (is_path(line->path)) {
		route.path = line->path;
		route.path_is_prefix = line->path[len - 1] == '*';
		if (route.path_is_prefix)
			line->path[len - 1] = '\0';
	}
	if (strchr(line->flags, 'h')) {
		route.match_headers = headers;
		route.match_fields = fields;
		route.n_match_headers = 1;
	}
	route.subprotocol = strchr(line->flags, 'p') ? protocol : NULL;
	return route;
}

static void try_request(struct matcher *m, const struct config *config, const struct line *line)
{
	static const struct sockaddr nobody = {.sa_family = AF_UNIX};
	struct http1_head head = {.host = slice_from_str(line->host),
				  .path = slice_from_str(line->path)};

	if (strpbrk(line->host, ":[") || strlen(line->host) > 255 || !is_path(line->path))
		return;
	if (strchr(line->flags, 'h'))
		head.fields[head.n_fields++] = (struct http1_field){{"h", 1}, {"1", 1}};
	if (strchr(line->flags, 'p'))
		head.fields[head.n_fields++] =
		    (struct http1_field){SLICE_LITERAL("Sec-WebSocket-Protocol"), {"q, p", 4}};
	CHECK(matcher_find(m, &head, &nobody) == match_naive(config, &head, &nobody));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct config_route routes[ROUTES_MAX];
	struct config config = {.routes = routes};
	struct matcher *matcher = NULL;
	char *rest = text;

	CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	while (rest && rest[0] != '\n' && config.n_routes < ROUTES_MAX) {
		struct line line = next_line(&rest);

		routes[config.n_routes++] = route_of(&line);
	}
	CHECK(matcher_new(&config, &matcher) == 0);
	while (rest) {
		struct line line = next_line(&rest);

		try_request(matcher, &config, &line);
	}
	matcher_free(matcher);
	for (size_t i = 0; i < config.n_routes; i++)
		regex_free(routes[i].path_regex);
	return 0;
}
