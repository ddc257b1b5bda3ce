/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Arguments of the programs that the daemon runs by BPF_PROG_RUN. sl_activate and sl_hold are
 * syscall programs with one of these as context; they are all or nothing, for both directions of a
 * connection (flow.h, rules 1 to 3). sl_capture changes nothing.
 */
#pragma once
#include "sluice/flow.h"

enum sl_ctl_result {
	SL_CTL_DONE = 0,
	SL_CTL_NO_FLOW = 1, /* an entry is missing */
	SL_CTL_STATE = 2,   /* not in the state that the call begins with, or about to end */
	SL_CTL_UNSEEN = 3,  /* the hook has seen no packet of a leg yet */
	SL_CTL_DATA = 4,    /* not quiescent: bytes are on their way (got_end tells where); or a
			       peer's window is shut */
	SL_CTL_LATE = 5,    /* the HOLD ended before the call had decided */
};

/* What the kernel knows of a TCP socket; see struct tcp_sock in Linux's include/linux/tcp.h. */
struct sl_socket {
	__u32 rcv_nxt;  /* behind the last byte received, read or not */
	__u32 snd_nxt;  /* behind the last byte written, sent or not */
	__u32 unread;   /* bytes received, not read */
	__u32 unacked;  /* bytes written, not acknowledged */
	__u32 ts_clock; /* what a segment sent now would carry as TSval; 0 without the option */
	__u32 path_mtu; /* towards the peer: of what we send */
	__u16 send_mss; /* bytes of payload in a segment that we send, options not counted */
	__u16 recv_mss; /* that we told the peer: its segments with their options, less 20 */
	__u8 send_wscale, recv_wscale; /* the peer's, ours; 0 without the option */
	__u8 options;                  /* SL_O_ of conn.h */
	__u8 state; /* TCP_ESTABLISHED = 1 and so on; 0 = there is no such socket */
};

#define SL_SOCKET_ESTABLISHED 1

/*
 * sl_capture: the two sockets of a connection, found by its keys, in the network namespace of who
 * runs it. A socket lookup is for programs that have a packet, so this is one for XDP, of which
 * a run costs the least, and its arguments are the packet, behind a link header.
 */
struct sl_capture_args {
	__u8 link_header[16];   /* zeros */
	struct sl_key6 keys[2]; /* by enum sl_direction; as in struct sl_activate_args */
	__u32 is_ipv6;
	__u32 zero;
	/* out */
	struct sl_socket sockets[2];
};

/* One leg's socket, captured while it is in repair mode. */
struct sl_ctl_leg {
	__u32 rcv_nxt;  /* behind the last byte taken */
	__u32 snd_nxt;  /* behind the last byte written; all are acknowledged */
	__u32 ts_clock; /* our timestamp on this leg now; 0 without the option */
	__u32 oif;      /* the interface towards its far end */
	__u32 send_mss; /* of what we send on it; of less room its far end's window is not to be */
	__u8 send_wscale, recv_wscale;
	__u8 options; /* SL_O_ of conn.h */
	__u8 flags;   /* SL_F_TO_LOCAL: how packets leave by it */
};

/*
 * sl_activate: LEARN -> ACTIVE, if the hook has let nothing through that the sockets have not
 * taken. On another result than DONE nothing has changed.
 */
struct sl_activate_args {
	struct sl_key6
	    keys[2]; /* by enum sl_direction; IPv4: the first four bytes of each address */
	struct sl_ctl_leg legs[2];
	__u32 is_ipv6;
	__u32 walk_flags[2]; /* SL_W_ON to start the walker at a frame boundary, by direction */
	/* out */
	__u32 result; /* enum sl_ctl_result */
	__u32 got_end[2];
};

/*
 * sl_hold: ACTIVE -> HOLD for @hold_ns, if each side has acknowledged all that was sent on of the
 * other. What the daemon needs to restore its sockets is in the flows from then on. To end it, the
 * daemon runs sl_hold with TO_LEARN when its sockets are back, or TO_ACTIVE.
 *
 * A stream that never rests is brought to rest by STOP: for @hold_ns only what was sent on before
 * passes, and acknowledgments, so that a BEGIN succeeds soon. It ends by itself, or by a HOLD.
 */
enum sl_hold_verb {
	SL_HOLD_BEGIN = 0,
	SL_HOLD_TO_LEARN = 1,
	SL_HOLD_TO_ACTIVE = 2,
	SL_HOLD_STOP = 3,
};

struct sl_hold_args {
	struct sl_key6 keys[2];
	__u64 hold_ns; /* of BEGIN and STOP */
	__u32 is_ipv6;
	__u32 verb; /* enum sl_hold_verb */
	/* out */
	__u32 result;
	__u32 got_end[2]; /* by direction: behind the last byte sent on, in the flow's numbers */
	__u32 zero;
};
