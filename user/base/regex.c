/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define HEAP_KB 1024u /* for backtracking */

/*
 * Interpreted, never compiled to machine code: a process that makes none can be forbidden to
 * (systemd's MemoryDenyWriteExecute=), and the interpreter counts every step against the limit.
 */
struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
};

/* No \C, which could stop inside a character; no switching to UTF, which request bytes need not be.
 */
#define OPTIONS (PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOLLAR_ENDONLY)

static int fail(int code, size_t position, struct regex_error *ret_error)
{
	if (code == PCRE2_ERROR_HEAP_FAILED)
		return -ENOMEM;
	if (pcre2_get_error_message(code, (PCRE2_UCHAR *)ret_error->text, sizeof(ret_error->text)) <
	    0)
		strcpy(ret_error->text, "it cannot be compiled");
	ret_error->position = position;
	return -EINVAL;
}

int regex_new(const char *pattern, struct regex **ret_regex, struct regex_error *ret_error)
{
	_cleanup_(cleanup_regex_free) struct regex *regex = calloc(1, sizeof(*regex));
	PCRE2_SIZE position = 0;
	int code = 0;

	if (!regex)
		return -ENOMEM;
	if (strlen(pattern) > REGEX_PATTERN_MAX)
		return fail(PCRE2_ERROR_BADDATA, REGEX_PATTERN_MAX, ret_error);
	regex->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, OPTIONS, &code,
				    &position, NULL);
	if (!regex->code)
		return fail(code, position, ret_error);
	regex->limits = pcre2_match_context_create(NULL);
	if (!regex->limits)
		return -ENOMEM;
	pcre2_set_match_limit(regex->limits, REGEX_STEPS_MAX);
	pcre2_set_depth_limit(regex->limits, REGEX_STEPS_MAX);
	pcre2_set_heap_limit(regex->limits, HEAP_KB);
	*ret_regex = TAKE_PTR(regex);
	return 0;
}

void regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_match_context_free(regex->limits);
	pcre2_code_free(regex->code);
	free(regex);
}

/* The first @n have a place in @data; of the others it says nothing. */
static void copy_groups(pcre2_match_data *data, size_t n, struct slice text,
			struct slice *ret_groups)
{
	const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(data);

	for (size_t i = 0; i < REGEX_GROUPS; i++) {
		PCRE2_SIZE start = i < n ? offsets[2 * i] : PCRE2_UNSET;
		PCRE2_SIZE end = i < n ? offsets[2 * i + 1] : PCRE2_UNSET;

		/* \K in a look-ahead can put the start behind the end: that is no part. */
		if (start == PCRE2_UNSET || start > end)
			ret_groups[i] = (struct slice){0};
		else
			ret_groups[i] = (struct slice){text.ptr + start, end - start};
	}
}

int regex_match(const struct regex *regex, struct slice text, struct slice ret_groups[REGEX_GROUPS])
{
	pcre2_match_data *data = pcre2_match_data_create(REGEX_GROUPS, NULL);
	int r;

	if (!data)
		return -ENOMEM;
	r = pcre2_match(regex->code, (PCRE2_SPTR)text.ptr, text.len, 0, 0, data, regex->limits);
	/* 0: a match with more groups than there was room for. */
	if (r >= 0)
		copy_groups(data, r > 0 ? (size_t)r : REGEX_GROUPS, text, ret_groups);
	pcre2_match_data_free(data);
	if (r >= 0)
		return 1;
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -ELOOP;
}

uint32_t regex_n_groups(const struct regex *regex)
{
	uint32_t n = 0;

	(void)pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &n);
	return n;
}

struct slice regex_literal_prefix(const char *pattern)
{
	size_t len;

	if (pattern[0] != '^' || strchr(pattern, '|'))
		return (struct slice){"", 0};
	pattern++;
	len = strcspn(pattern, "\\^$.[]()?*+{}");
	/* A quantifier may mean that the character in front is not there. */
	if (len > 0 && pattern[len] && strchr("?*+{", pattern[len]))
		len--;
	return (struct slice){pattern, len};
}
