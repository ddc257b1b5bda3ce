/* SPDX-License-Identifier: Apache-2.0 */
/* What can be told of a live connection, for listings: on its worker's thread. */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "core/config.h"

#include <netinet/in.h>

struct connection;

/* What has passed so far, on all paths that it was on, and when. */
struct connection_traffic {
	uint64_t bytes_in, bytes_out; /* of the WebSocket stream: from the client, to it */
	uint64_t frames_in, frames_out;
	uint64_t idle_ms;  /* since the last byte; of a spliced one since the last packet */
	bool frames_exact; /* every frame was seen; else these are at least so many */
};

/** connection_read_traffic() - costs two lookups in the kernel's maps for a spliced one */
void connection_read_traffic(const struct connection *c, struct connection_traffic *ret_traffic);
/** connection_idle_ms() - likewise, that alone */
uint64_t connection_idle_ms(const struct connection *c);

#define CONNECTION_INFO_NO_WORKER UINT32_MAX

/* A row of a listing; a copy, good on any thread. */
struct connection_info {
	uint64_t id;
	uint32_t worker;
	uint8_t state, path, reason;
	bool is_adopted;
	char listener[CONFIG_NAME_MAX + 1];
	char route[CONFIG_NAME_MAX + 1]; /* "" = none yet; likewise below */
	char class[CONFIG_NAME_MAX + 1];
	char cluster[CONFIG_NAME_MAX + 1];
	char endpoint[CONFIG_NAME_MAX + 1];
	char tenant[CONFIG_NAME_MAX + 1];
	char source[INET6_ADDRSTRLEN + 8]; /* with port */
	/* The other ends of the two legs; "" = not connected */
	char local[ADDRESS_TEXT_MAX + 1];            /* where the client has come to */
	char endpoint_source[ADDRESS_TEXT_MAX + 1];  /* from which we have connected */
	char endpoint_address[ADDRESS_TEXT_MAX + 1]; /* to it */
	uint64_t age_ms;
	struct connection_traffic traffic;
	uint32_t client_rtt_us, endpoint_rtt_us; /* 0 = not known: spliced, or no TCP */
};

void connection_describe(const struct connection *c, struct connection_info *ret_info);
/** connection_rtt_us() - of both legs together; 0 = not known */
uint64_t connection_rtt_us(const struct connection *c);
/** connection_info_set_address() - as text that every terminal and JSON can hold: what is not
 *  ASCII, which only the path of a unix socket can have, becomes '?' */
void connection_info_set_address(const struct address *address,
				 char ret_text[ADDRESS_TEXT_MAX + 1]);
