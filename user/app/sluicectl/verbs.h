/* SPDX-License-Identifier: Apache-2.0 */
/* What sluicectl can ask, and how the answer is printed. */
#pragma once
#include "base/std.h"

#include <jansson.h>

struct verb {
	const char *words; /* as typed: "show connections" */
	const char *cmd;   /* as asked: "show.connections" */
	const char *help;
	bool takes_conn;   /* one connection id may follow */
	bool takes_filter; /* --route and the like */
	bool takes_order;  /* --sort, --limit */
	bool takes_close;  /* --code, --reason */
	bool takes_all;    /* --all, instead of a filter */
	bool takes_target; /* --route, --cluster, --endpoint, --all */
	bool takes_drain;  /* --time, --rate, --no-wait */
	bool is_top;       /* --by, --delay, --once; app/sluicectl/top.h has the rest */
	bool is_live;      /* every page is printed when it comes */
	bool is_endless;   /* likewise, and the last one never comes */
	bool takes_last;   /* --last */
	bool is_offline;   /* takes --offline and --pins: the pinned maps know it, too */
	/*
	 * Words behind the verb, into @args; NULL = none. Return: false if they are not what
	 * @expected says.
	 */
	bool (*take_words)(int argc, char **argv, json_t *args);
	const char *expected; /* "CLUSTER/NAME state ready|drain|maint" */
	/* @data: the whole answer, lists joined */
	void (*print)(const json_t *data);
	void (*print_long)(const json_t *data); /* with --long; NULL = it takes none */
};

extern const struct verb verbs[];
extern const size_t n_verbs;
