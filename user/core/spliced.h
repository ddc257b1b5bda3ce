/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that the kernel serves: listed, counted, timed and ended by its entries. */
#pragma once
#include "base/std.h"
#include "sluice/flow.h"

struct connection;
struct connection_traffic;
struct promotion;

/** spliced_begin() - both entries are ACTIVE, both sockets in repair: they linger */
void spliced_begin(struct promotion *p);
/** spliced_adopt() - both entries are there, and there have never been sockets; may end it */
void spliced_adopt(struct promotion *p);
/** spliced_end_lingering() - the sockets go */
void spliced_end_lingering(struct promotion *p);

/* Of any connection; nothing happens unless it is spliced. */

/** spliced_is() - whether the kernel serves it */
bool spliced_is(const struct connection *c);
/** spliced_settle() - before a connection that ends is accounted for: add what the kernel has
 * counted. Unless that has seen the end, its entries are gone then */
void spliced_settle(struct connection *c);
/** spliced_count() - of one that is spliced: add what @flows have counted since that was last done
 */
void spliced_count(struct connection *c, const struct sl_flow flows[2]);
/** spliced_add_traffic() - add what the kernel has counted; idle is since its last packet */
void spliced_add_traffic(const struct connection *c, struct connection_traffic *traffic);
/** spliced_reset_peers() - of one that our decision has ended, and that has neither sockets nor
 *  entries any more: RSTs that they believe, so that none waits for ever */
void spliced_reset_peers(const struct promotion *p);
/** spliced_check() - has the kernel seen the end of it? Then this ends the connection. Or a frame
 *  that is against the rules? Then it comes back to the relay, which says so; or what it cannot
 *  translate? Then, too, to stay there. Or both Close frames? Then it has close_timeout left, as it
 *  would have on the relay */
void spliced_check(struct connection *c);
/** spliced_limit_closing() - the last of these, by @flows; also of one that leaves the kernel */
void spliced_limit_closing(struct connection *c, const struct sl_flow flows[2]);
