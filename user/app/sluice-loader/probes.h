/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel, this network namespace and this machine's settings offer. Each probe tries the
 * thing itself, out of the way of real traffic: hooks on the loopback of a namespace that nobody
 * else sees. None goes by a version number, and none leaves anything behind but kernel modules.
 */
#pragma once
#include "base/parse.h"
#include "base/std.h"

#define PROBE_DETAIL_MAX 512

enum probe_state {
	PROBE_PRESENT,
	PROBE_MISSING,
	PROBE_UNKNOWN, /* no privileges to find out, or no way to ask */
};

struct probe_result {
	enum probe_state state;
	char detail[PROBE_DETAIL_MAX]; /* what was seen; may be empty */
	/* Given: what the daemon connects from. */
	const struct port_range *source_ports;
};

struct probe {
	const char *name; /* in JSON and in the table */
	const char *what;
	/* Of each group, 0 excepted, one that is present is enough for the splice. */
	unsigned int need;
	bool needs_root;
	void (*run)(struct probe_result *ret);
	const char *cost; /* of doing without */
};

extern const struct probe probes[];
extern const size_t n_probes;

/** probe_has_privileges() - may we load programs? */
bool probe_has_privileges(void);
