/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pinned maps and programs that sluice-loader has left in a directory of a BPF file system,
 * opened by the permission of their group: no capability is needed, and none is used.
 */
#pragma once
#include "base/std.h"
#include "kern/flow_table.h"
#include "kern/kern_ids.h"
#include "sluice/abi.h"
#include "sluice/path.h"

struct bpf_pins {
	struct flow_table flows;
	int conns_fd, names_fd, events_fd, stats_fd, policies_fd, hooked_fd; /* maps */
	int capture_fd, activate_fd, hold_fd; /* programs, to be run */
	struct kern_ids ids;

	/* private */
	int ids_fd;
};

/* Why there are none to work with: one line, for people. */
struct bpf_pins_error {
	enum sluice_reason reason; /* NOT_LOADED, or KERNEL: it is too old, or does not let us */
	char text[256];
};

/**
 * bpf_pins_open() - all, or none
 * @dir: "/sys/fs/bpf/sluice"
 *
 * Return: 0, or with @ret_error -ENOENT (not loaded, or not all of it: it names what is missing),
 * -EACCES or -EPERM (the group), -EPROTO (another ABI: it names both), another -errno.
 */
int bpf_pins_open(const char *dir, struct bpf_pins *ret_pins, struct bpf_pins_error *ret_error);
/* The maps alone, to be read: while a daemon works with them, or none does. */
struct bpf_pins_view {
	struct flow_table flows;
	int conns_fd, names_fd, stats_fd, policies_fd;
};

/**
 * bpf_pins_view() - by the pins for operators (DIR/ro/), or those for the daemon
 *
 * Return: as bpf_pins_open().
 */
int bpf_pins_view(const char *dir, struct bpf_pins_view *ret_view,
		  struct bpf_pins_error *ret_error);
void bpf_pins_view_close(struct bpf_pins_view *view);

/** bpf_pins_close() - of one that was opened; a second time is harmless */
void bpf_pins_close(struct bpf_pins *pins);
