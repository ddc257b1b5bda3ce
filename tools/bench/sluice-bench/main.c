/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-bench: WebSocket load generator and test peer. */
#include "base/std.h"
#include "base/version.h"
#include "bench.h"

#include <stdio.h>

static const char usage[] =
    "usage: sluice-bench client ws://HOST[:PORT][/PATH] | unix:/PATH [options]\n"
    "       sluice-bench server --listen ADDR[,ADDR...] [options]\n"
    "       sluice-bench client|server --help\n"
    "       sluice-bench --version\n";

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "client") == 0)
		return client_main(argc - 1, argv + 1);
	if (strcmp(command, "server") == 0)
		return server_main(argc - 1, argv + 1);
	if (strcmp(command, "--version") == 0) {
		printf("sluice-bench %s (%s)\n", sluice_version, sluice_commit);
		return 0;
	}
	if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	if (*command)
		fprintf(stderr, "sluice-bench: '%s': expected client or server\n", command);
	else
		fputs(usage, stderr);
	return BENCH_EXIT_USAGE;
}
