/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A proxied connection on its way from the relay into the kernel, and there.
 *
 *              relay_begin()          DONE               20 ms, nothing came late
 *   LEARNING -----------> WAITING ----------> LINGERING -----------> SPLICED
 *      |                  |  ^  |                 |                     |
 *      |                  '--'  | not possible    |                     |
 *      |              not quiet |                 |   both FINs, an RST, tunnel_timeout,
 *      | end                    v                 |   close_timeout, the operator's close
 *      '-----------------> (relay for good)       '----------.----------'
 *                               |                            v
 *                               '--- end --> entries gone  RETIRED -- 60 s --> entries gone,
 *                                            and the port in quarantine         the port free
 *
 *   LEARNING   both legs have an entry in `flows` before the endpoint's SYN is sent; the hook
 *              records what passes to the sockets
 *   WAITING    open on the relay; tries, 1 ms to 4 s apart, until both sockets are quiet
 *   LINGERING  the kernel translates; the sockets are still there, in repair, so that a packet
 *              that was in the stack meets one and is not answered by an RST
 *   SPLICED    no sockets; the connection is listed, counted and timed by its entries
 *   RETIRED    the connection has been accounted for; late packets of the endpoint are still
 *              translated
 *
 * From SPLICED a connection may come back to the relay: core/demotion.h.
 *
 * No byte is ever in a socket alone: a try needs all that was received to be read and sent, and
 * all that was sent to be acknowledged. So whatever happens to this process costs no byte.
 */
#pragma once
#include "base/address.h"
#include "base/list.h"
#include "base/std.h"
#include "base/timer.h"
#include "core/attempt.h"
#include "kern/flow_table.h"
#include "sluice/conn.h"
#include "sluice/path.h"
#include "sluice/splice_ctl.h"

struct connection;
struct demotion;
struct leg;
struct promoter;

enum promotion_state {
	PROMOTION_LEARNING,
	PROMOTION_WAITING,
	PROMOTION_REFUSED, /* on the relay for good */
	PROMOTION_KEPT,    /* on the relay, by order, until promotion_resume() */
	PROMOTION_SUSPECT, /* back on the relay, which is to see what the kernel has refused */
	PROMOTION_LINGERING,
	PROMOTION_SPLICED,
	PROMOTION_DEMOTING, /* likewise; on its way back as soon as it is at rest (demotion.h) */
	PROMOTION_RETIRED,
};

struct promotion_leg {
	struct flow_key key; /* of what comes in on it */
	struct sl_ctl_leg ctl;
	struct sl_socket socket;
	struct sl_traffic counted; /* of its flow, that the connection's own figures contain */
	bool has_flow;
};

struct promotion {
	struct connection *c; /* NULL once RETIRED */
	uint64_t conn_id;     /* its id */
	struct promoter *promoter;
	struct list node;             /* promoter->spliced, ->ended, ->retired */
	struct promotion_leg legs[2]; /* by enum sl_direction: whose packets */
	struct address source, endpoint;
	struct timer timer;        /* of the next try; of lingering; of what is told of SUSPECT */
	struct demotion *demotion; /* wanted, or under way; NULL = none */
	struct attempt_pace pace;
	uint64_t retired_ns;
	/* Since it was on the relay last. */
	uint32_t tries;
	uint32_t spent_ns; /* by it, on this worker; sticks at 2^32 - 1 */
	/* What each peer expects next, and has sent, when our decision ended it. */
	struct {
		uint32_t snd_nxt, rcv_nxt;
	} last[2];
	bool has_last;
	uint8_t state;  /* enum promotion_state */
	uint8_t policy; /* its row, in both entries */
	bool has_policy;
	bool is_kept;                     /* the operator's order for this one: on the relay */
	bool has_port;                    /* of @source, taken from the pool */
	bool has_record;                  /* in `conns` */
	bool is_over;                     /* the kernel has seen its end */
	bool was_reset, was_client_first; /* if it is over: by a RST; the client's FIN came first */
};

/**
 * promotion_prepare() - before connecting to an endpoint: choose source address and port, and enter
 * both legs into `flows`
 * @source: to connect from; NULL = as the kernel chooses
 * @ret_local: to bind the socket to, with SO_REUSEADDR
 * @ret_mss: for TCP_MAXSEG: what also the client's way carries; 0 = not known
 *
 * Return: 0; -EADDRNOTAVAIL if all ports are used; -ENOTSUP if this connection is one for the
 * relay. On failure c->splice_reason says why.
 */
int promotion_prepare(struct connection *c, const struct address *source,
		      const struct address *endpoint, struct address *ret_local, uint32_t *ret_mss);
static inline bool promotion_is_spliced(const struct promotion *p)
{
	return p->state == PROMOTION_LINGERING || p->state == PROMOTION_SPLICED ||
	       p->state == PROMOTION_DEMOTING;
}

/** promotion_leave_endpoint() - it is not to be this endpoint
 * @was_sent: the port may have been on the wire */
void promotion_leave_endpoint(struct connection *c, bool was_sent);
/** promotion_relayed() - the connection is open on the relay. Return: why not spliced yet */
enum sluice_reason promotion_relayed(struct connection *c);

/**
 * promotion_on_relayed() - bytes have gone to @to: if a try is due, this is the time
 *
 * In a conversation somebody's message is always on its way, and acknowledged by the answer to it.
 * But while the program at @to thinks, its kernel can be made to acknowledge.
 */
void promotion_on_relayed(struct connection *c, struct leg *to);
/** promotion_number() - of the next one of @c, from 1; sticks at 2^16 - 1 */
uint16_t promotion_number(const struct connection *c);
/** promotion_spend() - count the time since @begin_ns as spent on it */
void promotion_spend(struct promotion *p, uint64_t begin_ns);
/** promotion_end() - the connection is over, its sockets are closed. c->promotion is NULL then */
void promotion_end(struct connection *c);
/** promotion_demoted() - it is on the relay again. @reason: why it stays there; BUSY: it tries
 * again to leave it, unless somebody has said otherwise meanwhile */
void promotion_demoted(struct promotion *p, enum sluice_reason reason);
/** promotion_follow() - it has another route, or the route another configuration: it may have to
 *  leave the kernel for that */
void promotion_follow(struct connection *c);
/** promotion_keep() - the operator's order for this one is to be on the relay, or is taken back;
 *  carried out by the next two */
void promotion_keep(struct connection *c, bool is_kept);
/** promotion_recall() - if an order says so, for this one or for all, have it on the relay, and let
 *  it not leave that. Return: whether it has to come back for that */
bool promotion_recall(struct connection *c);
/** promotion_resume() - if no order says otherwise, it may leave the relay again. Return: whether
 * it was kept from that */
bool promotion_resume(struct connection *c);
/** promotion_peer_mss() - of the peer's SYN, as far as the way carries it: options included */
uint16_t promotion_peer_mss(const struct promotion_leg *leg);
/**
 * promotion_adopt() - make @c, without sockets, SPLICED by the entries that are there under @keys,
 * and look whether they have ended
 * @keys: by enum sl_direction
 * @legs: likewise, of its record
 * @policy: of the entries, and held for it
 *
 * Its port has been marked as used, and its record is in conns. Return: 0, and all of this is the
 * promotion's; or -ENOMEM, and it is the caller's still.
 */
int promotion_adopt(struct connection *c, const struct flow_key *const keys[2],
		    const struct sl_leg legs[2], uint8_t policy);
/** promotion_take_leave() - of a RETIRED one whose line is in the access log: its record goes, and
 *  what nobody needs of its entries */
void promotion_take_leave(struct promotion *p);
/** promotion_leave() - forget it, but for what the maps have of it */
void promotion_leave(struct connection *c);
/** promotion_leg_of() - the leg whose packets go in @direction */
struct leg *promotion_leg_of(struct connection *c, size_t direction);
