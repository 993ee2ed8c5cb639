/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * One parser for both hooks: a frame between data and data_end becomes a struct ps_packet.
 *
 *	Ethernet, up to PS_VLAN_TAGS tags (802.1Q, 802.1ad), IPv4 (RFC 791), IPv6 with its extension headers (RFC 8200),
 *	TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792), ICMPv6 (RFC 4443), and the packet quoted in an ICMP error.
 *
 * The caller sets key.direction, ifindex, frame_len, segs, gso_size, l3, vlan (tags that travel beside the frame, with
 * ps_vlan_tag()) and zeroes the rest. Whatever the frame holds, exactly one kind comes out. Padding behind the IP
 * packet is ignored; a length field that points behind the frame is not believed.
 *
 * It goes in stages: ps_parse(); if that left ext_off, ps_parse_ext(); if either left l4_off, ps_parse_l4(); if that
 * left opt_off, ps_parse_options(), or quoted_off, ps_parse_quoted(); ps_parse_end(). Each hook has them as global
 * functions, which the verifier checks one by one.
 */
#ifndef PS_BPF_PARSE_H
#define PS_BPF_PARSE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/packet.h"

#define PS_VLAN_VID 0x0fff
#define PS_IPV4_MF 0x2000
#define PS_IPV4_OFFSET 0x1fff
#define PS_IPV6_OFFSET 0xfff8
#define PS_IPV6_MF 0x0001

/* Next-header values that <linux/in6.h> names only for sockets. */
#define PS_NEXT_HOP 0
#define PS_NEXT_ROUTING 43
#define PS_NEXT_FRAGMENT 44
#define PS_NEXT_AUTH 51
#define PS_NEXT_DEST 60

struct ps_vlan_hdr {
	__be16 tci;
	__be16 proto;
};

struct ps_ext_hdr {
	__u8 next;
	__u8 len;
	__be16 offset; /* of a fragment header */
	__be32 id;     /* of a fragment header */
};

struct ps_icmp_hdr {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

/* What a walk along IPv6 extension headers comes to. */
struct ps_chain {
	__u32 off; /* behind the last header */
	__u32 id;  /* of a fragment header */
	__u8 proto;
	__u8 later; /* a fragment that is not the first */
	__u8 more;  /* a first fragment that others follow */
	__u8 pad;
};

/* The n bytes at off, or NULL if this view of the frame doesn't have them. */
static __always_inline void *ps_at(void *data, void *data_end, __u32 off, __u32 n, struct ps_packet *p)
{
	void *at;

	if (off > PS_HEADERS_MAX)
		return NULL;
	at = data + off;
	if (at + n > data_end) {
		if (off + n <= p->frame_len)
			p->short_read = 1;
		return NULL;
	}
	return at;
}

/*
 * The same offset, but what the verifier knows of it forgotten (asm, so that the compiler can't see through): each
 * round of a loop then begins in the same state, and is checked once. Above PS_HEADERS_MAX nothing is read, so nothing
 * is lost there.
 */
static __always_inline __u32 ps_settle(__u32 off)
{
	__u64 wide = off > PS_HEADERS_MAX ? PS_HEADERS_MAX + 1 : off;

	asm volatile("%0 &= 0xfff" : "+r"(wide));
	return wide;
}

_Static_assert(PS_HEADERS_MAX + 1 <= 0xfff, "ps_settle() keeps twelve bits");

/* A tag with id 0 carries only a priority (802.1Q 9.6): it counts as a tag, but names no VLAN. */
static __always_inline void ps_vlan_tag(struct ps_packet *p, __u16 tci)
{
	__u16 vid = tci & PS_VLAN_VID;

	p->vlan_tags++;
	if (!vid)
		return;
	if (!p->vlan[0])
		p->vlan[0] = vid;
	else
		p->vlan[1] = vid;
}

static __always_inline int ps_is_vlan(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

static __always_inline void ps_copy6(__u32 *to, const struct in6_addr *from)
{
	to[0] = from->s6_addr32[0];
	to[1] = from->s6_addr32[1];
	to[2] = from->s6_addr32[2];
	to[3] = from->s6_addr32[3];
}

/* Bytes of an extension header, 0 if proto is none that we follow. */
static __always_inline __u32 ps_ext_bytes(__u8 proto, __u8 len)
{
	switch (proto) {
	case PS_NEXT_HOP:
	case PS_NEXT_ROUTING:
	case PS_NEXT_DEST:
		return (len + 1) * 8;
	case PS_NEXT_AUTH: /* RFC 4302: in 4-byte units, minus 2 */
		return (len + 2) * 4;
	case PS_NEXT_FRAGMENT:
		return 8;
	}
	return 0;
}

/* Follows the chain from c->off on. 0, or -1 if it is cut off before "end" or has more than PS_IPV6_EXT_MAX headers. */
static __noinline int ps_walk_ext(void *data, void *data_end, __u32 end, struct ps_chain *c, struct ps_packet *p)
{
	__u32 i;

	for (i = 0; i <= PS_IPV6_EXT_MAX; i++) {
		struct ps_ext_hdr *h;
		__u32 bytes;

		if (!ps_ext_bytes(c->proto, 0))
			return 0;
		if (i == PS_IPV6_EXT_MAX || c->off + sizeof(*h) > end)
			return -1;
		h = ps_at(data, data_end, c->off, sizeof(*h), p);
		if (!h)
			return -1;
		bytes = ps_ext_bytes(c->proto, h->len);
		if (c->off + bytes > end)
			return -1;
		if (c->proto == PS_NEXT_FRAGMENT) {
			__u16 offset = bpf_ntohs(h->offset);

			c->id = bpf_ntohl(h->id);
			c->more = !!(offset & PS_IPV6_MF);
			c->later = !!(offset & PS_IPV6_OFFSET);
		}
		c->proto = h->next;
		c->off = ps_settle(c->off + bytes);
		if (c->later)
			return 0;
	}
	return -1;
}

/* The errors: IPv4 unreachable, source quench, redirect, time exceeded, parameter problem; IPv6 types 1 to 4. */
static __always_inline int ps_icmp_is_error(__u8 family, __u8 type)
{
	if (family == PS_FAMILY_IPV6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

static __always_inline int ps_icmp_is_request(const struct ps_packet *p)
{
	return p->icmp_type == (p->key.family == PS_FAMILY_IPV6 ? 128 : 8) && !p->icmp_code;
}

static __always_inline int ps_icmp_is_reply(const struct ps_packet *p)
{
	return p->icmp_type == (p->key.family == PS_FAMILY_IPV6 ? 129 : 0) && !p->icmp_code;
}

static __always_inline int ps_parse_icmp(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct ps_icmp_hdr *h;

	if (off + 2 > end)
		return -1;
	h = ps_at(data, data_end, off, 2, p);
	if (!h)
		return -1;
	p->icmp_type = h->type;
	p->icmp_code = h->code;
	p->key.sport = bpf_htons(p->icmp_type);
	p->key.dport = bpf_htons(p->icmp_code);
	p->known |= PS_KNOWN_PORTS;
	if (off + sizeof(*h) > end)
		return -1;
	h = ps_at(data, data_end, off, sizeof(*h), p);
	if (!h)
		return -1;
	p->seq = bpf_ntohl(h->rest);
	p->kind = PS_KIND_ICMP;
	if (ps_icmp_is_error(p->key.family, p->icmp_type))
		p->quoted_off = off + sizeof(*h);
	return 0;
}

static __always_inline int ps_parse_ports(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct udphdr *uh;

	if (off + 4 > end)
		return -1;
	uh = ps_at(data, data_end, off, 4, p);
	if (!uh)
		return -1;
	p->key.sport = uh->source;
	p->key.dport = uh->dest;
	p->known |= PS_KNOWN_PORTS;
	return 0;
}

static __always_inline int ps_parse_tcp(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct tcphdr *th;
	__u32 doff;

	if (ps_parse_ports(data, data_end, off, end, p) || off + sizeof(*th) > end)
		return -1;
	th = ps_at(data, data_end, off, sizeof(*th), p);
	if (!th)
		return -1;
	p->key.tcp_flags = ((__u8 *)th)[13];
	p->known |= PS_KNOWN_TCP_FLAGS;
	p->seq = bpf_ntohl(th->seq);
	p->ack = bpf_ntohl(th->ack_seq);
	p->window = bpf_ntohs(th->window);
	doff = th->doff * 4;
	if (doff < sizeof(*th) || off + doff > end)
		return -1;
	p->hdr_len += doff;
	p->payload = end - off - doff;
	p->kind = PS_KIND_TCP;
	if ((p->key.tcp_flags & PS_TCP_SYN) && doff > sizeof(*th)) {
		p->opt_off = off + sizeof(*th);
		p->opt_end = off + doff;
	}
	return 0;
}

/* The datagram of a first fragment is longer than what this packet has of it. */
static __always_inline int ps_parse_udp(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct udphdr *uh;
	__u32 len;

	if (ps_parse_ports(data, data_end, off, end, p) || off + sizeof(*uh) > end)
		return -1;
	uh = ps_at(data, data_end, off, sizeof(*uh), p);
	if (!uh)
		return -1;
	len = bpf_ntohs(uh->len);
	if (!p->gso_size && (len < sizeof(*uh) || (len > end - off && !p->more)))
		return -1;
	p->hdr_len += sizeof(*uh);
	p->payload = end - off - sizeof(*uh);
	p->kind = PS_KIND_UDP;
	return 0;
}

/* Where the next stage goes on. Until then, what is there is malformed. */
static __always_inline void ps_payload_at(struct ps_packet *p, __u32 off, __u32 end, __u8 more)
{
	p->kind = PS_KIND_MALFORMED_L4;
	p->l4_off = off;
	p->l4_end = end;
	p->more = more;
}

static __always_inline void ps_parse_ipv4(void *data, void *data_end, __u32 off, struct ps_packet *p)
{
	__u32 room = p->frame_len - off, ihl, len;
	struct iphdr *ip;
	__u16 frag;

	p->kind = PS_KIND_MALFORMED_IP;
	ip = ps_at(data, data_end, off, sizeof(*ip), p);
	if (!ip || ip->version != 4)
		return;
	p->key.family = PS_FAMILY_IPV4;
	p->key.saddr[0] = ip->saddr;
	p->key.daddr[0] = ip->daddr;
	p->key.proto = ip->protocol;
	p->ip_id = bpf_ntohs(ip->id);
	ihl = ip->ihl * 4;
	len = bpf_ntohs(ip->tot_len);
	frag = bpf_ntohs(ip->frag_off);
	if (!len && p->gso_size) /* BIG TCP: longer than the field can say */
		len = room;
	if (ihl < sizeof(*ip) || len < ihl || len > room)
		return;
	p->ip_len = len;
	p->hdr_len = ihl;
	if (frag & PS_IPV4_OFFSET) {
		p->kind = PS_KIND_FRAGMENT;
		return;
	}
	ps_payload_at(p, off + ihl, off + len, !!(frag & PS_IPV4_MF));
}

static __always_inline void ps_parse_ipv6(void *data, void *data_end, __u32 off, struct ps_packet *p)
{
	__u32 room = p->frame_len - off, len;
	struct ipv6hdr *ip;

	p->kind = PS_KIND_MALFORMED_IP;
	ip = ps_at(data, data_end, off, sizeof(*ip), p);
	if (!ip || ip->version != 6)
		return;
	p->key.family = PS_FAMILY_IPV6;
	ps_copy6(p->key.saddr, &ip->saddr);
	ps_copy6(p->key.daddr, &ip->daddr);
	p->key.proto = ip->nexthdr;
	len = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	if (len == sizeof(*ip) && p->gso_size) /* BIG TCP, as above */
		len = room;
	if (len > room)
		return;
	p->ip_len = len;
	p->hdr_len = sizeof(*ip);
	ps_payload_at(p, off + sizeof(*ip), off + len, 0);
	if (ps_ext_bytes(ip->nexthdr, 0)) {
		p->ext_off = p->l4_off;
		p->l4_off = 0;
		p->kind = PS_KIND_MALFORMED_EXT;
	}
}

/* Of IPv6: the extension headers, up to the payload. */
static __always_inline int ps_parse_ext(void *data, void *data_end, struct ps_packet *p)
{
	struct ps_chain c = {.off = p->ext_off, .proto = p->key.proto};
	int err = ps_walk_ext(data, data_end, p->l4_end, &c, p);

	p->key.proto = c.proto;
	p->ip_id = c.id;
	p->hdr_len += c.off - p->ext_off;
	if (err)
		return err;
	if (c.later)
		p->kind = PS_KIND_FRAGMENT;
	else
		ps_payload_at(p, c.off, p->l4_end, c.more);
	return 0;
}

/* Of a frame without a link header: the EtherType that its version stands for, 0 = none of ours. */
static __always_inline __be16 ps_l3_proto(void *data, void *data_end, struct ps_packet *p)
{
	__u8 *version = ps_at(data, data_end, 0, 1, p);

	if (!version)
		return 0;
	switch (*version >> 4) {
	case 4:
		return bpf_htons(ETH_P_IP);
	case 6:
		return bpf_htons(ETH_P_IPV6);
	}
	return 0;
}

/* Up to the payload of an IP packet, or its extension headers. */
static __always_inline int ps_parse(void *data, void *data_end, struct ps_packet *p)
{
	__u32 off = 0, i;
	__be16 proto;

	p->kind = PS_KIND_MALFORMED_ETH;
	p->bytes = p->frame_len;
	p->wscale = 0xff;
	if (p->l3) {
		proto = ps_l3_proto(data, data_end, p);
	} else {
		struct ethhdr *eth = ps_at(data, data_end, 0, sizeof(*eth), p);

		if (!eth)
			return 0;
		proto = eth->h_proto;
		off = sizeof(*eth);
	}
	for (i = 0; i <= PS_VLAN_TAGS && ps_is_vlan(proto); i++) {
		struct ps_vlan_hdr *tag;

		if (p->vlan_tags >= PS_VLAN_TAGS) {
			p->kind = PS_KIND_NOT_IP;
			return 0;
		}
		tag = ps_at(data, data_end, off, sizeof(*tag), p);
		if (!tag)
			return 0;
		ps_vlan_tag(p, bpf_ntohs(tag->tci));
		proto = tag->proto;
		off += sizeof(*tag);
	}
	if (proto == bpf_htons(ETH_P_IP))
		ps_parse_ipv4(data, data_end, off, p);
	else if (proto == bpf_htons(ETH_P_IPV6))
		ps_parse_ipv6(data, data_end, off, p);
	else
		p->kind = PS_KIND_NOT_IP;
	return 0;
}

static __always_inline __u32 ps_segments(__u32 payload, __u32 size)
{
	return payload ? (payload + size - 1) / size : 1;
}

/* What the wire carries of a packet that stands for p->segs of them: each has headers of its own. */
static __always_inline void ps_wire_bytes(struct ps_packet *p)
{
	if (p->ip_len)
		p->bytes = p->ip_len + (p->segs - 1) * p->hdr_len;
}

/* The payload of an IP packet. */
static __always_inline int ps_parse_l4(void *data, void *data_end, struct ps_packet *p)
{
	__u32 off = p->l4_off, end = p->l4_end;
	int err;

	if (p->key.proto == IPPROTO_TCP)
		err = ps_parse_tcp(data, data_end, off, end, p);
	else if (p->key.proto == IPPROTO_UDP)
		err = ps_parse_udp(data, data_end, off, end, p);
	else if (p->key.proto == (p->key.family == PS_FAMILY_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		err = ps_parse_icmp(data, data_end, off, end, p);
	else {
		p->kind = PS_KIND_OTHER;
		return 0;
	}
	if (err)
		p->kind = PS_KIND_MALFORMED_L4;
	return err;
}

static __always_inline void ps_quoted_ports(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct udphdr *uh; /* TCP's ports stand in the same place */

	if (p->inner.proto != IPPROTO_TCP && p->inner.proto != IPPROTO_UDP)
		return;
	if (off + 4 > end)
		return;
	uh = ps_at(data, data_end, off, 4, p);
	if (!uh)
		return;
	p->inner.sport = uh->source;
	p->inner.dport = uh->dest;
	p->known |= PS_KNOWN_QUOTED_PORTS;
}

static __always_inline void ps_quoted4(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct iphdr *ip;
	__u32 ihl;

	if (off + sizeof(*ip) > end)
		return;
	ip = ps_at(data, data_end, off, sizeof(*ip), p);
	if (!ip || ip->version != 4 || ip->ihl < 5)
		return;
	p->inner.saddr[0] = ip->saddr;
	p->inner.daddr[0] = ip->daddr;
	p->inner.family = PS_FAMILY_IPV4;
	p->inner.proto = ip->protocol;
	p->known |= PS_KNOWN_QUOTED;
	ihl = ip->ihl * 4;
	if (!(ip->frag_off & bpf_htons(PS_IPV4_OFFSET)))
		ps_quoted_ports(data, data_end, off + ihl, end, p);
}

static __always_inline void ps_quoted6(void *data, void *data_end, __u32 off, __u32 end, struct ps_packet *p)
{
	struct ps_chain c = {.off = off + sizeof(struct ipv6hdr)};
	struct ipv6hdr *ip;

	if (c.off > end)
		return;
	ip = ps_at(data, data_end, off, sizeof(*ip), p);
	if (!ip || ip->version != 6)
		return;
	ps_copy6(p->inner.saddr, &ip->saddr);
	ps_copy6(p->inner.daddr, &ip->daddr);
	p->inner.family = PS_FAMILY_IPV6;
	p->known |= PS_KNOWN_QUOTED;
	c.proto = ip->nexthdr;
	if (ps_walk_ext(data, data_end, end, &c, p)) {
		p->inner.proto = c.proto;
		return;
	}
	p->inner.proto = c.proto;
	if (!c.later)
		ps_quoted_ports(data, data_end, c.off, end, p);
}

/* Of a SYN: the shift of its window-scale option (RFC 7323), if it has one. */
static __always_inline int ps_parse_options(void *data, void *data_end, struct ps_packet *p)
{
	__u32 off = ps_settle(p->opt_off), end = p->opt_end, i;

	for (i = 0; i < PS_TCP_OPT_MAX; i++) {
		__u8 *opt, *val, kind, len;

		if (off >= end)
			break;
		opt = ps_at(data, data_end, off, 1, p);
		if (!opt)
			break;
		kind = opt[0];
		if (kind == 0)
			break;
		len = 1;
		if (kind != 1) {
			if (off + 2 > end)
				break;
			opt = ps_at(data, data_end, off, 2, p);
			if (!opt)
				break;
			len = opt[1];
			if (len < 2 || off + len > end)
				break;
		}
		if (kind == 3 && len == 3) {
			val = ps_at(data, data_end, off, 3, p);
			if (!val)
				break;
			p->wscale = val[2] < 14 ? val[2] : 14;
			break;
		}
		off = ps_settle(off + len);
	}
	return 0;
}

/* The packet that an ICMP error quotes. */
static __always_inline int ps_parse_quoted(void *data, void *data_end, struct ps_packet *p)
{
	if (p->key.family == PS_FAMILY_IPV6)
		ps_quoted6(data, data_end, p->quoted_off, p->l4_end, p);
	else
		ps_quoted4(data, data_end, p->quoted_off, p->l4_end, p);
	return 0;
}

/* Last: how many packets and bytes it stands for. */
static __always_inline void ps_parse_end(struct ps_packet *p)
{
	if (p->gso_size && !p->segs)
		p->segs = ps_segments(p->payload, p->gso_size);
	if (!p->segs)
		p->segs = 1;
	ps_wire_bytes(p);
}

#endif
