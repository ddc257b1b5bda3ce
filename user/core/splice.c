/* SPDX-License-Identifier: Apache-2.0 */
#include "core/splice.h"

#include "base/clock.h"

#include <stdio.h>

static void fail(struct splice *splice, enum sluice_reason reason, const char *what)
{
	splice->why.reason = reason;
	snprintf(splice->why.text, sizeof(splice->why.text), "%s", what);
}

void splice_open(const struct config *config, struct splice *ret_splice)
{
	static const struct port_pool_options ports = {
	    .first = SPLICE_PORT_FIRST,
	    .last = SPLICE_PORT_LAST,
	    .quarantine_ns = PORT_POOL_QUARANTINE_S * NS_PER_S,
	    .spaces_max = PORT_POOL_SPACES_MAX,
	};

	*ret_splice = (struct splice){0};
	if (config->kernel.splice == CONFIG_KERNEL_OFF) {
		fail(ret_splice, SLUICE_REASON_POLICY, "kernel.splice is off");
		return;
	}
	if (bpf_pins_open(config->kernel.pins, &ret_splice->pins, &ret_splice->why) < 0)
		return;
	if (port_pool_new(&ports, &ret_splice->ports) < 0) {
		bpf_pins_close(&ret_splice->pins);
		fail(ret_splice, SLUICE_REASON_PORTS, "out of memory");
		return;
	}
	ret_splice->epoch = kern_ids_take_epoch(&ret_splice->pins.ids);
	ret_splice->is_open = true;
}

void splice_close(struct splice *splice)
{
	if (!splice->is_open)
		return;
	port_pool_free(TAKE_PTR(splice->ports));
	bpf_pins_close(&splice->pins);
	splice->is_open = false;
}
