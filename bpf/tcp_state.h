/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The state machine: one step from one word of struct ps_conn_tcp to the next, taken by compare-and-exchange.
 */
#ifndef PS_BPF_TCP_STATE_H
#define PS_BPF_TCP_STATE_H

#include "bpf/tcp_segment.h"

static __always_inline __u8 ps_tcp_state_fin(__u8 fin)
{
	__u8 seen = fin & 3, acked = fin >> 4 & 3;

	if (seen == 3)
		return acked == 3 ? PS_TCP_TIME_WAIT : PS_TCP_LAST_ACK;
	return acked ? PS_TCP_CLOSE_WAIT : PS_TCP_FIN_WAIT;
}

static __always_inline __u8 ps_tcp_state_rst(const struct ps_seg *g, __u8 state)
{
	if (state == PS_TCP_TIME_WAIT || state == PS_TCP_CLOSE)
		return state;
	/* a refusal has no sequence of its own yet: it is known by what it acknowledges */
	if (state == PS_TCP_SYN_SENT && g->s != g->orig)
		return ps_tcp_acks_syn(g) ? PS_TCP_CLOSE : state;
	return g->in_window ? PS_TCP_CLOSE : state;
}

static __always_inline __u8 ps_tcp_state_open(const struct ps_seg *g, __u8 state)
{
	if (state == PS_TCP_SYN_SENT) {
		if (g->s != g->orig) {
			/* the answer, or the other side's SYN of a simultaneous open */
			if (ps_tcp_acks_syn(g) || (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN)
				return PS_TCP_SYN_RECV;
		} else if ((g->how & PS_HOW_INGRESS_ONLY) && (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_ACK) {
			return PS_TCP_ESTABLISHED;
		}
	} else if (state == PS_TCP_SYN_RECV && g->s == g->orig && ps_tcp_acks_syn(g)) {
		return PS_TCP_ESTABLISHED;
	}
	return state;
}

static __always_inline void ps_seg_begin(struct ps_seg *g, const struct ps_packet *p, struct ps_conn_tcp *t, __u32 how)
{
	g->p = p;
	g->t = t;
	g->how = how;
	g->s = how & PS_HOW_SIDE;
	g->o = g->s ^ 1;
	g->orig = how & PS_HOW_ORIG ? 1 : 0;
	g->flags = p->key.tcp_flags;
	g->in_window = how & PS_HOW_IN_WINDOW ? 1 : 0;
	g->len = 0;
	if (!(g->flags & PS_TCP_RST))
		g->len = p->payload + !!(g->flags & PS_TCP_SYN) + !!(g->flags & PS_TCP_FIN);
}

static __always_inline union ps_tcp_ctl ps_tcp_next(union ps_tcp_ctl c, const struct ps_seg *g)
{
	if (!(g->flags & PS_TCP_RST)) {
		c.started |= PS_STARTED(g->s);
		if ((g->flags & PS_TCP_SYN) && g->p->wscale != 0xff)
			c.started |= PS_SCALES(g->s);
	}
	if (g->how & PS_HOW_DROPPED)
		return c;
	if (g->flags & PS_TCP_RST) {
		c.state = ps_tcp_state_rst(g, c.state);
		return c;
	}
	c.state = ps_tcp_state_open(g, c.state);
	if (c.state < PS_TCP_ESTABLISHED || c.state == PS_TCP_CLOSE)
		return c;
	if ((g->flags & PS_TCP_FIN) && g->in_window)
		c.fin |= PS_FIN_SEEN(g->s);
	if ((g->flags & PS_TCP_ACK) && (c.fin & PS_FIN_SEEN(g->o)) && ps_seq_diff(g->p->ack, g->t->fin_seq[g->o]) >= 0)
		c.fin |= PS_FIN_ACKED(g->o);
	if (c.fin)
		c.state = ps_tcp_state_fin(c.fin);
	return c;
}

/*
 * One step of the state machine, from one word of struct ps_conn_tcp (union ps_tcp_ctl) to the next. fin_seq of this
 * side must be set already if the segment is a FIN; that of the other is read after the word that says it is there.
 */
__noinline __u32 ps_tcp_step(struct ps_packet *p, struct ps_conn_tcp *t, __u32 how, __u32 word)
{
	union ps_tcp_ctl c = {.word = word};
	struct ps_seg g;

	if (!p || !t)
		return word;
	PS_AFTER(t, word);
	ps_seg_begin(&g, p, t, how);
	return ps_tcp_next(c, &g).word;
}

/* Takes the step. The state before it; *ret_state is the one after. */
static __always_inline __u8 ps_tcp_advance(const struct ps_seg *g, struct ps_packet *p, __u8 *ret_state)
{
	__u32 *word = (__u32 *)&g->t->state;
	union ps_tcp_ctl was, now;
	__u32 i;

	was.word = *(volatile __u32 *)word;
	*ret_state = was.state;
	if (was.state == PS_TCP_ESTABLISHED && (was.started & PS_STARTED(g->s)) && !was.fin &&
		!(g->flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST)))
		return was.state;
	for (i = 0; i < PS_CAS_TRIES; i++) {
		was.word = *(volatile __u32 *)word;
		now.word = ps_tcp_step(p, g->t, g->how, was.word);
		if (now.word == was.word || __sync_val_compare_and_swap(word, was.word, now.word) == was.word) {
			*ret_state = now.state;
			return was.state;
		}
	}
	return was.state;
}

#endif
