/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differentiated services code points by their names: the upper six bits of the IPv4 TOS octet and
 * of the IPv6 traffic class (RFC 2474), as RFC 2474 (CS), 2597 (AF), 3246 (EF), 5865 (VA) and 8622
 * (LE) name them. Pure.
 */
#pragma once
#include "base/std.h"

#define DSCP_MAX      63u
#define DSCP_TEXT_MAX 4 /* bytes of a name or number */

/** dscp_parse() - "EF", "af41" or "46". Return: 0 or -EINVAL */
int dscp_parse(const char *text, uint8_t *ret_dscp);
/** dscp_format() - the name, or the number of one that has none; @dscp: at most DSCP_MAX */
void dscp_format(uint8_t dscp, char ret_text[DSCP_TEXT_MAX + 1]);
