/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of what the kernel does for connections. */
#include "core/config_sections.h"

#include "core/config.h"
#include "core/config_syntax.h"

const char *const config_kernel_words[] = {
    [CONFIG_KERNEL_AUTO] = "auto",
    [CONFIG_KERNEL_OFF] = "off",
    NULL,
};

static const struct config_key kernel_keys[] = {
    {
	.name = "splice",
	.type = CONFIG_WORD,
	.fallback = "auto",
	.words = config_kernel_words,
	FIELD(struct config, kernel.splice),
	.help =
	    "Whether the kernel moves the packets of connections that allow it. With auto it "
	    "does if sluice-loader has loaded the programs before the start, or before a "
	    "reload; until then connections stay on the relay. With off nothing is spliced that "
	    "was not before; what an earlier daemon has spliced is looked after.",
    },
    {
	.name = "pins",
	.type = CONFIG_TEXT,
	.fallback = "/sys/fs/bpf/sluice",
	.min = 1,
	.max = 107,
	.is_valid = config_is_path,
	.expected = "an absolute path",
	FIELD(struct config, kernel.pins),
	.help = "Directory in which sluice-loader has pinned the programs and maps.",
    },
    {
	.name = "source_ports",
	.type = CONFIG_TEXT,
	.fallback = CONFIG_SOURCE_PORTS,
	.min = 9,
	.max = 11,
	.is_valid = config_is_source_ports,
	.expected = "FIRST-LAST, ports from 1024 to 65535",
	FIELD(struct config, kernel.source_ports),
	.help =
	    "Ports that connections to endpoints are made from, for each pair of source address "
	    "and endpoint anew, if they may be spliced: the kernel forgets those, and must not "
	    "give their ports to anybody else. Where net.ipv4.ip_local_port_range has some of "
	    "them, name these in net.ipv4.ip_local_reserved_ports; sluice-loader check "
	    "--source-ports tells how.",
    },
    {
	.name = "quarantine",
	.type = CONFIG_DURATION,
	.fallback = "60s",
	.min = SECOND,
	.max = 10 * MINUTE,
	FIELD(struct config, kernel.quarantine_ms),
	.help =
	    "Time for which such a port is not used again, and late packets of a spliced "
	    "connection still find their way, once that has ended. The default is how long a "
	    "socket of Linux waits; less is for networks that keep no packet for so long, where "
	    "ports are few.",
    },
};

const struct config_section config_section_kernel = {
    .name = "kernel",
    .parent = &config_section_file,
    KEYS(kernel_keys),
    .help = "What the kernel may do for connections once they are open.",
};
