/* SPDX-License-Identifier: Apache-2.0 */
#include "option_table.h"

#include "values.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#define OPTIONS_MAX  64
#define LONG_BASE    0x100 /* getopt values of long options, above every letter */
#define HELP_VALUE   (LONG_BASE + OPTIONS_MAX)
#define HELP_COLUMN  30
#define HELP_COLUMNS 96
#define MESSAGE_MAX  512

int option_table_refuse(const struct option_table *table, const char *fmt, ...)
{
	char text[MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* A value may hold line breaks; the message is one line. */
	for (char *c = text; *c; c++)
		*c = (unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c;
	fprintf(stderr, "%s: %s\n", table->program, text);
	return -EINVAL;
}

static bool spec_has_value(const struct option_spec *spec)
{
	return spec->arg != NULL;
}

/* Text with line breaks at spaces, indented; the first line starts at column @at. */
static void print_wrapped(const char *text, int at, int indent)
{
	while (*text) {
		size_t room = (size_t)(HELP_COLUMNS - at), len = strlen(text);

		if (len > room) {
			for (len = room; len > 0 && text[len] != ' '; len--)
				;
			if (len == 0)
				len = strcspn(text, " ");
		}
		printf("%.*s\n", (int)len, text);
		text += len;
		text += strspn(text, " ");
		if (*text)
			printf("%*s", indent, "");
		at = indent;
	}
}

static void print_spec(const struct option_spec *spec)
{
	char left[64];
	int n;

	if (spec->kind == OPTION_HEADING) {
		printf("\n%s:\n", spec->name);
		return;
	}
	n = snprintf(left, sizeof(left), "  %c%c%c --%s%s%s", spec->letter ? '-' : ' ',
		     spec->letter ? spec->letter : ' ', spec->letter ? ',' : ' ', spec->name,
		     spec_has_value(spec) ? " " : "", spec_has_value(spec) ? spec->arg : "");
	if (n < HELP_COLUMN)
		printf("%-*s", HELP_COLUMN, left);
	else
		printf("%s\n%*s", left, HELP_COLUMN, "");
	print_wrapped(spec->help, HELP_COLUMN, HELP_COLUMN);
}

static void print_help(const struct option_table *table)
{
	printf("usage: %s %s\n", table->program, table->usage);
	print_wrapped(table->summary, 0, 0);
	for (size_t i = 0; i < table->n_specs; i++)
		print_spec(&table->specs[i]);
	printf("  -h, --help%*sthis text\n", HELP_COLUMN - 12, "");
	fputs(table->details, stdout);
}

static int store_number(const struct option_spec *spec, uint64_t number, void *member)
{
	if (number < spec->min || (spec->max && number > spec->max))
		return -ERANGE;
	if (spec->kind == OPTION_U32)
		*(uint32_t *)member = (uint32_t)number;
	else
		*(uint64_t *)member = number;
	return 0;
}

static int store(const struct option_spec *spec, void *options, const char *value)
{
	void *member = (char *)options + spec->offset;
	uint64_t number = 0;
	int r = 0;

	switch (spec->kind) {
	case OPTION_FLAG:
	case OPTION_CLEAR:
		*(bool *)member = spec->kind == OPTION_FLAG;
		return 0;
	case OPTION_TEXT:
		*(const char **)member = value;
		return 0;
	case OPTION_CUSTOM:
		return spec->set(options, value);
	case OPTION_U32:
		r = value_u64(value, 0, UINT32_MAX, &number);
		break;
	case OPTION_U64:
		r = value_u64(value, 0, UINT64_MAX, &number);
		break;
	case OPTION_SIZE:
		r = value_size(value, &number);
		break;
	case OPTION_DURATION:
		r = value_duration_ns(value, &number);
		break;
	case OPTION_RATE:
		r = value_rate(value, &number);
		break;
	case OPTION_HEADING:
		return -EINVAL;
	}
	return r < 0 ? r : store_number(spec, number, member);
}

/* Fills what getopt wants; @ret_letters needs 2 characters a letter and a few more. */
static void build_getopt(const struct option_table *table, struct option *ret_long,
			 char *ret_letters)
{
	size_t n = 0;

	assert(table->n_specs < OPTIONS_MAX);
	*ret_letters++ = ':'; /* missing values are told apart from unknown options */
	*ret_letters++ = 'h';
	for (size_t i = 0; i < table->n_specs; i++) {
		const struct option_spec *spec = &table->specs[i];

		if (spec->kind == OPTION_HEADING)
			continue;
		ret_long[n++] = (struct option){
		    .name = spec->name,
		    .has_arg = spec_has_value(spec) ? required_argument : no_argument,
		    .val = LONG_BASE + (int)i,
		};
		if (spec->letter) {
			*ret_letters++ = spec->letter;
			if (spec_has_value(spec))
				*ret_letters++ = ':';
		}
	}
	*ret_letters = '\0';
	ret_long[n++] = (struct option){.name = "help", .val = HELP_VALUE};
	ret_long[n] = (struct option){0};
}

static const struct option_spec *find_spec(const struct option_table *table, int value)
{
	if (value >= LONG_BASE && (size_t)(value - LONG_BASE) < table->n_specs)
		return &table->specs[value - LONG_BASE];
	for (size_t i = 0; value > 0 && i < table->n_specs; i++) {
		if (table->specs[i].letter == value)
			return &table->specs[i];
	}
	return NULL;
}

static int refuse_getopt(const struct option_table *table, int c, char **argv)
{
	const struct option_spec *spec = find_spec(table, optopt);

	if (spec && c == ':')
		return option_table_refuse(table, "--%s: no value; expected %s", spec->name,
					   spec->expected);
	if (spec)
		return option_table_refuse(table, "--%s: takes no value", spec->name);
	if (optopt > 0 && optopt < LONG_BASE)
		return option_table_refuse(table, "-%c: unknown option; see --help", optopt);
	return option_table_refuse(table, "%s: unknown option; see --help", argv[optind - 1]);
}

int option_table_parse(const struct option_table *table, int argc, char **argv, void *options,
		       int *ret_first_operand)
{
	struct option long_options[OPTIONS_MAX + 2];
	char letters[2 * OPTIONS_MAX + 3];
	int c;

	build_getopt(table, long_options, letters);
	opterr = 0;
	optind = 0; /* start anew, also when called before */
	while ((c = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		const struct option_spec *spec = find_spec(table, c);

		if (c == 'h' || c == HELP_VALUE) {
			print_help(table);
			return 1;
		}
		if (c == '?' || c == ':')
			return refuse_getopt(table, c, argv);
		if (store(spec, options, optarg) < 0)
			return option_table_refuse(table, "--%s: '%s': expected %s", spec->name,
						   optarg, spec->expected);
	}
	*ret_first_operand = optind;
	return 0;
}
