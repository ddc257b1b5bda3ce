/* SPDX-License-Identifier: Apache-2.0 */
/* sluicectl: the operator's command line to a running daemon (contracts.md s7). */
#include "app/sluicectl/client.h"
#include "app/sluicectl/offline.h"
#include "app/sluicectl/row_order.h"
#include "app/sluicectl/top.h"
#include "app/sluicectl/verbs.h"
#include "base/parse.h"
#include "base/version.h"
#include "core/control_path.h"

#include <getopt.h>
#include <locale.h>
#include <stdio.h>

static void print_usage(FILE *out)
{
	fputs("usage: sluicectl [-s SOCKET] [-j] VERB [ARGUMENTS]\n\n", out);
	for (size_t i = 0; i < n_verbs; i++)
		fprintf(out, "  %-18s %s%s%s\n", verbs[i].words, verbs[i].help,
			verbs[i].takes_conn ? ": CONN, or a filter"
			: verbs[i].expected ? ": "
					    : "",
			verbs[i].expected ? verbs[i].expected : "");
	fputs(
	    "\n"
	    "  -s, --socket PATH  control socket (default: where sluiced puts it)\n"
	    "  -j, --json         print the answer's data as JSON\n"
	    "      --version      print version and commit\n"
	    "  -h, --help         print this\n"
	    "\n"
	    "Filters of `show connections`, `close` and `demote` (all that are given must hold):\n"
	    "  --route NAME  --class NAME  --cluster NAME  --endpoint NAME  --listener NAME\n"
	    "  --tenant NAME\n"
	    "  --path relay|splice|sockmap|hub|local  --source ADDRESS[/BITS]\n"
	    "  --older DURATION  --idle DURATION  --conn ID\n"
	    "Of `show connections`: --long (all columns)  --limit N\n"
	    "  --sort [-]age|idle|bytes|frames|rtt, the largest first, with - the smallest\n"
	    "Of `top`, which takes filters as well: --by connection|route|class|endpoint  --limit N\n"
	    "  --sort [-]rate|messages|connections|..., as above  --delay DURATION\n"
	    "  -b, --once (one screen as text)\n"
	    "Of `close` and `demote`: --all, instead of a filter\n"
	    "Of `close`: --code CODE (default 1001)  --reason TEXT\n"
	    "Targets of `drain` and `undrain` (exactly one):\n"
	    "  --route NAME  --cluster NAME  --cluster NAME --endpoint NAME  --all\n"
	    "Of `drain`: --time DURATION  --rate CONNECTIONS-PER-SECOND  --no-wait\n"
	    "Of `show connections` and `show offload`: --offline, from the pinned maps instead of the\n"
	    "daemon, with --pins DIR (default: " OFFLINE_PINS_DEFAULT ")\n"
	    "Of `events` and `show events`: --last N, how many past ones\n"
	    "\n"
	    "Exit status: 0 done, 1 refused, 2 usage, 3 daemon not reachable.\n",
	    out);
}

enum {
	OPT_VERSION = 256,
	OPT_FILTER, /* goes into the arguments under its own name, as text */
	OPT_CODE,
	OPT_REASON,
	OPT_ALL,
	OPT_TIME,
	OPT_RATE,
	OPT_NO_WAIT,
	OPT_LAST,
	OPT_SORT,
	OPT_LIMIT,
	OPT_BY,
	OPT_DELAY,
	OPT_OFFLINE,
	OPT_PINS,
};

static const struct option options[] = {
    {"socket", required_argument, NULL, 's'},
    {"json", no_argument, NULL, 'j'},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {"conn", required_argument, NULL, OPT_FILTER},
    {"route", required_argument, NULL, OPT_FILTER},
    {"class", required_argument, NULL, OPT_FILTER},
    {"cluster", required_argument, NULL, OPT_FILTER},
    {"endpoint", required_argument, NULL, OPT_FILTER},
    {"listener", required_argument, NULL, OPT_FILTER},
    {"tenant", required_argument, NULL, OPT_FILTER},
    {"path", required_argument, NULL, OPT_FILTER},
    {"source", required_argument, NULL, OPT_FILTER},
    {"older", required_argument, NULL, OPT_FILTER},
    {"idle", required_argument, NULL, OPT_FILTER},
    {"code", required_argument, NULL, OPT_CODE},
    {"reason", required_argument, NULL, OPT_REASON},
    {"all", no_argument, NULL, OPT_ALL},
    {"time", required_argument, NULL, OPT_TIME},
    {"rate", required_argument, NULL, OPT_RATE},
    {"no-wait", no_argument, NULL, OPT_NO_WAIT},
    {"last", required_argument, NULL, OPT_LAST},
    {"long", no_argument, NULL, 'l'},
    {"sort", required_argument, NULL, OPT_SORT},
    {"limit", required_argument, NULL, OPT_LIMIT},
    {"by", required_argument, NULL, OPT_BY},
    {"once", no_argument, NULL, 'b'},
    {"delay", required_argument, NULL, OPT_DELAY},
    {"offline", no_argument, NULL, OPT_OFFLINE},
    {"pins", required_argument, NULL, OPT_PINS},
    {0},
};

struct command_line {
	const char *socket, *pins;
	bool is_offline;
	bool is_json, is_long, has_filter, has_close, has_all, has_drain, has_last;
	const char *sort;              /* NULL = as they come */
	struct connection_order order; /* as it says */
	uint64_t limit;                /* 0 = none */
	bool has_top, is_once;
	enum top_by by;
	uint64_t delay_ms; /* 0 = not given */
	json_t *args;
};

/* A text that JSON cannot hold must not just be missing: a filter less closes more. */
static int set_text(json_t *args, const char *key, const char *text)
{
	if (json_object_set_new(args, key, json_string(text)) == 0)
		return -1;
	fprintf(stderr, "sluicectl: --%s: not UTF-8\n", key);
	return EXIT_USAGE_ERROR;
}

static int set_number(json_t *args, const char *key, const char *text)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (*end || end == text) {
		fprintf(stderr, "sluicectl: --%s %s: expected a number\n", key, text);
		return EXIT_USAGE_ERROR;
	}
	json_object_set_new(args, key, json_integer(number));
	return -1;
}

static int take_sort(struct command_line *line, const char *text)
{
	line->sort = text;
	if (connection_order_parse(text, &line->order) == 0)
		return -1;
	fprintf(stderr, "sluicectl: --sort %s: expected %s\n", text, CONNECTION_ORDER_EXPECTED);
	return EXIT_USAGE_ERROR;
}

static int take_limit(struct command_line *line, const char *text)
{
	if (parse_u64(text, &line->limit) == 0 && line->limit > 0)
		return -1;
	fprintf(stderr, "sluicectl: --limit %s: expected a number of at least 1\n", text);
	return EXIT_USAGE_ERROR;
}

static int take_by(struct command_line *line, const char *text)
{
	line->has_top = true;
	if (top_by_parse(text, &line->by) == 0)
		return -1;
	fprintf(stderr, "sluicectl: --by %s: expected connection, route, class or endpoint\n",
		text);
	return EXIT_USAGE_ERROR;
}

static int take_delay(struct command_line *line, const char *text)
{
	line->has_top = true;
	if (parse_duration_ms(text, &line->delay_ms) == 0 && line->delay_ms >= TOP_DELAY_MIN_MS &&
	    line->delay_ms <= TOP_DELAY_MAX_MS)
		return -1;
	fprintf(stderr, "sluicectl: --delay %s: expected a duration from 500ms to 10s\n", text);
	return EXIT_USAGE_ERROR;
}

/* Return: -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct command_line *ret)
{
	int option, index, status = -1;

	while (status < 0 && (option = getopt_long(argc, argv, "s:jlbh", options, &index)) != -1) {
		switch (option) {
		case 's':
			ret->socket = optarg;
			break;
		case 'j':
			ret->is_json = true;
			break;
		case 'l':
			ret->is_long = true;
			break;
		case 'b':
			ret->has_top = ret->is_once = true;
			break;
		case OPT_BY:
			status = take_by(ret, optarg);
			break;
		case OPT_DELAY:
			status = take_delay(ret, optarg);
			break;
		case OPT_SORT:
			status = take_sort(ret, optarg);
			break;
		case OPT_LIMIT:
			status = take_limit(ret, optarg);
			break;
		case 'h':
			print_usage(stdout);
			return EXIT_DONE;
		case OPT_VERSION:
			printf("sluicectl %s (%s)\n", sluice_version, sluice_commit);
			return EXIT_DONE;
		case OPT_FILTER:
			ret->has_filter = true;
			status = set_text(ret->args, options[index].name, optarg);
			break;
		case OPT_CODE:
			ret->has_close = true;
			status = set_number(ret->args, "code", optarg);
			break;
		case OPT_RATE:
			ret->has_drain = true;
			status = set_number(ret->args, "rate", optarg);
			break;
		case OPT_TIME:
			ret->has_drain = true;
			status = set_text(ret->args, "time", optarg);
			break;
		case OPT_NO_WAIT:
			ret->has_drain = true;
			json_object_set_new(ret->args, "wait", json_false());
			break;
		case OPT_LAST:
			ret->has_last = true;
			status = set_number(ret->args, "last", optarg);
			break;
		case OPT_OFFLINE:
			ret->is_offline = true;
			break;
		case OPT_PINS:
			ret->pins = optarg;
			break;
		case OPT_REASON:
			ret->has_close = true;
			status = set_text(ret->args, "reason", optarg);
			break;
		case OPT_ALL:
			ret->has_all = true;
			json_object_set_new(ret->args, "all", json_true());
			break;
		default:
			fputs("sluicectl: see sluicectl --help\n", stderr);
			return EXIT_USAGE_ERROR;
		}
	}
	return status;
}

/* Takes as many words as the verb has. Return: the verb, with *ret_used words, or NULL. */
static const struct verb *find_verb(int argc, char **argv, int *ret_used)
{
	for (size_t i = 0; i < n_verbs; i++) {
		const char *rest = verbs[i].words;
		int used = 0;

		while (used < argc && *rest) {
			size_t len = strcspn(rest, " ");

			if (strlen(argv[used]) != len || memcmp(argv[used], rest, len) != 0)
				break;
			used++;
			rest += len + (rest[len] == ' ');
		}
		if (*rest == '\0') {
			*ret_used = used;
			return &verbs[i];
		}
	}
	return NULL;
}

static int usage_error(const char *verb, const char *text, const char *what)
{
	fprintf(stderr, "sluicectl: %s: %s \"%s\"; see sluicectl --help\n", verb, text, what);
	return EXIT_USAGE_ERROR;
}

/* Return: -1 to go on, else an exit status. */
static int check_arguments(const struct verb *verb, int argc, char **argv,
			   struct command_line *line)
{
	if (verb->takes_conn && argc > 0) {
		int status = set_text(line->args, "conn", argv[0]);

		if (status >= 0)
			return status;
		line->has_filter = true;
		argc--;
		argv++;
	}
	if (verb->take_words && !verb->take_words(argc, argv, line->args))
		return usage_error(verb->words, "expected", verb->expected);
	if (argc > 0 && !verb->take_words)
		return usage_error(verb->words, "unexpected argument", argv[0]);
	if (line->has_drain && !verb->takes_drain)
		return usage_error(verb->words, "--time, --rate and --no-wait belong to", "drain");
	if (line->has_all && !verb->takes_all && !verb->takes_target)
		return usage_error(verb->words, "--all belongs to", "close");
	if (line->has_filter && !verb->takes_filter && !verb->takes_target)
		return usage_error(verb->words, "takes no filter, unlike", "show connections");
	if ((line->sort || line->limit) && !verb->takes_order)
		return usage_error(verb->words, "--sort and --limit belong to", "show connections");
	if (line->is_long && !verb->print_long)
		return usage_error(verb->words, "--long belongs to", "show connections");
	if (line->has_top && !verb->is_top)
		return usage_error(verb->words, "--by, --delay and --once belong to", "top");
	if (verb->is_top && line->limit > CONNECTION_LIMIT_MAX)
		return usage_error(verb->words, "--limit is", "1 to 500");
	if (verb->is_top && line->sort && !top_view_takes(line->by, line->order.key))
		return usage_error(verb->words, "this view has no --sort", line->sort);
	if (line->sort && !verb->is_top && connection_key_is_of_top(line->order.key))
		return usage_error(verb->words, "such a --sort belongs to", "top");
	if (line->has_close && !verb->takes_close)
		return usage_error(verb->words, "--code and --reason belong to", "close");
	if (line->has_last && !verb->takes_last)
		return usage_error(verb->words, "--last belongs to", "events");
	if ((line->is_offline || line->pins) && !verb->is_offline)
		return usage_error(verb->words, "--offline and --pins belong to",
				   "show connections");
	if (line->pins && !line->is_offline)
		return usage_error(verb->words, "--pins belongs to", "--offline");
	return -1;
}

static int print_live(const json_t *data, void *arg)
{
	const struct verb *verb = arg;

	verb->print(data);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_REFUSED;
}

/* Joins the pages of a list; other data comes in one. */
static int collect(const json_t *data, void *arg)
{
	json_t **all = arg;

	if (json_is_array(data) && *all)
		json_array_extend(*all, (json_t *)data);
	else
		*all = json_incref((json_t *)data);
	return EXIT_DONE;
}

/* Of an answer without an end, each row on a line of its own. */
static int print_json_rows(const json_t *data, void *arg)
{
	const json_t *row;
	size_t i;

	json_array_foreach(data, i, row)
	{
		json_dumpf(row, stdout, JSON_COMPACT);
		putchar('\n');
	}
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_REFUSED;
}

/* The daemon can choose a few of many; all of them are sorted here. */
static bool is_chosen_there(const struct command_line *line)
{
	return !line->is_offline && line->limit > 0 && line->limit <= CONNECTION_LIMIT_MAX;
}

static int ask(const struct verb *verb, const struct command_line *line, json_t **ret_data)
{
	if (line->is_offline)
		return offline_request(line->pins ? line->pins : OFFLINE_PINS_DEFAULT, verb->cmd,
				       line->args, collect, ret_data);
	if (is_chosen_there(line)) {
		json_object_set_new(line->args, "limit", json_integer((json_int_t)line->limit));
		if (line->sort)
			json_object_set_new(line->args, "sort", json_string(line->sort));
	}
	return client_request(line->socket, verb->cmd, line->args, collect, ret_data);
}

static void put_in_order(const struct command_line *line, json_t **data)
{
	if (is_chosen_there(line))
		return;
	if (line->sort)
		row_order_apply(&line->order, data);
	if (line->limit)
		row_order_cut(*data, line->limit);
}

static int run_top(const struct command_line *line)
{
	struct top_options top = {
	    .socket = line->socket,
	    .filters = line->args,
	    .view = {.by = line->by, .order = {.key = CONNECTION_BY_RATE}},
	    .delay_ms = line->delay_ms,
	    .limit = (size_t)line->limit,
	    .is_once = line->is_once,
	    .is_json = line->is_json,
	};

	if (line->sort)
		top.view.order = line->order;
	return top_run(&top);
}

static int run(const struct verb *verb, const struct command_line *line)
{
	json_t *data = NULL;
	int status;

	if (verb->is_top)
		return run_top(line);
	if (verb->is_live && !line->is_json)
		return client_request(line->socket, verb->cmd, line->args, print_live,
				      (void *)verb);
	if (verb->is_endless)
		return client_request(line->socket, verb->cmd, line->args, print_json_rows, NULL);
	status = ask(verb, line, &data);
	if (status == EXIT_DONE)
		put_in_order(line, &data);
	if (status == EXIT_DONE && line->is_json) {
		json_dumpf(data, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else if (status == EXIT_DONE) {
		(line->is_long ? verb->print_long : verb->print)(data);
	}
	json_decref(data);
	if (status == EXIT_DONE && (fflush(stdout) != 0 || ferror(stdout))) {
		fprintf(stderr, "sluicectl: cannot write the answer: %s\n", strerror(errno));
		status = EXIT_REFUSED;
	}
	return status;
}

int main(int argc, char **argv)
{
	struct command_line line = {.args = json_object()};
	char path[CONTROL_PATH_MAX + 1];
	const struct verb *verb;
	int used, status;

	(void)setlocale(LC_CTYPE, ""); /* whether there is UTF-8 */
	status = parse_options(argc, argv, &line);
	if (status >= 0)
		goto out;
	argc -= optind;
	argv += optind;
	if (argc == 0) {
		print_usage(stderr);
		status = EXIT_USAGE_ERROR;
		goto out;
	}
	verb = find_verb(argc, argv, &used);
	if (!verb) {
		fprintf(stderr, "sluicectl: unknown verb \"%s%s%s\"; see sluicectl --help\n",
			argv[0], argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
		status = EXIT_USAGE_ERROR;
		goto out;
	}
	status = check_arguments(verb, argc - used, argv + used, &line);
	if (status >= 0)
		goto out;
	if (!line.socket && !line.is_offline)
		line.socket = control_find_path(path);
	if (!line.socket && !line.is_offline) {
		fputs("sluicectl: where is the daemon? give -s SOCKET\n", stderr);
		status = EXIT_USAGE_ERROR;
		goto out;
	}
	status = run(verb, &line);
out:
	json_decref(line.args);
	return status;
}
