/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_info.h"

#include "base/clock.h"
#include "core/connection.h"
#include "core/promotion.h"
#include "core/spliced.h"
#include "core/worker.h"

#include <stdio.h>

void connection_read_traffic(const struct connection *c, struct connection_traffic *ret_traffic)
{
	double idle_s = ev_now(c->worker->loop) - c->active_at;

	*ret_traffic = (struct connection_traffic){
	    .bytes_in = c->client.bytes_in,
	    .bytes_out = c->client.bytes_out,
	    .frames_in = c->frames_in,
	    .frames_out = c->frames_out,
	    .idle_ms = idle_s > 0 ? (uint64_t)(idle_s * 1000) : 0,
	    .frames_exact = !c->has_missed_frames,
	};
	spliced_add_traffic(c, ret_traffic);
}

uint64_t connection_idle_ms(const struct connection *c)
{
	struct connection_traffic traffic;

	connection_read_traffic(c, &traffic);
	return traffic.idle_ms;
}

uint64_t connection_rtt_us(const struct connection *c)
{
	return spliced_is(c) ? 0 : (uint64_t)leg_rtt_us(&c->client) + leg_rtt_us(&c->endpoint_leg);
}

/* ---- addresses ----------------------------------------------------------------------------- */

void connection_info_set_address(const struct address *address, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	address_format(address, ret_text);
	for (char *at = ret_text; *at; at++) {
		if (*at < ' ' || *at > '~')
			*at = '?';
	}
}

typedef int name_fn(int fd, struct sockaddr *ret_address, socklen_t *len);

static void ask_socket(int fd, name_fn *ask, char ret_text[ADDRESS_TEXT_MAX + 1])
{
	struct address address = {.len = sizeof(address.un)};

	/* A unix path of full length has no NUL in sun_path, and is told to be a byte longer. */
	if (ask(fd, &address.sa, &address.len) < 0)
		return;
	address.len = MIN(address.len, (socklen_t)sizeof(address.un));
	connection_info_set_address(&address, ret_text);
}

/* Once there are no sockets any more, the keys of the flows tell. */
static void describe_legs(const struct connection *c, struct connection_info *info)
{
	struct address from, to;

	if (leg_is_open(&c->client))
		ask_socket(c->client.fd, getsockname, info->local);
	if (leg_is_open(&c->endpoint_leg)) {
		ask_socket(c->endpoint_leg.fd, getsockname, info->endpoint_source);
		ask_socket(c->endpoint_leg.fd, getpeername, info->endpoint_address);
	}
	if (leg_is_open(&c->client) || !spliced_is(c))
		return;
	flow_key_addresses(&c->promotion->legs[SL_TO_ENDPOINT].key, &from, &to);
	connection_info_set_address(&to, info->local);
	flow_key_addresses(&c->promotion->legs[SL_TO_CLIENT].key, &from, &to);
	connection_info_set_address(&to, info->endpoint_source);
	connection_info_set_address(&from, info->endpoint_address);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void copy_name(char ret_name[CONFIG_NAME_MAX + 1], const char *name)
{
	snprintf(ret_name, CONFIG_NAME_MAX + 1, "%s", name ? name : "");
}

void connection_describe(const struct connection *c, struct connection_info *ret_info)
{
	*ret_info = (struct connection_info){
	    .id = c->id,
	    .worker = c->worker->index,
	    .state = c->state,
	    .path = c->path,
	    .reason = c->reason,
	    .is_adopted = c->is_adopted,
	    .age_ms = (clock_monotonic_ns() - c->accepted_ns) / NS_PER_MS,
	};
	if (!spliced_is(c)) {
		/* Sockets that linger say what was. */
		ret_info->client_rtt_us = leg_rtt_us(&c->client);
		ret_info->endpoint_rtt_us = leg_rtt_us(&c->endpoint_leg);
	}
	connection_read_traffic(c, &ret_info->traffic);
	copy_name(ret_info->listener, c->listener->name);
	copy_name(ret_info->route, c->route ? c->route->name : NULL);
	copy_name(ret_info->class, c->class ? c->class->name : NULL);
	copy_name(ret_info->cluster, c->cluster ? c->cluster->name : NULL);
	copy_name(ret_info->endpoint, c->endpoint ? c->endpoint->name : NULL);
	connection_format_source(c, ret_info->source, sizeof(ret_info->source));
	describe_legs(c, ret_info);
}
