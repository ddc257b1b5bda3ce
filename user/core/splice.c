/* SPDX-License-Identifier: Apache-2.0 */
#include "core/splice.h"

#include "base/clock.h"
#include "kern/tcp_capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static void fail(struct splice *splice, enum sluice_reason reason, const char *what)
{
	splice->why.reason = reason;
	snprintf(splice->why.text, sizeof(splice->why.text), "%s", what);
}

static int check_repair(struct splice *splice)
{
	int error = tcp_capture_check();

	if (error < 0)
		fail(splice, SLUICE_REASON_KERNEL,
		     error == -EPERM ? "TCP_REPAIR is refused: CAP_NET_ADMIN is missing"
				     : strerror(-error));
	return error;
}

/* Two would take each other's connections for left ones, and each other's events. The kernel drops
 * the lock with the process. */
static int lock_pins(struct splice *splice, const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char what[sizeof(splice->why.text)];

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		splice->lock_fd = TAKE_FD(fd);
		return 0;
	}
	snprintf(what, sizeof(what), "%.200s: %s", dir,
		 errno == EWOULDBLOCK ? "another sluiced works with it" : strerror(errno));
	fail(splice, SLUICE_REASON_NOT_LOADED, what);
	return -errno;
}

static int make_ports(const struct config *config, struct splice *splice)
{
	struct port_pool_options options = {.spaces_max = PORT_POOL_SPACES_MAX};
	int error = parse_port_range(config->kernel.source_ports, &splice->port_range);

	assert(error == 0); /* it was checked when the configuration was read */
	splice->quarantine_ns = config->kernel.quarantine_ms * NS_PER_MS;
	options.first = splice->port_range.first;
	options.last = splice->port_range.last;
	options.quarantine_ns = splice->quarantine_ns;
	return port_pool_new(&options, &splice->ports);
}

void splice_open(const struct config *config, struct splice *ret_splice)
{
	*ret_splice = (struct splice){0};
	if (config->kernel.splice == CONFIG_KERNEL_OFF) {
		fail(ret_splice, SLUICE_REASON_POLICY, "kernel.splice is off");
		return;
	}
	if (bpf_pins_open(config->kernel.pins, &ret_splice->pins, &ret_splice->why) < 0)
		return;
	if (check_repair(ret_splice) < 0 || lock_pins(ret_splice, config->kernel.pins) < 0) {
		bpf_pins_close(&ret_splice->pins);
		return;
	}
	if (make_ports(config, ret_splice) < 0) {
		bpf_pins_close(&ret_splice->pins);
		close(ret_splice->lock_fd);
		fail(ret_splice, SLUICE_REASON_PORTS, "out of memory");
		return;
	}
	ret_splice->pins.flows.counts = &ret_splice->counts;
	(void)flow_table_count(&ret_splice->pins.flows); /* adoption says what cannot be read */
	ret_splice->epoch = kern_ids_take_epoch(&ret_splice->pins.ids);
	ret_splice->is_open = true;
}

void splice_close(struct splice *splice)
{
	if (!splice->is_open)
		return;
	port_pool_free(TAKE_PTR(splice->ports));
	bpf_pins_close(&splice->pins);
	close(splice->lock_fd);
	splice->is_open = false;
}
