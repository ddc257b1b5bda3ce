/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A flow: one direction of a connection, as its packets arrive at the hook. A connection has two,
 * SL_TO_ENDPOINT (the client's packets) and SL_TO_CLIENT (the endpoint's); each one's `peer` is
 * what its packets become.
 *
 *              sl_activate: quiescent                      sl_hold
 *      .------> HOLD (was LEARN) ------> ACTIVE ------> HOLD (was ACTIVE) ---.
 *      |            |                     ^  |                |              | the daemon has
 *    LEARN <--------'                     |  | FIN and its    | not quiet,   | restored its
 *      ^      not quiet, or the deadline  |  | ack both ways, | or deadline  | sockets
 *      |                                  |  | or RST         |              |
 *      |                                  '--|----------------'              |
 *      |                                     v                               |
 *      |                                  CLOSED                             |
 *      '---------------------------------------------------------------------'
 *
 *   LEARN   passed to the stack, recorded: end_seq, ack, tsval, window
 *   HOLD    dropped, counted: the peers send again
 *   ACTIVE  walked, translated and redirected; what cannot be translated is dropped and counted,
 *           and never passed up, where it would be answered by RST; what the policy does not
 *           allow is dropped, too, and what is new while STOP is on
 *   CLOSED  late packets are still translated, until the daemon removes the entry
 *
 * Rules of order:
 *
 * 1. end_seq moves forward only, by compare-exchange; where it need not move, a full barrier
 *    stands in its place. A hook publishes end_seq and reads the state behind that (also in
 *    ACTIVE). sl_activate sets HOLD by an exchange and reads end_seq behind that. So either the
 *    hook sees HOLD, or it sees the hook's packet (Dekker). What end_seq has passed may have been
 *    dropped behind it: sl_hold goes by rule 6. Packets with a wrong checksum,
 *    outside of the window, or of those that ACTIVE drops for what they are, do not move end_seq;
 *    nor does a RST, which is not a part of the stream.
 *
 * 2. Both directions change as one. The word that decides is the state of SL_TO_ENDPOINT; that of
 *    SL_TO_CLIENT follows. To enter HOLD: SL_TO_ENDPOINT first, then SL_TO_CLIENT, both with the
 *    same word, which no other HOLD has. To leave it: compare-exchange SL_TO_ENDPOINT from that
 *    word to the outcome; whoever succeeds has decided. Then SL_TO_CLIENT from it to the same.
 *
 * 3. HOLD ends by itself, should the one who set it be preempted or die: a hook that meets one
 *    past its deadline decides for the state before (rule 2), on whichever direction it stands: a
 *    SL_TO_CLIENT in HOLD whose SL_TO_ENDPOINT has another word takes the state of that, or, if
 *    that is a later HOLD, the state before it. sl_activate and sl_hold then find that they have
 *    lost the exchange, and say SL_CTL_LATE.
 *
 * 4. The fields under "translation" are written in HOLD only, by sl_activate, and are read in
 *    ACTIVE and CLOSED only; the exchange of the state orders them. `peer` alone is written before
 *    HOLD is entered: by it a hook in HOLD finds the other direction.
 *
 * 5. The position of a flow is base_seq + payload_bytes: all before it was sent on, and walked.
 *    What comes from there on is new; what is before it passes unseen. Of a flow that is walked,
 *    who has set SL_W_BUSY moves it; of another, and in observe mode beside a walker (which has
 *    lost its place by that: SL_W_LOST), whoever brings the most, by compare-exchange. In strict
 *    mode nothing passes that leaves a hole behind the position, or is not believed, or finds the
 *    walker busy: so all bytes are walked in their order before a first copy of them passes. (A
 *    sender can have that copy lost behind the gateway, by a hop limit that is too small, and send
 *    other bytes in its place. Then its receiver sees frames that were not walked; the relay, whose
 *    own socket has taken the bytes, cannot be deceived so.) In observe mode a hole moves the
 *    position with it: it costs the walker nothing as long as it is inside the payload of one
 *    frame, and otherwise its place, for good: SL_W_LOST.
 *
 * 6. In ACTIVE a walker sets SL_W_BUSY and reads the state behind that; if it is not ACTIVE then,
 *    the packet is dropped, and nothing has changed. Else it walks, moves the position, writes what
 *    it has found, and clears SL_W_BUSY; then the packet is sent on. Where nothing is walked, and
 *    for what is not beyond the position, and for a FIN, which is marked, the state is read behind
 *    the position (a full barrier); if it is not ACTIVE then, the packet is dropped. The position
 *    is not put back: somebody may have passed by it. sl_hold sets HOLD, reads SL_W_BUSY behind
 *    that, and then positions and marks (Dekker); it says DONE if no walker is at work and the
 *    receivers have acknowledged all before the positions: then that has passed, nothing behind it
 *    will, and `walk` is that of the position from then on. (Unwalked, that is so unless a
 *    receiver has acknowledged bytes before they came.) sl_activate takes SL_W_BUSY itself.
 *    SL_W_STOP is no more than a way to get there.
 *
 * Sources: Maltz and Bhagwat, "TCP splicing for application layer proxy performance" (1998);
 * RFC 9293 (sequence numbers), RFC 7323 (windows, timestamps), RFC 2018 (SACK), RFC 5961 (RST).
 */
#pragma once
#include "sluice/abi.h"

enum sl_state {
	SL_LEARN = 0,
	SL_HOLD = 1,
	SL_ACTIVE = 2,
	SL_CLOSED = 3,
};

/* The word of a HOLD: what it falls back to, and a number that tells it from other HOLDs. */
#define SL_STATE(word)               ((word) & 0xfu)
#define SL_BEFORE(word)              ((word) >> 4 & 0xfu) /* means something in HOLD only */
#define SL_HOLD_WORD(before, number) (SL_HOLD | (before) << 4 | (__u32)(number) << 8)

/*
 * No way that a connection is spliced over carries less (RFC 8200 s5: what IPv6 may rely upon): so
 * packets up to this size are not held against the MTU.
 */
#define SL_MTU_MIN 1280

enum sl_direction {
	SL_TO_ENDPOINT = 0,
	SL_TO_CLIENT = 1,
};

/* How a packet is found: its own addresses, source first. No padding. */
struct sl_key4 {
	__be32 saddr, daddr;
	__be16 sport, dport;
};

struct sl_key6 {
	__u8 saddr[16], daddr[16]; /* never a mapped IPv4 address: that is a sl_key4 */
	__be16 sport, dport;
};

/* What a packet's addresses become, source first: ours on the other leg, and its far end. */
struct sl_peer {
	__u8 saddr[16], daddr[16]; /* IPv4: the first four bytes, the others 0 */
	__be16 sport, dport;
};

/* sl_flow.flags, set by sl_activate */
#define SL_F_IPV6_OUT   0x01u /* the other leg is IPv6 (both are, or neither) */
#define SL_F_TIMESTAMPS 0x02u /* both legs have timestamps: translate */
#define SL_F_STRIP_TS   0x04u /* only this leg has them: replace by NOP */
#define SL_F_STRIP_SACK 0x08u /* only this leg has SACK: replace by NOP */
#define SL_F_CLEAR_ECN  0x10u /* the legs do not agree on ECN: clear its bits in IP and TCP */
#define SL_F_TO_LOCAL   0x20u /* the far end is on this host: out by oif, which is lo */

/* likewise, but or-ed in by the hook in ACTIVE, atomically as marks are, and never cleared */
#define SL_F_FIN_FIRST 0x40u /* its FIN was the first one of the two */
#define SL_F_RST_NEAR  0x80u /* a RST has passed in the window, but not at the exact sequence */

/* sl_flow.marks, set by the hook, never cleared */
#define SL_M_SEEN      0x01u /* a packet was recorded: end_seq, ack and window mean something */
#define SL_M_TSVAL     0x02u /* tsval means something */
#define SL_M_FIN       0x04u /* a FIN in the window has passed */
#define SL_M_FIN_ACKED 0x08u /* and the other side has acknowledged it */
#define SL_M_RST       0x10u /* a RST at the exact sequence has passed */
#define SL_M_PEER_FIN  0x20u /* the other direction has SL_M_FIN; peer_fin_end is where */
#define SL_M_DROPPED   0x40u /* a packet was dropped that could not be translated */
#define SL_M_NO_LOOKUP 0x80u /* nothing is forwarded here: the kernel routes as for itself */

/*
 * Where the frame walker stands (RFC 6455 s5.2): at base_seq + payload_bytes, the end of all that
 * was sent on. Written under SL_W_BUSY only, by whoever has set it.
 */
struct sl_walk {
	__u64 payload_left; /* of the frame that is passing; while stage is LENGTH, what of it is
			       read */
	__u32 message_len;  /* payload so far of a fragmented message; sticks at 2^32 - 1 */
	__u8 stage;         /* enum sl_walk_stage */
	__u8 opcode;        /* the first byte of the frame's header, with FIN and RSV */
	__u8 length_left;   /* bytes of the extended length, then of the mask key, still to come */
	__u8 flags;         /* SL_W_; changed atomically, with the word that it stands in */
};

enum sl_walk_stage {
	SL_WALK_FIRST = 0,   /* on a frame boundary */
	SL_WALK_SECOND = 1,  /* MASK and the 7-bit length come next */
	SL_WALK_LENGTH = 2,  /* in the extended length */
	SL_WALK_MASK = 3,    /* in the mask key */
	SL_WALK_PAYLOAD = 4, /* payload_left > 0 */
};

#define SL_W_ON      0x01u /* the walker runs */
#define SL_W_LOST    0x02u /* a hole was passed over: counts are incomplete from here on */
#define SL_W_BUSY    0x04u /* some CPU is walking */
#define SL_W_WRONG   0x08u /* a frame was against the rules or a limit: nothing passes behind it */
#define SL_W_CLOSE   0x10u /* a Close frame has passed */
#define SL_W_MESSAGE 0x20u /* in a fragmented message */
#define SL_W_STOP    0x40u /* until deadline_ns nothing new passes, only what is sent again */
#define SL_W_STRICT  0x80u /* what leaves a hole is dropped until the hole is filled */

struct sl_flow {
	/* the state: see the rules above */
	__u32 state;   /* enum sl_state by SL_STATE(); exchanged */
	__u32 end_seq; /* behind the last byte (or SYN, FIN) let through; exchanged, forward only */
	__u64 deadline_ns; /* of HOLD */
	__u64 last_ns;     /* of the latest packet of the flow */

	/* recorded by the hook, plain stores: a torn race costs a retry, not a byte */
	__u32 ack;   /* highest acknowledged, of the other direction's bytes, in this leg's space */
	__u32 tsval; /* the peer's latest timestamp */
	__u32 peer_fin_end; /* an `ack` from here on acknowledges the other direction's FIN */
	__u16 window;       /* as received, unscaled */
	__u8 marks;         /* SL_M_; or-ed in atomically, with the 32-bit word that it stands in */
	__u8 wscale;        /* of `window`; a translation field (rule 4) */

	/* of this flow, in its numbers */
	__u32 right_edge; /* its receiver lets come what ends here, or more; by the hook, forward */
	__u32 base_seq;   /* base_seq + payload_bytes has passed; a translation field (rule 4) */

	/* translation: rule 4. New = old + delta, modulo 2^32 */
	__u32 seq_delta, ack_delta;
	__u32 tsval_delta, tsecr_delta;
	struct sl_peer peer;
	__u32 oif;         /* interface index to leave by */
	__s8 window_shift; /* > 0: window << shift, 65535 at most; < 0: window >> -shift */
	__u8 flags;        /* SL_F_ */
	__u8 direction;    /* enum sl_direction; by the daemon at insertion */
	__u8 policy;       /* its row in `policies` (policy.h); by the daemon, before ACTIVE */
	__u32 epoch;       /* sl_ids.epoch of the daemon that inserted it */
	__u64 conn_id;     /* by the daemon at insertion */

	/* figures: by the hook, in ACTIVE and CLOSED */
	__u64 packets;
	__u64 payload_bytes; /* each byte of TCP payload once, and a hole when it is made: rule 5 */

	/* the frame walker, and the token buckets of the policy */
	struct sl_walk walk;
	__u32 frames[4];    /* headers that have passed: text, binary, continuation, control */
	__u32 frame_tokens; /* bpf/splice_limit.h says what they are */
	__u32 byte_tokens;
};

/*
 * Two elements of a preallocated hash with a key of 12 bytes (48 of its own, 16, and 16 for the
 * bucket) and this come to 512 bytes for a connection.
 */
#define SL_FLOW_SIZE 176
_Static_assert(sizeof(struct sl_key4) == 12, "no padding in keys");
_Static_assert(sizeof(struct sl_key6) == 36, "no padding in keys");
_Static_assert(sizeof(struct sl_walk) == 16, "no padding");
_Static_assert(sizeof(struct sl_flow) == SL_FLOW_SIZE, "as budgeted");
_Static_assert(__builtin_offsetof(struct sl_flow, window) % 4 == 0 &&
		   __builtin_offsetof(struct sl_flow, wscale) ==
		       __builtin_offsetof(struct sl_flow, window) + 3,
	       "window, marks and wscale are one word");
_Static_assert(__builtin_offsetof(struct sl_flow, window_shift) % 4 == 0 &&
		   __builtin_offsetof(struct sl_flow, policy) ==
		       __builtin_offsetof(struct sl_flow, window_shift) + 3,
	       "window_shift, flags, direction and policy are one word");

/* sl_activate's HOLD falls back after so long: longer than it runs, shorter than retransmission. */
#define SL_HOLD_NS 5000000ull
