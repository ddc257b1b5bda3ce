/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/access_log.h"
#include "core/class_stats.h"
#include "core/generation.h"
#include "core/handshake.h"
#include "core/keepalive.h"
#include "core/leg_class.h"
#include "core/promotion.h"
#include "core/spliced.h"
#include "core/worker.h"
#include "proto/ws_handshake.h"

#include <stdio.h>

/*
 *  ACCEPTED --> HANDSHAKE --> CONNECTING --> UPGRADING --> OPEN <-- (adopted: from ACCEPTED)
 *     |             | |            |  ^-- retry --' |         |
 *     |             | '--- echo ---|----------------|--->(OPEN)
 *     |             v              v                v         v
 *     '---------> CLOSING <--------'----------------'---------'
 *     |             |
 *     '---------> CLOSED   (from every state: the peer is gone, or a deadline passed)
 */
static const uint16_t transitions[CONNECTION_STATES] = {
#define TO(state) (1u << CONNECTION_##state)
    [CONNECTION_ACCEPTED] = TO(HANDSHAKE) | TO(OPEN) | TO(CLOSING) | TO(CLOSED),
    [CONNECTION_HANDSHAKE] = TO(CONNECTING) | TO(OPEN) | TO(CLOSING) | TO(CLOSED),
    [CONNECTION_CONNECTING] = TO(CONNECTING) | TO(UPGRADING) | TO(CLOSING) | TO(CLOSED),
    [CONNECTION_UPGRADING] = TO(CONNECTING) | TO(OPEN) | TO(CLOSING) | TO(CLOSED),
    [CONNECTION_OPEN] = TO(CLOSING) | TO(CLOSED),
    [CONNECTION_CLOSING] = TO(CLOSED),
    [CONNECTION_CLOSED] = 0,
#undef TO
};

const char *connection_state_name(enum connection_state state)
{
	static const char *const names[CONNECTION_STATES] = {
	    [CONNECTION_ACCEPTED] = "accepted",
	    [CONNECTION_HANDSHAKE] = "handshake",
	    [CONNECTION_CONNECTING] = "connecting",
	    [CONNECTION_UPGRADING] = "upgrading",
	    [CONNECTION_OPEN] = "open",
	    [CONNECTION_CLOSING] = "closing",
	    [CONNECTION_CLOSED] = "closed",
	};

	return state < CONNECTION_STATES ? names[state] : "?";
}

void connection_set_generation(struct connection *c, struct generation *generation)
{
	if (c->generation == generation)
		return;
	generation_unref(c->generation);
	c->generation = generation_ref(generation);
	c->config = generation->config;
}

void connection_set_state(struct connection *c, enum connection_state state)
{
	assert(transitions[c->state] & (1u << state));
	c->state = (uint8_t)state;
	/* Last words are read as they come: close_timeout runs. */
	if (state == CONNECTION_CLOSING) {
		leg_class_lift(&c->client);
		leg_class_lift(&c->endpoint_leg);
	}
}

/* ---- by path and class --------------------------------------------------------------------- */

/* @sign: 1 or -1 */
static void count(const struct connection *c, int sign)
{
	stat_add(&c->worker->stats->connections[c->path], (uint64_t)sign);
	if (c->class_stats)
		atomic_fetch_add_explicit(&c->class_stats->n_connections[c->path], (uint64_t)sign,
					  memory_order_relaxed);
}

static bool is_counted(const struct connection *c)
{
	return (c->opened_ns || c->is_adopted) && !connection_is_closed(c);
}

static void apply_class(struct connection *c, const struct config_class *before)
{
	int error = leg_class_apply(&c->client, before, c->class, c->class_stats);

	if (error == 0)
		error = leg_class_apply(&c->endpoint_leg, before, c->class, c->class_stats);
	if (error < 0)
		log_conn(LOG_LEVEL_ERROR, c->id, "is not held to class %s: %s", c->class->name,
			 strerror(-error));
}

void connection_mark(struct connection *c)
{
	if (c->class && c->state == CONNECTION_OPEN)
		apply_class(c, NULL);
}

void connection_set_class(struct connection *c, const struct config_class *class,
			  struct class_stats *stats)
{
	const struct config_class *before = c->class;
	bool is_open = is_counted(c);

	if (is_open)
		count(c, -1);
	c->class = class;
	c->class_stats = stats;
	if (is_open)
		count(c, 1);
	if (c->state == CONNECTION_OPEN && before)
		apply_class(c, before);
}

void connection_set_stage(struct connection *c, const struct connection_ops *ops, void *stage,
			  void (*free_stage)(void *stage))
{
	if (c->free_stage)
		c->free_stage(c->stage);
	c->ops = ops;
	c->stage = stage;
	c->free_stage = free_stage;
}

static void deadline_cb(struct timer *timer)
{
	struct connection *c = container_of(timer, struct connection, timer);

	c->ops->on_deadline(c);
}

static void duration_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct connection *c = container_of(timer, struct connection, duration);
	const struct proto_error_info *info = proto_error_info(EGW_DURATION);

	c->ops->close(c, EGW_DURATION, info->close_code, slice_from_str(info->name));
}

void connection_limit_duration(struct connection *c)
{
	uint64_t limit_ns = c->route->max_duration_ms * NS_PER_MS, age_ns;

	ev_timer_stop(c->worker->loop, &c->duration);
	if (c->state != CONNECTION_OPEN || limit_ns == 0)
		return;
	age_ns = clock_monotonic_ns() - c->opened_ns;
	ev_timer_set(&c->duration,
		     age_ns < limit_ns ? (double)(limit_ns - age_ns) / (double)NS_PER_S : 0, 0);
	ev_timer_start(c->worker->loop, &c->duration);
}

static void copy_source(struct connection *c, const struct sockaddr *source)
{
	switch (source->sa_family) {
	case AF_INET:
		memcpy(&c->source.in4, source, sizeof(c->source.in4));
		break;
	case AF_INET6:
		memcpy(&c->source.in6, source, sizeof(c->source.in6));
		break;
	default:
		c->source.sa.sa_family = source->sa_family;
	}
}

static struct connection *make(struct worker *worker, struct generation *generation, uint64_t id,
			       const struct sockaddr *source)
{
	_cleanup_free_ struct connection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->worker = worker;
	c->id = id;
	if (hash_table_insert(&worker->by_id, &c->by_id, hash_u64(&worker->hash_key, c->id)) < 0)
		return NULL;
	connection_set_generation(c, generation);
	c->state = CONNECTION_ACCEPTED;
	c->accepted_ns = clock_monotonic_ns();
	c->active_at = ev_now(worker->loop);
	copy_source(c, source);
	timer_init(&c->timer, worker->loop, deadline_cb);
	ev_init(&c->duration, duration_cb);
	leg_init(&c->client, c);
	leg_init(&c->endpoint_leg, c);
	list_append(&worker->connections, &c->link.node);
	return TAKE_PTR(c);
}

int connection_new(struct worker *worker, const struct config_listener *listener, int fd,
		   const struct sockaddr *source, struct connection **ret_connection)
{
	struct connection *c = make(worker, worker->generation,
				    conn_id_take(worker->conn_ids, &worker->conn_id_block), source);

	if (!c)
		return -ENOMEM;
	c->listener = listener;
	c->reason = SLUICE_REASON_NEW;
	c->splice_reason = SLUICE_REASON_NOT_LOADED;
	leg_open(&c->client, fd);
	stat_add(&worker->stats->handshaking, 1);
	stat_add(&worker->stats->accepted, 1);
	*ret_connection = c;
	return 0;
}

int connection_adopt(struct worker *worker, struct generation *generation, uint64_t id,
		     const struct sockaddr *source, struct connection **ret_connection)
{
	struct connection *c;

	if (worker_find(worker, id))
		return -EEXIST;
	c = make(worker, generation, id, source);
	if (!c)
		return -ENOMEM;
	connection_set_state(c, CONNECTION_OPEN);
	c->path = SLUICE_PATH_SPLICE;
	c->reason = SLUICE_REASON_NONE;
	c->http_status = 101;
	c->is_adopted = true;
	count(c, 1);
	c->is_socketless = true;
	*ret_connection = c;
	return 0;
}

void connection_free(struct connection *c)
{
	if (!c)
		return;
	assert(connection_is_closed(c));
	connection_set_stage(c, NULL, NULL, NULL);
	generation_unref(c->generation);
	free(c->meter);
	free(c);
}

void connection_open(struct connection *c, enum sluice_path path, enum sluice_reason reason)
{
	connection_set_state(c, CONNECTION_OPEN);
	c->path = (uint8_t)path;
	c->reason = (uint8_t)reason;
	c->http_status = 101;
	c->opened_ns = clock_monotonic_ns();
	stat_sub(&c->worker->stats->handshaking, 1);
	stats_add_handshake(c->worker->stats, c->opened_ns - c->accepted_ns);
	count(c, 1);
	connection_mark(c);
	if (c->route->max_duration_ms)
		connection_limit_duration(c);
	keepalive_begin(c);
	/* While it was on its way a reload had to leave it where it was. */
	if (c->generation != c->worker->generation)
		c->worker->shared->follow(c);
}

void connection_set_path(struct connection *c, enum sluice_path path, enum sluice_reason reason)
{
	count(c, -1);
	c->path = (uint8_t)path;
	c->reason = (uint8_t)reason;
	count(c, 1);
}

void connection_set_error(struct connection *c, int error)
{
	if (c->error == 0)
		c->error = error < 0 ? -error : error;
}

void connection_limit_closing(struct connection *c)
{
	connection_set_state(c, CONNECTION_CLOSING);
	connection_set_error(c, EEND_CLOSE);
	timer_arm(&c->timer, c->config->limits.close_timeout_ms);
}

static void account(struct connection *c)
{
	struct stats *stats = c->worker->stats;
	size_t index = proto_error_index(c->error);

	if (c->opened_ns) {
		count(c, -1);
		stat_add(&stats->closed[index], 1);
	} else {
		stat_sub(&stats->handshaking, 1);
		/* A respond route's answer is what was asked for, whatever its status. */
		stat_add(c->error == EEND_RESPONSE ? &stats->closed[index] : &stats->refused[index],
			 1);
	}
	if (c->on_end)
		c->on_end(c);
	access_log_write(c->worker->access_log, c);
}

/* Nothing of it is left but the struct, which its own callbacks may still look at. */
static void let_go(struct connection *c)
{
	connection_set_state(c, CONNECTION_CLOSED);
	timer_disarm(&c->timer);
	ev_timer_stop(c->worker->loop, &c->duration);
	keepalive_end(c);
	leg_close(&c->client);
	leg_close(&c->endpoint_leg);
	hash_table_remove(&c->worker->by_id, &c->by_id);
	list_remove(&c->link.node);
	worker_bury(c->worker, c);
}

void connection_end(struct connection *c, int error)
{
	if (connection_is_closed(c))
		return;
	connection_set_error(c, error);
	log_conn(LOG_LEVEL_DEBUG, c->id, "%s: ends while %s", proto_error_info(c->error)->name,
		 connection_state_name(c->state));
	spliced_settle(c);
	/* The log line reads the sockets, so they are closed behind it. */
	account(c);
	let_go(c);
	promotion_end(c);
}

void connection_leave(struct connection *c)
{
	log_conn(LOG_LEVEL_DEBUG, c->id, "is left to the kernel");
	count(c, -1);
	if (c->on_end)
		c->on_end(c);
	let_go(c);
	promotion_leave(c);
}

void connection_respond(struct connection *c, uint16_t status, struct slice response, int error)
{
	connection_set_error(c, error);
	c->http_status = status;
	(void)leg_send(&c->client, response.ptr, response.len);
	connection_linger(c);
}

void connection_refuse(struct connection *c, int error)
{
	connection_refuse_for(c, error, 1);
}

void connection_refuse_for(struct connection *c, int error, uint64_t retry_after_s)
{
	const struct proto_error_info *info = proto_error_info(error);
	struct text_writer w;
	char buf[1024];

	/* An error that HTTP cannot express here is the gateway's own fault. */
	if (info->http_status == 0)
		info = proto_error_info(EGW_INTERNAL);
	text_writer_init(&w, buf, sizeof(buf));
	ws_handshake_write_refusal(&w, error, retry_after_s);
	assert(!w.is_truncated);
	if (c->is_head_request)
		w.len = (size_t)((char *)memmem(buf, w.len, "\r\n\r\n", 4) + 4 - buf);
	connection_respond(c, info->http_status, (struct slice){buf, w.len}, error);
}

void connection_on_readable(struct connection *c, struct leg *leg)
{
	c->ops->on_readable(c, leg);
}

void connection_on_writable(struct connection *c, struct leg *leg)
{
	c->ops->on_writable(c, leg);
}

void connection_format_source(const struct connection *c, char *ret_text, size_t size)
{
	struct address address = {.len = sizeof(c->source)};
	char text[ADDRESS_TEXT_MAX + 1];

	memcpy(&address, &c->source, sizeof(c->source));
	if (address.sa.sa_family == AF_INET)
		address.len = sizeof(address.in4);
	else if (address.sa.sa_family == AF_UNIX)
		address.len = offsetof(struct sockaddr_un, sun_path);
	address_format(&address, text);
	snprintf(ret_text, size, "%s", text);
}

/* ---- lingering ------------------------------------------------------------------------- */

static void linger_on_readable(struct connection *c, struct leg *leg)
{
	ssize_t n = leg_recv(leg, worker_scratch(c->worker), LEG_READ_MAX);

	if (n == -EAGAIN || n > 0)
		return;
	/* A client that has only said its last word still wants ours. */
	if (n == 0 && leg_has_output(leg))
		return;
	connection_end(c, EEND_EOF);
}

static void linger_on_writable(struct connection *c, struct leg *leg)
{
	if (leg_flush(leg) < 0)
		connection_end(c, EEND_RESET);
	else if (leg->saw_eof && !leg_has_output(leg))
		connection_end(c, EEND_EOF);
}

static void linger_on_deadline(struct connection *c)
{
	connection_end(c, EGW_CLOSE_TIMEOUT);
}

static void linger_close(struct connection *c, int error, uint16_t code, struct slice text)
{
	/* It is going already, within close_timeout. */
}

static const struct connection_ops linger_ops = {
    .on_readable = linger_on_readable,
    .on_writable = linger_on_writable,
    .on_deadline = linger_on_deadline,
    .close = linger_close,
};

void connection_linger(struct connection *c)
{
	if (c->state != CONNECTION_CLOSING)
		connection_set_state(c, CONNECTION_CLOSING);
	connection_set_stage(c, &linger_ops, NULL, NULL);
	leg_close(&c->endpoint_leg);
	leg_finish(&c->client);
	if ((c->client.saw_eof || c->client.is_write_dead) && !leg_has_output(&c->client)) {
		connection_end(c, EEND_EOF);
		return;
	}
	timer_arm(&c->timer, c->config->limits.close_timeout_ms);
	leg_start_reading(&c->client);
}
