/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The sequence space of one side: what is new, what was sent again, what came late, what was skipped, and duplicate
 * acknowledgements.
 */
#ifndef PS_BPF_TCP_SEQUENCE_H
#define PS_BPF_TCP_SEQUENCE_H

#include "bpf/tcp_segment.h"

/* The flag lies in the word that the state machine exchanges. Who sees it set sees the hole. */
static __always_inline void ps_tcp_hole_mark(struct ps_conn_tcp *t, __u32 side, int is)
{
	union ps_tcp_ctl bit = {.started = PS_HOLE(side)};

	if (is)
		PS_ORDERED(__sync_fetch_and_or((__u32 *)&t->state, bit.word));
	else
		__sync_fetch_and_and((__u32 *)&t->state, ~bit.word);
}

/* The segment begins behind the newest: something was skipped. */
static __always_inline void ps_tcp_gap(const struct ps_seg *g, struct ps_stats *s, __u32 skipped)
{
	struct ps_conn_tcp *t = g->t;

	if (skipped > PS_SEQ_JUMP_MAX)
		return;
	/* the byte of a window probe, taken after all */
	if (skipped == 1 && (t->tcp_flags[g->o] & PS_TCP_ACK) && t->ack[g->o] == g->p->seq) {
		t->next_seq[g->s] = g->p->seq + g->len;
		return;
	}
	__sync_fetch_and_add(&t->gap_bytes[g->s], skipped);
	s->tcp_gap_bytes += skipped;
	t->hole_start[g->s] = t->next_seq[g->s];
	t->hole_end[g->s] = g->p->seq;
	ps_tcp_hole_mark(t, g->s, 1);
	t->next_seq[g->s] = g->p->seq + g->len;
}

/* Takes the segment out of the newest hole. 1 if it lies in there. */
static __always_inline int ps_tcp_fills_hole(const struct ps_seg *g)
{
	struct ps_conn_tcp *t = g->t;
	__u32 start = t->hole_start[g->s], size = t->hole_end[g->s] - start;
	__u32 at = g->p->seq - start;

	if (at >= size || g->len > size - at)
		return 0;
	if (at == 0 && g->len == size)
		ps_tcp_hole_mark(t, g->s, 0);
	if (at == 0)
		t->hole_start[g->s] = g->p->seq + g->len;
	else
		t->hole_end[g->s] = g->p->seq; /* what lies behind it is forgotten, unless this was the tail */
	return 1;
}

/* The segment begins before the newest, by "back". The letters it wants: payload that brings nothing new is Zeek's T.
 */
static __always_inline __u32 ps_tcp_old(const struct ps_seg *g, struct ps_stats *s, __u32 back)
{
	struct ps_conn_tcp *t = g->t;
	const struct ps_packet *p = g->p;
	int news = ps_seq_diff(p->seq + g->len, t->next_seq[g->s]) > 0;
	__u32 n = t->retrans_packets[g->s] + t->out_of_order[g->s];

	/* RFC 9293 3.8.4: a keep-alive repeats one sequence number, with or without its byte */
	if (back == 1 && p->payload <= 1 && !(g->flags & (PS_TCP_SYN | PS_TCP_FIN)))
		return 0;
	if (ps_tcp_fills_hole(g)) {
		ps_tcp_add(&t->out_of_order[g->s], p->segs);
		s->tcp_out_of_order += p->segs;
	} else {
		ps_tcp_add(&t->retrans_packets[g->s], p->segs);
		__sync_fetch_and_add(&t->retrans_bytes[g->s], p->payload < back ? p->payload : back);
		s->tcp_retrans += p->segs;
		if (news)
			t->next_seq[g->s] = p->seq + g->len;
		if (t->rtt_side == g->o) /* Karn: an acknowledgement might be of either */
			t->rtt_side = 0xff;
	}
	return p->payload && !news ? ps_hist_scaled(PS_HIST_RETRANS, n, p->segs) : 0;
}

/*
 * RFC 9293 3.8.6.1: a byte of new data against a closed window asks for the window. It may be sent again and again, and
 * again with what follows it once the window opens, without ever having been lost: it does not count as sent.
 */
static __always_inline int ps_tcp_is_window_probe(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	return g->len == 1 && g->p->payload == 1 && !t->window[g->o] && (t->tcp_flags[g->o] & PS_TCP_ACK);
}

/* *ret_next: the segment continues its side's sequence. The letters it wants. */
static __always_inline __u32 ps_tcp_sequence(const struct ps_seg *g, struct ps_stats *s, int *ret_next)
{
	struct ps_conn_tcp *t = g->t;
	__u32 seq = g->p->seq;
	__s32 ahead;

	*ret_next = 0;
	if (g->flags & PS_TCP_RST)
		return 0;
	if (!(t->started & PS_STARTED(g->s))) {
		t->next_seq[g->s] = seq + g->len;
		return 0;
	}
	if (!g->len)
		return 0;
	ahead = ps_seq_diff(seq, t->next_seq[g->s]);
	if (ahead == 0) {
		if (ps_tcp_is_window_probe(g))
			return 0;
		t->next_seq[g->s] = seq + g->len;
		*ret_next = 1;
		return 0;
	}
	if (t->state == PS_TCP_SYN_SENT && (g->flags & PS_TCP_SYN) && seq != t->seq[g->s]) {
		/* another attempt from the same port, not the same SYN again */
		t->next_seq[g->s] = seq + g->len;
		return 0;
	}
	if (ahead < 0)
		return ps_tcp_old(g, s, -ahead);
	ps_tcp_gap(g, s, ahead);
	return 0;
}

/* RFC 5681 section 2: no data, no SYN or FIN, the same acknowledgement and window, while the other side has data
 * outstanding. */
static __always_inline int ps_tcp_is_dup_ack(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;
	const struct ps_packet *p = g->p;

	if (g->len || (g->flags & (PS_TCP_RST | PS_TCP_ACK)) != PS_TCP_ACK || !(t->tcp_flags[g->s] & PS_TCP_ACK))
		return 0;
	if (p->ack != t->ack[g->s] || p->window != t->window[g->s] || p->seq != t->next_seq[g->s])
		return 0;
	return (t->started & PS_STARTED(g->o)) && ps_seq_diff(t->next_seq[g->o], p->ack) > 0;
}

#endif
