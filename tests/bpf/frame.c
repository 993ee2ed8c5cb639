/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void put8(struct ps_frame *f, uint8_t v)
{
	if (f->len >= sizeof(f->data))
		abort();
	f->data[f->len++] = v;
}

static void put16(struct ps_frame *f, uint16_t v)
{
	put8(f, v >> 8);
	put8(f, v & 0xff);
}

static void put32(struct ps_frame *f, uint32_t v)
{
	put16(f, v >> 16);
	put16(f, v & 0xffff);
}

static void put_fill(struct ps_frame *f, size_t n, uint8_t v)
{
	while (n--)
		put8(f, v);
}

static void set16(struct ps_frame *f, size_t at, uint16_t v)
{
	f->data[at] = v >> 8;
	f->data[at + 1] = v & 0xff;
}

static bool is_v6(const struct ps_frame_spec *s)
{
	return s->src && strchr(s->src, ':');
}

static void put_addr(struct ps_frame *f, bool v6, const char *text)
{
	uint8_t raw[16];
	size_t n = v6 ? 16 : 4;

	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, raw) != 1)
		abort();
	for (size_t i = 0; i < n; i++)
		put8(f, raw[i]);
}

static void put_tcp(struct ps_frame *f, const struct ps_frame_spec *s)
{
	uint8_t options = s->wscale ? 8 : 0;
	uint8_t doff = s->raw_doff ? s->raw_doff : (20 + options) / 4;

	put16(f, s->sport);
	put16(f, s->dport);
	put32(f, s->seq);
	put32(f, s->ack);
	put8(f, doff << 4);
	put8(f, s->flags);
	put16(f, s->window == PS_FRAME_ZERO ? 0 : s->window ? s->window : 65535);
	put32(f, 0);
	if (options) {
		static const uint8_t nops[] = {1, 1, 1, 1};

		for (size_t i = 0; i < sizeof(nops); i++)
			put8(f, nops[i]);
		put8(f, 3);
		put8(f, 3);
		put8(f, s->wscale - 1);
		put8(f, 0);
	}
}

static void put_packet(struct ps_frame *f, const struct ps_frame_spec *s);

static void put_icmp(struct ps_frame *f, const struct ps_frame_spec *s)
{
	put8(f, s->icmp_type);
	put8(f, s->icmp_code);
	put16(f, 0);
	put16(f, s->echo_id);
	put16(f, s->echo_seq);
	if (s->quoted) {
		size_t at = f->len;

		put_packet(f, s->quoted);
		if (s->quoted_len && f->len - at > s->quoted_len)
			f->len = at + s->quoted_len;
	}
}

static void put_l4(struct ps_frame *f, const struct ps_frame_spec *s, bool later)
{
	if (later) {
		put_fill(f, s->payload, 0xd7);
		return;
	}
	switch (s->proto) {
	case IPPROTO_TCP:
		put_tcp(f, s);
		break;
	case IPPROTO_UDP:
		put16(f, s->sport);
		put16(f, s->dport);
		put16(f, (uint16_t)(8 + (int)s->payload + s->raw_udp_len));
		put16(f, 0);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		put_icmp(f, s);
		break;
	}
	put_fill(f, s->payload, 0xd7);
}

static void put_ipv4(struct ps_frame *f, const struct ps_frame_spec *s)
{
	size_t at = f->len;
	uint8_t ihl = s->raw_ihl ? s->raw_ihl : 5 + s->ip_options / 4;

	put8(f, (s->raw_version ? s->raw_version : 4) << 4 | ihl);
	put8(f, 0);
	put16(f, 0);
	put16(f, s->ip_id);
	put16(f, (s->more ? 0x2000 : 0) | s->frag_offset);
	put8(f, 64);
	put8(f, s->proto);
	put16(f, 0);
	put_addr(f, false, s->src);
	put_addr(f, false, s->dst);
	put_fill(f, s->ip_options, 1);
	put_l4(f, s, s->frag_offset);
	set16(f, at + 2, (uint16_t)((int)(f->len - at) + s->raw_len));
}

static void put_ext(struct ps_frame *f, const struct ps_frame_ext *e, uint8_t next)
{
	size_t bytes = e->type == 51 ? (e->len + 2u) * 4 : (e->len + 1u) * 8;

	put8(f, next);
	if (e->type == 44) {
		put8(f, 0);
		put16(f, (uint16_t)(e->offset << 3 | (e->more ? 1 : 0)));
		put32(f, e->id);
		return;
	}
	put8(f, e->len);
	put_fill(f, bytes - 2, 0);
}

static void put_ipv6(struct ps_frame *f, const struct ps_frame_spec *s)
{
	size_t at = f->len;
	bool later = false;

	put32(f, (uint32_t)(s->raw_version ? s->raw_version : 6) << 28);
	put16(f, 0);
	put8(f, s->exts ? s->ext[0].type : s->proto);
	put8(f, 64);
	put_addr(f, true, s->src);
	put_addr(f, true, s->dst);
	for (int i = 0; i < s->exts; i++) {
		put_ext(f, &s->ext[i], i + 1 < s->exts ? s->ext[i + 1].type : s->proto);
		later = later || s->ext[i].offset;
	}
	put_l4(f, s, later);
	set16(f, at + 4, (uint16_t)((int)(f->len - at) - 40 + s->raw_len));
}

static void put_packet(struct ps_frame *f, const struct ps_frame_spec *s)
{
	if (is_v6(s))
		put_ipv6(f, s);
	else if (s->src)
		put_ipv4(f, s);
	else
		put_fill(f, s->payload, 0xd7);
}

void ps_frame_make(struct ps_frame *f, const struct ps_frame_spec *s)
{
	uint16_t type = s->ethertype ? s->ethertype : is_v6(s) ? ETH_P_IPV6 : ETH_P_IP;

	f->len = 0;
	if (s->l3)
		goto packet;
	put_fill(f, 6, 0x02);
	put_fill(f, 6, 0x04);
	for (int i = 0; i < s->vlans; i++) {
		put16(f, s->tpid[i] ? s->tpid[i] : ETH_P_8021Q);
		put16(f, s->vid[i]);
	}
	put16(f, type);
packet:
	put_packet(f, s);
	put_fill(f, s->padding, 0);
}

size_t ps_frame_ip_bytes(const struct ps_frame_spec *s)
{
	struct ps_frame f;

	ps_frame_make(&f, s);
	return f.len - s->padding - (s->l3 ? 0 : 14 + (size_t)s->vlans * 4);
}
