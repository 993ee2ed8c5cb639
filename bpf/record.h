/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * One connection's record: how it begins and how CPUs that work on it at once change it without losing each other's
 * work.
 *
 * Counters are added to atomically. Flags and the report stamp share one word with the protocol, changed
 * by atomic or, xor and compare-and-exchange.
 */
#ifndef PS_BPF_RECORD_H
#define PS_BPF_RECORD_H

#include "bpf/clock.h"
#include "bpf/key.h"

/* Where a connection was found. tcp is only looked at for TCP. */
struct ps_conn {
	struct ps_conn_hot *hot;
	struct ps_conn_cold *cold;
	struct ps_conn_tcp *tcp;
	__u32 slot;
};

/*
 * Are all parts there? A look-up that succeeded says so already, but the compiler may have folded that into arithmetic
 * which verifiers before 6.2 don't follow. The asm hides from the compiler what it knows, so that each pointer is
 * tested for itself, before the verifier's eyes.
 */
static __always_inline int ps_conn_is_whole(struct ps_conn *c)
{
	asm volatile("" : "+r"(c->hot));
	if (!c->hot)
		return 0;
	asm volatile("" : "+r"(c->cold));
	if (!c->cold)
		return 0;
	asm volatile("" : "+r"(c->tcp));
	return c->tcp != NULL;
}

/* ps_conn_hot: proto, flags and reported as one word. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define PS_WORD_FLAGS 8
#define PS_WORD_REPORTED 16
#define PS_CARRY(side) (1u << (16 + 8 * (side))) /* in ip_id and packets_hi of ps_conn_cold */
#define PS_WORD_BYTE0 0
#else
#define PS_WORD_FLAGS 16
#define PS_WORD_REPORTED 0
#define PS_CARRY(side) (1u << (8 - 8 * (side)))
#define PS_WORD_BYTE0 24
#endif

_Static_assert(__builtin_offsetof(struct ps_conn_hot, proto) % 4 == 0, "proto, flags, reported are one word");
_Static_assert(__builtin_offsetof(struct ps_conn_cold, ip_id) % 4 == 0, "ip_id, packets_hi are one word");

static __always_inline __u32 *ps_hot_word(struct ps_conn_hot *hot)
{
	return (__u32 *)&hot->proto;
}

static __always_inline void ps_flags_set(struct ps_conn_hot *hot, __u8 flags)
{
	__sync_fetch_and_or(ps_hot_word(hot), (__u32)flags << PS_WORD_FLAGS);
}

static __always_inline void ps_flags_toggle(struct ps_conn_hot *hot, __u8 flags)
{
	__sync_fetch_and_xor(ps_hot_word(hot), (__u32)flags << PS_WORD_FLAGS);
}

/* 1 if this CPU, and no other, is to make the report that is due now. */
static __always_inline int ps_claim_report(struct ps_conn_hot *hot, __u64 now)
{
	__u32 was = *(volatile __u32 *)ps_hot_word(hot);
	__u32 want = (was & ~(0xffffu << PS_WORD_REPORTED)) | (__u32)ps_stamp(now) << PS_WORD_REPORTED;

	return was == want || __sync_val_compare_and_swap(ps_hot_word(hot), was, want) == was;
}

static __always_inline void ps_count(struct ps_conn *c, const struct ps_packet *p, __u32 side)
{
	__u32 before = __sync_fetch_and_add(&c->hot->packets[side & 1], p->segs);

	if ((__u32)(before + p->segs) < before)
		__sync_fetch_and_add((__u32 *)&c->cold->ip_id, PS_CARRY(side & 1));
	__sync_fetch_and_add(&c->hot->bytes[side & 1], p->bytes);
	c->hot->last_seen = p->now;
}

/* The flags a connection begins with, from its first packet. */
static __always_inline __u8 ps_first_flags(const struct ps_packet *p, __u32 side, __u32 iface_flags)
{
	__u8 syn = p->key.tcp_flags & (PS_TCP_SYN | PS_TCP_ACK), flags = 0;
	__u32 orig = side;

	if (p->key.family == PS_FAMILY_IPV6)
		flags |= PS_CONN_IPV6;
	if (iface_flags & PS_IFACE_INGRESS_ONLY)
		flags |= PS_CONN_INGRESS_ONLY;
	if (p->key.proto == IPPROTO_TCP) {
		if (syn == (PS_TCP_SYN | PS_TCP_ACK)) {
			/* the answer before the question */
			flags |= PS_CONN_FLIPPED;
			orig ^= 1;
		} else if (!(syn & PS_TCP_SYN)) {
			flags |= PS_CONN_MIDSTREAM;
		}
	}
	return flags | (orig ? PS_CONN_ORIG1 : 0);
}

static __always_inline void ps_first_tcp(struct ps_conn_tcp *t, const struct ps_packet *p)
{
	__u8 syn = p->key.tcp_flags & (PS_TCP_SYN | PS_TCP_ACK);

	__builtin_memset(t, 0, sizeof(*t));
	t->wscale[0] = 0xff;
	t->wscale[1] = 0xff;
	t->rtt_side = 0xff;
	if (syn == PS_TCP_SYN) {
		t->state = PS_TCP_SYN_SENT;
	} else if (syn & PS_TCP_SYN) {
		t->state = PS_TCP_SYN_RECV;
		t->history[0] = '^';
		t->hist_len = 1;
	} else {
		t->state = PS_TCP_ESTABLISHED;
	}
}

/* Fills a record that nobody else can see. id_step: see ps_conn_cold.id. */
static __always_inline void ps_record_begin(struct ps_conn *c, const struct ps_packet *p, __u64 first_id, __u64 id_step)
{
	const struct ps_name *n = &p->name;
	__u32 ifindex = p->ifindex;
	const struct ps_iface *iface = bpf_map_lookup_elem(&ps_ifaces, &ifindex);
	struct ps_conn_cold *cold = c->cold;
	struct ps_conn_hot *hot = c->hot;
	__u32 i;

	*(__u64 *)hot->addr = n->addr;
	*(__u64 *)hot->port = n->ends;
	hot->proto = n->proto;
	hot->flags = ps_first_flags(p, n->side, iface ? iface->flags : 0);
	hot->reported = ps_stamp(p->now);
	hot->verdict_gen = 0;
	hot->last_seen = p->now;
	hot->bytes[0] = hot->bytes[1] = 0;
	*(__u64 *)hot->packets = 0;
	*(__u64 *)hot->verdict = 0;

	cold->id = cold->id ? cold->id + id_step : first_id;
	cold->first_seen = p->now;
	for (i = 0; i < 4; i++) {
		__u32 src = n->family == PS_FAMILY_IPV6 ? p->key.saddr[i] : 0;
		__u32 dst = n->family == PS_FAMILY_IPV6 ? p->key.daddr[i] : 0;

		cold->addr6[0][i] = n->side ? dst : src;
		cold->addr6[1][i] = n->side ? src : dst;
	}
	cold->ifindex = ifindex;
	cold->dropped[0] = cold->dropped[1] = 0;
	cold->ip_id = p->ip_id;
	cold->packets_hi[0] = cold->packets_hi[1] = 0;

	if (n->proto == IPPROTO_TCP)
		ps_first_tcp(c->tcp, p);
}

/* Has the record, whose digest is the same, these very IPv6 addresses? */
static __always_inline int ps_same_addr6(
	const struct ps_conn_cold *cold, const __u32 *saddr, const __u32 *daddr, __u32 side)
{
	const __u32 *src = side ? cold->addr6[1] : cold->addr6[0];
	const __u32 *dst = side ? cold->addr6[0] : cold->addr6[1];

	return src[0] == saddr[0] && src[1] == saddr[1] && src[2] == saddr[2] && src[3] == saddr[3] &&
	       dst[0] == daddr[0] && dst[1] == daddr[1] && dst[2] == daddr[2] && dst[3] == daddr[3];
}

#endif
