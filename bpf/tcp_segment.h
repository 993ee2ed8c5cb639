/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * A segment and its place in its connection: whose it is, what it takes of the sequence space, and whether it lies in
 * the window that the other side offered.
 */
#ifndef PS_BPF_TCP_SEGMENT_H
#define PS_BPF_TCP_SEGMENT_H

#include "bpf/clock.h"
#include "bpf/order.h"
#include "bpf/record.h"
#include "bpf/stats.h"

/* ps_tcp_segment(): how the segment stands to the connection. */
#define PS_HOW_SIDE 1u    /* that sent it */
#define PS_HOW_ORIG 2u    /* side 1 is the originator */
#define PS_HOW_DROPPED 4u /* a rule dropped it: counted and analysed, but the peer will never see it */
#define PS_HOW_INGRESS_ONLY 8u
#define PS_HOW_MIDSTREAM 16u
#define PS_HOW_IN_WINDOW 32u /* set by ps_tcp_segment() itself, for the step */

/* ps_tcp_segment(): what it did. */
#define PS_DID_STATE 1u   /* the state changed */
#define PS_DID_CONFIRM 2u /* the handshake is complete */
#define PS_DID_CLOSE 4u   /* the connection is closed now */
#define PS_DID_FLIP 8u    /* its originator turned out to be the other side */

/* More than this beyond what was seen is no segment of this connection: the largest window there is (RFC 7323 2.3). */
#define PS_SEQ_JUMP_MAX (1u << 30)

union ps_tcp_ctl {
	__u32 word;
	struct {
		__u8 state;
		__u8 started;
		__u8 fin;
		__u8 rtt_side;
	};
};

_Static_assert(__builtin_offsetof(struct ps_conn_tcp, state) % 4 == 0, "state, started, fin, rtt_side are one word");
_Static_assert(__builtin_offsetof(struct ps_conn_tcp, hist_len) % 4 == 0, "hist_len can be added to atomically");
_Static_assert(__builtin_offsetof(struct ps_conn_tcp, retrans_bytes) == 64, "the first line serves every segment");

#define PS_STARTED(side) (1u << (side))
#define PS_SCALES(side) (1u << (4 + (side)))
#define PS_HOLE(side) (1u << (6 + (side))) /* hole_start, hole_end: not empty, and not acknowledged yet */
#define PS_FIN_SEEN(side) (1u << (side))
#define PS_FIN_ACKED(side) (1u << (4 + (side)))

/* The segment and its place. */
struct ps_seg {
	const struct ps_packet *p;
	struct ps_conn_tcp *t;
	__u32 s;    /* side that sent it */
	__u32 o;    /* the other */
	__u32 orig; /* side */
	__u32 len;  /* sequence numbers it takes: payload, SYN, FIN */
	__u32 how;
	__u8 flags;
	__u8 in_window; /* plausible as a segment of this connection: a RST or FIN that isn't changes nothing */
};

/*
 * Letters of the history, as bits of hist_seen. What a segment wants written: bits that are written once a side, and,
 * in the high half, those of them that are written again.
 */
#define PS_HIST_SYN 1u
#define PS_HIST_SYNACK 2u
#define PS_HIST_DATA 4u
#define PS_HIST_ACK 8u
#define PS_HIST_FIN 16u
#define PS_HIST_RST 32u
#define PS_HIST_FIN_RST 64u
#define PS_HIST_MULTI 128u /* SYN with FIN or RST */
#define PS_HIST_ZERO_WINDOW 256u
#define PS_HIST_RETRANS 512u
#define PS_HIST_GAP 1024u
#define PS_HIST_AGAIN(bits) ((bits) << 16)

static __always_inline __s32 ps_seq_diff(__u32 a, __u32 b)
{
	return (__s32)(a - b);
}

static __always_inline __u32 ps_tcp_add(__u32 *counter, __u32 n)
{
	return __sync_fetch_and_add(counter, n);
}

/* "bit", to be written once, and again each time that its counter passes a power of ten on its way from n to n + add.
 */
static __always_inline __u32 ps_hist_scaled(__u32 bit, __u32 n, __u32 add)
{
	__u32 power = 10, i;

	for (i = 0; i < 6; i++) {
		if (n < power && n + add >= power)
			return bit | PS_HIST_AGAIN(bit);
		power *= 10;
	}
	return bit;
}

/* Bytes the side offered last; the largest there can be if its SYN was not seen. */
static __always_inline __u32 ps_tcp_window(const struct ps_conn_tcp *t, __u32 side)
{
	__u8 shift = t->wscale[side];

	return (__u32)t->window[side] << (shift > 14 ? 14 : shift);
}

/* RFC 9293 3.10.7.4, as far as an onlooker can tell. */
static __always_inline int ps_tcp_in_window(const struct ps_conn_tcp *t, __u32 seq, __u32 s, __u32 o)
{
	if (!(t->started & PS_STARTED(s)) && !(t->tcp_flags[o] & PS_TCP_ACK))
		return 1;
	if ((t->started & PS_STARTED(s)) && seq == t->next_seq[s])
		return 1;
	/* Nothing is known of the receiver: it may also repeat the number of what was sent last, as of a SYN taken
	 * back. */
	if (!(t->tcp_flags[o] & PS_TCP_ACK))
		return seq == t->seq[s];
	return seq - t->ack[o] <= ps_tcp_window(t, o);
}

/* Does it acknowledge the other side's SYN, and nothing that the other side hasn't sent? */
static __always_inline int ps_tcp_acks_syn(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	if (!(g->flags & PS_TCP_ACK) || !(t->started & PS_STARTED(g->o)))
		return 0;
	return g->p->ack - t->seq[g->o] - 1 < t->next_seq[g->o] - t->seq[g->o];
}

static __always_inline void ps_tcp_wscale_set(const struct ps_seg *g)
{
	struct ps_conn_tcp *t = g->t;

	t->wscale[g->s] = g->p->wscale == 0xff ? 0 : g->p->wscale;
	/* RFC 7323 2.2: in force only if both SYNs had the option */
	if ((g->flags & PS_TCP_ACK) && (t->started & PS_STARTED(g->o)) &&
		!(g->p->wscale != 0xff && (t->started & PS_SCALES(g->o)))) {
		t->wscale[0] = 0;
		t->wscale[1] = 0;
	}
}

/* The letters it wants. A window means nothing to a peer that has sent its FIN. */
static __always_inline __u32 ps_tcp_window_note(const struct ps_seg *g, struct ps_stats *s)
{
	struct ps_conn_tcp *t = g->t;

	if (g->flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST))
		return 0;
	if (!g->p->window) {
		__u32 n = ps_tcp_add(&t->zero_windows[g->s], 1);

		s->tcp_zero_windows++;
		return t->fin & PS_FIN_SEEN(g->o) ? 0 : ps_hist_scaled(PS_HIST_ZERO_WINDOW, n, 1);
	}
	if (g->p->window < PS_SMALL_WINDOW && t->wscale[g->s] <= 14 &&
		(__u32)g->p->window << t->wscale[g->s] < PS_SMALL_WINDOW) {
		ps_tcp_add(&t->small_windows[g->s], 1);
		s->tcp_small_windows++;
	}
	return 0;
}

#endif
