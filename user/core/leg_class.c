/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leg_class.h"

#include "core/class_stats.h"
#include "core/connection.h"
#include "core/worker.h"

#include <netinet/in.h>
#include <sys/socket.h>

/* A read of less is not worth its system call. */
#define READ_MIN 1024u

/* ---- marks --------------------------------------------------------------------------------- */

static int family_of(int fd)
{
	int family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ? AF_UNSPEC : family;
}

/* The kernel keeps the bits of ECN, which are TCP's own. */
static void set_dscp(int fd, int family, uint8_t dscp)
{
	int tos = dscp == SL_DSCP_KEEP ? 0 : dscp << 2;

	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos));
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos));
}

static void set_pacing(int fd, uint64_t bytes_per_s)
{
	uint64_t rate = bytes_per_s ? bytes_per_s : UINT64_MAX;

	(void)setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &rate, sizeof(rate));
}

/* None of it needs a right, or fails on a TCP socket that lives. */
static void mark(const struct leg *leg, const struct config_class *before,
		 const struct config_class *after)
{
	static const struct config_class none = {.dscp = SL_DSCP_KEEP};
	int family, priority = (int)after->priority;

	if (!before)
		before = &none;
	if (before->dscp == after->dscp && before->priority == after->priority &&
	    before->pacing == after->pacing)
		return;
	family = family_of(leg->fd);
	if (family != AF_INET && family != AF_INET6)
		return;
	if (before->dscp != after->dscp)
		set_dscp(leg->fd, family, after->dscp);
	/* IP_TOS has set a priority as well. */
	if (before->priority != after->priority || (after->priority && before->dscp != after->dscp))
		(void)setsockopt(leg->fd, SOL_SOCKET, SO_PRIORITY, &priority, sizeof(priority));
	if (before->pacing != after->pacing)
		set_pacing(leg->fd, after->pacing);
}

/* ---- limits -------------------------------------------------------------------------------- */

static void over_cb(struct timer *timer)
{
	leg_resume(container_of(timer, struct leg_limit, timer)->leg);
}

static struct leg_limit *limit_new(struct leg *leg)
{
	struct leg_limit *limit = calloc(1, sizeof(*limit));

	if (!limit)
		return NULL;
	limit->leg = leg;
	timer_init(&limit->timer, leg->connection->worker->loop, over_cb);
	return limit;
}

/* A bucket whose numbers stay keeps what it holds: a reload gives nothing away. Return: whether it
 * is another one */
static bool set_bucket(struct token_bucket *bucket, uint64_t per_s, uint64_t burst)
{
	bool is_other = bucket->per_s != per_s || bucket->burst != burst;

	if (is_other)
		token_bucket_init(bucket, per_s, burst);
	return is_other;
}

static int set_limit(struct leg *leg, const struct config_class *class, struct class_stats *stats)
{
	bool is_other;

	if (!class->rate_bytes && !class->rate_frames) {
		leg_class_lift(leg);
		return 0;
	}
	if (!leg->limit)
		leg->limit = limit_new(leg);
	if (!leg->limit)
		return -ENOMEM;
	leg->limit->stats = stats;
	is_other = set_bucket(&leg->limit->bytes, class->rate_bytes, class->burst_bytes);
	is_other |= set_bucket(&leg->limit->frames, class->rate_frames, class->burst_frames);
	if (is_other && leg->is_paused) { /* for a debt that is gone */
		timer_disarm(&leg->limit->timer);
		leg_resume(leg);
	}
	return 0;
}

void leg_class_lift(struct leg *leg)
{
	struct leg_limit *limit = TAKE_PTR(leg->limit);

	if (!limit)
		return;
	timer_disarm(&limit->timer);
	free(limit);
	leg_resume(leg);
}

int leg_class_apply(struct leg *leg, const struct config_class *before,
		    const struct config_class *class, struct class_stats *stats)
{
	if (!leg_is_open(leg))
		return 0;
	mark(leg, before, class);
	return set_limit(leg, class, stats);
}

/* ---- reading ------------------------------------------------------------------------------- */

size_t leg_limit_room(const struct leg_limit *limit, uint64_t frame_left, size_t frame_min,
		      uint64_t now_ns)
{
	uint64_t bytes = token_bucket_level(&limit->bytes, now_ns);
	uint64_t frames = token_bucket_level(&limit->frames, now_ns);
	uint64_t room = MIN(MAX(bytes, READ_MIN), LEG_READ_MAX);

	/* To the end of this frame, and as many of the shortest as may come; or a header. */
	if (frames < LEG_READ_MAX && frame_left < room)
		room = MIN(room, frame_left + MAX(frames * frame_min, WS_FRAME_HEADER_MAX));
	return room;
}

uint64_t leg_limit_charge(struct leg_limit *limit, uint64_t n_bytes, uint64_t n_frames,
			  uint64_t now_ns)
{
	uint64_t wait_bytes_ns = token_bucket_charge(&limit->bytes, n_bytes, now_ns);
	uint64_t wait_frames_ns = token_bucket_charge(&limit->frames, n_frames, now_ns);

	return MAX(wait_bytes_ns, wait_frames_ns);
}

void leg_limit_pause(struct leg_limit *limit, uint64_t wait_ns)
{
	if (limit->stats)
		atomic_fetch_add_explicit(&limit->stats->n_pauses, 1, memory_order_relaxed);
	leg_pause(limit->leg);
	timer_arm(&limit->timer, wait_ns / NS_PER_MS + 1);
}
