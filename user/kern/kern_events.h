/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hook tells through the ring buffer events, and its counters in stats. On one thread, the
 * daemon's main one. An event that found no room is only counted: the caller then has to look at
 * all flows (kern_events_take_lost()), where everything stands as well.
 */
#pragma once
#include "base/std.h"
#include "sluice/event.h"
#include "sluice/splice_stats.h"

struct kern_events;

typedef void kern_event_fn(const struct sl_event *event, void *arg);

/** kern_events_new() - descriptors are borrowed. Return: 0, -ENOMEM or another -errno of bpf(2) */
int kern_events_new(int events_fd, int stats_fd, kern_event_fn *on_event, void *arg,
		    struct kern_events **ret_events);
void kern_events_free(struct kern_events *events);
DEFINE_CLEANUP(struct kern_events, kern_events_free)

/** kern_events_fd() - readable when there are some; borrowed */
int kern_events_fd(const struct kern_events *events);
/** kern_events_consume() - call back for at most @max. Return: how many, or -errno */
int kern_events_consume(struct kern_events *events, int max);
/** kern_events_take_lost() - how many were lost since this was last asked. Return: 0, or -errno */
int kern_events_take_lost(struct kern_events *events, uint64_t *ret_n);

/** kern_stat_read() - one of the hook's counters, all CPUs added up. Return: 0, -ENOMEM or -errno
 */
int kern_stat_read(int stats_fd, enum sl_stat stat, uint64_t *ret_n);
/** kern_stats_read() - all of them. Return: 0, -ENOMEM or -errno */
int kern_stats_read(int stats_fd, uint64_t ret_stats[SL_STAT_COUNT]);
const char *kern_stat_name(enum sl_stat stat);
