/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Round-trip times: one running sample a connection, smoothed as RFC 6298 says.
 */
#ifndef PS_BPF_TCP_RTT_H
#define PS_BPF_TCP_RTT_H

#include "bpf/tcp_segment.h"

/* The acknowledgement that a running sample waits for. */
static __always_inline void ps_tcp_rtt_end(const struct ps_seg *g, const struct ps_runtime *rt)
{
	union ps_tcp_ctl is = {.word = *(volatile __u32 *)&g->t->state};
	struct ps_conn_tcp *t = g->t;
	__u32 sample;

	if (is.rtt_side != g->s || !(g->flags & PS_TCP_ACK))
		return;
	PS_AFTER(t, is.word);
	if (ps_seq_diff(g->p->ack, t->rtt_seq) < 0)
		return;
	t->rtt_side = 0xff;
	sample = (ps_precise_us(rt) - t->rtt_start_us) ?: 1;
	if (!t->rtt_us)
		t->rtt_us = sample;
	else
		t->rtt_us += (__s32)(sample - t->rtt_us) >> 3;
}

/*
 * May its data begin a sample? Only data that leaves this host, so that the sample is of the network and not of how
 * long our own side takes to acknowledge; in a capture both directions serve.
 */
static __always_inline int ps_tcp_rtt_samples(const struct ps_packet *p)
{
	return p->key.direction == PS_DIR_EGRESS || ps_const.replay;
}

/* New data may begin a sample: who sees that one is running sees since when. */
static __always_inline void ps_tcp_rtt_begin(const struct ps_seg *g, const struct ps_runtime *rt)
{
	union ps_tcp_ctl is = {.word = *(volatile __u32 *)&g->t->state}, want = is;
	struct ps_conn_tcp *t = g->t;

	if (is.rtt_side != 0xff || !g->p->payload || (g->how & PS_HOW_DROPPED))
		return;
	if (!ps_tcp_rtt_samples(g->p))
		return;
	if (t->rtt_start_us && (__s32)((__u32)(g->p->now / 1000) - t->rtt_start_us) < (__s32)PS_RTT_SPACING_US)
		return;
	t->rtt_seq = g->p->seq + g->len;
	t->rtt_start_us = ps_precise_us(rt);
	want.rtt_side = g->o;
	__sync_val_compare_and_swap((__u32 *)&t->state, is.word, want.word);
}

#endif
