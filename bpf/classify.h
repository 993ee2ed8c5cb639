/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * First match of a packet among the rules of the set in force: tuple-space search that looks nowhere in vain.
 *
 * A rule is a few units (abi.h); a tuple is a combination of prefix lengths, coarse enough that there are at most 64 of
 * them. Tables indexed by the beginning of each address, by ports, protocol and so on tell as one bit a tuple where a
 * unit for such a packet might be; what is left of all of them together is looked up by one hash each (rule_match.h),
 * behind a Bloom filter. So the cost follows neither the number of rules nor that of tuples, but what the packet has in
 * common with them. Units behind one place are in order of rank, and each is compared in full: nothing but that
 * decides.
 *
 * A unit never matches on what was not read: ports of a fragment or a truncated header, flags of what is no TCP
 * segment, the quoted packet where there is none. Neighbour discovery, without which an IPv6 host is cut off, is only
 * matched by rules that name an ICMP type.
 */
#ifndef PS_BPF_CLASSIFY_H
#define PS_BPF_CLASSIFY_H

#include <bpf/bpf_endian.h>

#include "bpf/maps.h"
#include "bpf/packet.h"
#include "bpf/rule_match.h"

#define PS_NO_RANK (~0ull)

/* What the stages of one search share: too much for the stack. One a CPU: nothing interrupts a program on its CPU to
 * run another of ours. */
struct ps_search {
	struct ps_rule_query q, inner;
	__u64 best;   /* rank of the best rule that decides, so far; PS_NO_RANK = none */
	__u64 shadow; /* of the best one in shadow mode */
	__u64 now;
	__u32 active;
	__u32 flags; /* PS_UNIT_* of the best */
	__u32 shadow_flags;
	__u32 quoted; /* there is a quoted packet */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ps_search);
} ps_searches SEC(".maps");

/* --- The maps ---------------------------------------------------------------------------------- */

static __always_inline struct ps_rule_row *ps_row_get(__u32 id)
{
	__u32 chunk = id / PS_ROW_CHUNK, zero = 0;
	struct ps_rule_rows *rows;
	void *inner = bpf_map_lookup_elem(&ps_rule_rows, &chunk);

	if (!inner)
		return NULL;
	rows = bpf_map_lookup_elem(inner, &zero);
	return rows ? &rows->row[id & (PS_ROW_CHUNK - 1)] : NULL;
}

/* Chunk c of a set. */
static __always_inline struct ps_rule_chunk *ps_chunk_get(__u32 set, __u32 c)
{
	__u32 key = (set & 1) * PS_UNIT_CHUNKS + c, zero = 0;
	void *inner = c < PS_UNIT_CHUNKS ? bpf_map_lookup_elem(&ps_rule_chunks, &key) : NULL;

	return inner ? bpf_map_lookup_elem(inner, &zero) : NULL;
}

/* Is the time of this rule up? A deadline of 0 is none. */
static __always_inline int ps_rule_expired(__u32 id, __u32 set, __u64 now)
{
	const struct ps_rule_row *row = ps_row_get(id & PS_VERDICT_ID);

	return row && row->until[set & 1] && now >= row->until[set & 1];
}

/* --- What of a packet is compared -------------------------------------------------------------- */

static __always_inline void ps_query_addr(__u64 to[2], const __u32 *addr)
{
	to[0] = bpf_be64_to_cpu(*(const __u64 *)addr);
	to[1] = bpf_be64_to_cpu(*(const __u64 *)(addr + 2));
}

static __always_inline int ps_is_nd(const struct ps_packet *p)
{
	return p->key.family == PS_FAMILY_IPV6 && p->kind == PS_KIND_ICMP && p->icmp_type >= 133 && p->icmp_type <= 137;
}

static __always_inline __u32 ps_query_has(const struct ps_packet *p)
{
	__u8 proto = p->key.proto, family = p->key.family;
	__u32 has = 0;

	if (p->known & PS_KNOWN_TCP_FLAGS)
		has |= PS_HAS_FLAGS;
	if (!(p->known & PS_KNOWN_PORTS))
		return has;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		has |= PS_HAS_PORTS;
	else if (proto == (family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		has |= PS_HAS_ICMP;
	return ps_is_nd(p) ? has | PS_HAS_ND : has;
}

static __always_inline void ps_query_fill(struct ps_search *s, const struct ps_packet *p)
{
	ps_query_addr(s->q.saddr, p->key.saddr);
	ps_query_addr(s->q.daddr, p->key.daddr);
	s->q.sport = bpf_ntohs(p->key.sport);
	s->q.dport = bpf_ntohs(p->key.dport);
	s->q.proto = p->key.proto;
	s->q.family = p->key.family;
	s->q.tcp_flags = p->key.tcp_flags;
	s->q.direction = p->key.direction;
	s->q.word = ps_rule_word(s->q.sport, s->q.dport, p->key.proto, p->key.family);
	s->q.has = ps_query_has(p);
	s->quoted = p->known & PS_KNOWN_QUOTED;
	if (!s->quoted)
		return;
	ps_query_addr(s->inner.saddr, p->inner.saddr);
	ps_query_addr(s->inner.daddr, p->inner.daddr);
	s->inner.sport = bpf_ntohs(p->inner.sport);
	s->inner.dport = bpf_ntohs(p->inner.dport);
	s->inner.proto = p->inner.proto;
	s->inner.family = p->inner.family;
	s->inner.word = ps_rule_word(s->inner.sport, s->inner.dport, p->inner.proto, p->inner.family);
	s->inner.has = p->known & PS_KNOWN_QUOTED_PORTS ? PS_HAS_PORTS : 0;
}

/* --- The search -------------------------------------------------------------------------------- */

/*
 * An index below a power of two, said so that no verifier can lose it: newer ones know the range of what was stored and
 * loaded again, that of Linux 6.1 does not, and the compiler would leave the mask out.
 */
static __always_inline __u32 ps_index_below(__u32 i, __u32 power)
{
	barrier_var(i);
	return i & (power - 1);
}

/* The tuples that may have a unit for this packet. */
static __always_inline __u64 ps_tuples_worth(const struct ps_rule_head *head, const struct ps_search *s)
{
	const struct ps_rule_query *q = &s->q;
	__u8 family = q->family;
	__u64 m;

	m = head->proto[ps_index_below(q->proto, 256)] & head->direction[q->direction & 3];
	m &= head->family[family == PS_FAMILY_IPV6 ? 2 : family == PS_FAMILY_IPV4 ? 1 : 0];
	if (!s->quoted)
		m &= ~head->quoted;
	m &= head->sport[ps_index_below(q->sport >> 4, PS_INDEX_PORTS)];
	m &= head->dport[ps_index_below(q->dport >> 4, PS_INDEX_PORTS)];
	m &= head->src.coarse[ps_index_coarse(q->saddr[0], family)];
	m &= head->src.middle[ps_index_middle(q->saddr[0], family)];
	m &= head->src.fine[ps_index_fine(q->saddr[0], family)];
	m &= head->dst.coarse[ps_index_coarse(q->daddr[0], family)];
	m &= head->dst.middle[ps_index_middle(q->daddr[0], family)];
	m &= head->dst.fine[ps_index_fine(q->daddr[0], family)];
	return m;
}

_Static_assert(PS_INDEX_PORTS == 65536 / 16, "a row is sixteen ports");

/* Which bit it is: BPF has no count of trailing zeros. A de Bruijn sequence shifted by n has another beginning for each
 * n. */
#define PS_DE_BRUIJN 0x03f79d71b4cb0a89ull
const __u8 ps_bit_number[64] = {0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4, 62, 55, 59, 36, 53, 51, 43,
	22, 45, 39, 33, 30, 24, 18, 12, 5, 63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11, 46, 26, 40,
	15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6};

static __always_inline __u32 ps_lowest_bit(__u64 m)
{
	return ps_bit_number[(m & -m) * PS_DE_BRUIJN >> 58];
}

/* Takes a unit that fits into account. 1 if those behind it can't win. */
static __always_inline int ps_search_take(struct ps_search *s, const struct ps_rule_unit *u)
{
	if ((u->flags & PS_UNIT_UNTIL) && ps_rule_expired(u->rank, s->active, s->now))
		return 0;
	if (u->flags & PS_UNIT_SHADOW) {
		if (u->rank < s->shadow) {
			s->shadow = u->rank;
			s->shadow_flags = u->flags;
		}
		return 0;
	}
	s->best = u->rank;
	s->flags = u->flags;
	return 1;
}

/* Does the packet of this search match? quoted: the unit behind it, for the quoted packet. */
__noinline int ps_search_fits(struct ps_search *s, struct ps_rule_unit *u, struct ps_rule_unit *quoted)
{
	if (!s || !u || !quoted || !ps_unit_fits(u, &s->q))
		return 0;
	return !(u->flags & PS_UNIT_QUOTED) || (s->quoted && ps_unit_fits_packet(quoted, &s->inner));
}

/* Goes through the units behind one place. first: 1 + index. */
__noinline int ps_search_chain(struct ps_search *s, __u32 first)
{
	__u32 i;

	if (!s)
		return 0;
	for (i = 0; i < PS_RULE_CHAIN; i++) {
		__u32 at = first - 1;
		struct ps_rule_chunk *c;
		struct ps_rule_unit *u;

		if (!first)
			return 0;
		c = ps_chunk_get(s->active, at / PS_UNIT_CHUNK);
		if (!c)
			return 0;
		u = &c->unit[at & (PS_UNIT_CHUNK - 1)];
		if (u->rank >= s->best)
			return 0;
		first = u->next;
		if (ps_search_fits(s, u, &c->unit[(at | 1) & (PS_UNIT_CHUNK - 1)]) && ps_search_take(s, u))
			return 0;
	}
	return 0;
}

/* The place of that hash: 1 + index of its first unit; 0 = there is none. */
__noinline __u32 ps_search_place(__u32 set, __u32 chunks, __u64 hash)
{
	__u32 buckets = chunks * PS_CHUNK_BUCKETS, b = ps_rule_bucket_of(hash, buckets), print = hash, i, j;

	for (i = 0; i < PS_RULE_PROBES; i++) {
		const struct ps_rule_chunk *c = ps_chunk_get(set, b / PS_CHUNK_BUCKETS);
		const struct ps_rule_bucket *k;

		if (!c)
			return 0;
		k = &c->bucket[b & (PS_CHUNK_BUCKETS - 1)];
#pragma unroll
		for (j = 0; j < 8; j++)
			if (k->print[j] == print && k->first[j] + 1 > 1)
				return k->first[j];
		if (!k->first[7])
			return 0;
		b = b + 1 < buckets ? b + 1 : 0;
	}
	return 0;
}

/* What few tuples look at, out of the way of the others. */
__noinline __u64 ps_search_hash(struct ps_search *s, __u32 t, __u64 hash)
{
	const struct ps_rule_head *head;
	__u32 active;

	if (!s || t >= PS_RULE_TUPLES)
		return 0;
	active = s->active;
	head = bpf_map_lookup_elem(&ps_rule_heads, &active);
	return head ? ps_rule_hash_more(hash, &s->q, &s->inner, &head->tuple[t]) : 0;
}

/* Looks for what matches behind the place of that hash. */
__noinline int ps_search_at(struct ps_search *s, __u32 chunks, __u64 hash)
{
	__u32 first;

	if (!s)
		return 0;
	first = ps_search_place(s->active, chunks, hash);
	return first ? ps_search_chain(s, first) : 0;
}

/* Most look-ups end here, at the Bloom filter. */
static __always_inline void ps_search_tuple(struct ps_search *s, const struct ps_rule_head *head, __u32 t)
{
	const struct ps_rule_tuple *tuple = &head->tuple[t & (PS_RULE_TUPLES - 1)];
	__u64 hash, bits;

	if (tuple->best_rank >= s->best)
		return;
	hash = ps_rule_hash_begin(&s->q, tuple, t);
	if (tuple->flags)
		hash = ps_search_hash(s, t, hash);
	hash = ps_rule_hash_end(hash);
	bits = ps_bloom_bits(hash);
	if ((head->bloom[ps_bloom_word(hash)] & bits) == bits)
		ps_search_at(s, head->chunks, hash);
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

static __always_inline __u32 ps_verdict_word(__u64 rank, __u32 flags)
{
	__u32 v = PS_VERDICT_RULE | (rank & PS_VERDICT_ID);

	if (flags & PS_UNIT_DROP)
		v |= PS_VERDICT_DROP;
	if (flags & PS_UNIT_RATE)
		v |= PS_VERDICT_RATE;
	if (flags & PS_UNIT_UNTIL)
		v |= PS_VERDICT_UNTIL;
	return v;
}

/*
 * The verdict of the set p->active on this packet: PS_VERDICT_* and the id of the rule; 0 if none matches. The rule in
 * shadow mode that would have been first goes to p->shadow, in the same form.
 */
__noinline __u32 ps_classify(struct ps_packet *p)
{
	__u32 zero = 0, verdict = 0, active, i;
	const struct ps_rule_head *head;
	struct ps_search *s;
	__u64 m;

	if (!p)
		return 0;
	active = p->active & 1;
	p->shadow = 0;
	head = bpf_map_lookup_elem(&ps_rule_heads, &active);
	s = bpf_map_lookup_elem(&ps_searches, &zero);
	if (!head || !s)
		return 0;
	ps_query_fill(s, p);
	m = ps_tuples_worth(head, s);
	if (!m)
		return 0;
	s->best = PS_NO_RANK;
	s->shadow = PS_NO_RANK;
	s->now = p->now;
	s->active = active;
	i = 0;
	/* Up to Linux 6.1 the verifier takes a jump back for a loop, but not a way back without a jump, as clang may
	 * lay it out. */
again:
	ps_search_tuple(s, head, ps_lowest_bit(m));
	m &= m - 1;
	if (++i < PS_RULE_TUPLES)
		asm goto("if %0 != 0 goto %l1" : : "r"(m) : : again);
	if (s->best != PS_NO_RANK)
		verdict = ps_verdict_word(s->best, s->flags);
	if (s->shadow < s->best)
		p->shadow = ps_verdict_word(s->shadow, s->shadow_flags);
	ps_trace_match(p, verdict);
	return verdict;
}

#endif
