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
	.help = "Whether the kernel moves the packets of connections that allow it. With auto it "
		"does if sluice-loader has loaded the programs before the start; if not, all "
		"connections stay on the relay.",
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
};

const struct config_section config_section_kernel = {
    .name = "kernel",
    .parent = &config_section_file,
    KEYS(kernel_keys),
    .help = "What the kernel may do for connections once they are open.",
};
