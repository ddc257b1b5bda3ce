/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Origins of web pages (RFC 6454), as browsers send them (RFC 6455 s4.1) and as an allow-list has
 * them (s10.2). Pure.
 */
#pragma once
#include "base/std.h"

/** origin_is_pattern() - "https://a.example", with or without ":PORT", with "*." in front of the
 * host for all names below it, or "null" */
bool origin_is_pattern(struct slice pattern);

/**
 * origin_matches() - whether @origin, as received, is one of those that @pattern means
 *
 * Scheme and host are compared without case. The port counts; none is the scheme's own (RFC 6454
 * s4). "*." stands for one name or more in front, never for none. What is no origin matches none.
 */
bool origin_matches(struct slice pattern, struct slice origin);
