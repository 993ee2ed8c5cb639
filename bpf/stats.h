/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The per-CPU counters. Every frame is counted once in each line of these sums:
 *
 *	packets		= ingress + egress
 *	packets		= malformed_eth + not_ip + malformed_ip + ipv4 + ipv6
 *	ipv4 + ipv6	= tcp + udp + icmp + other + fragments + malformed_ext + malformed_l4
 *
 * (a packet that stands for several segments counts as that many in each; forwarded ones, met for the second time,
 * count in none).
 */
#ifndef PS_BPF_STATS_H
#define PS_BPF_STATS_H

#include "bpf/maps.h"
#include "bpf/packet.h"

static __always_inline struct ps_stats *ps_stats_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ps_stats, &zero);
}

static __always_inline void ps_stats_kind(struct ps_stats *s, const struct ps_packet *p)
{
	__u32 n = p->segs;

	switch (p->kind) {
	case PS_KIND_MALFORMED_ETH:
		s->malformed_eth += n;
		return;
	case PS_KIND_NOT_IP:
		s->not_ip += n;
		return;
	case PS_KIND_MALFORMED_IP:
		s->malformed_ip += n;
		return;
	}

	if (p->key.family == PS_FAMILY_IPV6)
		s->ipv6_packets += n;
	else
		s->ipv4_packets += n;

	switch (p->kind) {
	case PS_KIND_TCP:
		s->tcp_packets += n;
		break;
	case PS_KIND_UDP:
		s->udp_packets += n;
		break;
	case PS_KIND_ICMP:
		s->icmp_packets += n;
		if (p->key.family == PS_FAMILY_IPV6) {
			s->icmp6_types[p->icmp_type] += n;
			s->icmp6_codes[p->icmp_code] += n;
		} else {
			s->icmp_types[p->icmp_type] += n;
			s->icmp_codes[p->icmp_code] += n;
		}
		break;
	case PS_KIND_FRAGMENT:
		s->fragments += n;
		break;
	case PS_KIND_MALFORMED_EXT:
		s->malformed_ext += n;
		break;
	case PS_KIND_MALFORMED_L4:
		s->malformed_l4 += n;
		break;
	default:
		s->other_packets += n;
	}
}

static __always_inline void ps_stats_packet(struct ps_stats *s, const struct ps_packet *p)
{
	s->packets += p->segs;
	s->bytes += p->bytes;
	if (p->key.direction == PS_DIR_INGRESS)
		s->ingress_packets += p->segs;
	else
		s->egress_packets += p->segs;
	ps_stats_kind(s, p);
}

#endif
