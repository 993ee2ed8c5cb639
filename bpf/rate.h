/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Rate limits by rule and source address: the generic cell rate algorithm (ITU-T I.371), which is a token bucket in one
 * word. What is kept of a source is when it will have been silent long enough to have all of its tokens back; a packet
 * that would move this time further than one second ahead is too many. So a source may send a second's worth at once,
 * and its rate from then on.
 */
#ifndef PS_BPF_RATE_H
#define PS_BPF_RATE_H

#include "bpf/classify.h"

#define PS_RATE_BURST_NS 1000000000ull

/* The time after this packet, or 0 if it is too many. */
static __always_inline __u64 ps_rate_next(__u64 rest, __u64 now, __u64 cost)
{
	__u64 next = (rest > now ? rest : now) + cost;

	return next - now > PS_RATE_BURST_NS ? 0 : next;
}

/* Is the packet within the rate of the rule? */
__noinline int ps_rate_passes(struct ps_packet *p, __u32 id)
{
	struct ps_rate_key key = {.rule_id = id};
	const struct ps_rule_row *row = ps_row_get(id & PS_VERDICT_ID);
	__u64 *rest, cost, next, i;

	if (!p || !row)
		return 0;
	__builtin_memcpy(key.saddr, p->key.saddr, sizeof(key.saddr));
	key.family = p->key.family;
	cost = (__u64)row->rate_ns[p->active & 1] * p->segs;
	rest = bpf_map_lookup_elem(&ps_rates, &key);
	if (!rest) {
		next = ps_rate_next(0, p->now, cost);
		if (!next)
			return 0;
		if (!bpf_map_update_elem(&ps_rates, &key, &next, BPF_NOEXIST))
			return 1;
		/* another CPU was first */
		rest = bpf_map_lookup_elem(&ps_rates, &key);
		if (!rest)
			return 0;
	}
	for (i = 0; i < PS_RATE_TRIES; i++) {
		__u64 was = *(volatile __u64 *)rest;

		next = ps_rate_next(was, p->now, cost);
		if (!next)
			return 0;
		if (__sync_val_compare_and_swap(rest, was, next) == was)
			return 1;
	}
	return 0;
}

#endif
