/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The connection table on the kernel's LRU hash: the interface of table.h, built with -DPS_TABLE_LRU as the reference
 * that tests and benchmarks hold ours against. It gives up what is least recently used, confirmed or not, without a
 * word.
 */
#ifndef PS_BPF_TABLE_LRU_H
#define PS_BPF_TABLE_LRU_H

#include "bpf/events.h"

#define PS_NO_SLOT 0xffffffffu

struct ps_lru_addr {
	__u32 w[4];
};

/* Writes the key to the scratch element of this CPU. */
__noinline int ps_lru_key_of(struct ps_name *n, struct ps_lru_addr *saddr, struct ps_lru_addr *daddr)
{
	struct ps_lru_scratch *scratch;
	struct ps_lru_key *k;
	__u32 zero = 0, i;

	scratch = bpf_map_lookup_elem(&ps_scratch, &zero);
	if (!n || !saddr || !daddr || !scratch)
		return -1;
	k = &scratch->key;
	for (i = 0; i < 4; i++) {
		k->addr[0][i] = n->side ? daddr->w[i] : saddr->w[i];
		k->addr[1][i] = n->side ? saddr->w[i] : daddr->w[i];
	}
	*(__u64 *)k->port = n->ends;
	k->proto = n->proto;
	k->family = n->family;
	return 0;
}

static __always_inline void ps_lru_parts(struct ps_lru_val *v, struct ps_conn *c)
{
	c->hot = &v->hot;
	c->cold = &v->cold;
	c->tcp = &v->tcp;
	c->slot = 0;
}

static __always_inline int ps_table_find(struct ps_name *n, const __u32 *saddr, const __u32 *daddr, struct ps_conn *c)
{
	struct ps_lru_scratch *scratch;
	struct ps_lru_val *v;
	__u32 zero = 0;

	scratch = bpf_map_lookup_elem(&ps_scratch, &zero);
	if (!scratch)
		return -1;
	ps_lru_key_of(n, (struct ps_lru_addr *)saddr, (struct ps_lru_addr *)daddr);
	v = bpf_map_lookup_elem(&ps_conns, &scratch->key);
	if (!v)
		return -1;
	ps_lru_parts(v, c);
	return 0;
}

static __always_inline int ps_table_find_packet(struct ps_packet *p, struct ps_conn *c)
{
	return ps_table_find(&p->name, p->key.saddr, p->key.daddr, c);
}

static __always_inline void ps_table_confirm(const struct ps_conn *c)
{
}

static __always_inline void ps_table_release(const struct ps_conn *c)
{
}

/* Makes the element of the packet's connection, or begins it anew. 1 if this call did, 0 if another CPU was first, -1
 * without room. */
__noinline int ps_lru_insert(struct ps_packet *p, __u32 again)
{
	struct ps_lru_scratch *scratch;
	struct ps_lru_val *v;
	struct ps_conn c;
	__u32 zero = 0;
	__u64 *ids;

	ids = bpf_map_lookup_elem(&ps_lru_ids, &zero);
	scratch = bpf_map_lookup_elem(&ps_scratch, &zero);
	if (!p || !ids || !scratch)
		return -1;
	ps_lru_key_of(&p->name, (struct ps_lru_addr *)p->key.saddr, (struct ps_lru_addr *)p->key.daddr);
	v = again ? bpf_map_lookup_elem(&ps_conns, &scratch->key) : &scratch->val;
	if (!v)
		return -1;
	ps_lru_parts(v, &c);
	if (again)
		ps_emit_conn(c.hot, c.cold, c.tcp, 0,
			PS_SAY(PS_EV_CONN_END, c.tcp->state == PS_TCP_CLOSE ? PS_END_RST : PS_END_FIN));
	c.cold->id = 0;
	ps_record_begin(&c, p, ps_const.id_base + __sync_fetch_and_add(ids, 1) + 1, 0);
	if (again)
		return 1;
	return bpf_map_update_elem(&ps_conns, &scratch->key, v, BPF_NOEXIST) ? 0 : 1;
}

static __always_inline int ps_table_create(struct ps_packet *p, __u32 instead, struct ps_conn *c, int *ret_new)
{
	int made = ps_lru_insert(p, instead != PS_NO_SLOT);

	*ret_new = made > 0;
	return made < 0 ? -1 : ps_table_find_packet(p, c);
}

#endif
