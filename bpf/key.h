/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The name of a connection: its 5-tuple and VLANs in canonical order, and the keyed hash of it.
 *
 * Side 0 is the lower (address, port), compared as bytes, so both directions come to the same name. A packet from an
 * endpoint to itself has side 0.
 *
 * The hash is keyed with a secret of this installation (ps_const.seed), so nobody outside can fill one bucket on
 * purpose. IPv6 addresses are folded into a 64-bit digest that stands where the two IPv4 addresses would.
 */
#ifndef PS_BPF_KEY_H
#define PS_BPF_KEY_H

#include <bpf/bpf_endian.h>

#include "bpf/maps.h"
#include "bpf/packet.h"

#define PS_MUL1 0x9e3779b97f4a7c15ull
#define PS_MUL2 0xbf58476d1ce4e5b9ull
#define PS_MUL3 0x94d049bb133111ebull

/* A 5-tuple with a direction: a packet's own, or that of the packet an ICMP error quotes. */
struct ps_tuple {
	const __u32 *saddr;
	const __u32 *daddr;
	__u16 sport;
	__u16 dport;
	__u8 proto;
	__u8 family;
};

static __always_inline __u64 ps_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * PS_MUL1;
	return h ^ (h >> 29);
}

/* Last: every bit of the result depends on every bit of h. */
static __always_inline __u64 ps_mix_end(__u64 h)
{
	h = (h ^ (h >> 30)) * PS_MUL2;
	h = (h ^ (h >> 27)) * PS_MUL3;
	return h ^ (h >> 31);
}

/* Two words as one, as a load from memory that holds a and then b would give it. */
static __always_inline __u64 ps_pair(__u32 a, __u32 b)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return a | (__u64)b << 32;
#else
	return b | (__u64)a << 32;
#endif
}

/* The same of four numbers. */
static __always_inline __u64 ps_quad(__u16 a, __u16 b, __u16 c, __u16 d)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return a | (__u64)b << 16 | (__u64)c << 32 | (__u64)d << 48;
#else
	return d | (__u64)c << 16 | (__u64)b << 32 | (__u64)a << 48;
#endif
}

/* Is the source side 1, the higher one? */
static __always_inline int ps_is_higher(const struct ps_tuple *t)
{
	__u32 i;

	if (t->saddr[0] != t->daddr[0])
		return bpf_ntohl(t->saddr[0]) > bpf_ntohl(t->daddr[0]);
	if (t->family == PS_FAMILY_IPV6)
		for (i = 1; i < 4; i++)
			if (t->saddr[i] != t->daddr[i])
				return bpf_ntohl(t->saddr[i]) > bpf_ntohl(t->daddr[i]);
	return bpf_ntohs(t->sport) > bpf_ntohs(t->dport);
}

static __always_inline __u64 ps_digest6(const __u32 *lo, const __u32 *hi)
{
	__u64 h = ps_const.seed ^ PS_MUL3;

	h = ps_mix(h, ps_pair(lo[0], lo[1]));
	h = ps_mix(h, ps_pair(lo[2], lo[3]));
	h = ps_mix(h, ps_pair(hi[0], hi[1]));
	h = ps_mix(h, ps_pair(hi[2], hi[3]));
	return ps_mix_end(h);
}

static __always_inline void ps_name_of(const struct ps_tuple *t, __u16 vlan0, __u16 vlan1, struct ps_name *n)
{
	int higher = ps_is_higher(t);
	const __u32 *lo = higher ? t->daddr : t->saddr;
	const __u32 *hi = higher ? t->saddr : t->daddr;
	__u64 h;

	n->side = higher;
	n->ends = ps_quad(higher ? t->dport : t->sport, higher ? t->sport : t->dport, vlan0, vlan1);
	n->proto = t->proto;
	n->family = t->family;
	if (t->family == PS_FAMILY_IPV6)
		n->addr = ps_digest6(lo, hi);
	else
		n->addr = ps_pair(lo[0], hi[0]);
	h = ps_mix(ps_const.seed, n->addr);
	h = ps_mix(h, n->ends);
	n->hash = ps_mix_end(h ^ (n->proto | (__u64)n->family << 8));
}

static __always_inline void ps_name_of_packet(struct ps_packet *p)
{
	struct ps_tuple t = {
		.saddr = p->key.saddr,
		.daddr = p->key.daddr,
		.sport = p->key.sport,
		.dport = p->key.dport,
		.proto = p->key.proto,
		.family = p->key.family,
	};

	ps_name_of(&t, p->vlan[0], p->vlan[1], &p->name);
}

static __always_inline void ps_name_of_quoted(const struct ps_packet *p, struct ps_name *n)
{
	struct ps_tuple t = {
		.saddr = p->inner.saddr,
		.daddr = p->inner.daddr,
		.sport = p->inner.sport,
		.dport = p->inner.dport,
		.proto = p->inner.proto,
		.family = p->inner.family,
	};

	ps_name_of(&t, p->vlan[0], p->vlan[1], n);
}

#endif
