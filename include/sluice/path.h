/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which path a connection's payload takes, and why not the next cheaper one: one enumeration for
 * kernel programs, daemon, command line and metrics. Numbers are part of the ABI: never reuse one.
 */
#pragma once

enum sluice_path {
	SLUICE_PATH_RELAY = 0,   /* userspace event loop */
	SLUICE_PATH_SPLICE = 1,  /* packets rewritten by tc or XDP */
	SLUICE_PATH_SOCKMAP = 2, /* socket redirect in the kernel */
	SLUICE_PATH_HUB = 3,     /* pub/sub in userspace */
	SLUICE_PATH_LOCAL = 4,   /* echo, respond */
	SLUICE_PATH_COUNT = 5,
};

enum sluice_reason {
	SLUICE_REASON_NONE = 0,
	SLUICE_REASON_NEW = 1,  /* too young */
	SLUICE_REASON_BUSY = 2, /* not quiescent yet */
	SLUICE_REASON_TLS = 3,
	SLUICE_REASON_POLICY = 4,  /* the route says so */
	SLUICE_REASON_LIMIT = 5,   /* a limit that only userspace enforces */
	SLUICE_REASON_INSPECT = 6, /* a filter or an integrity check */
	SLUICE_REASON_NO_HOOK = 7, /* an interface without the program */
	SLUICE_REASON_ASYMMETRIC = 8,
	SLUICE_REASON_NO_FORWARDING = 9,
	SLUICE_REASON_OPTIONS = 10, /* of TCP, that cannot be translated; or packets as such */
	SLUICE_REASON_MTU = 11,
	SLUICE_REASON_MAP_FULL = 12,
	SLUICE_REASON_PORTS = 13,  /* no port free */
	SLUICE_REASON_KERNEL = 14, /* feature missing */
	SLUICE_REASON_NOT_LOADED = 15,
	SLUICE_REASON_DEMOTED = 16,
	SLUICE_REASON_DRAINING = 17,
	SLUICE_REASON_COUNT = 18,
};
