/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * First match of a packet among the rules of the active set: tuple-space search.
 *
 * A tuple is one combination of tested fields, given as a mask. The packet's key under that mask is looked up among the
 * rules of the tuple by one hash probe (rule_hash.h), so the cost follows the number of combinations, not of rules.
 * Tuples stand in order of their best rank: the search ends as soon as none of the rest could win.
 *
 * A tuple never matches on what was not read: ports of a fragment or a truncated header, flags of what is no TCP
 * segment, the quoted packet where there is none. Neighbour discovery, without which an IPv6 host is cut off, is only
 * matched by rules that name an ICMP type.
 */
#ifndef PS_BPF_CLASSIFY_H
#define PS_BPF_CLASSIFY_H

#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/rule_hash.h"

struct ps_probe {
	struct ps_rule_key key; /* masked */
	struct ps_rule_inner inner;
	__u32 base; /* first slot of the set */
	__u32 tuple;
	__u32 quoted; /* inner is part of the key */
	__u32 pad;
};

/* Both keys are five 64-bit words, aligned to 4 bytes at least; the compiler knows how to load them. */
struct ps_words {
	__u32 w[10];
};

_Static_assert(sizeof(struct ps_words) == sizeof(struct ps_rule_key), "a rule key is ten words");
_Static_assert(sizeof(struct ps_words) == sizeof(struct ps_rule_inner), "a quoted key is ten words");

static __always_inline void ps_mask_words(void *to, const void *from, const void *mask)
{
	const struct ps_words *f = from, *m = mask;
	struct ps_words *t = to;
	__u32 i;

#pragma unroll
	for (i = 0; i < 10; i++)
		t->w[i] = f->w[i] & m->w[i];
}

static __always_inline __u32 ps_words_differ(const void *a, const void *b)
{
	const struct ps_words *x = a, *y = b;
	__u32 d = 0, i;

#pragma unroll
	for (i = 0; i < 10; i++)
		d |= x->w[i] ^ y->w[i];
	return d;
}

/* The slot, counted from the beginning of both sets, that has the masked key; -1 if none. */
__noinline int ps_rule_probe(struct ps_probe *q)
{
	__u32 start, i;

	if (!q)
		return -1;
	start = q->quoted ? ps_rule_hash(&q->key, &q->inner, q->tuple) : ps_rule_hash(&q->key, NULL, q->tuple);
	for (i = 0; i < PS_RULE_PROBES; i++) {
		__u32 at = q->base + ((start + i) & (PS_RULE_SLOTS - 1));
		const struct ps_rule_slot *slot = bpf_map_lookup_elem(&ps_rule_slots, &at);

		if (!slot || !slot->used)
			return -1;
		if (slot->used != q->tuple + 1 || ps_words_differ(&slot->key, &q->key))
			continue;
		if (q->quoted && ps_words_differ(&slot->inner, &q->inner))
			continue;
		return at;
	}
	return -1;
}

static __always_inline int ps_is_nd(const struct ps_packet *p)
{
	return p->key.family == PS_FAMILY_IPV6 && p->kind == PS_KIND_ICMP && p->icmp_type >= 133 && p->icmp_type <= 137;
}

/* Does the tuple test only what is known of this packet? */
static __always_inline int ps_tuple_applies(const struct ps_rule_tuple *t, const struct ps_packet *p, __u32 skip)
{
	if (t->flags & skip)
		return 0;
	if ((t->mask.sport | t->mask.dport) && !(p->known & PS_KNOWN_PORTS))
		return 0;
	if (t->mask.tcp_flags && !(p->known & PS_KNOWN_TCP_FLAGS))
		return 0;
	if (!(t->flags & PS_TUPLE_QUOTED))
		return 1;
	return !(t->inner_mask.sport | t->inner_mask.dport) || (p->known & PS_KNOWN_QUOTED_PORTS);
}

/* In the variant for debugging, one line in the kernel's trace pipe for every match that is looked up. */
#ifdef PS_TRACE
__noinline int ps_trace_match(struct ps_packet *p, __u32 verdict)
{
	__u32 id = verdict & PS_VERDICT_ID, proto;

	if (!p || !verdict)
		return 0;
	proto = p->key.proto;
	if (verdict & PS_VERDICT_DROP)
		bpf_printk("packetscope: rule %u drops protocol %u", id, proto);
	else
		bpf_printk("packetscope: rule %u allows protocol %u", id, proto);
	return 0;
}
#else
static __always_inline void ps_trace_match(struct ps_packet *p, __u32 verdict)
{
}
#endif

/*
 * The verdict of the set number "active" on this packet: PS_VERDICT_RULE, PS_VERDICT_DROP if it is to be dropped, and
 * the id of the rule; 0 if none matches. skip: tuples with one of these PS_TUPLE_* flags are not for this packet.
 */
__noinline __u32 ps_classify(struct ps_packet *p, __u32 active, __u32 skip)
{
	const struct ps_rule_set_head *set = bpf_map_lookup_elem(&ps_rule_sets, &active);
	__u32 verdict = 0, best = ~0u, i;
	struct ps_probe q;

	if (!p || !set)
		return 0;
	if (!(p->known & PS_KNOWN_QUOTED))
		skip |= PS_TUPLE_QUOTED;
	q.base = active ? PS_RULE_SLOTS : 0;
	q.pad = 0;
	for (i = 0; i < PS_RULE_TUPLES; i++) {
		const struct ps_rule_tuple *t = &set->tuple[i];
		const struct ps_rule_slot *slot;
		int at;

		if (i >= set->tuples || t->best_rank > best)
			break;
		if (!ps_tuple_applies(t, p, skip) || (ps_is_nd(p) && !(t->flags & PS_TUPLE_NAMES_ICMP)))
			continue;
		ps_mask_words(&q.key, &p->key, &t->mask);
		q.quoted = t->flags & PS_TUPLE_QUOTED;
		ps_mask_words(&q.inner, &p->inner, &t->inner_mask);
		q.tuple = i;
		at = ps_rule_probe(&q);
		slot = bpf_map_lookup_elem(&ps_rule_slots, &at);
		if (!slot || slot->rank >= best)
			continue;
		best = slot->rank;
		verdict = PS_VERDICT_RULE | (slot->action == PS_RULE_ACTION_DROP ? PS_VERDICT_DROP : 0) |
			  (slot->id & PS_VERDICT_ID);
	}
	ps_trace_match(p, verdict);
	return verdict;
}

#endif
