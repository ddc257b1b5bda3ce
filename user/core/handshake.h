/* SPDX-License-Identifier: Apache-2.0 */
/* The first stage of a connection: read the request head, within limits and a deadline. */
#pragma once
#include "base/std.h"
#include "proto/http1_head.h"

struct connection;

/* A complete, valid request head. All slices are good until the handler returns. */
struct handshake_request {
	const struct http1_head *head;
	struct slice
	    early; /* bytes that came behind the head: the first frames of a hasty client */
};

/**
 * The route layer's entry: decide what becomes of @c, by giving it another stage, or by
 * connection_refuse() or connection_respond(). Must not use worker_scratch() while it reads
 * @request.
 */
typedef void handshake_handler(struct connection *c, const struct handshake_request *request);

/** handshake_begin() - start the stage on a new connection; may read, refuse or end it at once */
void handshake_begin(struct connection *c);
