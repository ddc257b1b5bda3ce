/* SPDX-License-Identifier: Apache-2.0 */
/* The two subcommands. */
#pragma once

#define BENCH_EXIT_ERRORS 1 /* the run had errors, or could not be run */
#define BENCH_EXIT_USAGE  2

/** client_main() / server_main() - argv[0] is the subcommand. Return: exit status */
int client_main(int argc, char **argv);
int server_main(int argc, char **argv);
