/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * From rules to what happens to a packet.
 *
 * A connection remembers the verdict of each of its sides, so an established one pays nothing for the number of rules.
 * A remembered verdict is good for the generation and the direction it was made for; a new rule set is so in force with
 * the next packet of every connection. What a TCP-flag rule could match is classified each time. A host that forwards
 * sees the same packet of the same side on the way in and out: the second time is never remembered.
 */
#ifndef PS_BPF_VERDICT_H
#define PS_BPF_VERDICT_H

#include "bpf/classify.h"
#include "bpf/events.h"

/* The active rule set, read once a packet. */
struct ps_rules {
	const struct ps_rule_set_head *set; /* NULL when there are no rules */
	__u32 active;
	__u32 generation;
};

static __always_inline struct ps_rules ps_rules_get(const struct ps_runtime *rt)
{
	struct ps_rules r = {.active = *(const volatile __u32 *)&rt->active_set & 1};
	const struct ps_rule_set_head *set = bpf_map_lookup_elem(&ps_rule_sets, &r.active);

	if (set && set->tuples) {
		r.set = set;
		r.generation = set->generation;
	}
	return r;
}

/* The marks of a verdict remembered for this generation and direction. */
static __always_inline __u32 ps_verdict_marks(const struct ps_rules *r, const struct ps_packet *p)
{
	return PS_VERDICT_KNOWN | (p->key.direction == PS_DIR_EGRESS ? PS_VERDICT_EGRESS : 0) |
	       (r->generation << PS_VERDICT_GEN_SHIFT & PS_VERDICT_GEN_MASK);
}

#define PS_VERDICT_MARKS (PS_VERDICT_KNOWN | PS_VERDICT_EGRESS | PS_VERDICT_GEN_MASK)

static __always_inline int ps_tcp_flag_rules(const struct ps_rules *r, const struct ps_packet *p)
{
	return p->key.proto == IPPROTO_TCP &&
	       (r->set->tcp_flags_hit[p->key.tcp_flags >> 6] >> (p->key.tcp_flags & 63) & 1);
}

/* Of a packet without a connection. */
static __always_inline __u32 ps_verdict_of(const struct ps_rules *r, struct ps_packet *p)
{
	return r->set ? ps_classify(p, r->active, 0) : 0;
}

/* Of the packet of a connection, sent by this side. */
static __always_inline __u32 ps_verdict_conn(
	const struct ps_rules *r, struct ps_packet *p, struct ps_conn_hot *hot, __u32 side)
{
	__u32 v, marks;

	if (!r->set) {
		/* the rule that once decided is gone */
		if (hot->verdict_gen) {
			*(__u64 *)hot->verdict = 0;
			hot->verdict_gen = 0;
		}
		return 0;
	}
	if (ps_tcp_flag_rules(r, p))
		return ps_classify(p, r->active, 0);
	marks = ps_verdict_marks(r, p);
	v = *(volatile __u32 *)&hot->verdict[side & 1];
	if (hot->verdict_gen == r->generation && (v & PS_VERDICT_MARKS) == marks)
		return v & ~PS_VERDICT_MARKS;
	v = ps_classify(p, r->active, PS_TUPLE_TCP_FLAGS);
	if (hot->verdict_gen != r->generation) {
		*(__u64 *)hot->verdict = 0;
		hot->verdict_gen = r->generation;
	}
	*(volatile __u32 *)&hot->verdict[side & 1] = v | marks;
	return v;
}

static __always_inline void ps_rule_hit(__u32 verdict, const struct ps_packet *p)
{
	__u32 id = verdict & PS_VERDICT_ID;
	struct ps_rule_hits *h = bpf_map_lookup_elem(&ps_rule_hits, &id);

	if (!h)
		return;
	__sync_fetch_and_add(&h->packets, p->segs);
	__sync_fetch_and_add(&h->bytes, p->bytes);
	if (!h->first_hit)
		__sync_val_compare_and_swap(&h->first_hit, 0, p->now);
	h->last_hit = p->now;
}

/* Counts what a rule decided, and tells of a drop. 1 if the packet is to be dropped. conn_id: 0 = none. */
static __always_inline int ps_verdict_apply(
	__u32 verdict, const struct ps_rules *r, struct ps_packet *p, __u64 conn_id, __u64 interval, struct ps_stats *s)
{
	if (!(verdict & PS_VERDICT_RULE))
		return 0;
	ps_rule_hit(verdict, p);
	if (!(verdict & PS_VERDICT_DROP))
		return 0;
	s->dropped_packets += p->segs;
	s->dropped_bytes += p->bytes;
	ps_emit_drop(p, verdict, r->generation, conn_id, interval);
	return 1;
}

#endif
