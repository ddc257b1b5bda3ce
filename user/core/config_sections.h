/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sections of the configuration's table, and how their entries are written. Each stands with
 * its keys in a file by subject: config_keys_process.c, _kernel.c, _limits.c, _listener.c,
 * _class.c, _cluster.c, _route.c. The index of all is config_keys.c.
 */
#pragma once
#include "core/config_keys.h"

/* Where a key's value goes: a member of the section's struct. */
#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define KEYS(array)         .keys = (array), .n_keys = ARRAY_SIZE(array)
/* Where the sections of one kind go: an array in their parent's struct. */
#define ELEMENTS(type, array, count, element)                                         \
	.array_offset = offsetof(type, array), .count_offset = offsetof(type, count), \
	.element_size = sizeof(element)

#define KB        (UINT64_C(1) << 10)
#define MB        (UINT64_C(1) << 20)
#define GB        (UINT64_C(1) << 30)
#define TB        (UINT64_C(1) << 40)
#define SECOND    UINT64_C(1000)
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define PATH_LEN  4095
#define FIELD_LEN 4096 /* of a header: name and value */
/* Frames and messages may have 2^63 - 1 bytes (RFC 6455 s5.2); half of it leaves room for sums. */
#define SIZE_LIMIT_MAX (UINT64_C(1) << 62)
#define MESSAGE_MAX    UINT32_MAX /* as far as the kernel's walker counts: sluice/policy.h */

/* Beside what they are part of, as in the index. */
extern const struct config_section config_section_file;
extern const struct config_section config_section_worker;
extern const struct config_section config_section_process;
extern const struct config_section config_section_admin;
extern const struct config_section config_section_kernel;
extern const struct config_section config_section_log;
extern const struct config_section config_section_limits;
extern const struct config_section config_section_drain;
extern const struct config_section config_section_resolver;
extern const struct config_section config_section_listener;
extern const struct config_section config_section_class;
extern const struct config_section config_section_cluster;
extern const struct config_section config_section_ejection;
extern const struct config_section config_section_breaker;
extern const struct config_section config_section_health;
extern const struct config_section config_section_endpoint;
extern const struct config_section config_section_route;
extern const struct config_section config_section_match;
extern const struct config_section config_section_headers;
extern const struct config_section config_section_respond;

/* Of enum config_kernel: what may be left to the kernel. */
extern const char *const config_kernel_words[];
