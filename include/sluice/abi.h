/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel programs, the loader, the daemon and the offline verbs of the command line agree
 * upon: the version, and the names of what is pinned.
 *
 * Everything in a map of include/sluice/ has a fixed layout without holes that the compiler chose;
 * bytes that pad are zero. All numbers are in host byte order unless a field's type says __be.
 * Times are CLOCK_MONOTONIC ns, which survives the daemon, but not the machine, as the maps do.
 */
#pragma once

#include <linux/types.h>

/* Raised by every change of a layout or of what a field means. Loader and daemon refuse another. */
#define SL_ABI_VERSION 2u

/* The map `abi`: an array of one. */
struct sl_abi {
	__u32 version;   /* SL_ABI_VERSION of who loaded */
	__u32 flow_size; /* sizeof(struct sl_flow), and so on: a second opinion */
	__u32 conn_size;
	__u32 event_size;
};

/*
 * The map `ids`: an array of one, BPF_F_MMAPABLE, so that numbers are taken by an atomic add on the
 * mapped memory. The loader begins it with 1, 1 and 0.
 */
struct sl_ids {
	__u64 next_conn_id; /* never 0, never reused while the pins live */
	__u32 next_name_id;
	__u32 epoch; /* number of the daemon that owns the flows: each start takes the next */
};

/*
 * The map `names`: what is called so has this id, from its first mention on and for as long as the
 * pins live, whatever becomes of the configuration.
 */
enum sl_name_kind {
	SL_NAME_LISTENER = 1,
	SL_NAME_ROUTE = 2,
	SL_NAME_RULE = 3,
	SL_NAME_CLASS = 4,
	SL_NAME_CLUSTER = 5,
	SL_NAME_ENDPOINT = 6, /* "CLUSTER/ENDPOINT" */
};

#define SL_NAME_MAX 131 /* bytes; the configuration has no longer ones */

struct sl_name {
	__u32 kind;                 /* enum sl_name_kind */
	char text[SL_NAME_MAX + 1]; /* zero-terminated, and zeros behind */
};

/* Below /sys/fs/bpf/sluice/, or /sys/fs/bpf/sluice-NAME/ for an instance called NAME. */
#define SL_PIN_ROOT "/sys/fs/bpf"
#define SL_PIN_DIR  "sluice"

#define SL_MAP_ABI      "abi"
#define SL_MAP_IDS      "ids"
#define SL_MAP_NAMES    "names"     /* struct sl_name -> __u32 */
#define SL_MAP_FLOWS4   "flows4"    /* struct sl_key4 -> struct sl_flow */
#define SL_MAP_FLOWS6   "flows6"    /* struct sl_key6 -> struct sl_flow */
#define SL_MAP_CONNS    "conns"     /* __u64 conn_id -> struct sl_conn */
#define SL_MAP_EVENTS   "events"    /* ring buffer of struct sl_event */
#define SL_MAP_STATS    "stats"     /* per CPU: enum sl_stat -> __u64 */
#define SL_MAP_WAYS     "ways"      /* per CPU: sl_way_place() -> struct sl_way */
#define SL_MAP_POLICIES "policies"  /* __u32 sl_flow.policy -> struct sl_policy */
#define SL_MAP_PORTS    "xdp_ports" /* struct sl_xdp_port_key -> struct sl_xdp_port, likewise */
#define SL_MAP_HOOKED   "hooked"    /* __u32 ifindex -> struct sl_hooked, by the loader */

#define SL_PROG_SPLICE   "sl_splice"
#define SL_PROG_XDP      "sl_splice_xdp"
#define SL_PROG_CAPTURE  "sl_capture"
#define SL_PROG_ACTIVATE "sl_activate"
#define SL_PROG_HOLD     "sl_hold"

/* An interface that has the hook: both legs of a connection must come in through one. */
struct sl_hooked {
	__u32 netns; /* inode of its network namespace */
	__u16 kind;  /* enum sl_hook_kind */
	__u16 is_l2; /* 1 = frames begin with an Ethernet header; nothing is spliced over others */
	__u32 id;    /* of the tcx link; handle of the filter */
	__u32 priority; /* of the filter */
};

enum sl_hook_kind {
	SL_HOOK_TCX = 1,
	SL_HOOK_CLSACT = 2,
	SL_HOOK_XDP = 3,
};
