/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Where a rule stands among the slots of its set: shared by the classifier, which looks a packet up, and by the
 * rule compiler in user space, which puts a rule there. Pure: it reads nothing but its arguments.
 *
 * The slots of set s are ps_rule_slots[s * PS_RULE_SLOTS ...]. A rule with the masked key K in tuple t stands at
 *
 *	(ps_rule_hash(K, inner, t) + j) & (PS_RULE_SLOTS - 1),	0 <= j < PS_RULE_PROBES,
 *
 * counted from the beginning of its set, with no empty slot (used == 0) between j = 0 and it. Only a tuple with
 * PS_TUPLE_QUOTED hashes and compares the inner key; every other one passes NULL, and its slots have inner zero.
 *
 * The hash has no secret: keys of rules are chosen by whoever may install rules, packets only probe.
 */
#ifndef PS_RULE_HASH_H
#define PS_RULE_HASH_H

#include "abi.h"

/* Odd, with bits evenly spread: the fractional part of the golden ratio, and of the square root of three. */
#define PS_RULE_MUL1 0x9e3779b97f4a7c15ull
#define PS_RULE_MUL2 0xbb67ae8584caa73bull

static inline __u64 ps_rule_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * PS_RULE_MUL1;
	return h ^ (h >> 32);
}

/* Both structs are 40 bytes without padding, so they are five 64-bit words. */
static inline __u64 ps_rule_hash(const struct ps_rule_key *key, const struct ps_rule_inner *inner, __u32 tuple)
{
	__u64 h = (tuple + 1) * PS_RULE_MUL2;

	h = ps_rule_mix(h, key->saddr[0] | (__u64)key->saddr[1] << 32);
	h = ps_rule_mix(h, key->saddr[2] | (__u64)key->saddr[3] << 32);
	h = ps_rule_mix(h, key->daddr[0] | (__u64)key->daddr[1] << 32);
	h = ps_rule_mix(h, key->daddr[2] | (__u64)key->daddr[3] << 32);
	h = ps_rule_mix(h, key->sport | (__u64)key->dport << 16 | (__u64)key->proto << 32 | (__u64)key->family << 40 |
				   (__u64)key->tcp_flags << 48 | (__u64)key->direction << 56);
	if (inner) {
		h = ps_rule_mix(h, inner->saddr[0] | (__u64)inner->saddr[1] << 32);
		h = ps_rule_mix(h, inner->saddr[2] | (__u64)inner->saddr[3] << 32);
		h = ps_rule_mix(h, inner->daddr[0] | (__u64)inner->daddr[1] << 32);
		h = ps_rule_mix(h, inner->daddr[2] | (__u64)inner->daddr[3] << 32);
		h = ps_rule_mix(h, inner->sport | (__u64)inner->dport << 16 | (__u64)inner->proto << 32 |
					   (__u64)inner->family << 40);
	}
	return h;
}

#endif
