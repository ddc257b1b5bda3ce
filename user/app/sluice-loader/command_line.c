/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/command_line.h"

#include "app/sluice-loader/pins.h"
#include "app/sluice-loader/say.h"
#include "base/parse.h"
#include "base/version.h"
#include "core/config.h"
#include "core/config_syntax.h"

#include <getopt.h>
#include <stdio.h>

/* Which verbs an option belongs to. */
#define V(verb) (1u << VERB_##verb)
#define EVERY   ((1u << VERB_COUNT) - 1)

#define TIMEOUT_MAX_MS 86400000u

enum {
	OPT_VERSION = 256,
	OPT_INSTANCE,
	OPT_NETNS,
	OPT_GROUP,
	OPT_OPERATOR_GROUP,
	OPT_FLOWS,
	OPT_EVENTS,
	OPT_HOOK,
	OPT_SOURCE_PORTS,
	OPT_ALL,
	OPT_FORCE,
	OPT_DEMOTE,
	OPT_TIMEOUT,
	OPT_CONTROL,
	OPT_END,
};

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"instance", required_argument, NULL, OPT_INSTANCE},
    {"netns", required_argument, NULL, OPT_NETNS},
    {"group", required_argument, NULL, OPT_GROUP},
    {"operator-group", required_argument, NULL, OPT_OPERATOR_GROUP},
    {"flows", required_argument, NULL, OPT_FLOWS},
    {"events", required_argument, NULL, OPT_EVENTS},
    {"hook", required_argument, NULL, OPT_HOOK},
    {"source-ports", required_argument, NULL, OPT_SOURCE_PORTS},
    {"all", no_argument, NULL, OPT_ALL},
    {"force", no_argument, NULL, OPT_FORCE},
    {"demote", no_argument, NULL, OPT_DEMOTE},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"control", required_argument, NULL, OPT_CONTROL},
    {0},
};

static const unsigned int belongs_to[OPT_END - OPT_VERSION] = {
    [OPT_INSTANCE - OPT_VERSION] = EVERY & ~V(CHECK),
    [OPT_NETNS - OPT_VERSION] = EVERY,
    [OPT_GROUP - OPT_VERSION] = V(LOAD) | V(REPLACE),
    [OPT_OPERATOR_GROUP - OPT_VERSION] = V(LOAD) | V(REPLACE),
    [OPT_FLOWS - OPT_VERSION] = V(LOAD),
    [OPT_EVENTS - OPT_VERSION] = V(LOAD),
    [OPT_HOOK - OPT_VERSION] = V(ATTACH) | V(DETACH),
    [OPT_SOURCE_PORTS - OPT_VERSION] = V(CHECK),
    [OPT_ALL - OPT_VERSION] = V(ATTACH) | V(DETACH),
    [OPT_FORCE - OPT_VERSION] = V(DETACH) | V(UNLOAD),
    [OPT_DEMOTE - OPT_VERSION] = V(DETACH) | V(REPLACE) | V(UNLOAD),
    [OPT_TIMEOUT - OPT_VERSION] = V(DETACH) | V(REPLACE) | V(UNLOAD),
    [OPT_CONTROL - OPT_VERSION] = V(DETACH) | V(REPLACE) | V(UNLOAD),
};

static const struct {
	const char *name, *help;
	bool takes_interfaces;
} verbs[VERB_COUNT] = {
    [VERB_CHECK] = {"check", "what this kernel offers, and what it costs where it does not", false},
    [VERB_LOAD] = {"load", "load the programs and pin them", false},
    [VERB_ATTACH] = {"attach", "hook the program into interfaces: IFACE... or --all", true},
    [VERB_DETACH] = {"detach", "take it out again: IFACE... or --all", true},
    [VERB_STATUS] = {"status", "what is loaded, attached, pinned, and how full it is", false},
    [VERB_REPLACE] = {"replace", "new programs into the same hooks and maps, without a gap", false},
    [VERB_UNLOAD] = {"unload", "take out the hooks and remove the pins", false},
};

const char *loader_verb_name(enum loader_verb verb)
{
	return verbs[verb].name;
}

static void print_usage(FILE *out)
{
	fputs("usage: sluice-loader [OPTIONS] VERB [IFACE...]\n\n", out);
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-8s %s\n", verbs[i].name, verbs[i].help);
	fputs("\n"
	      "      --netns NAME|PATH      work in that network namespace\n"
	      "      --instance NAME        another set of pins: " PIN_ROOT "-NAME\n"
	      "  -j, --json                 print the result as JSON\n"
	      "  -v, --verbose              print what libbpf and the verifier say\n"
	      "      --version              print version and commit\n"
	      "  -h, --help                 print this\n"
	      "\n"
	      "Of `check`: --source-ports FIRST-LAST, as the daemon's kernel.source_ports says\n"
	      "  (" CONFIG_SOURCE_PORTS ")\n"
	      "Of `load`: --flows N, how many spliced connections fit (65536)\n"
	      "  --events BYTES, what the hook may have to tell at a time (1mb)\n"
	      "Of `load` and `replace`: --group GROUP, of the daemon\n"
	      "  (" DEFAULT_GROUP
	      "); --operator-group GROUP, of who may read the maps (" DEFAULT_OPERATOR_GROUP ")\n"
	      "Of `attach`: --hook auto|tcx|clsact|xdp|xdp-generic\n"
	      "Of `detach`: --hook xdp, it alone: tc goes on\n"
	      "Of `attach` and `detach`: --all, every interface that is up; every hook\n"
	      "Of `detach`, `unload` and `replace`: --demote, have the daemon take back what is\n"
	      "  spliced; --timeout TIME, for that (30s); --control PATH, the daemon's socket\n"
	      "Of `detach` and `unload`: --force, although connections are spliced\n"
	      "\n"
	      "Exit status: 0 done (check: splice can work), 1 refused, 2 usage.\n",
	      out);
}

static int take_flows(const char *text, uint32_t *ret_n)
{
	uint64_t n;

	if (parse_u64(text, &n) < 0 || n < FLOWS_MIN || n > FLOWS_MAX)
		return usage_error("--flows %s: expected a number, %u to %u", text, FLOWS_MIN,
				   FLOWS_MAX);
	*ret_n = (uint32_t)n;
	return -1;
}

/* The kernel wants whole pages, and a power of 2. */
static int take_events(const char *text, uint32_t *ret_bytes)
{
	uint64_t n, page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (parse_bytes(text, &n) < 0 || n < MAX(page, (uint64_t)EVENTS_MIN) || n > EVENTS_MAX ||
	    (n & (n - 1)))
		return usage_error("--events %s: expected a power of 2, %llukb to 1gb", text,
				   (unsigned long long)MAX(page, (uint64_t)EVENTS_MIN) / 1024);
	*ret_bytes = (uint32_t)n;
	return -1;
}

static int take_source_ports(const char *text, struct port_range *ret)
{
	if (!config_is_source_ports(text) || parse_port_range(text, ret) < 0)
		return usage_error(
		    "--source-ports %s: expected FIRST-LAST, ports from 1024 to 65535", text);
	return -1;
}

static int take_timeout(const char *text, uint64_t *ret_ms)
{
	if (parse_duration_ms(text, ret_ms) < 0 || *ret_ms > TIMEOUT_MAX_MS)
		return usage_error("--timeout %s: expected a duration such as 30s, at most 1d",
				   text);
	return -1;
}

static int take_hook(const char *text, enum hook_choice *ret)
{
	static const char *const names[] = {
	    [HOOK_CHOICE_AUTO] = "auto",
	    [HOOK_CHOICE_TCX] = "tcx",
	    [HOOK_CHOICE_CLSACT] = "clsact",
	    [HOOK_CHOICE_XDP] = "xdp",
	    [HOOK_CHOICE_XDP_GENERIC] = "xdp-generic",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret = (enum hook_choice)i;
			return -1;
		}
	}
	return usage_error("--hook %s: expected auto, tcx, clsact, xdp or xdp-generic", text);
}

/* Return: -1 to go on, else an exit status. */
static int take_option(int option, char *value, struct command_line *line)
{
	switch (option) {
	case 'j':
		line->is_json = true;
		break;
	case 'v':
		line->is_verbose = true;
		break;
	case 'h':
		print_usage(stdout);
		return EXIT_DONE;
	case OPT_VERSION:
		printf("sluice-loader %s (%s)\n", sluice_version, sluice_commit);
		return EXIT_DONE;
	case OPT_INSTANCE:
		if (!pin_instance_is_valid(value))
			return usage_error("--instance %s: expected up to %d of a-z, 0-9 and -",
					   value, PIN_INSTANCE_MAX);
		line->instance = value;
		break;
	case OPT_NETNS:
		line->netns = value;
		break;
	case OPT_GROUP:
		line->group = value;
		break;
	case OPT_OPERATOR_GROUP:
		line->operator_group = value;
		break;
	case OPT_FLOWS:
		return take_flows(value, &line->n_flows);
	case OPT_EVENTS:
		return take_events(value, &line->events_bytes);
	case OPT_HOOK:
		return take_hook(value, &line->hook);
	case OPT_SOURCE_PORTS:
		return take_source_ports(value, &line->source_ports);
	case OPT_ALL:
		line->has_all = true;
		break;
	case OPT_FORCE:
		line->has_force = true;
		break;
	case OPT_DEMOTE:
		line->has_demote = true;
		break;
	case OPT_TIMEOUT:
		return take_timeout(value, &line->timeout_ms);
	case OPT_CONTROL:
		line->control = value;
		break;
	default:
		fputs("sluice-loader: see sluice-loader --help\n", stderr);
		return EXIT_USAGE_ERROR;
	}
	return -1;
}

static int find_verb(const char *word, enum loader_verb *ret)
{
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (strcmp(word, verbs[i].name) == 0) {
			*ret = (enum loader_verb)i;
			return -1;
		}
	}
	return usage_error("unknown verb \"%s\"", word);
}

static bool is_given(unsigned int given, int option)
{
	return given & 1u << (option - OPT_VERSION);
}

static const char *long_name(int option)
{
	const struct option *o = options;

	while (o->name && o->val != option)
		o++;
	return o->name;
}

/* Nothing depends on XDP alone. */
static int check_detached_hook(const struct command_line *line, unsigned int given)
{
	static const int of_splice[] = {OPT_FORCE, OPT_DEMOTE, OPT_TIMEOUT, OPT_CONTROL};

	if (line->hook != HOOK_CHOICE_XDP)
		return usage_error("detach: --hook xdp leaves tc; without --hook both go");
	for (size_t i = 0; i < ARRAY_SIZE(of_splice); i++) {
		if (is_given(given, of_splice[i]))
			return usage_error("detach --hook xdp: takes no --%s: what is spliced goes "
					   "on by tc",
					   long_name(of_splice[i]));
	}
	return -1;
}

static int check_words(const struct command_line *line, unsigned int given)
{
	const char *verb = verbs[line->verb].name;
	bool takes_interfaces = verbs[line->verb].takes_interfaces;
	int status;

	for (int i = OPT_INSTANCE; i < OPT_END; i++) {
		if (is_given(given, i) && !(belongs_to[i - OPT_VERSION] & 1u << line->verb))
			return usage_error("%s: takes no --%s", verb, long_name(i));
	}
	if (!takes_interfaces && line->n_interfaces > 0)
		return usage_error("%s: unexpected argument \"%s\"", verb, line->interfaces[0]);
	if (line->verb == VERB_DETACH && is_given(given, OPT_HOOK) &&
	    (status = check_detached_hook(line, given)) >= 0)
		return status;
	if (takes_interfaces && line->has_all && line->n_interfaces > 0)
		return usage_error("%s: either --all or names", verb);
	if (takes_interfaces && !line->has_all && line->n_interfaces == 0)
		return usage_error("%s: which interfaces? give names, or --all", verb);
	return -1;
}

int command_line_parse(int argc, char **argv, struct command_line *ret)
{
	struct command_line line = {.timeout_ms = TIMEOUT_DEFAULT_MS};
	unsigned int given = 0;
	int option, status;

	(void)parse_port_range(CONFIG_SOURCE_PORTS, &line.source_ports);
	while ((option = getopt_long(argc, argv, "jvh", options, NULL)) != -1) {
		status = take_option(option, optarg, &line);
		if (status >= 0)
			return status;
		if (option >= OPT_VERSION)
			given |= 1u << (option - OPT_VERSION);
	}
	if (optind >= argc) {
		print_usage(stderr);
		return EXIT_USAGE_ERROR;
	}
	status = find_verb(argv[optind], &line.verb);
	if (status >= 0)
		return status;
	line.interfaces = argv + optind + 1;
	line.n_interfaces = (size_t)(argc - optind - 1);
	status = check_words(&line, given);
	if (status >= 0)
		return status;
	*ret = line;
	return -1;
}
