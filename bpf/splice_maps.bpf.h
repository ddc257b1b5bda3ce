/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, by the names of sluice/abi.h. Each object declares all that it needs; the loader makes
 * one map of those with the same name, and sizes flows4, flows6 and conns.
 */
#pragma once
#include "sluice/abi.h"
#include "sluice/conn.h"
#include "sluice/event.h"
#include "sluice/flow.h"
#include "sluice/policy.h"
#include "sluice/splice_stats.h"
#include "sluice/way.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define SL_DEFAULT_CONNECTIONS 65536

/* Preallocated, as the default is: the way of a packet allocates nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SL_DEFAULT_CONNECTIONS);
	__type(key, struct sl_key4);
	__type(value, struct sl_flow);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * SL_DEFAULT_CONNECTIONS);
	__type(key, struct sl_key6);
	__type(value, struct sl_flow);
} flows6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SL_STAT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SL_WAYS);
	__type(key, __u32);
	__type(value, struct sl_way);
} ways SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SL_POLICIES);
	__type(key, __u32);
	__type(value, struct sl_policy);
} policies SEC(".maps");

/* The rest is for userspace; the programs do not look at it. */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sl_abi);
} abi SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sl_ids);
} ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct sl_name);
	__type(value, __u32);
} names SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SL_DEFAULT_CONNECTIONS);
	__type(key, __u64);
	__type(value, struct sl_conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct sl_hooked);
} hooked SEC(".maps");
