/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_check.h"

#include "core/config_error.h"
#include "core/nearest.h"

struct checker {
	const struct config_text *t;
	const struct config_place *places;
	struct config *config;
};

/* Whether statement @number is a section @name at the outermost level. */
static bool is_section(const struct checker *c, uint32_t number, const char *name)
{
	return c->t->statements[number].is_section && c->t->statements[number].parent == 0 &&
	       strcmp(c->places[number].section->name, name) == 0;
}

/* An error about key @number, which stands in the text. */
static int fail_key(const struct checker *c, uint32_t number, const char *expected)
{
	return config_error_value(c->t, number, 0, c->places[number].value, "%s", expected);
}

/* ---- limits -------------------------------------------------------------------------------- */

static int check_limits(const struct checker *c)
{
	uint32_t limits = config_text_find(c->t, 0, "limits");
	uint32_t target = limits ? config_text_find(c->t, limits, "max_target_bytes") : 0;
	uint32_t head = limits ? config_text_find(c->t, limits, "max_head_bytes") : 0;
	uint32_t target_bytes = c->config->limits.max_target_bytes;
	uint32_t head_bytes = c->config->limits.max_head_bytes;

	if (target_bytes <= head_bytes)
		return 0;
	if (target)
		return config_error_value(c->t, target, 0, c->places[target].value,
					  "expected at most max_head_bytes (%u)", head_bytes);
	return config_error_value(c->t, head, 0, c->places[head].value,
				  "expected at least max_target_bytes (%u)", target_bytes);
}

/* ---- listeners ----------------------------------------------------------------------------- */

struct listened {
	const struct address *address;
	uint32_t key, index; /* the statement, and which of its values */
};

static int compare_addresses(const struct address *a, const struct address *b)
{
	return a->len != b->len ? (a->len > b->len) - (a->len < b->len)
				: memcmp(&a->sa, &b->sa, a->len);
}

static int compare_listened(const void *a, const void *b)
{
	const struct listened *x = a, *y = b;
	int order = compare_addresses(x->address, y->address);

	if (!order)
		order = (x->key > y->key) - (x->key < y->key);
	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int fail_listened(const struct checker *c, const struct listened *first,
			 const struct listened *second)
{
	const struct config_statement *key = &c->t->statements[first->key];
	const struct config_listener *owner = c->places[first->key].object;
	char text[ADDRESS_TEXT_MAX + 1];

	address_format(second->address, text);
	return config_error_value(
	    c->t, second->key, second->index, text,
	    "expected an address that listener \"%s\" does not have (line %u)", owner->name,
	    c->t->value_lines[key->first_value + first->index]);
}

/* Port 0 is another port each time. */
static bool can_repeat(const struct address *address)
{
	return address->sa.sa_family != AF_UNIX && address_port(address) == 0;
}

static size_t collect_listened(const struct checker *c, struct listened *all)
{
	size_t n = 0;

	for (uint32_t i = 1; i < c->t->n_statements; i++) {
		const struct config_listener *listener = c->places[i].object;

		if (!is_section(c, i, "listener"))
			continue;
		for (uint32_t j = 0; j < listener->n_addresses; j++) {
			if (!can_repeat(&listener->addresses[j]))
				all[n++] =
				    (struct listened){&listener->addresses[j],
						      config_text_find(c->t, i, "listen"), j};
		}
	}
	return n;
}

static int check_listeners(const struct checker *c)
{
	_cleanup_free_ struct listened *all = NULL;
	const struct listened *first = NULL, *second = NULL;
	size_t n = 0;

	for (size_t i = 0; i < c->config->n_listeners; i++)
		n += c->config->listeners[i].n_addresses;
	if (n == 0) {
		config_error_file(
		    c->t->error, c->t->file,
		    "no listener: expected listener NAME { listen = {\"0.0.0.0:8080\"} }");
		return -EINVAL;
	}
	all = calloc(n, sizeof(*all));
	if (!all)
		return -ENOMEM;
	n = collect_listened(c, all);
	qsort(all, n, sizeof(*all), compare_listened);
	for (size_t i = 1; i < n; i++) {
		if (compare_addresses(all[i - 1].address, all[i].address) == 0 &&
		    (!second || all[i].key < second->key ||
		     (all[i].key == second->key && all[i].index < second->index))) {
			first = &all[i - 1];
			second = &all[i];
		}
	}
	return second ? fail_listened(c, first, second) : 0;
}

/* ---- clusters ------------------------------------------------------------------------------ */

static int check_clusters(const struct checker *c)
{
	for (uint32_t i = 1; i < c->t->n_statements; i++) {
		const struct config_cluster *cluster = c->places[i].object;

		if (is_section(c, i, "cluster") && cluster->n_endpoints == 0)
			return config_error_at(c->t, c->t->statements[i].line, i,
					       "no endpoint: expected endpoint NAME { address = "
					       "\"127.0.0.1:9000\" }");
	}
	return 0;
}

static int find_cluster(const struct checker *c, uint32_t proxy, struct config_route *route)
{
	struct nearest nearest;

	nearest_init(&nearest, slice_from_str(route->proxy));
	for (size_t i = 0; i < c->config->n_clusters; i++) {
		const struct config_cluster *cluster = &c->config->clusters[i];

		if (strcmp(cluster->name, route->proxy) == 0) {
			route->cluster = cluster;
			return 0;
		}
		nearest_offer(&nearest, cluster->name);
	}
	if (nearest.best)
		return config_error_value(c->t, proxy, 0, route->proxy,
					  "expected the name of a cluster; did you mean \"%s\"?",
					  nearest.best);
	return fail_key(c, proxy, "expected the name of a cluster");
}

/* ---- routes -------------------------------------------------------------------------------- */

/* A route's actions in the text; 0 = not given. echo = false is none. */
struct actions {
	uint32_t proxy, echo, respond;
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
	const uint32_t given[] = {actions->proxy, actions->echo, actions->respond};
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
				       "no action: expected proxy = CLUSTER, echo = true or "
				       "respond { }");
	return 0;
}

static int set_action(const struct checker *c, uint32_t number, struct config_route *route)
{
	struct actions actions = {
	    .proxy = config_text_find(c->t, number, "proxy"),
	    .echo = route->echo ? config_text_find(c->t, number, "echo") : 0,
	    .respond = config_text_find(c->t, number, "respond"),
	};
	int r = check_one_action(c, number, &actions);

	if (r < 0)
		return r;
	if (actions.proxy) {
		route->action = CONFIG_ACTION_PROXY;
		return find_cluster(c, actions.proxy, route);
	}
	route->action = actions.echo ? CONFIG_ACTION_ECHO : CONFIG_ACTION_RESPOND;
	return 0;
}

/* Whoever assembles messages must have an end to them; a proxy only passes them on. */
static int check_unlimited(const struct checker *c, uint32_t number,
			   const struct config_route *route)
{
	static const char expected[] = "expected a size other than 0: no limit needs proxy";

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

static void set_match(struct config_route *route)
{
	size_t len = route->path ? strlen(route->path) : 0;

	if (len > 0 && route->path[len - 1] == '*') {
		route->path[len - 1] = '\0';
		route->path_is_prefix = true;
	}
	for (char *p = route->host; p && *p; p++)
		*p = ascii_lower(*p);
}

struct matched {
	const struct config_route *route;
	uint32_t number;
};

/* NULL, which is any, before every text. */
static int compare_texts(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_matches(const struct config_route *a, const struct config_route *b)
{
	int order = compare_texts(a->host, b->host);

	if (!order)
		order = compare_texts(a->path, b->path);
	return order ? order : (int)a->path_is_prefix - (int)b->path_is_prefix;
}

static int compare_matched(const void *a, const void *b)
{
	const struct matched *x = a, *y = b;
	int order = compare_matches(x->route, y->route);

	return order ? order : (x->number > y->number) - (x->number < y->number);
}

/* The second of two routes with the same match never gets a request. */
static int check_matches(struct checker *c, struct matched *all, size_t n)
{
	const struct matched *first = NULL, *second = NULL;

	qsort(all, n, sizeof(*all), compare_matched);
	for (size_t i = 1; i < n; i++) {
		if (compare_matches(all[i - 1].route, all[i].route) == 0 &&
		    (!second || all[i].number < second->number)) {
			first = &all[i - 1];
			second = &all[i];
		}
	}
	if (!second)
		return 0;
	return config_error_at(c->t, c->t->statements[second->number].line, second->number,
			       "expected another match than that of route \"%s\" (line %u), which "
			       "leaves no request to this one",
			       first->route->name, c->t->statements[first->number].line);
}

static int check_routes(struct checker *c)
{
	_cleanup_free_ struct matched *all = calloc(c->config->n_routes + 1, sizeof(*all));
	size_t n = 0;

	if (!all)
		return -ENOMEM;
	for (uint32_t i = 1; i < c->t->n_statements; i++) {
		struct config_route *route = c->places[i].object;
		int r;

		if (!is_section(c, i, "route"))
			continue;
		if ((r = set_action(c, i, route)) < 0 || (r = check_unlimited(c, i, route)) < 0 ||
		    (r = check_body(c, i, route)) < 0)
			return r;
		set_match(route);
		all[n++] = (struct matched){route, i};
	}
	return check_matches(c, all, n);
}

int config_check(const struct config_text *t, const struct config_place *places,
		 struct config *config)
{
	struct checker c = {.t = t, .places = places, .config = config};
	int r;

	if ((r = check_limits(&c)) < 0 || (r = check_clusters(&c)) < 0 ||
	    (r = check_routes(&c)) < 0 || (r = check_listeners(&c)) < 0) {
		if (r == -ENOMEM)
			config_error_file(t->error, t->file, "out of memory");
		return r;
	}
	return 0;
}
