/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One check of one endpoint's health, on a libev loop: connect, and then what its type asks for.
 * The peer may do what it likes: hang, flood, answer garbage. All of a probe ends within its
 * timeout and after HEALTH_PROBE_BYTES at most.
 *
 *	tcp        CONNECTING
 *	http       CONNECTING -> HEAD
 *	websocket  CONNECTING -> HEAD -> PONG -> CLOSE
 *
 * CLOSE is politeness: the result is good before it.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "core/config.h"
#include "route/endpoint.h"

#include <ev.h>

#define HEALTH_PROBE_BYTES (64u << 10) /* received by one probe */
#define HEALTH_TEXT_MAX    ENDPOINT_CHECK_TEXT_MAX

struct health_probe;

struct health_result {
	bool is_good;
	char text[HEALTH_TEXT_MAX + 1]; /* "200 OK", "connect: Connection refused" */
};

/* The probe is gone when this is called. */
typedef void health_probe_fn(void *arg, const struct health_result *result);

/**
 * health_probe_start() - begin; @done is called later, from the loop, exactly once
 * @cluster: only read within this call
 * @host: for the Host of a request, if the cluster's health.host is empty; likewise
 *
 * Return: 0, or -errno of what could not even begin.
 */
int health_probe_start(struct ev_loop *loop, const struct config_cluster *cluster,
		       const struct address *address, const char *host, health_probe_fn *done,
		       void *arg, struct health_probe **ret_probe);
/** health_probe_cancel() - without a result. NULL is fine */
void health_probe_cancel(struct health_probe *probe);
DEFINE_CLEANUP(struct health_probe, health_probe_cancel)
