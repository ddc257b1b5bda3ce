/* SPDX-License-Identifier: Apache-2.0 */
#include "server_options.h"

#include "option_table.h"

#define DEFAULT_MAX_MESSAGE (64ull << 20)

static int set_listen(void *options, const char *value)
{
	struct server_options *o = options;

	for (;;) {
		size_t len = strcspn(value, ",");
		char text[ADDRESS_TEXT_MAX + 1];

		if (len > ADDRESS_TEXT_MAX || o->n_listen == SERVER_LISTEN_MAX)
			return -EINVAL;
		memcpy(text, value, len);
		text[len] = '\0';
		if (address_parse(text, &o->listen[o->n_listen]) < 0)
			return -EINVAL;
		o->n_listen++;
		if (value[len] == '\0')
			return 0;
		value += len + 1;
	}
}

static int set_mode(void *options, const char *value)
{
	static const char *const names[] =
	    {[SERVER_ECHO] = "echo", [SERVER_SINK] = "sink", [SERVER_SOURCE] = "source"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			((struct server_options *)options)->mode = (enum server_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int set_size(void *options, const char *value)
{
	return size_mix_parse_size(value, &((struct server_options *)options)->sizes);
}

#define AT(member) offsetof(struct server_options, member)

static const struct option_spec specs[] = {
    {"Options", .kind = OPTION_HEADING},
    {"listen", 'l', OPTION_CUSTOM, 0, 0, 0, "ADDR,...",
     "up to 16 addresses such as 127.0.0.1:9000,[::1]:0,unix:/path", set_listen,
     "where to listen; port 0 takes a free one, named by the line 'ready'"},
    {"mode", 'm', OPTION_CUSTOM, 0, 0, 0, "MODE", "echo, sink or source", set_mode,
     "echo (default), sink: swallow, source: send as fast as it is taken"},
    {"workers", 'w', OPTION_U32, AT(workers), 1, SERVER_WORKERS_MAX, "N", "1..256", NULL,
     "threads, each with its own listening sockets (one for each processor)"},
    {"max-message", 0, OPTION_SIZE, AT(max_message), 1, 0, "BYTES", "a size such as 64k or 16m",
     NULL, "close with 1009 above this (64m)"},
    {"path", 0, OPTION_TEXT, AT(path), 0, 0, "PATH", "a path", NULL, "refuse other paths with 404"},
    {"protocol", 0, OPTION_TEXT, AT(protocol), 0, 0, "NAME", "a subprotocol", NULL,
     "choose this subprotocol if it is offered (default: the first that is)"},
    {"size", 's', OPTION_CUSTOM, 0, 0, 0, "BYTES[-MAX]",
     "a size such as 64, 1k or 64-16k, at most 1g", set_size, "source: payload of a message (64)"},
    {"messages", 'n', OPTION_U64, AT(messages), 1, 0, "N", "a number from 1 on", NULL,
     "source: close with 1000 after N messages on a connection (no limit)"},
    {"seed", 0, OPTION_U64, AT(seed), 0, 0, "N", "a number", NULL,
     "source: of sizes and contents (0); `client --mode receive --verify` needs the same"},
    {"text", 0, OPTION_FLAG, AT(is_text), 0, 0, NULL, NULL, NULL,
     "source: text messages instead of binary ones"},
    {"json", 'j', OPTION_FLAG, AT(json), 0, 0, NULL, NULL, NULL,
     "at the end, what was counted as one JSON object on stdout"},
};

static const struct option_table table = {
    .program = "sluice-bench server",
    .usage = "--listen ADDR[,ADDR...] [options]",
    .summary = "A WebSocket peer (RFC 6455) for tests and measurements.",
    .details =
	"\nPrints 'ready ADDR...' when it listens. SIGINT and SIGTERM stop it. A connection holds\n"
	"about 512 kB at most, of data that its client does not take, an idle one under 1 kB.\n"
	"JSON result: connections, refused, messages, bytes (payload received), sent, aborted,\n"
	"stream_sent, stream_received (all that stood behind the upgrades' heads).\n",
    .specs = specs,
    .n_specs = ARRAY_SIZE(specs),
};

int server_options_parse(int argc, char **argv, struct server_options *ret_options)
{
	struct server_options *o = ret_options;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	int r, first;

	*o = (struct server_options){
	    .workers = (uint32_t)MIN(MAX(cpus, 1), SERVER_WORKERS_MAX),
	    .max_message = DEFAULT_MAX_MESSAGE,
	};
	(void)size_mix_parse_size("64", &o->sizes);
	r = option_table_parse(&table, argc, argv, o, &first);
	if (r != 0)
		return r;
	if (first < argc)
		return option_table_refuse(&table, "'%s': expected options only", argv[first]);
	if (o->n_listen == 0)
		return option_table_refuse(&table, "no address; usage: %s", table.usage);
	return 0;
}
