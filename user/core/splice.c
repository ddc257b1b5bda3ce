/* SPDX-License-Identifier: Apache-2.0 */
#include "core/splice.h"

#include "base/clock.h"
#include "base/log.h"
#include "kern/conn_table.h"
#include "kern/tcp_repair.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

static int fail(struct bpf_pins_error *why, int error, enum sluice_reason reason, const char *what)
{
	why->reason = reason;
	snprintf(why->text, sizeof(why->text), "%s", what);
	return error;
}

static int check_repair(struct bpf_pins_error *why)
{
	int error = tcp_repair_check();

	if (error == 0)
		return 0;
	return fail(why, error, SLUICE_REASON_KERNEL,
		    error == -EPERM ? "TCP_REPAIR is refused: CAP_NET_ADMIN is missing"
				    : strerror(-error));
}

/* Two would take each other's connections for left ones, and each other's events. The kernel drops
 * the lock with the process. */
static int lock_pins(const char *dir, int *ret_fd, struct bpf_pins_error *why)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char what[sizeof(why->text)];
	int error;

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	error = -errno;
	snprintf(what, sizeof(what), "%.160s: %s", dir,
		 error == -EWOULDBLOCK
		     ? "another sluiced works with it; this one will when that lets go"
		     : strerror(-error));
	return fail(why, error, SLUICE_REASON_NOT_LOADED, what);
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

/* What classes do, adoption tells: it has the configuration in force. */
static int make_policies(struct splice *s, struct bpf_pins_error *why)
{
	int error = policies_new(s->pins.policies_fd, s->pins.names_fd, &s->pins.ids, &s->policies);

	return error < 0 ? fail(why, error, SLUICE_REASON_KERNEL, strerror(-error)) : 0;
}

static void release(struct splice *s)
{
	policies_free(TAKE_PTR(s->policies));
	port_pool_free(TAKE_PTR(s->ports));
	bpf_pins_close(&s->pins);
}

static int open_locked(const struct config *config, struct splice *s, struct bpf_pins_error *why)
{
	int error = bpf_pins_open(config->kernel.pins, &s->pins, why);

	if (error < 0)
		return error;
	error = check_repair(why);
	if (error == 0 && make_ports(config, s) < 0)
		error = fail(why, -ENOMEM, SLUICE_REASON_PORTS, strerror(ENOMEM));
	if (error == 0)
		error = make_policies(s, why);
	if (error < 0)
		release(s);
	return error;
}

static int stop_walk(uint64_t conn_id, const struct sl_conn *conn, void *arg)
{
	return -EEXIST;
}

/* Nobody has left anything there, not even a port that must not be used again soon. */
static bool is_deserted(const struct splice *s)
{
	return s->counts.n4 == 0 && s->counts.n6 == 0 &&
	       conn_table_walk(s->pins.conns_fd, stop_walk, NULL) == 0;
}

static int open_kernel(const struct config *config, struct splice *s, struct bpf_pins_error *why)
{
	_cleanup_close_ int lock_fd = -1;
	int lock_error = lock_pins(config->kernel.pins, &lock_fd, why), error;

	s->is_contended = lock_error == -EWOULDBLOCK;
	if (s->is_contended)
		return lock_error;
	/* Of pins that are not there, or not for us, this knows more to say than the lock. */
	error = open_locked(config, s, why);
	if (error < 0)
		return error;
	s->counts = (struct flow_counts){0};
	s->pins.flows.counts = &s->counts;
	(void)flow_table_count(&s->pins.flows); /* adoption says what cannot be read */
	/* With nothing to look after, the pins are for a daemon that wants them. */
	if (lock_error < 0 || (!s->takes_new && is_deserted(s))) {
		release(s);
		return lock_error;
	}
	s->epoch = kern_ids_take_epoch(&s->pins.ids);
	s->lock_fd = TAKE_FD(lock_fd);
	s->is_open = true;
	return 0;
}

static void set_reason(struct splice *s, enum sluice_reason reason, const char *why)
{
	snprintf(s->why, sizeof(s->why), "%s", why);
	atomic_store_explicit(&s->reason, (int)reason, memory_order_relaxed);
}

static void try_open(const struct config *config, struct splice *s)
{
	struct bpf_pins_error why;
	int error = open_kernel(config, s, &why);

	if (!s->takes_new) {
		if (error < 0 && error != -ENOENT && !s->is_contended)
			log_warning("what is spliced already cannot be looked after: %s", why.text);
		set_reason(s, SLUICE_REASON_POLICY,
			   s->is_open ? "kernel.splice is off; what was spliced before goes on"
				      : "kernel.splice is off");
	} else if (error < 0) {
		set_reason(s, why.reason, why.text);
	} else {
		set_reason(s, SLUICE_REASON_NONE, "");
	}
}

void splice_open(const struct config *config, struct splice *ret_splice)
{
	*ret_splice = (struct splice){.takes_new = config->kernel.splice != CONFIG_KERNEL_OFF};
	try_open(config, ret_splice);
}

void splice_retry(const struct config *config, struct splice *splice)
{
	assert(!splice->is_open);
	try_open(config, splice);
}

void splice_abandon(struct splice *splice, int error)
{
	splice_close(splice);
	set_reason(splice, SLUICE_REASON_KERNEL, strerror(-error));
}

static bool is_same_place(int fd, const char *path)
{
	struct stat ours, there;

	/* What cannot be looked at, whatever the reason, is taken to be there. */
	if (fstat(fd, &ours) < 0)
		return true;
	if (stat(path, &there) < 0)
		return errno != ENOENT;
	return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

bool splice_lose_pins(struct splice *splice, const char *dir)
{
	char why[sizeof(splice->why)];

	if (splice->has_lost_pins || is_same_place(splice->lock_fd, dir))
		return false;
	splice->has_lost_pins = true;
	snprintf(why, sizeof(why),
		 "%.120s: unloaded since, or loaded anew; a restart of this daemon takes up what "
		 "is loaded then",
		 dir);
	set_reason(splice, SLUICE_REASON_NOT_LOADED, why);
	return true;
}

void splice_close(struct splice *splice)
{
	if (!splice->is_open)
		return;
	release(splice);
	close(splice->lock_fd);
	splice->is_open = false;
}
