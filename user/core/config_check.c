/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config_check.h"

#include "core/config_class.h"
#include "core/config_error.h"
#include "core/config_route.h"

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

static void set_target(struct config_endpoint *endpoint)
{
	struct slice host;

	if (address_parse(endpoint->target, &endpoint->address) == 0)
		return;
	if (address_split_name(endpoint->target, &host, &endpoint->port) == 0)
		endpoint->host_len = (uint16_t)host.len;
}

static int check_clusters(const struct checker *c)
{
	for (uint32_t i = 1; i < c->t->n_statements; i++) {
		const struct config_cluster *cluster = c->places[i].object;

		if (!is_section(c, i, "cluster"))
			continue;
		if (cluster->n_endpoints == 0)
			return config_error_at(c->t, c->t->statements[i].line, i,
					       "no endpoint: expected endpoint NAME { address = "
					       "\"127.0.0.1:9000\" }");
		for (size_t e = 0; e < cluster->n_endpoints; e++)
			set_target(&cluster->endpoints[e]);
	}
	return 0;
}

int config_check(const struct config_text *t, const struct config_place *places,
		 struct config *config)
{
	struct checker c = {.t = t, .places = places, .config = config};
	int r;

	if ((r = check_limits(&c)) < 0 || (r = check_clusters(&c)) < 0 ||
	    (r = config_check_classes(t, places, config)) < 0 ||
	    (r = config_check_routes(t, places, config)) < 0 || (r = check_listeners(&c)) < 0) {
		if (r == -ENOMEM)
			config_error_file(t->error, t->file, "out of memory");
		return r;
	}
	return 0;
}
