/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of an endpoint while the daemon runs. It belongs to no one configuration: after a
 * reload, the endpoint of the same name, cluster and address is the same object. Any thread may
 * use it: all that changes is atomic, and each part stands for itself.
 *
 * A new connection may go to an endpoint that is ready, not known to be down, and not ejected:
 *
 *   admin state   the operator's word: ready, drain (what lives goes on) or maint (nor is its
 *                 health checked)
 *   health        what the checks of health say: unknown (counts as up), up or down
 *   ejection      what connections met with: for a time, after failures in a row
 *   ramp          since when it is back, for slow start
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "core/config.h"

#include <pthread.h>
#include <stdatomic.h>

enum endpoint_health {
	ENDPOINT_UNKNOWN,
	ENDPOINT_UP,
	ENDPOINT_DOWN,
};

#define ENDPOINT_SHARE_ALL 65536u

#define ENDPOINT_EJECTIONS_MAX 10u /* by which the time of an ejection grows at most */

#define ENDPOINT_CHECK_TEXT_MAX 79
#define ENDPOINT_HOST_MAX       260 /* the longest name with a port */
#define ENDPOINT_ADDRESSES_MAX  16u /* of one name */

/* The latest check of health, or lookup of the name. */
struct endpoint_check {
	uint64_t at_ns; /* when it ended; 0 = there was none */
	bool is_good;
	char text[ENDPOINT_CHECK_TEXT_MAX + 1]; /* plain ASCII: "200 OK" */
};

struct endpoint {
	atomic_uint refs;
	char cluster[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];
	char *target;                  /* as the configuration has it; owned */
	size_t host_len;               /* of the name that it begins with; 0 = it is an address */
	uint16_t port;                 /* behind the name */
	struct address address;        /* unless it is a name */
	pthread_mutex_t lock;          /* of the addresses of a name */
	struct address *addresses;     /* owned, n_addresses of them */
	size_t next_address;           /* of them, for the next connection */
	_Atomic uint32_t n_addresses;  /* changes under the lock */
	_Atomic uint32_t held_back;    /* of its weight, 0..65536, by the operator */
	_Atomic uint8_t state, health; /* enum endpoint_state, enum endpoint_health */
	_Atomic uint32_t n_ejections;  /* of late, 0..ENDPOINT_EJECTIONS_MAX */
	_Atomic uint64_t ejected_until_ns;   /* 0 = not ejected */
	_Atomic uint64_t ejection_ended_ns;  /* the latest one's end; 0 = there was none */
	_Atomic uint64_t ramp_from_ns;       /* when it came back; 0 = it has always been there */
	struct endpoint_check check, lookup; /* the main thread's alone */
	_Alignas(CACHE_LINE) _Atomic uint64_t n_active; /* connections on or on their way to it */
	_Atomic uint64_t n_chosen, n_failed;            /* since the start */
	_Atomic uint32_t failures_in_row;
};

/** endpoint_new() - ready, of unknown health. Return: 0 with one reference, or -ENOMEM */
int endpoint_new(const struct config_cluster *cluster, const struct config_endpoint *config,
		 struct endpoint **ret_endpoint);
/** endpoint_is() - whether this is what @config in @cluster means */
bool endpoint_is(const struct endpoint *endpoint, const struct config_cluster *cluster,
		 const struct config_endpoint *config);
struct endpoint *endpoint_ref(struct endpoint *endpoint);
/** endpoint_unref() - NULL is fine */
void endpoint_unref(struct endpoint *endpoint);

/**
 * endpoint_set_state() - by the operator or the configuration; back from maint it starts slowly
 *
 * Return: the state before.
 */
enum endpoint_state endpoint_set_state(struct endpoint *endpoint, enum endpoint_state state,
				       uint64_t now_ns);
enum endpoint_state endpoint_state(const struct endpoint *endpoint);
/** endpoint_state_name() - "ready", "drain" or "maint" */
const char *endpoint_state_name(enum endpoint_state state);
/** endpoint_state_from_name() - Return: 0 or -EINVAL */
int endpoint_state_from_name(const char *name, enum endpoint_state *ret_state);

/**
 * endpoint_set_share() - how much of its configured weight counts, by the operator
 * @share: 0 (no new connections)..65536 (all, as at the start)
 */
void endpoint_set_share(struct endpoint *endpoint, uint32_t share);
/** endpoint_share() - likewise */
uint32_t endpoint_share(const struct endpoint *endpoint);

/**
 * endpoint_set_health() - by the checks of health; back from down it starts slowly, and is
 * ejected no longer: a passing check alone would not end an ejection
 *
 * Return: whether that is a change (to up from unknown is one).
 */
bool endpoint_set_health(struct endpoint *endpoint, bool is_up, uint64_t now_ns);
/** endpoint_forget_health() - it is checked no longer: unknown */
void endpoint_forget_health(struct endpoint *endpoint);
/** endpoint_health() - one with a name that is not resolved is down */
enum endpoint_health endpoint_health(const struct endpoint *endpoint);
/** endpoint_health_name() - "unknown", "up" or "down" */
const char *endpoint_health_name(enum endpoint_health health);

/** endpoint_set_check() - what the latest check found; the main thread's alone */
void endpoint_set_check(struct endpoint *endpoint, bool is_good, const char *text, uint64_t now_ns);

/** endpoint_set_lookup() - what the latest lookup of its name found; likewise */
void endpoint_set_lookup(struct endpoint *endpoint, bool is_good, const char *text,
			 uint64_t now_ns);

/**
 * endpoint_address() - where to connect to: of a name, its addresses in turn
 *
 * Return: 0, or -EUP_RESOLVE for a name of which no address is known.
 */
int endpoint_address(struct endpoint *endpoint, struct address *ret_address);
/** endpoint_host() - what stands for it in a Host header */
void endpoint_host(const struct endpoint *endpoint, char ret_host[ENDPOINT_HOST_MAX + 1]);
/**
 * endpoint_set_addresses() - what its name stands for now; the main thread's alone
 * @addresses: @n_addresses (1..ENDPOINT_ADDRESSES_MAX), in an order that does not change
 *
 * Return: 1, 0 if that is what it stood for, or -ENOMEM and what it stood for goes on.
 */
int endpoint_set_addresses(struct endpoint *endpoint, const struct address *addresses,
			   size_t n_addresses);
/** endpoint_addresses() - of a name, all that are known. Return: their number */
size_t endpoint_addresses(struct endpoint *endpoint,
			  struct address ret_addresses[ENDPOINT_ADDRESSES_MAX]);
/** endpoint_is_resolved() - it has an address, by its name or without one */
bool endpoint_is_resolved(const struct endpoint *endpoint);

/** endpoint_is_ejected() - at @now_ns */
bool endpoint_is_ejected(const struct endpoint *endpoint, uint64_t now_ns);
/** endpoint_is_available() - whether a new connection may go there at @now_ns */
bool endpoint_is_available(const struct endpoint *endpoint, uint64_t now_ns);

/**
 * endpoint_report() - what a connection met with; a success ends the run of failures
 *
 * Return: failures in a row up to now.
 */
uint32_t endpoint_report(struct endpoint *endpoint, bool is_ok);
/**
 * endpoint_eject() - for @time_ns times the number of its ejections of late, which falls by one
 * for each @time_ns without; the run of failures starts anew. One caller at a time for each
 * cluster.
 */
void endpoint_eject(struct endpoint *endpoint, uint64_t time_ns, uint64_t now_ns);
/** endpoint_readmit() - end an ejection whose time has passed. Return: whether this call did so */
bool endpoint_readmit(struct endpoint *endpoint, uint64_t now_ns);

/** endpoint_start_slowly() - its share grows from @now_ns on */
void endpoint_start_slowly(struct endpoint *endpoint, uint64_t now_ns);
/**
 * endpoint_ramp() - its share of its weight at @now_ns: what the operator left of it, after a
 * return growing linearly over @slow_start_ns
 *
 * Return: 0..65536, which is all of it.
 */
uint32_t endpoint_ramp(const struct endpoint *endpoint, uint64_t slow_start_ns, uint64_t now_ns);
