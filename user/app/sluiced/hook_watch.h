/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that go by other means than sluice-loader (tc filter del, ip link del, bpftool), and pins
 * that are taken away. The kernel is asked whenever an interface, a qdisc or a filter has gone, and
 * every second, as nobody tells of a tcx link. What is gone leaves the map `hooked`, so that all
 * workers keep new connections off it (reason no_hook); it is logged, counted, and told as an event
 * with the number of spliced legs that are cut off. Their connections are demoted, if they are at
 * rest (core/demotion.h). sluice-loader attach puts it in again.
 */
#pragma once
#include "base/std.h"

#include <ev.h>
#include <net/if.h>

struct gateway;

/* One that there was at the last look. Once the interface is gone nobody knows its name. */
struct hook_watch_name {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
};

/* Main thread only. */
struct hook_watch {
	struct gateway *gateway;
	int news_fd;
	ev_io on_news;
	ev_timer again;
	struct hook_watch_name *names;
	size_t n_names;
	uint64_t n_lost; /* since the start */
	bool has_failed; /* what cannot be told is said once */
};

void hook_watch_init(struct hook_watch *watch, struct gateway *g);
/** hook_watch_begin() - g->splice is open, and the workers' threads run. Twice is harmless */
void hook_watch_begin(struct hook_watch *watch);
/** hook_watch_look() - see at once what has come and gone, before anything is spliced again */
void hook_watch_look(struct hook_watch *watch);
void hook_watch_done(struct hook_watch *watch);
