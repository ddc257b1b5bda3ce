/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions in the language of Perl (PCRE2), over bytes, with an end to the work: what a
 * pattern does with a text is bounded by a number of steps, as the text is a peer's.
 */
#pragma once
#include "base/std.h"

#define REGEX_PATTERN_MAX 4095u  /* bytes */
#define REGEX_GROUPS      10     /* the whole match, and $1 to $9 */
#define REGEX_STEPS_MAX   20000u /* of one match: about a millisecond */

struct regex;

struct regex_error {
	char text[128];  /* "missing closing parenthesis" */
	size_t position; /* bytes from the start of the pattern */
};

/**
 * regex_new() - compile @pattern; matches any part of a text unless it has ^ or $
 *
 * The result is immutable and may be used by several threads at a time.
 * Return: 0; -EINVAL with @ret_error; -ENOMEM.
 */
int regex_new(const char *pattern, struct regex **ret_regex, struct regex_error *ret_error);
void regex_free(struct regex *regex);
DEFINE_CLEANUP(struct regex, regex_free)

/**
 * regex_match() - look for the pattern in @text
 * @ret_groups: parts of @text, written if it is there; ptr is NULL for a group without a part
 *
 * Return: 1 or 0; -ELOOP if REGEX_STEPS_MAX, or the memory for backtracking, was not enough to
 * find out; -ENOMEM.
 */
int regex_match(const struct regex *regex, struct slice text,
		struct slice ret_groups[REGEX_GROUPS]);
/**
 * regex_literal_prefix() - what every text begins with that @pattern matches
 *
 * Return: a part of @pattern; empty for what has no "^" in front, or an alternative anywhere.
 */
struct slice regex_literal_prefix(const char *pattern);
/** regex_n_groups() - groups that the pattern has, without the whole match */
uint32_t regex_n_groups(const struct regex *regex);
