/* SPDX-License-Identifier: MIT */
/* A small rule compiler: one tuple for each distinct mask, in order of the rules. */
#include "harness.h"

#include <arpa/inet.h>
#include <string.h>

#include "bpf/rule_hash.h"

uint8_t ps_rig_family(const char *text)
{
	return strchr(text, ':') ? PS_FAMILY_IPV6 : PS_FAMILY_IPV4;
}

void ps_rig_addr(uint32_t to[4], const char *text)
{
	memset(to, 0, 16);
	assert_int_equal(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, to), 1);
}

static const struct ps_rule_inner no_inner;

static uint32_t tuple_flags(const struct ps_rig_rule *r)
{
	uint32_t flags = r->flags;

	if (memcmp(&r->inner_mask, &no_inner, sizeof(no_inner)) != 0)
		flags |= PS_TUPLE_QUOTED;
	if (r->mask.tcp_flags)
		flags |= PS_TUPLE_TCP_FLAGS;
	return flags;
}

static uint32_t tuple_of(struct ps_rule_set_head *set, const struct ps_rig_rule *r, uint32_t rank)
{
	uint32_t t;

	for (t = 0; t < set->tuples; t++) {
		const struct ps_rule_tuple *had = &set->tuple[t];

		if (had->flags == tuple_flags(r) && memcmp(&had->mask, &r->mask, sizeof(r->mask)) == 0 &&
			memcmp(&had->inner_mask, &r->inner_mask, sizeof(r->inner_mask)) == 0)
			return t;
	}
	assert_true(t < PS_RULE_TUPLES);
	set->tuple[t] = (struct ps_rule_tuple){
		.mask = r->mask, .inner_mask = r->inner_mask, .best_rank = rank, .flags = tuple_flags(r)};
	set->tuples++;
	return t;
}

static void place(struct ps_rule_slot *slots, const struct ps_rig_rule *r, uint32_t tuple, uint32_t rank)
{
	uint64_t hash = ps_rule_hash(&r->key, tuple_flags(r) & PS_TUPLE_QUOTED ? &r->inner : NULL, tuple);

	for (uint32_t i = 0; i < PS_RULE_PROBES; i++) {
		struct ps_rule_slot *s = &slots[(hash + i) & (PS_RULE_SLOTS - 1)];

		if (s->used)
			continue;
		*s = (struct ps_rule_slot){.key = r->key,
			.inner = r->inner,
			.used = tuple + 1,
			.rank = rank,
			.id = r->id,
			.action = r->action ? r->action : PS_RULE_ACTION_DROP};
		return;
	}
	fail_msg("rule %u finds no slot", r->id);
}

void ps_rig_rules(struct ps_rig *rig, const struct ps_rig_rule *rules, size_t n)
{
	uint32_t next = rig->runtime->active_set ^ 1;
	struct ps_rule_set_head *set = &rig->sets[next];
	struct ps_rule_slot *slots = &rig->rule_slots[next * PS_RULE_SLOTS];
	uint32_t generation = rig->sets[next ^ 1].generation + 1;

	memset(set, 0, sizeof(*set));
	memset(slots, 0, sizeof(*slots) * PS_RULE_SLOTS);
	for (size_t i = 0; i < n; i++) {
		const struct ps_rig_rule *r = &rules[i];

		place(slots, r, tuple_of(set, r, (uint32_t)i), (uint32_t)i);
		for (unsigned f = 0; r->mask.tcp_flags && f < 256; f++)
			if ((f & r->mask.tcp_flags) == r->key.tcp_flags)
				set->tcp_flags_hit[f >> 6] |= 1ull << (f & 63);
	}
	set->generation = generation ? generation : 1;
	__atomic_store_n(&rig->runtime->active_set, next, __ATOMIC_RELEASE);
}
