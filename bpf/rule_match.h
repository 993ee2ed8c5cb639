/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * How a packet and a unit of a rule set find each other: shared by the classifier and by the compiler in user space,
 * which puts the unit where the packet will look. Pure: it reads nothing but its arguments.
 *
 * A unit belongs to a tuple, whose masks keep no more of its fields than it tests. The masked fields of the unit and
 * those of any packet that it matches are the same, and so is their hash h. The unit stands behind the place whose
 * print is the low half of h, in bucket
 *
 *	(h >> 32) * buckets >> 32
 *
 * or in one of the next (PS_RULE_PROBES in all) when every place of those before is taken. Two different masked keys
 * may share a place: what decides is ps_unit_fits(), which tests all that the rule does.
 *
 * The hash has no secret: keys of rules are chosen by whoever may install rules, packets only probe.
 */
#ifndef PS_RULE_MATCH_H
#define PS_RULE_MATCH_H

#include "abi.h"

#define PS_INLINE static inline __attribute__((always_inline))

/* Odd, with bits evenly spread: the fractional parts of the golden ratio and of the square root of three. */
#define PS_RULE_MUL1 0x9e3779b97f4a7c15ull
#define PS_RULE_MUL2 0xbb67ae8584caa73bull

/* A packet, or the one quoted in it, as units are compared with it. Host byte order; addresses as in ps_rule_unit. */
struct ps_rule_query {
	__u64 saddr[2];
	__u64 daddr[2];
	__u64 word; /* PS_WORD(): what a tuple masks of the rest */
	__u16 sport, dport;
	__u8 proto;
	__u8 family;
	__u8 tcp_flags;
	__u8 direction;
	__u32 has; /* PS_HAS_* */
	__u32 pad;
};

#define PS_HAS_PORTS 1u /* of TCP or UDP, and read */
#define PS_HAS_ICMP 2u  /* type and code, in sport and dport */
#define PS_HAS_FLAGS 4u /* of TCP */
#define PS_HAS_ND 8u    /* neighbour discovery: only for rules that name its type */

/* Of the word: */
#define PS_WORD_SPORT 0
#define PS_WORD_DPORT 16
#define PS_WORD_PROTO 32
#define PS_WORD_FAMILY 40

PS_INLINE __u64 ps_rule_word(__u16 sport, __u16 dport, __u8 proto, __u8 family)
{
	return (__u64)sport << PS_WORD_SPORT | (__u64)dport << PS_WORD_DPORT | (__u64)proto << PS_WORD_PROTO |
	       (__u64)family << PS_WORD_FAMILY;
}

PS_INLINE __u64 ps_rule_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * PS_RULE_MUL1;
	return h ^ (h >> 32);
}

/* The hash in two steps: what every tuple looks at, and what only those with PS_TUPLE_* flags do. */
PS_INLINE __u64 ps_rule_hash_begin(const struct ps_rule_query *q, const struct ps_rule_tuple *t, __u32 tuple)
{
	__u64 s = q->saddr[0] & t->saddr[0], d = q->daddr[0] & t->daddr[0];

	return ps_rule_mix((__u64)(tuple + 1) << 48 ^ (q->word & t->word), s ^ (d >> 32 | d << 32));
}

PS_INLINE __u64 ps_rule_hash_more(
	__u64 h, const struct ps_rule_query *q, const struct ps_rule_query *inner, const struct ps_rule_tuple *t)
{
	if (t->flags & PS_TUPLE_WIDE) {
		h = ps_rule_mix(h, q->saddr[1] & t->saddr[1]);
		h = ps_rule_mix(h, q->daddr[1] & t->daddr[1]);
	}
	if (t->flags & PS_TUPLE_QUOTED) {
		h = ps_rule_mix(h, inner->saddr[0] & t->inner_saddr[0]);
		h = ps_rule_mix(h, inner->saddr[1] & t->inner_saddr[1]);
		h = ps_rule_mix(h, inner->daddr[0] & t->inner_daddr[0]);
		h = ps_rule_mix(h, inner->daddr[1] & t->inner_daddr[1]);
		h = ps_rule_mix(h, inner->word & t->inner_word);
	}
	return h;
}

PS_INLINE __u64 ps_rule_hash_end(__u64 h)
{
	h *= PS_RULE_MUL2;
	return h ^ (h >> 29);
}

/* inner is only looked at in tuples of quoted packets. */
PS_INLINE __u64 ps_rule_hash(
	const struct ps_rule_query *q, const struct ps_rule_query *inner, const struct ps_rule_tuple *t, __u32 tuple)
{
	return ps_rule_hash_end(ps_rule_hash_more(ps_rule_hash_begin(q, t, tuple), q, inner, t));
}

PS_INLINE __u32 ps_rule_bucket_of(__u64 hash, __u32 buckets)
{
	return (hash >> 32) * buckets >> 32;
}

/* The Bloom filter: one word, three bits of it. */
PS_INLINE __u32 ps_bloom_word(__u64 hash)
{
	return hash >> 18 & ((1u << PS_BLOOM_BITS) - 1);
}

PS_INLINE __u64 ps_bloom_bits(__u64 hash)
{
	return 1ull << (hash & 63) | 1ull << (hash >> 6 & 63) | 1ull << (hash >> 12 & 63);
}

/*
 * Rows of ps_rule_index. The number of leading bits that each level looks at: 8, 16, 24 of IPv4 and 32, 48, 64 of IPv6.
 */
PS_INLINE __u32 ps_index_coarse(__u64 high, __u8 family)
{
	return (high >> (family == PS_FAMILY_IPV6 ? 32 : 56)) * PS_RULE_MUL1 >> (64 - PS_INDEX_COARSE_BITS);
}

PS_INLINE __u32 ps_index_middle(__u64 high, __u8 family)
{
	return (high >> (family == PS_FAMILY_IPV6 ? 16 : 48)) * PS_RULE_MUL1 >> (64 - PS_INDEX_MIDDLE_BITS);
}

PS_INLINE __u32 ps_index_fine(__u64 high, __u8 family)
{
	return (high >> (family == PS_FAMILY_IPV6 ? 0 : 40)) * PS_RULE_MUL1 >> (64 - PS_INDEX_FINE_BITS);
}

/* Are the first len bits of both the same? */
PS_INLINE int ps_prefix_fits(const __u64 a[2], const __u64 b[2], __u32 len)
{
	__u64 high = a[0] ^ b[0], low = a[1] ^ b[1];

	if (len <= 64)
		return !len || !(high >> (64 - len));
	return !high && !(low >> ((128 - len) & 63));
}

/* Addresses, ports, protocol and family. */
PS_INLINE int ps_unit_fits_packet(const struct ps_rule_unit *u, const struct ps_rule_query *q)
{
	if ((u->flags & PS_UNIT_PROTO) && u->proto != q->proto)
		return 0;
	if (u->family && u->family != q->family)
		return 0;
	if ((u->flags & PS_UNIT_PORTS) && !(q->has & PS_HAS_PORTS))
		return 0;
	if (q->sport < u->sport[0] || q->sport > u->sport[1] || q->dport < u->dport[0] || q->dport > u->dport[1])
		return 0;
	return ps_prefix_fits(u->saddr, q->saddr, u->slen) && ps_prefix_fits(u->daddr, q->daddr, u->dlen);
}

/* Does the packet match, as far as this unit says? The quoted packet is ps_unit_fits_packet() of the unit behind it. */
PS_INLINE int ps_unit_fits(const struct ps_rule_unit *u, const struct ps_rule_query *q)
{
	if (!(u->direction & q->direction))
		return 0;
	if ((u->flags & PS_UNIT_ICMP) && !(q->has & PS_HAS_ICMP))
		return 0;
	if ((q->has & PS_HAS_ND) && !(u->flags & PS_UNIT_TYPE))
		return 0;
	if (u->tcp_mask && (!(q->has & PS_HAS_FLAGS) || (q->tcp_flags & u->tcp_mask) != u->tcp_flags))
		return 0;
	return ps_unit_fits_packet(u, q);
}

#endif
