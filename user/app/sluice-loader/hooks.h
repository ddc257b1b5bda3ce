/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program at the ingress of interfaces: a tcx link where the kernel has it (6.6), a filter of
 * the clsact qdisc elsewhere. What is attached is recorded beside the pins, in hooks/:
 *
 *	tcx_NETNS_IFINDEX                the pinned link
 *	clsact_NETNS_IFINDEX/            a directory, as a filter cannot be pinned
 *	clsact_NETNS_IFINDEX/qdisc/      likewise: the qdisc is ours, too
 *
 * NETNS is the inode of the network namespace, so that an interface of another one is never taken
 * for it. Records are made before a filter and after a qdisc: one who was interrupted in between
 * may leave an empty qdisc, but never removes that of another.
 */
#pragma once
#include "app/sluice-loader/command_line.h"
#include "app/sluice-loader/netns.h"
#include "app/sluice-loader/pins.h"

enum hook_kind {
	HOOK_TCX,
	HOOK_CLSACT,
};

struct hook {
	enum hook_kind kind;
	uint64_t netns;   /* inode */
	uint32_t ifindex; /* in there */
	bool is_here;     /* that is the namespace that we are in */
	bool is_gone;     /* the interface, or what we had attached, no longer exists */
	bool owns_qdisc;
	uint32_t link_id; /* tcx */
	struct {
		uint32_t handle, priority;
	} filter;            /* clsact */
	uint32_t program_id; /* 0 = unknown, as for filters of another namespace */
};

const char *hook_kind_name(enum hook_kind kind);
/** hook_has_tcx() - ask the kernel by a query of @ifindex */
bool hook_has_tcx(uint32_t ifindex);
/** hook_try_tcx() - is there such a link, with this program? Nothing stays. Return: 0, or -errno */
int hook_try_tcx(int program_fd, uint32_t ifindex);
/** hook_try_clsact() - likewise a filter; for a namespace that goes: the filter stays */
int hook_try_clsact(int program_fd, uint32_t ifindex);
/** hook_name() - of the record. Return: @ret */
const char *hook_name(enum hook_kind kind, uint64_t netns, uint32_t ifindex,
		      char ret[PIN_PATH_MAX / 2]);
/** hook_name_parse() - Return: 0, or -EINVAL if it is not of a record */
int hook_name_parse(const char *name, enum hook_kind *ret_kind, uint64_t *ret_netns,
		    uint32_t *ret_ifindex);

/** hooks_read() - every record, with what the kernel says about it; free(*ret) */
int hooks_read(const char *dir, struct hook **ret, size_t *ret_n);
/**
 * hook_attach() - @program_fd to an interface of this namespace that has no hook
 *
 * Return: 0, -EEXIST if our place among the filters is taken by a program that is not ours,
 * -EOPNOTSUPP if the kernel lacks @choice, or what the kernel said
 */
int hook_attach(const char *dir, int program_fd, uint32_t ifindex, enum hook_choice choice,
		struct hook *ret);
/**
 * hook_update() - another program in the same place; no packet passes without one
 *
 * Return: 0, -EXDEV for a filter of another namespace, -ENOENT if the hook is gone, or -errno
 */
int hook_update(const char *dir, const struct hook *hook, int program_fd);
/**
 * hook_detach() - take it out and remove its record; one that is gone only loses the record
 *
 * Return: 0, -EXDEV for a filter of another namespace, or -errno
 */
int hook_detach(const char *dir, const struct hook *hook);
/** hook_is_reachable() - filters of another namespace are not; links are, from everywhere */
bool hook_is_reachable(const struct hook *hook);
/** hook_forget() - remove the record alone */
int hook_forget(const char *dir, const struct hook *hook);
