/* SPDX-License-Identifier: Apache-2.0 */
/* One table of options makes the parser, the messages for bad values, and --help. */
#pragma once
#include "base/std.h"

enum option_kind {
	OPTION_FLAG,     /* bool, set to true; no value */
	OPTION_CLEAR,    /* bool, set to false; no value */
	OPTION_U32,      /* uint32_t in min..max */
	OPTION_U64,      /* uint64_t in min..max */
	OPTION_SIZE,     /* uint64_t bytes in min..max */
	OPTION_DURATION, /* uint64_t ns in min..max */
	OPTION_RATE,     /* uint64_t a second */
	OPTION_TEXT,     /* const char *, borrowed from argv */
	OPTION_CUSTOM,   /* set() */
	OPTION_HEADING,  /* of --help only */
};

struct option_spec {
	const char *name; /* without dashes; of a heading: its text */
	char letter;      /* 0 = none */
	enum option_kind kind;
	size_t offset;        /* of the member in the options struct */
	uint64_t min, max;    /* max 0 = no limit */
	const char *arg;      /* what --help calls the value */
	const char *expected; /* ends "…: expected " when a value is refused */
	int (*set)(void *options, const char *value); /* 0 or -errno; value is NULL without arg */
	const char *help;
};

struct option_table {
	const char *program; /* leads every message: "sluice-bench client" */
	const char *usage;   /* what follows the program in a usage line */
	const char *summary; /* first paragraph of --help */
	const char *details; /* last paragraphs of --help */
	const struct option_spec *specs;
	size_t n_specs;
};

/**
 * option_table_parse() - read the options in front of and among the operands
 * @argv: argv[0] is skipped; permuted so that the operands come last
 * @ret_first_operand: index into @argv
 *
 * Return: 0, 1 if --help was asked for (and printed), or -EINVAL after one line on stderr that
 * names the option, the value and what was expected.
 */
int option_table_parse(const struct option_table *table, int argc, char **argv, void *options,
		       int *ret_first_operand);
/** option_table_refuse() - print "PROGRAM: …" on stderr. Return: -EINVAL */
int option_table_refuse(const struct option_table *table, const char *fmt, ...) PRINTF_LIKE(2, 3);
