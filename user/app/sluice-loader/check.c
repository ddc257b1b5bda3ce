/* SPDX-License-Identifier: Apache-2.0 */
/* check: the report of all probes. */
#include "app/sluice-loader/probes.h"
#include "app/sluice-loader/say.h"
#include "app/sluice-loader/verbs.h"

#include <jansson.h>
#include <stdio.h>

#define NEEDS_MAX 32

static const char *const state_names[] = {
    [PROBE_PRESENT] = "present",
    [PROBE_MISSING] = "missing",
    [PROBE_UNKNOWN] = "unknown",
};

static void run_probe(const struct probe *probe, const struct command_line *line,
		      bool is_privileged, struct probe_result *ret)
{
	*ret = (struct probe_result){
	    .state = PROBE_UNKNOWN,
	    .source_ports = &line->source_ports,
	};
	if (probe->needs_root && !is_privileged)
		snprintf(ret->detail, sizeof(ret->detail), "needs root to find out");
	else
		probe->run(ret);
}

static void print_row(const struct probe *probe, const struct probe_result *result)
{
	printf("%-15s %-8s %s%s%s\n", probe->name, state_names[result->state], probe->what,
	       result->detail[0] ? ": " : "", result->detail);
	if (result->state == PROBE_MISSING)
		printf("%-15s %-8s -> %s\n", "", "", probe->cost);
}

static json_t *row_json(const struct probe *probe, const struct probe_result *result)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s*}", "item", probe->name, "state",
			 state_names[result->state], "required", probe->need != 0, "what",
			 probe->what, "detail", result->detail, "cost",
			 result->state == PROBE_MISSING ? probe->cost : NULL);
}

/* Names of what the splice needs and does not have. Return: is there nothing of that kind? */
static bool list_lacking(const bool has_need[NEEDS_MAX], json_t *lacking)
{
	for (unsigned int need = 1; need < NEEDS_MAX; need++) {
		bool is_known = false;

		for (size_t i = 0; i < n_probes; i++) {
			if (probes[i].need != need || has_need[need])
				continue;
			/* tcx or clsact: one name is enough */
			if (!is_known)
				json_array_append_new(lacking, json_string(probes[i].name));
			is_known = true;
		}
	}
	return json_array_size(lacking) == 0;
}

static void print_verdict(const json_t *lacking, bool is_privileged)
{
	const char *separator = " ";
	const json_t *name;
	size_t i;

	if (json_array_size(lacking) == 0) {
		puts("\nsplice: possible");
		return;
	}
	if (!is_privileged) {
		puts("\nsplice: unknown; run this as root");
		return;
	}
	fputs("\nsplice: impossible, for want of", stdout);
	json_array_foreach(lacking, i, name)
	{
		printf("%s%s", separator, json_string_value(name));
		separator = ", ";
	}
	putchar('\n');
}

int verb_check(const struct command_line *line)
{
	bool is_privileged = probe_has_privileges(), has_need[NEEDS_MAX] = {0}, is_possible;
	json_t *items = json_array(), *lacking = json_array();

	for (size_t i = 0; i < n_probes; i++) {
		struct probe_result result;

		run_probe(&probes[i], line, is_privileged, &result);
		assert(probes[i].need < NEEDS_MAX);
		if (result.state == PROBE_PRESENT)
			has_need[probes[i].need] = true;
		if (line->is_json)
			json_array_append_new(items, row_json(&probes[i], &result));
		else
			print_row(&probes[i], &result);
	}
	is_possible = list_lacking(has_need, lacking);
	if (line->is_json) {
		json_t *report = json_pack("{s:b, s:O, s:O}", "splice", is_possible, "lacking",
					   lacking, "items", items);

		json_dumpf(report, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(report);
	} else {
		print_verdict(lacking, is_privileged);
	}
	json_decref(items);
	json_decref(lacking);
	return is_possible ? EXIT_DONE : EXIT_REFUSED;
}
