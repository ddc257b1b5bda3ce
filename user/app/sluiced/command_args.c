/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/command_args.h"

#include "app/sluiced/control_call.h"
#include "base/base32.h"
#include "base/parse.h"
#include "core/events.h"
#include "core/stats.h"
#include "proto/control_message.h"

#define DRAIN_TIME_MAX_MS (7ull * 24 * 3600 * 1000) /* as drain_time and conn_evict_rate */
#define DRAIN_RATE_MAX    10000000

typedef int argument_fn(const json_t *value, struct command_args *ret);

static int copy_name(const json_t *value, char ret_name[CONFIG_NAME_MAX + 1])
{
	const char *text = json_string_value(value);

	if (!text || !*text || strlen(text) > CONFIG_NAME_MAX)
		return -EINVAL;
	memcpy(ret_name, text, strlen(text) + 1);
	return 0;
}

static int parse_conn(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	/* No connection has the id 0, which in a filter means any. */
	if (!text || base32_u64_decode(text, &ret->filter.id) < 0 || ret->filter.id == 0)
		return -EINVAL;
	return 0;
}

static int parse_route(const json_t *value, struct command_args *ret)
{
	return copy_name(value, ret->filter.route);
}

static int parse_cluster(const json_t *value, struct command_args *ret)
{
	return copy_name(value, ret->filter.cluster);
}

static int parse_endpoint(const json_t *value, struct command_args *ret)
{
	return copy_name(value, ret->filter.endpoint);
}

static int parse_listener(const json_t *value, struct command_args *ret)
{
	return copy_name(value, ret->filter.listener);
}

static int parse_path(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	for (int path = 0; text && path < SLUICE_PATH_COUNT; path++) {
		if (strcmp(text, sluice_path_name(path)) == 0) {
			ret->filter.path = path;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_source(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	return text ? ip_prefix_parse(text, &ret->filter.source) : -EINVAL;
}

static int parse_duration(const json_t *value, uint64_t *ret_ms)
{
	const char *text = json_string_value(value);

	return text ? parse_duration_ms(text, ret_ms) : -EINVAL;
}

static int parse_older(const json_t *value, struct command_args *ret)
{
	return parse_duration(value, &ret->filter.older_ms);
}

static int parse_idle(const json_t *value, struct command_args *ret)
{
	return parse_duration(value, &ret->filter.idle_ms);
}

static int parse_code(const json_t *value, struct command_args *ret)
{
	json_int_t code = json_integer_value(value);

	if (code < 1000 || code > 4999 || !ws_close_code_is_valid((uint16_t)code))
		return -EINVAL;
	ret->code = (uint16_t)code;
	return 0;
}

static int parse_reason(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= sizeof(ret->reason))
		return -EINVAL;
	memcpy(ret->reason, text, strlen(text) + 1);
	return 0;
}

static int parse_all(const json_t *value, struct command_args *ret)
{
	ret->is_all = json_is_true(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

static int parse_state(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	ret->has_state = text && endpoint_state_from_name(text, &ret->state) == 0;
	return ret->has_state ? 0 : -EINVAL;
}

static int parse_time(const json_t *value, struct command_args *ret)
{
	uint64_t ms;

	if (parse_duration(value, &ms) < 0 || ms > DRAIN_TIME_MAX_MS)
		return -EINVAL;
	ret->time_ms = ms;
	ret->has_time = true;
	return 0;
}

static int parse_rate(const json_t *value, struct command_args *ret)
{
	json_int_t rate = json_integer_value(value);

	if (!json_is_integer(value) || rate < 0 || rate > DRAIN_RATE_MAX)
		return -EINVAL;
	ret->rate_per_s = (uint64_t)rate;
	ret->has_rate = true;
	return 0;
}

static int parse_wait(const json_t *value, struct command_args *ret)
{
	ret->is_without_wait = json_is_false(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

/* As a number, or as text, which is all that the query of a URL has. */
static int parse_last(const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);
	char *end = NULL;
	json_int_t n = text ? strtoll(text, &end, 10) : json_integer_value(value);

	if (text ? end == text || *end : !json_is_integer(value))
		return -EINVAL;
	if (n < 0 || n > EVENTS_KEPT)
		return -ERANGE;
	ret->has_last = true;
	ret->last = (uint32_t)n;
	return 0;
}

static int parse_weight(const json_t *value, struct command_args *ret)
{
	json_int_t weight = json_integer_value(value);

	ret->has_weight =
	    json_is_integer(value) && weight >= 0 && weight <= CONFIG_ENDPOINT_WEIGHT_MAX;
	ret->weight = (uint16_t)weight;
	return ret->has_weight ? 0 : -EINVAL;
}

static const struct argument {
	const char *name;
	int group;
	argument_fn *parse;
	const char *expected;
} argument_table[] = {
    {"conn", COMMAND_ARGS_FILTER, parse_conn, "a connection id of 13 characters"},
    {"route", COMMAND_ARGS_FILTER | COMMAND_ARGS_TARGET, parse_route, "the name of a route"},
    {"cluster", COMMAND_ARGS_FILTER | COMMAND_ARGS_ENDPOINT | COMMAND_ARGS_TARGET, parse_cluster,
     "the name of a cluster"},
    {"endpoint", COMMAND_ARGS_FILTER | COMMAND_ARGS_ENDPOINT | COMMAND_ARGS_TARGET, parse_endpoint,
     "the name of an endpoint"},
    {"listener", COMMAND_ARGS_FILTER, parse_listener, "the name of a listener"},
    {"path", COMMAND_ARGS_FILTER, parse_path, "relay, splice, sockmap, hub or local"},
    {"source", COMMAND_ARGS_FILTER, parse_source, "an address or a network such as 10.0.0.0/8"},
    {"older", COMMAND_ARGS_FILTER, parse_older, "a duration such as 30s"},
    {"idle", COMMAND_ARGS_FILTER, parse_idle, "a duration such as 30s"},
    {"code", COMMAND_ARGS_CLOSE, parse_code, "a close code that RFC 6455 allows, such as 1001"},
    {"reason", COMMAND_ARGS_CLOSE, parse_reason, "a text of at most 123 bytes"},
    {"all", COMMAND_ARGS_CLOSE | COMMAND_ARGS_TARGET, parse_all, "true or false"},
    {"time", COMMAND_ARGS_DRAIN, parse_time, "a duration of at most 7d, such as 30s"},
    {"rate", COMMAND_ARGS_DRAIN, parse_rate, "connections a second, up to 10000000; 0 = no limit"},
    {"wait", COMMAND_ARGS_DRAIN, parse_wait, "true or false"},
    {"weight", COMMAND_ARGS_ENDPOINT, parse_weight, "a number from 0 to 1000"},
    {"state", COMMAND_ARGS_ENDPOINT, parse_state, "ready, drain or maint"},
    {"last", COMMAND_ARGS_EVENTS, parse_last, "how many: 0 to 1024"},
};

static const struct argument *find_argument(const char *name, int groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(argument_table); i++) {
		if (strcmp(argument_table[i].name, name) == 0)
			return argument_table[i].group & groups ? &argument_table[i] : NULL;
	}
	return NULL;
}

int command_args_parse(struct control_call *call, int groups, struct command_args *ret_args)
{
	const char *key;
	json_t *value;

	*ret_args = (struct command_args){.code = 1001};
	connection_filter_init(&ret_args->filter);
	json_object_foreach((json_t *)control_call_args(call), key, value)
	{
		const struct argument *argument = find_argument(key, groups);

		if (!argument) {
			control_fail(call, CONTROL_ERROR_ARGUMENT, "unknown argument \"%s\"", key);
			return -EINVAL;
		}
		if (argument->parse(value, ret_args) < 0) {
			_cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);

			control_fail(call, CONTROL_ERROR_ARGUMENT, "%s = %.200s: expected %s", key,
				     text ? text : "?", argument->expected);
			return -EINVAL;
		}
		ret_args->has_filter |= (argument->group & COMMAND_ARGS_FILTER) != 0;
	}
	return 0;
}
