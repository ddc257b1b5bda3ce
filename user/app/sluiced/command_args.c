/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/command_args.h"

#include "app/sluiced/control_call.h"
#include "base/parse.h"
#include "core/events.h"
#include "core/stats.h"
#include "proto/control_message.h"

#define DRAIN_TIME_MAX_MS (7ull * 24 * 3600 * 1000) /* as drain_time and conn_evict_rate */
#define DRAIN_RATE_MAX    10000000

typedef int argument_fn(const char *name, const json_t *value, struct command_args *ret);

static int parse_filter(const char *name, const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	return text ? connection_filter_set(&ret->filter, name, text) : -EINVAL;
}

static int parse_duration(const json_t *value, uint64_t *ret_ms)
{
	const char *text = json_string_value(value);

	return text ? parse_duration_ms(text, ret_ms) : -EINVAL;
}

static int parse_code(const char *name, const json_t *value, struct command_args *ret)
{
	json_int_t code = json_integer_value(value);

	if (code < 1000 || code > 4999 || !ws_close_code_is_valid((uint16_t)code))
		return -EINVAL;
	ret->code = (uint16_t)code;
	return 0;
}

static int parse_reason(const char *name, const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	if (!text || strlen(text) >= sizeof(ret->reason))
		return -EINVAL;
	memcpy(ret->reason, text, strlen(text) + 1);
	return 0;
}

static int parse_all(const char *name, const json_t *value, struct command_args *ret)
{
	ret->is_all = json_is_true(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

static int parse_state(const char *name, const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	ret->has_state = text && endpoint_state_from_name(text, &ret->state) == 0;
	return ret->has_state ? 0 : -EINVAL;
}

static int parse_time(const char *name, const json_t *value, struct command_args *ret)
{
	uint64_t ms;

	if (parse_duration(value, &ms) < 0 || ms > DRAIN_TIME_MAX_MS)
		return -EINVAL;
	ret->time_ms = ms;
	ret->has_time = true;
	return 0;
}

static int parse_rate(const char *name, const json_t *value, struct command_args *ret)
{
	json_int_t rate = json_integer_value(value);

	if (!json_is_integer(value) || rate < 0 || rate > DRAIN_RATE_MAX)
		return -EINVAL;
	ret->rate_per_s = (uint64_t)rate;
	ret->has_rate = true;
	return 0;
}

static int parse_wait(const char *name, const json_t *value, struct command_args *ret)
{
	ret->is_without_wait = json_is_false(value);
	return json_is_boolean(value) ? 0 : -EINVAL;
}

/* As a number, or as text, which is all that the query of a URL has. */
static int parse_number(const json_t *value, json_int_t min, json_int_t max, json_int_t *ret_n)
{
	const char *text = json_string_value(value);
	char *end = NULL;
	json_int_t n = text ? strtoll(text, &end, 10) : json_integer_value(value);

	if (text ? end == text || *end : !json_is_integer(value))
		return -EINVAL;
	if (n < min || n > max)
		return -ERANGE;
	*ret_n = n;
	return 0;
}

static int parse_last(const char *name, const json_t *value, struct command_args *ret)
{
	json_int_t n;

	if (parse_number(value, 0, EVENTS_KEPT, &n) < 0)
		return -EINVAL;
	ret->has_last = true;
	ret->last = (uint32_t)n;
	return 0;
}

static int parse_limit(const char *name, const json_t *value, struct command_args *ret)
{
	json_int_t n;

	if (parse_number(value, 1, CONNECTION_LIMIT_MAX, &n) < 0)
		return -EINVAL;
	ret->limit = (size_t)n;
	return 0;
}

static int parse_sort(const char *name, const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	ret->has_order = text && connection_order_parse(text, &ret->order) == 0;
	return ret->has_order ? 0 : -EINVAL;
}

static int parse_by(const char *name, const json_t *value, struct command_args *ret)
{
	const char *text = json_string_value(value);

	return text ? top_by_parse(text, &ret->by) : -EINVAL;
}

static int parse_weight(const char *name, const json_t *value, struct command_args *ret)
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
    /* What these expect, connection_filter_expected() says. */
    {"conn", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"route", COMMAND_ARGS_FILTER | COMMAND_ARGS_TARGET, parse_filter, NULL},
    {"class", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"cluster", COMMAND_ARGS_FILTER | COMMAND_ARGS_ENDPOINT | COMMAND_ARGS_TARGET, parse_filter,
     NULL},
    {"endpoint", COMMAND_ARGS_FILTER | COMMAND_ARGS_ENDPOINT | COMMAND_ARGS_TARGET, parse_filter,
     NULL},
    {"listener", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"tenant", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"path", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"source", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"older", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"idle", COMMAND_ARGS_FILTER, parse_filter, NULL},
    {"code", COMMAND_ARGS_CLOSE, parse_code, "a close code that RFC 6455 allows, such as 1001"},
    {"reason", COMMAND_ARGS_CLOSE, parse_reason, "a text of at most 123 bytes"},
    {"all", COMMAND_ARGS_ALL | COMMAND_ARGS_TARGET, parse_all, "true or false"},
    {"time", COMMAND_ARGS_DRAIN, parse_time, "a duration of at most 7d, such as 30s"},
    {"rate", COMMAND_ARGS_DRAIN, parse_rate, "connections a second, up to 10000000; 0 = no limit"},
    {"wait", COMMAND_ARGS_DRAIN, parse_wait, "true or false"},
    {"weight", COMMAND_ARGS_ENDPOINT, parse_weight, "a number from 0 to 1000"},
    {"state", COMMAND_ARGS_ENDPOINT, parse_state, "ready, drain or maint"},
    {"last", COMMAND_ARGS_EVENTS, parse_last, "how many: 0 to 1024"},
    {"sort", COMMAND_ARGS_ORDER, parse_sort, CONNECTION_ORDER_EXPECTED},
    {"limit", COMMAND_ARGS_ORDER, parse_limit, "how many: 1 to 500"},
    {"by", COMMAND_ARGS_VIEW, parse_by, "connection, route, class or endpoint"},
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
		if (argument->parse(key, value, ret_args) < 0) {
			_cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY);
			const char *expected = argument->expected ? argument->expected
								  : connection_filter_expected(key);

			control_fail(call, CONTROL_ERROR_ARGUMENT, "%s = %.200s: expected %s", key,
				     text ? text : "?", expected);
			return -EINVAL;
		}
		ret_args->has_filter |= (argument->group & COMMAND_ARGS_FILTER) != 0;
	}
	return 0;
}
