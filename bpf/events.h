/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Events into the ring of this CPU. Each one that is due is counted as produced; when the ring has no room, or there is
 * no ring, also as lost, by type. The kernel wakes a consumer that has caught up; one that has not paces itself, and looks
 * again before a ring can be full. To wake it once more for each event costs microseconds, and makes a flood worse.
 */
#ifndef PS_BPF_EVENTS_H
#define PS_BPF_EVENTS_H

#include "bpf/classify.h"
#include "bpf/record.h"
#include "bpf/stats.h"

static __always_inline void *ps_ring_get(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&ps_rings, &cpu);
}

static __always_inline void ps_event_count(__u32 type, __u32 lost)
{
	struct ps_stats *s = ps_stats_get();

	if (!s)
		return;
	switch (type) {
	case PS_EV_CONN_NEW:
		s->ev_conn_new++;
		s->lost_conn_new += lost;
		break;
	case PS_EV_CONN_UPDATE:
		s->ev_conn_update++;
		s->lost_conn_update += lost;
		break;
	case PS_EV_CONN_END:
		s->ev_conn_end++;
		s->lost_conn_end += lost;
		break;
	case PS_EV_ICMP:
		s->ev_icmp++;
		s->lost_icmp += lost;
		break;
	case PS_EV_DROP:
		s->ev_drop++;
		s->lost_drop += lost;
		break;
	}
}

static __always_inline void ps_event_head(struct ps_event_head *h, __u16 type, __u16 size, __u64 now)
{
	h->type = type;
	h->size = size;
	h->cpu = bpf_get_smp_processor_id();
	h->time = now;
}

/* Everything of a record but its TCP analysis. */
static __always_inline void ps_fill_raw(
	struct ps_conn_raw *r, const struct ps_conn_hot *hot, const struct ps_conn_cold *cold, __u32 slot, __u8 reason)
{
	__u32 side, i;

	r->id = cold->id;
	r->first_seen = cold->first_seen;
	r->last_seen = hot->last_seen;
	for (side = 0; side < 2; side++) {
		if (hot->flags & PS_CONN_IPV6) {
			for (i = 0; i < 4; i++)
				r->addr[side][i] = cold->addr6[side][i];
		} else {
			r->addr[side][0] = hot->addr[side];
			r->addr[side][1] = r->addr[side][2] = r->addr[side][3] = 0;
		}
		r->port[side] = hot->port[side];
		r->vlan[side] = hot->vlan[side];
		r->packets[side] = hot->packets[side] | (__u64)cold->packets_hi[side] << 32;
		r->bytes[side] = hot->bytes[side];
		r->dropped[side] = cold->dropped[side];
		r->verdict[side] = hot->verdict[side];
	}
	r->proto = hot->proto;
	r->flags = hot->flags;
	r->end_reason = reason;
	r->pad0 = 0;
	r->ifindex = cold->ifindex;
	r->slot = slot;
	r->ip_id = cold->ip_id;
	r->pad1 = 0;
}

/* What ps_emit_conn() is to say, as one argument. */
#define PS_SAY(type, reason) ((type) | (reason) << 8)

/* A conn.* event. tcp is NULL for a connection without TCP analysis; its event ends before that. */
__noinline int ps_emit_conn(
	struct ps_conn_hot *hot, struct ps_conn_cold *cold, struct ps_conn_tcp *tcp, __u32 slot, __u32 say)
{
	const __u32 prefix = __builtin_offsetof(struct ps_event_conn, conn.tcp);
	__u8 type = say, reason = say >> 8;
	struct ps_event_conn *e;
	void *ring;

	if (!hot || !cold)
		return -1;
	ring = ps_ring_get();
	if (!ring)
		goto lost;
	if (tcp) {
		e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
		if (!e)
			goto lost;
		ps_event_head(&e->head, type, sizeof(*e), hot->last_seen);
		ps_fill_raw(&e->conn, hot, cold, slot, reason);
		e->conn.tcp = *tcp;
		bpf_ringbuf_submit(e, 0);
	} else {
		e = bpf_ringbuf_reserve(ring, prefix, 0);
		if (!e)
			goto lost;
		ps_event_head(&e->head, type, prefix, hot->last_seen);
		ps_fill_raw(&e->conn, hot, cold, slot, reason);
		bpf_ringbuf_submit(e, 0);
	}
	ps_event_count(type, 0);
	return 0;
lost:
	ps_event_count(type, 1);
	return -1;
}

/* An icmp event: the entry as it is now. */
static __always_inline void ps_emit_icmp(const struct ps_icmp_key *key, const struct ps_icmp_val *val, __u64 now)
{
	struct ps_event_icmp *e;
	void *ring = ps_ring_get();

	if (!ring)
		goto lost;
	e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
	if (!e)
		goto lost;
	ps_event_head(&e->head, PS_EV_ICMP, sizeof(*e), now);
	e->key = *key;
	e->pad[0] = e->pad[1] = 0;
	e->val = *val;
	bpf_ringbuf_submit(e, 0);
	ps_event_count(PS_EV_ICMP, 0);
	return;
lost:
	ps_event_count(PS_EV_ICMP, 1);
}

/* May this rule speak again, of this connection (0 = none)? One CPU gets the yes. */
static __always_inline int ps_drop_gate_open(__u32 rule, __u64 conn_id, __u64 now, __u64 interval)
{
	__u32 gate = ps_mix_end(conn_id ^ (__u64)rule << 40) & (PS_DROP_GATES - 1);
	struct ps_rule_row *row;
	__u64 *stamp, was;

	if (conn_id) {
		stamp = bpf_map_lookup_elem(&ps_drop_gate, &gate);
	} else {
		row = ps_row_get(rule);
		stamp = row ? &row->told : NULL;
	}
	if (!stamp)
		return 0;
	was = *(volatile __u64 *)stamp;
	if (was && now - was < interval)
		return 0;
	return __sync_val_compare_and_swap(stamp, was, now) == was;
}

/* A drop event, if one is due. verdict names the rule. */
__noinline int ps_emit_drop(struct ps_packet *p, __u32 verdict, __u64 conn_id, __u32 mode)
{
	struct ps_event_drop *e;
	void *ring;

	if (!p || !ps_drop_gate_open(verdict & PS_VERDICT_ID, conn_id, p->now, p->interval))
		return 0;
	ring = ps_ring_get();
	if (!ring)
		goto lost;
	e = bpf_ringbuf_reserve(ring, sizeof(*e), 0);
	if (!e)
		goto lost;
	ps_event_head(&e->head, PS_EV_DROP, sizeof(*e), p->now);
	e->conn_id = conn_id;
	e->key = p->key;
	e->rule_id = verdict & PS_VERDICT_ID;
	e->generation = p->generation;
	e->ifindex = p->ifindex;
	e->bytes = p->bytes;
	e->ip_id = p->ip_id;
	e->vlan[0] = p->vlan[0];
	e->vlan[1] = p->vlan[1];
	e->mode = mode;
	bpf_ringbuf_submit(e, 0);
	ps_event_count(PS_EV_DROP, 0);
	return 0;
lost:
	ps_event_count(PS_EV_DROP, 1);
	return -1;
}

#endif
