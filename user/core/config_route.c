/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_route.h"

#include "base/parse.h"
#include "base/regex.h"
#include "core/config_class.h"
#include "core/config_error.h"
#include "core/nearest.h"
#include "core/path_index.h"

struct checker {
	const struct config_text *t;
	const struct config_place *places;
	struct config *config;
	const struct config_cluster **clusters; /* by name */
	uint32_t *numbers;                      /* of each route, its statement's */
};

/* An error about key @number, which stands in the text. */
static int fail_key(const struct checker *c, uint32_t number, const char *expected)
{
	return config_error_value(c->t, number, 0, c->places[number].value, "%s", expected);
}

/* ---- clusters ------------------------------------------------------------------------------ */

static int compare_names(const void *a, const void *b)
{
	const struct config_cluster *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int sort_clusters(struct checker *c)
{
	c->clusters = calloc(c->config->n_clusters + 1, sizeof(*c->clusters));
	if (!c->clusters)
		return -ENOMEM;
	for (size_t i = 0; i < c->config->n_clusters; i++)
		c->clusters[i] = &c->config->clusters[i];
	qsort(c->clusters, c->config->n_clusters, sizeof(*c->clusters), compare_names);
	return 0;
}

static const struct config_cluster *find_cluster(const struct checker *c, char *name)
{
	const struct config_cluster wanted = {.name = name}, *key = &wanted;
	const struct config_cluster **found =
	    bsearch(&key, c->clusters, c->config->n_clusters, sizeof(*c->clusters), compare_names);

	return found ? *found : NULL;
}

static int fail_cluster(const struct checker *c, uint32_t number, uint32_t index, const char *value,
			const char *name)
{
	struct nearest nearest;

	nearest_init(&nearest, slice_from_str(name));
	for (size_t i = 0; i < c->config->n_clusters; i++)
		nearest_offer(&nearest, c->config->clusters[i].name);
	if (nearest.best)
		return config_error_value(c->t, number, index, value,
					  "expected the name of a cluster; did you mean \"%s\"?",
					  nearest.best);
	return config_error_value(c->t, number, index, value, "expected the name of a cluster");
}

/* ---- splits -------------------------------------------------------------------------------- */

/* "CLUSTER WEIGHT", as the table's is_valid knows it. */
static int set_split(const struct checker *c, uint32_t number, uint32_t index,
		     struct config_route *route)
{
	const char *text = route->split_texts[index];
	char name[CONFIG_NAME_MAX + 1];
	size_t name_len = strcspn(text, " ");
	struct config_split *split = &route->splits[index];
	uint64_t weight;

	if (name_len >= sizeof(name))
		return config_error_value(c->t, number, index, text,
					  "expected the name of a cluster");
	memcpy(name, text, name_len);
	name[name_len] = '\0';
	split->cluster = find_cluster(c, name);
	if (!split->cluster)
		return fail_cluster(c, number, index, text, name);
	text += name_len + strspn(text + name_len, " ");
	if (parse_u64(text, &weight) < 0 || weight < 1 || weight > CONFIG_WEIGHT_MAX)
		return config_error_value(c->t, number, index, route->split_texts[index],
					  "expected a weight from 1 to %u", CONFIG_WEIGHT_MAX);
	split->weight = (uint32_t)weight;
	route->split_weight += weight;
	for (uint32_t i = 0; i < index; i++) {
		if (route->splits[i].cluster == split->cluster)
			return config_error_value(c->t, number, index, route->split_texts[index],
						  "expected each cluster once");
	}
	return 0;
}

static void set_split_key(struct config_route *route)
{
	const char *text = route->split_key_text ? route->split_key_text : "random";
	const char *colon = strchr(text, ':');

	if (colon) {
		route->split_key = CONFIG_SPLIT_HEADER;
		route->split_header = slice_from_str(colon + 1);
	} else if (strcmp(text, "source") == 0) {
		route->split_key = CONFIG_SPLIT_SOURCE;
	}
}

static int set_splits(const struct checker *c, uint32_t number, struct config_route *route)
{
	int r = 0;

	route->splits = calloc(route->n_splits, sizeof(*route->splits));
	if (!route->splits)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < route->n_splits; i++)
		r = set_split(c, number, i, route);
	set_split_key(route);
	return r;
}

/* ---- actions ------------------------------------------------------------------------------- */

/* A route's actions in the text; 0 = not given. echo = false is none. */
struct actions {
	uint32_t proxy, split, echo, respond;
};

static int fail_second_action(const struct checker *c, uint32_t route, uint32_t first,
			      uint32_t second)
{
	const struct config_statement *a = &c->t->statements[first], *b = &c->t->statements[second];

	return config_error_at(c->t, b->line, route,
			       "%.*s: expected one action, but %.*s is on line %u already",
			       SLICE_ARG(b->name), SLICE_ARG(a->name), a->line);
}

static int check_one_action(const struct checker *c, uint32_t route, const struct actions *actions)
{
	const uint32_t given[] = {actions->proxy, actions->split, actions->echo, actions->respond};
	uint32_t first = 0, second = 0; /* in the order of the file */

	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		uint32_t number = given[i];

		if (!number)
			continue;
		if (!first || number < first) {
			second = first;
			first = number;
		} else if (!second || number < second) {
			second = number;
		}
	}
	if (second)
		return fail_second_action(c, route, first, second);
	if (!first)
		return config_error_at(c->t, c->t->statements[route].line, route,
				       "no action: expected proxy = CLUSTER, split = {…}, "
				       "echo = true or respond { }");
	return 0;
}

static int set_action(const struct checker *c, uint32_t number, struct config_route *route)
{
	struct actions actions = {
	    .proxy = config_text_find(c->t, number, "proxy"),
	    .split = config_text_find(c->t, number, "split"),
	    .echo = route->echo ? config_text_find(c->t, number, "echo") : 0,
	    .respond = config_text_find(c->t, number, "respond"),
	};
	int r = check_one_action(c, number, &actions);

	if (r < 0)
		return r;
	if (actions.proxy) {
		route->action = CONFIG_ACTION_PROXY;
		route->cluster = find_cluster(c, route->proxy);
		return route->cluster
			   ? 0
			   : fail_cluster(c, actions.proxy, 0, route->proxy, route->proxy);
	}
	if (actions.split) {
		route->action = CONFIG_ACTION_PROXY;
		return set_splits(c, actions.split, route);
	}
	route->action = actions.echo ? CONFIG_ACTION_ECHO : CONFIG_ACTION_RESPOND;
	return 0;
}

/* Whoever writes it expects something of it. */
static int check_split_key(const struct checker *c, uint32_t number,
			   const struct config_route *route)
{
	uint32_t key = config_text_find(c->t, number, "split_key");

	if (!key || route->n_splits > 0)
		return 0;
	return fail_key(c, key, "expected split = {…} in the same route");
}

static void set_limit(const struct config_route *route, uint64_t *limit)
{
	if (*limit == CONFIG_SIZE_AUTO)
		*limit = route->action == CONFIG_ACTION_PROXY ? 0 : CONFIG_ASSEMBLED_BYTES;
}

/* Whoever assembles messages must have an end to them; a proxy only passes them on. */
static int set_limits(const struct checker *c, uint32_t number, struct config_route *route)
{
	static const char expected[] = "expected a size other than 0: no limit needs proxy";

	set_limit(route, &route->max_frame_bytes);
	set_limit(route, &route->max_message_bytes);
	if (route->action == CONFIG_ACTION_PROXY)
		return 0;
	if (route->max_frame_bytes == 0)
		return fail_key(c, config_text_find(c->t, number, "max_frame"), expected);
	if (route->max_message_bytes == 0)
		return fail_key(c, config_text_find(c->t, number, "max_message"), expected);
	return 0;
}

/* RFC 9110 s15.3.5, s15.3.6: these two have no content. */
static int check_body(const struct checker *c, uint32_t number, const struct config_route *route)
{
	uint32_t respond = config_text_find(c->t, number, "respond");

	if (!respond || !route->respond.body[0] ||
	    (route->respond.status != 204 && route->respond.status != 205))
		return 0;
	return fail_key(c, config_text_find(c->t, respond, "body"),
			"expected none with status 204 or 205");
}

/* ---- matches ------------------------------------------------------------------------------- */

/* The first value of @key: "~" and the pattern. */
static int new_regex(const struct checker *c, uint32_t key, const char *text,
		     struct regex **ret_regex)
{
	struct regex_error error;
	int r = regex_new(text + 1, ret_regex, &error);

	if (r == -EINVAL)
		return config_error_value(c->t, key, 0, text,
					  "expected a regular expression: %s at its character %zu",
					  error.text, error.position + 1);
	return r;
}

static int set_path(const struct checker *c, uint32_t match, struct config_route *route)
{
	size_t len = route->path ? strlen(route->path) : 0;

	for (char *p = route->host; p && *p; p++)
		*p = ascii_lower(*p);
	if (len > 0 && route->path[0] == '~')
		return new_regex(c, config_text_find(c->t, match, "path"), route->path,
				 &route->path_regex);
	if (len > 0 && route->path[len - 1] == '*') {
		route->path[len - 1] = '\0';
		route->path_is_prefix = true;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "Name: value": white space around the value does not belong to it (RFC 9110 s5.5). */
static struct config_field split_field(const char *text)
{
	size_t len = strcspn(text, ":");
	struct config_field field = {.name = {text, len}, .has_value = text[len] == ':'};

	if (!field.has_value)
		return field;
	field.value = slice_from_str(text + len + 1);
	while (field.value.len > 0 && is_blank(field.value.ptr[0])) {
		field.value.ptr++;
		field.value.len--;
	}
	while (field.value.len > 0 && is_blank(field.value.ptr[field.value.len - 1]))
		field.value.len--;
	return field;
}

static int split_fields(char *const *texts, size_t n, struct config_field **ret_fields)
{
	struct config_field *fields = n ? calloc(n, sizeof(*fields)) : NULL;

	if (n && !fields)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		fields[i] = split_field(texts[i]);
	*ret_fields = fields;
	return 0;
}

static int set_networks(struct config_route *route)
{
	if (route->n_sources == 0)
		return 0;
	route->networks = calloc(route->n_sources, sizeof(*route->networks));
	if (!route->networks)
		return -ENOMEM;
	for (size_t i = 0; i < route->n_sources; i++) {
		int r = ip_prefix_parse(route->sources[i], &route->networks[i]);

		assert(r == 0); /* the table's is_valid said so */
		(void)r;
	}
	return 0;
}

static int set_match(const struct checker *c, uint32_t number, struct config_route *route)
{
	uint32_t match = config_text_find(c->t, number, "match");
	int r = match ? set_path(c, match, route) : 0;

	if (r == 0)
		r = split_fields(route->match_headers, route->n_match_headers,
				 &route->match_fields);
	return r < 0 ? r : set_networks(route);
}

/* ---- what becomes of requests ------------------------------------------------------------ */

/* What a path may be made of: visible ASCII, without what would begin a query. */
static bool is_path_text(const char *text)
{
	for (; *text; text++) {
		if (*text <= ' ' || *text > '~' || strchr("?#", *text))
			return false;
	}
	return true;
}

/* $0 to $9, as far as there are groups, and $$. */
static bool has_good_references(const char *to, uint32_t n_groups)
{
	for (; (to = strchr(to, '$')); to += 2) {
		if (to[1] != '$' && (to[1] < '0' || to[1] > '9'))
			return false;
		if (to[1] != '$' && (uint32_t)(to[1] - '0') > n_groups)
			return false;
	}
	return true;
}

static int set_rewrite_regex(const struct checker *c, uint32_t rewrite, struct config_route *route)
{
	const char *from = route->rewrite[0], *to = route->rewrite[1];
	int r = new_regex(c, rewrite, from, &route->rewrite_regex);

	if (r == 0 && !has_good_references(to, regex_n_groups(route->rewrite_regex)))
		return config_error_value(c->t, rewrite, 1, to,
					  "expected only $$, $0, and up to $9 those of groups "
					  "behind a $");
	return r;
}

static int set_rewrite(const struct checker *c, uint32_t number, struct config_route *route)
{
	uint32_t rewrite = config_text_find(c->t, number, "rewrite");

	if (!rewrite)
		return 0;
	if (route->n_rewrite != 2)
		return config_error_value(c->t, rewrite, 0, route->rewrite[0],
					  "expected two values, FROM and TO");
	if (!is_path_text(route->rewrite[1]))
		return config_error_value(c->t, rewrite, 1, route->rewrite[1],
					  "expected a part of a path, without blanks, ? and #");
	if (route->rewrite[0][0] == '~')
		return set_rewrite_regex(c, rewrite, route);
	if (route->rewrite[0][0] != '/' || !is_path_text(route->rewrite[0]))
		return config_error_value(c->t, rewrite, 0, route->rewrite[0],
					  "expected how a path begins, such as /api/, or ~REGEX");
	return 0;
}

static int set_changes(const struct checker *c, uint32_t number, struct config_route *route)
{
	int r = split_fields(route->add_headers, route->n_add_headers, &route->add_fields);

	return r < 0 ? r : set_rewrite(c, number, route);
}

/* ---- routes that nothing is left for ------------------------------------------------------- */

struct hidden {
	size_t by, route; /* numbers of routes; SIZE_MAX = none */
};

static void offer_hidden(struct hidden *first, size_t by, size_t route)
{
	if (route < first->route)
		*first = (struct hidden){by, route};
}

/* NULL, which is any, before every text. */
static int compare_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_lists(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
	int order = (n_a > n_b) - (n_a < n_b);

	for (size_t i = 0; !order && i < n_a; i++)
		order = strcmp(a[i], b[i]);
	return order;
}

static int compare_matches(const struct config_route *a, const struct config_route *b)
{
	int order = compare_texts(a->host, b->host);

	if (!order)
		order = compare_texts(a->path, b->path);
	if (!order)
		order = (int)a->path_is_prefix - (int)b->path_is_prefix;
	if (!order)
		order = compare_lists(a->match_headers, a->n_match_headers, b->match_headers,
				      b->n_match_headers);
	if (!order)
		order = compare_texts(a->subprotocol, b->subprotocol);
	return order ? order : compare_lists(a->sources, a->n_sources, b->sources, b->n_sources);
}

static int compare_for_sort(const void *a, const void *b)
{
	const struct config_route *const *x = a, *const *y = b;
	int order = compare_matches(*x, *y);

	return order ? order : (*x > *y) - (*x < *y);
}

/* The second of two routes with the same match never gets a request. */
static int find_twin(const struct config *config, struct hidden *first)
{
	_cleanup_free_ const struct config_route **sorted =
	    calloc(config->n_routes + 1, sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < config->n_routes; i++)
		sorted[i] = &config->routes[i];
	qsort(sorted, config->n_routes, sizeof(*sorted), compare_for_sort);
	for (size_t i = 1; i < config->n_routes; i++) {
		if (compare_matches(sorted[i - 1], sorted[i]) == 0)
			offer_hidden(first, (size_t)(sorted[i - 1] - config->routes),
				     (size_t)(sorted[i] - config->routes));
	}
	return 0;
}

/* The first route that takes, for @host, all that @route does, and asks for nothing else. */
static uint32_t first_cover(const struct path_index *index, struct slice host,
			    const struct config_route *route)
{
	bool has_path = route->path && !route->path_regex;
	/* Whatever path a request has begins so. */
	struct slice path = has_path ? slice_from_str(route->path) : SLICE_LITERAL("/");
	const struct path_entry *entry = path_index_find(index, host, path);

	if (!entry)
		return PATH_INDEX_NONE;
	if (has_path && !route->path_is_prefix && entry->path_len == path.len)
		return MIN(entry->plain, entry->exact_plain);
	return entry->plain;
}

/* Nor does a route behind one that takes all its requests: the same path, or how it begins, and the
 * same host, or any. */
static int find_covered(const struct config *config, struct hidden *first)
{
	_cleanup_(path_index_done) struct path_index index;
	int r = path_index_init(&index, config);

	for (size_t i = 0; r == 0 && i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];
		uint32_t by = first_cover(&index, (struct slice){"", 0}, route);

		if (route->host)
			by = MIN(by, first_cover(&index, slice_from_str(route->host), route));
		if (by < i)
			offer_hidden(first, by, i);
	}
	return r;
}

static int check_hidden(const struct checker *c)
{
	struct hidden first = {SIZE_MAX, SIZE_MAX};
	int r = find_twin(c->config, &first);

	if (r == 0)
		r = find_covered(c->config, &first);
	if (r < 0 || first.route == SIZE_MAX)
		return r;
	return config_error_at(c->t, c->t->statements[c->numbers[first.route]].line,
			       c->numbers[first.route],
			       "no request is left for it: expected a place in front of route "
			       "\"%s\" (line %u), which takes them all, or another match",
			       c->config->routes[first.by].name,
			       c->t->statements[c->numbers[first.by]].line);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int check_route(const struct checker *c, uint32_t number, struct config_route *route)
{
	int r;

	if ((r = set_action(c, number, route)) < 0 || (r = set_limits(c, number, route)) < 0 ||
	    (r = check_split_key(c, number, route)) < 0 || (r = check_body(c, number, route)) < 0 ||
	    (r = config_class_of_route(c->t, number, c->config, route)) < 0)
		return r;
	r = set_match(c, number, route);
	return r < 0 ? r : set_changes(c, number, route);
}

static int check_all(const struct checker *c)
{
	size_t n = 0;

	for (uint32_t i = 1; i < c->t->n_statements; i++) {
		int r;

		if (c->places[i].key || c->t->statements[i].parent != 0 ||
		    strcmp(c->places[i].section->name, "route") != 0)
			continue;
		c->numbers[n++] = i;
		r = check_route(c, i, c->places[i].object);
		if (r < 0)
			return r;
	}
	assert(n == c->config->n_routes);
	return check_hidden(c);
}

int config_check_routes(const struct config_text *t, const struct config_place *places,
			struct config *config)
{
	struct checker c = {.t = t, .places = places, .config = config};
	int r = sort_clusters(&c);

	c.numbers = calloc(config->n_routes + 1, sizeof(*c.numbers));
	if (r == 0)
		r = c.numbers ? check_all(&c) : -ENOMEM;
	free(c.clusters);
	free(c.numbers);
	return r;
}

void config_route_done(struct config_route *route)
{
	regex_free(route->path_regex);
	free(route->match_fields);
	free(route->networks);
	free(route->splits);
	regex_free(route->rewrite_regex);
	free(route->add_fields);
}
