/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the segments of a connection tell: state, sequence space of each side, anomalies, round-trip times, history.
 *
 * A clean segment of an established connection touches the first cache line of struct ps_conn_tcp only. The bytes
 * state, started and fin change together by compare-and-exchange, so that two CPUs with the two directions of one
 * connection lose no step; anomaly counters are added to atomically; the rest is per side, and the segments of one side
 * come one after another.
 *
 * Sequence numbers are compared modulo 2^32 (RFC 9293 3.4).
 */
#ifndef PS_BPF_TCP_H
#define PS_BPF_TCP_H

#include "bpf/tcp_history.h"
#include "bpf/tcp_rtt.h"
#include "bpf/tcp_sequence.h"
#include "bpf/tcp_state.h"

/*
 * A SYN that comes after its own answer: the connection was joined with a packet of the responder, which acknowledged
 * exactly this SYN.
 */
static __always_inline int ps_tcp_flips(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	return (g->how & PS_HOW_MIDSTREAM) && g->s != g->orig && (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN &&
	       !(t->started & PS_STARTED(g->s)) && (t->tcp_flags[g->o] & PS_TCP_ACK) && t->ack[g->o] == g->p->seq + 1;
}

/*
 * The usual segment: it goes on where its side of an established connection has stopped, with data or an
 * acknowledgement, and nothing in it is news. Then 1, and it is noted as ps_tcp_segment() would, which is for all
 * others; when in doubt, 0.
 */
static __always_inline int ps_tcp_usual(const struct ps_packet *p, struct ps_conn_tcp *t, __u32 side)
{
	const union ps_tcp_ctl mask = {.state = 0xff, .started = PS_STARTED(0) | PS_STARTED(1), .fin = 0xff};
	const union ps_tcp_ctl open = {.state = PS_TCP_ESTABLISHED, .started = PS_STARTED(0) | PS_STARTED(1)};
	union ps_tcp_ctl is = {.word = *(volatile __u32 *)&t->state};
	__u32 s = side & 1, o = s ^ 1, flags = p->key.tcp_flags;

	if ((is.word & mask.word) != open.word || is.started & PS_HOLE(o) || is.rtt_side == s)
		return 0;
	if (p->seq != t->next_seq[s])
		return 0;
	if ((flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST | PS_TCP_ACK)) != PS_TCP_ACK || p->window < PS_SMALL_WINDOW)
		return 0;
	if (flags & ~t->tcp_flags[s] || !(t->hist_seen >> 16 * s & (p->payload ? PS_HIST_DATA : PS_HIST_ACK)))
		return 0;
	if (p->payload) {
		if (is.rtt_side == 0xff && ps_tcp_rtt_samples(p))
			return 0;
		if (p->payload == 1 && !t->window[o])
			return 0;
		t->next_seq[s] = p->seq + p->payload;
	} else if (p->ack == t->ack[s] && p->window == t->window[s] && ps_seq_diff(t->next_seq[o], p->ack) > 0) {
		return 0;
	}
	t->seq[s] = p->seq;
	t->ack[s] = p->ack;
	t->window[s] = p->window;
	return 1;
}

/* Analyses one segment. how: PS_HOW_*; PS_DID_* comes back. */
__noinline int ps_tcp_segment(struct ps_packet *p, struct ps_conn_tcp *t, __u32 how)
{
	struct ps_seg g;
	struct ps_runtime *rt;
	union ps_tcp_ctl is;
	__u8 before, after;
	struct ps_stats *s;
	__u32 zero = 0, did = 0, want;
	int next;

	s = ps_stats_get();
	rt = bpf_map_lookup_elem(&ps_runtime, &zero);
	if (!p || !t || !s || !rt)
		return 0;
	ps_seg_begin(&g, p, t, how & ~PS_HOW_IN_WINDOW);

	if (ps_tcp_flips(&g)) {
		g.orig = g.s;
		g.how ^= PS_HOW_ORIG;
		did |= PS_DID_FLIP;
		ps_tcp_letter(t, '^');
	}
	if (!(g.flags & (PS_TCP_RST | PS_TCP_FIN)) || ps_tcp_in_window(t, p->seq, g.s, g.o)) {
		g.in_window = 1;
		g.how |= PS_HOW_IN_WINDOW;
	}
	want = ps_tcp_letters_of(&g);
	if (g.flags & PS_TCP_SYN) {
		ps_tcp_wscale_set(&g);
		if (g.s == g.orig && !(g.flags & PS_TCP_ACK))
			t->syn_us = ps_precise_us(rt);
	}
	if ((g.flags & PS_TCP_FIN) && !(t->fin & PS_FIN_SEEN(g.s)))
		t->fin_seq[g.s] = p->seq + p->payload + 1;
	if (ps_tcp_is_dup_ack(&g)) {
		ps_tcp_add(&t->dup_acks[g.s], 1);
		s->tcp_dup_acks++;
	}
	if (p->window < PS_SMALL_WINDOW)
		want |= ps_tcp_window_note(&g, s);
	want |= ps_tcp_sequence(&g, s, &next);
	t->seq[g.s] = p->seq;
	before = ps_tcp_advance(&g, p, &after);
	if (g.flags & PS_TCP_ACK)
		t->ack[g.s] = p->ack;
	t->window[g.s] = p->window;
	t->tcp_flags[g.s] |= g.flags;
	ps_tcp_rtt_end(&g, rt);
	if (next)
		ps_tcp_rtt_begin(&g, rt);
	ps_tcp_history(&g, p, want);
	is.word = *(volatile __u32 *)&t->state;
	if (is.started & PS_HOLE(g.o))
		ps_tcp_hole_acked(&g, p, is.word);

	if (after == before)
		return did;
	did |= PS_DID_STATE;
	if (before < PS_TCP_ESTABLISHED && after >= PS_TCP_ESTABLISHED && after != PS_TCP_CLOSE) {
		did |= PS_DID_CONFIRM;
		if (before == PS_TCP_SYN_RECV && t->syn_us)
			t->rtt_handshake_us = (ps_precise_us(rt) - t->syn_us) ?: 1;
	}
	if (after >= PS_TCP_LAST_ACK && before < PS_TCP_LAST_ACK)
		did |= PS_DID_CLOSE;
	return did;
}

#endif
