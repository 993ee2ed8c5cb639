/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * ICMP and ICMPv6: counted by addresses, VLANs, type and code. An error also tells which connection it speaks of: the
 * packet it quotes is looked up in the connection table.
 *
 * An echo request waits in its own record for the reply, which finds it there by id and sequence number: no table of
 * its own that a flood could fill. Requests and replies that a rule drops are not paired.
 */
#ifndef PS_BPF_ICMP_H
#define PS_BPF_ICMP_H

#include "bpf/events.h"

static __always_inline void ps_icmp_key_of(const struct ps_packet *p, struct ps_icmp_key *k)
{
	__u32 i;

	for (i = 0; i < 4; i++) {
		k->saddr[i] = p->key.saddr[i];
		k->daddr[i] = p->key.daddr[i];
	}
	k->vlan[0] = p->vlan[0];
	k->vlan[1] = p->vlan[1];
	k->family = p->key.family;
	k->type = p->icmp_type;
	k->code = p->icmp_code;
	k->pad = 0;
}

static __always_inline void ps_icmp_quote(const struct ps_packet *p, struct ps_icmp_val *v, __u64 conn_id)
{
	__u32 i;

	v->conn_id = conn_id;
	for (i = 0; i < 4; i++) {
		v->inner_saddr[i] = p->inner.saddr[i];
		v->inner_daddr[i] = p->inner.daddr[i];
	}
	v->inner_sport = p->inner.sport;
	v->inner_dport = p->inner.dport;
	v->inner_family = p->inner.family;
	v->inner_proto = p->inner.proto;
}

/* Where an echo waits. Some senders count in the high byte of the sequence number. */
static __always_inline __u32 ps_echo_place(__u32 echo)
{
	return (echo ^ echo >> 8 ^ echo >> 16) & (PS_ECHO_WAITING - 1);
}

static __always_inline __u32 ps_echo_time(void)
{
	__u32 zero = 0;
	const struct ps_runtime *rt = bpf_map_lookup_elem(&ps_runtime, &zero);

	return rt ? ps_precise_us(rt) : 1;
}

/* A request that nobody has dropped. */
static __always_inline void ps_echo_asked(struct ps_icmp_entry *e, const struct ps_packet *p)
{
	__u64 word = (__u64)p->seq << 32 | ps_echo_time();

	if (__sync_lock_test_and_set(&e->waiting[ps_echo_place(p->seq)], word))
		__sync_fetch_and_add(&e->forgotten, 1);
}

/* Takes one of those that were forgotten: 1, or 0 if there is none. */
static __always_inline int ps_echo_recall(struct ps_icmp_entry *e)
{
	__u32 i;

	for (i = 0; i < PS_CAS_TRIES; i++) {
		__u32 was = *(volatile __u32 *)&e->forgotten;

		if (!was)
			return 0;
		if (__sync_val_compare_and_swap(&e->forgotten, was, was - 1) == was)
			return 1;
	}
	return 0;
}

/* A reply that nobody has dropped: into the record of the request that it answers. */
__noinline int ps_echo_answered(struct ps_packet *p)
{
	struct ps_icmp_key key;
	struct ps_icmp_entry *e;
	__u64 *place, was;
	__u32 i;

	if (!p)
		return -1;
	for (i = 0; i < 4; i++) {
		key.saddr[i] = p->key.daddr[i];
		key.daddr[i] = p->key.saddr[i];
	}
	key.vlan[0] = p->vlan[0];
	key.vlan[1] = p->vlan[1];
	key.family = p->key.family;
	key.type = p->key.family == PS_FAMILY_IPV6 ? 128 : 8;
	key.code = 0;
	key.pad = 0;
	e = bpf_map_lookup_elem(&ps_icmp, &key);
	if (!e)
		return 0;
	place = &e->waiting[ps_echo_place(p->seq)];
	was = *(volatile __u64 *)place;
	if (was && was >> 32 == p->seq && __sync_val_compare_and_swap(place, was, 0) == was)
		e->val.rtt_us = (ps_echo_time() - (__u32)was) ?: 1;
	else if (!ps_echo_recall(e))
		return 0;
	__sync_fetch_and_add(&e->val.answered, 1);
	return 0;
}

/* ip_id and reported as one word: one CPU makes the report. */
static __always_inline int ps_icmp_claim_report(struct ps_icmp_val *v, const struct ps_packet *p)
{
	__u32 *word = (__u32 *)&v->ip_id;
	__u32 was = *(volatile __u32 *)word, want;
	struct {
		__u16 ip_id;
		__u16 reported;
	} both = {p->ip_id, ps_stamp(p->now)};

	__builtin_memcpy(&want, &both, sizeof(want));
	return was == want || __sync_val_compare_and_swap(word, was, want) == was;
}

/* Counts one message. conn_id: the connection that the quoted packet belongs to, 0 = none known. */
__noinline int ps_icmp_message(struct ps_packet *p, __u64 conn_id, __u32 dropped, __u64 interval)
{
	struct ps_stats *s = ps_stats_get();
	struct ps_icmp_entry *e;
	struct ps_icmp_val *v;
	struct ps_icmp_key key;
	__u64 seen;

	if (!p || !s)
		return -1;
	ps_icmp_key_of(p, &key);
	e = bpf_map_lookup_elem(&ps_icmp, &key);
	if (!e) {
		bpf_map_update_elem(&ps_icmp, &key, &ps_icmp_blank, BPF_NOEXIST);
		e = bpf_map_lookup_elem(&ps_icmp, &key);
	}
	if (!e) {
		s->icmp_untracked += p->segs;
		return -1;
	}
	v = &e->val;
	if (!v->first_seen) {
		v->ifindex = p->ifindex;
		v->first_seen = p->now;
	}
	seen = v->last_seen; /* 0: new, so its report is due */
	__sync_fetch_and_add(&v->packets, p->segs);
	__sync_fetch_and_add(&v->bytes, p->bytes);
	if (dropped)
		__sync_fetch_and_add(&v->dropped, p->segs);
	else if (ps_icmp_is_request(p))
		ps_echo_asked(e, p);
	v->last_seen = p->now;
	if (p->known & PS_KNOWN_QUOTED)
		ps_icmp_quote(p, v, conn_id);
	if ((!seen || ps_report_due(p->now, interval, seen, v->reported)) && ps_icmp_claim_report(v, p))
		ps_emit_icmp(&key, v, p->now);
	return 0;
}

#endif
