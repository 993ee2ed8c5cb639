/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * From rules to what happens to a packet.
 *
 * A connection remembers the verdict of each of its sides, so an established one pays nothing for the number of rules.
 * A remembered verdict is good for the generation and the direction it was made for; a new rule set is so in force with
 * the next packet of every connection. What a TCP-flag rule could match is classified each time, and so is what a rule
 * in shadow mode matches. A host that forwards sees the same packet of the same side on the way in and out: the second
 * time is never remembered.
 */
#ifndef PS_BPF_VERDICT_H
#define PS_BPF_VERDICT_H

#include "bpf/classify.h"
#include "bpf/events.h"
#include "bpf/rate.h"

/*
 * Which rule set judges this packet: read once a packet. NULL when it has no rules. A set that nobody confirmed in time
 * gives way to the one before it.
 */
static __always_inline const struct ps_rule_head *ps_rules_get(const struct ps_runtime *rt, struct ps_packet *p)
{
	__u64 word = *(const volatile __u64 *)&rt->rule_switch, deadline = word >> 1;
	const struct ps_rule_head *head;

	p->active = word & 1;
	if (deadline && p->now >= deadline)
		p->active ^= 1;
	head = bpf_map_lookup_elem(&ps_rule_heads, &p->active);
	if (!head || !head->tuples)
		return NULL;
	p->generation = head->generation;
	return head;
}

/* The marks of a verdict remembered for this generation and direction. */
static __always_inline __u32 ps_verdict_marks(const struct ps_packet *p)
{
	return PS_VERDICT_KNOWN | (p->key.direction == PS_DIR_EGRESS ? PS_VERDICT_EGRESS : 0) |
	       (p->generation << PS_VERDICT_GEN_SHIFT & PS_VERDICT_GEN_MASK);
}

#define PS_VERDICT_MARKS (PS_VERDICT_KNOWN | PS_VERDICT_EGRESS | PS_VERDICT_GEN_MASK)

static __always_inline int ps_tcp_flag_rules(const struct ps_rule_head *rules, const struct ps_packet *p)
{
	return p->key.proto == IPPROTO_TCP &&
	       (rules->tcp_flags_hit[p->key.tcp_flags >> 6] >> (p->key.tcp_flags & 63) & 1);
}

/* Of a packet without a connection. */
static __always_inline __u32 ps_verdict_of(const struct ps_rule_head *rules, struct ps_packet *p)
{
	return rules ? ps_classify(p) : 0;
}

/* Of the packet of a connection, sent by this side. */
static __always_inline __u32 ps_verdict_conn(
	const struct ps_rule_head *rules, struct ps_packet *p, struct ps_conn_hot *hot, __u32 side)
{
	__u32 v, marks;

	if (!rules) {
		/* the rule that once decided is gone */
		if (hot->verdict_gen) {
			*(__u64 *)hot->verdict = 0;
			hot->verdict_gen = 0;
		}
		return 0;
	}
	if (ps_tcp_flag_rules(rules, p))
		return ps_classify(p);
	marks = ps_verdict_marks(p);
	v = *(volatile __u32 *)&hot->verdict[side & 1];
	if (hot->verdict_gen == p->generation && (v & PS_VERDICT_MARKS) == marks &&
		(!(v & PS_VERDICT_UNTIL) || !ps_rule_expired(v, p->active, p->now)))
		return v & ~PS_VERDICT_MARKS;
	v = ps_classify(p);
	if (hot->verdict_gen != p->generation) {
		*(__u64 *)hot->verdict = 0;
		hot->verdict_gen = p->generation;
	}
	/* shown as the connection's verdict, but not taken for known: the rule in shadow mode is to see every packet */
	*(volatile __u32 *)&hot->verdict[side & 1] = p->shadow ? v : v | marks;
	return v;
}

static __always_inline void ps_rule_hit(__u32 verdict, const struct ps_packet *p)
{
	struct ps_rule_row *row = ps_row_get(verdict & PS_VERDICT_ID);
	struct ps_rule_hits *h;

	if (!row)
		return;
	h = &row->hits;
	__sync_fetch_and_add(&h->packets, p->segs);
	__sync_fetch_and_add(&h->bytes, p->bytes);
	if (!h->first_hit)
		__sync_val_compare_and_swap(&h->first_hit, 0, p->now);
	h->last_hit = p->now;
}

/* What a rule in shadow mode would have done. */
static __always_inline void ps_shadow_hit(struct ps_packet *p, __u64 conn_id)
{
	__u32 v = p->shadow;

	if ((v & PS_VERDICT_RATE) && ps_rate_passes(p, v & PS_VERDICT_ID))
		return;
	ps_rule_hit(v, p);
	if (v & PS_VERDICT_DROP)
		ps_emit_drop(p, v, conn_id, PS_DROP_SHADOW);
}

/* Counts what rules decided, and tells of a drop. 1 if the packet is to be dropped. conn_id: 0 = none. */
__noinline int ps_verdict_act(struct ps_packet *p, __u32 verdict, __u64 conn_id)
{
	struct ps_stats *s = ps_stats_get();

	if (!p || !s)
		return 0;
	if (p->shadow)
		ps_shadow_hit(p, conn_id);
	if (!(verdict & PS_VERDICT_RULE))
		return 0;
	if ((verdict & PS_VERDICT_RATE) && ps_rate_passes(p, verdict & PS_VERDICT_ID))
		return 0;
	ps_rule_hit(verdict, p);
	if (!(verdict & PS_VERDICT_DROP))
		return 0;
	s->dropped_packets += p->segs;
	s->dropped_bytes += p->bytes;
	ps_emit_drop(p, verdict, conn_id, PS_DROP_ENFORCED);
	return 1;
}

static __always_inline int ps_verdict_apply(struct ps_packet *p, __u32 verdict, __u64 conn_id)
{
	return verdict | p->shadow ? ps_verdict_act(p, verdict, conn_id) == 1 : 0;
}

#endif
