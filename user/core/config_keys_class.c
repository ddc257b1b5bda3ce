/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of classes: what connections may send, and how their packets are marked. */
#include "core/config_sections.h"

#include "core/config.h"
#include "core/config_class.h"
#include "core/config_syntax.h"

static const char *const over_rates[] = {
    [CONFIG_OVER_RATE_DROP] = "drop",
    [CONFIG_OVER_RATE_MARK] = "mark",
    NULL,
};

static const struct config_key class_keys[] = {
    {
	.name = "rate_bytes",
	.type = CONFIG_BYTES,
	.fallback = "0",
	.zero = "no limit",
	.min = 4 * KB,
	.max = CONFIG_RATE_BYTES_MAX,
	.is_reloadable = true,
	FIELD(struct config_class, rate_bytes),
	.help = "Bytes that each side of a connection may send in a second. In userspace (the "
		"relay, echo) what is beyond is read later, so that TCP makes the sender wait, "
		"and counts are of the WebSocket stream. In the kernel what is beyond is dropped, "
		"or marked, which tells TCP the same; payload of TCP counts.",
    },
    {
	.name = "burst_bytes",
	.type = CONFIG_BYTES,
	.fallback = "auto",
	.none = "auto",
	.min = 4 * KB,
	.max = CONFIG_BURST_BYTES_MAX,
	.is_reloadable = true,
	FIELD(struct config_class, burst_bytes),
	.help = "Bytes that may come at once after a quiet time. With auto one second's worth of "
		"rate_bytes, but 64kb at least and 512mb at most.",
    },
    {
	.name = "rate_frames",
	.type = CONFIG_NUMBER,
	.fallback = "0",
	.zero = "no limit",
	.min = 1,
	.max = 100000000,
	.is_reloadable = true,
	FIELD(struct config_class, rate_frames),
	.help = "Frames that each side of a connection may send in a second, likewise; those of "
		"control, such as Ping, count as well. Where the kernel has lost its place among "
		"them, see splice_frames, each packet counts as one, and on the relay each read.",
    },
    {
	.name = "burst_frames",
	.type = CONFIG_NUMBER,
	.fallback = "auto",
	.none = "auto",
	.min = 1,
	.max = 100000000,
	.is_reloadable = true,
	FIELD(struct config_class, burst_frames),
	.help = "Frames that may come at once after a quiet time. With auto one second's worth of "
		"rate_frames.",
    },
    {
	.name = "over_rate",
	.type = CONFIG_WORD,
	.fallback = "drop",
	.words = over_rates,
	.is_reloadable = true,
	FIELD(struct config_class, over_rate),
	.help = "What the kernel does to a packet over a rate: drop it, or with mark let it pass "
		"and mark it by ECN, if it allows that, until as much again as the burst has "
		"passed; what is beyond is dropped. Connections whose ends do not speak ECN lose "
		"packets in any case.",
    },
    {
	.name = "pacing",
	.type = CONFIG_BYTES,
	.fallback = "0",
	.zero = "none",
	.min = 4 * KB,
	.max = CONFIG_RATE_BYTES_MAX,
	.is_reloadable = true,
	FIELD(struct config_class, pacing),
	.help = "Bytes a second, to either side of a connection, at which packets leave, evenly "
		"spread. Packets that the kernel forwards get a time of departure, which takes the "
		"queueing discipline fq on the interface that they leave by; without it they "
		"leave at once. What would have to wait for more than 200 ms is dropped. With "
		"rate_bytes beside it, the lower one counts there.",
    },
    {
	.name = "dscp",
	.type = CONFIG_TEXT,
	.fallback = "off",
	.none = "off",
	.min = 1,
	.max = 4,
	.is_valid = config_is_dscp,
	.expected = "a code point such as EF, AF41, CS5, LE or 0 to 63",
	.is_reloadable = true,
	FIELD(struct config_class, dscp_text),
	.help = "Code point in the packets to both sides, from the opening on. With off those "
		"that the kernel forwards keep the one that they came with.",
    },
    {
	.name = "priority",
	.type = CONFIG_NUMBER,
	.fallback = "0",
	.zero = "as it comes",
	.min = 1,
	.max = 6,
	.is_reloadable = true,
	FIELD(struct config_class, priority),
	.help = "Priority of the packets in this host's queueing disciplines (SO_PRIORITY).",
    },
};

const struct config_section config_section_class = {
    .name = "class",
    .parent = &config_section_file,
    .title = "bulk",
    KEYS(class_keys),
    ELEMENTS(struct config, classes, n_classes, struct config_class),
    .help = "What connections may send, each for itself, and how their packets are marked; for a "
	    "route's class. The class default is that of routes without one; it is there, without "
	    "limits and marks, also if the file does not have it. A change counts for live "
	    "connections, too.",
};

_Static_assert(offsetof(struct config_class, name) == 0, "name first");
