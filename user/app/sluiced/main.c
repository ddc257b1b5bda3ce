/* SPDX-License-Identifier: Apache-2.0 */
/* sluiced: the command line of the daemon. */
#include "app/sluiced/gateway.h"
#include "app/sluiced/rights.h"
#include "base/log.h"
#include "base/version.h"
#include "core/config.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>

enum {
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
};

static const char usage_text[] =
    "usage: sluiced [-c FILE] [-t] [--user USER [--group GROUP]]\n"
    "       sluiced --dump-defaults | --version | --help\n"
    "\n"
    "  -c, --config FILE   configuration (without it: an echo endpoint on port 8080)\n"
    "  -t, --test          check the configuration and exit\n"
    "      --user USER     started as root, become this one (instead of process.user)\n"
    "      --group GROUP   with this group\n"
    "      --dump-defaults print every key with its default, range and meaning\n"
    "      --dump-man      print the same list as a part of sluice.conf(5)\n"
    "      --version       print version and commit\n"
    "  -h, --help          print this\n"
    "\n"
    "Stops on SIGTERM or SIGINT: closes connections with 1001, within hard_stop_after,\n"
    "and leaves spliced ones to the next daemon.\n"
    "See sluiced(8), sluice.conf(5), sluicectl(1).\n";

enum {
	OPT_DUMP_DEFAULTS = 256,
	OPT_DUMP_MAN,
	OPT_GROUP,
	OPT_USER,
	OPT_VERSION,
};

static const struct option options[] = {
    {"config", required_argument, NULL, 'c'},
    {"test", no_argument, NULL, 't'},
    {"user", required_argument, NULL, OPT_USER},
    {"group", required_argument, NULL, OPT_GROUP},
    {"dump-defaults", no_argument, NULL, OPT_DUMP_DEFAULTS},
    {"dump-man", no_argument, NULL, OPT_DUMP_MAN},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct command_line {
	const char *file; /* NULL = embedded */
	struct rights_wish wish;
	bool is_test;
};

/* Return: -1 to go on, else an exit status. */
static int parse_command_line(int argc, char **argv, struct command_line *ret)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:th", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			ret->file = optarg;
			break;
		case 't':
			ret->is_test = true;
			break;
		case OPT_USER:
			ret->wish.user = optarg;
			break;
		case OPT_GROUP:
			ret->wish.group = optarg;
			break;
		case OPT_DUMP_DEFAULTS:
			config_dump_defaults(stdout);
			return 0;
		case OPT_DUMP_MAN:
			config_dump_man(stdout);
			return 0;
		case OPT_VERSION:
			printf("sluiced %s (%s)\n", sluice_version, sluice_commit);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs("sluiced: see sluiced --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (ret->wish.group && !ret->wish.user) {
		fputs("sluiced: --group wants --user; see sluiced --help\n", stderr);
		return EXIT_USAGE;
	}
	if (optind < argc) {
		fprintf(stderr, "sluiced: unexpected argument \"%s\"; see sluiced --help\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	return -1;
}

int main(int argc, char **argv)
{
	_cleanup_(cleanup_config_unref) struct config *config = NULL;
	struct command_line line = {0};
	char path[PATH_MAX];
	struct config_error error;
	int status = parse_command_line(argc, argv, &line);

	if (status >= 0)
		return status;
	status = line.file ? config_load_file(line.file, &config, &error)
			   : config_load_text("embedded", config_embedded_text(), &config, &error);
	if (status < 0) {
		fprintf(stderr, "sluiced: %s\n", error.text);
		return EXIT_REFUSED;
	}
	if (line.is_test) {
		printf("sluiced: %s: ok\n", line.file ? line.file : "embedded configuration");
		return EXIT_SUCCESS;
	}
	/* The process may not stay where it was started. */
	if (line.file && !realpath(line.file, path)) {
		fprintf(stderr, "sluiced: %s: %s\n", line.file, strerror(errno));
		return EXIT_REFUSED;
	}
	log_init(&(struct log_options){.level = config->log.level,
				       .format = config->log.format,
				       .fd = STDERR_FILENO,
				       .rate_per_s = config->log.rate_per_s});
	if (!line.wish.user)
		line.wish = (struct rights_wish){config->process.user, config->process.group};
	if (rights_settle(&line.wish, config, line.file ? path : NULL) < 0)
		return EXIT_REFUSED;
	return gateway_run(config, line.file ? path : NULL) < 0 ? EXIT_REFUSED : EXIT_SUCCESS;
}
