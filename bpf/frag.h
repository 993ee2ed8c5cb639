/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Fragments that are not the first have no ports: they are counted by addresses, identification and protocol. */
#ifndef PS_BPF_FRAG_H
#define PS_BPF_FRAG_H

#include "bpf/maps.h"
#include "bpf/packet.h"

__noinline int ps_frag_count(struct ps_packet *p)
{
	struct ps_frag_val *v, first = {};
	struct ps_frag_key key = {};
	__u32 i;

	if (!p)
		return -1;
	for (i = 0; i < 4; i++) {
		key.saddr[i] = p->key.saddr[i];
		key.daddr[i] = p->key.daddr[i];
	}
	key.ip_id = p->ip_id;
	key.family = p->key.family;
	key.proto = p->key.proto;
	v = bpf_map_lookup_elem(&ps_frags, &key);
	if (!v) {
		bpf_map_update_elem(&ps_frags, &key, &first, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&ps_frags, &key);
	}
	if (!v)
		return -1;
	__sync_fetch_and_add(&v->packets, p->segs);
	__sync_fetch_and_add(&v->bytes, p->bytes);
	return 0;
}

#endif
