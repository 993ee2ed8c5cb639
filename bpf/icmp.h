/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * ICMP and ICMPv6: counted by addresses, VLANs, type and code. An error also tells which connection it speaks of: the
 * packet it quotes is looked up in the connection table.
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
	struct ps_icmp_val *v, first = {};
	struct ps_icmp_key key;
	struct ps_stats *s = ps_stats_get();
	__u64 seen = 0;

	if (!p || !s)
		return -1;
	ps_icmp_key_of(p, &key);
	v = bpf_map_lookup_elem(&ps_icmp, &key);
	if (!v) {
		first.first_seen = p->now;
		first.ifindex = p->ifindex;
		bpf_map_update_elem(&ps_icmp, &key, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&ps_icmp, &key);
	}
	if (!v) {
		s->icmp_untracked += p->segs;
		return -1;
	}
	seen = v->last_seen; /* 0: new, so its report is due */
	__sync_fetch_and_add(&v->packets, p->segs);
	__sync_fetch_and_add(&v->bytes, p->bytes);
	if (dropped)
		__sync_fetch_and_add(&v->dropped, p->segs);
	v->last_seen = p->now;
	if (p->known & PS_KNOWN_QUOTED)
		ps_icmp_quote(p, v, conn_id);
	if ((!seen || ps_report_due(p->now, interval, seen, v->reported)) && ps_icmp_claim_report(v, p))
		ps_emit_icmp(&key, v, p->now);
	return 0;
}

#endif
