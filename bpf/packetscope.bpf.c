// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The kernel part of Packet Scope: XDP on ingress, TC on egress.
 *
 * A packet's way: parse.h reads it, track.h finds its connection (table.h), takes the verdict (verdict.h, classify.h),
 * accounts (record.h, tcp.h, icmp.h, frag.h) and reports (events.h).
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/parse.h"
#include "bpf/track.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* From kernel 5.18; only called when the loader says that there are frames longer than their head. */
static __always_inline __u32 ps_xdp_frame_len(struct xdp_md *ctx)
{
	if (ps_const.xdp_frags)
		return bpf_xdp_get_buff_len(ctx);
	return ctx->data_end - ctx->data;
}

/*
 * The stages of the parser as global functions, for each hook: the verifier knows nothing of the packet in there but
 * its size, and checks each stage once, not once for every outcome of the one before.
 */
#define PS_STAGE(name, ctx_type, stage) \
	__noinline int name(ctx_type *ctx, struct ps_packet *p) \
	{ \
		return p ? stage((void *)(long)ctx->data, (void *)(long)ctx->data_end, p) : -1; \
	}

PS_STAGE(ps_xdp_l3, struct xdp_md, ps_parse)
PS_STAGE(ps_xdp_ext, struct xdp_md, ps_parse_ext)
PS_STAGE(ps_xdp_l4, struct xdp_md, ps_parse_l4)
PS_STAGE(ps_xdp_options, struct xdp_md, ps_parse_options)
PS_STAGE(ps_xdp_quoted, struct xdp_md, ps_parse_quoted)
PS_STAGE(ps_skb_l3, struct __sk_buff, ps_parse)
PS_STAGE(ps_skb_ext, struct __sk_buff, ps_parse_ext)
PS_STAGE(ps_skb_l4, struct __sk_buff, ps_parse_l4)
PS_STAGE(ps_skb_options, struct __sk_buff, ps_parse_options)
PS_STAGE(ps_skb_quoted, struct __sk_buff, ps_parse_quoted)

static __always_inline const struct ps_runtime *ps_runtime_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&ps_runtime, &zero);
}

/* Does this interface have no link header? While none is of that kind, the answer costs no look-up. */
static __always_inline __u8 ps_is_l3(const struct ps_runtime *rt, __u32 ifindex)
{
	const struct ps_iface *iface;

	if (!rt || !rt->any_l3)
		return 0;
	iface = bpf_map_lookup_elem(&ps_ifaces, &ifindex);
	return iface && (iface->flags & PS_IFACE_L3);
}

/* Generic mode hands over what the kernel has merged: as many packets as fit the interface's MTU. */
static __always_inline void ps_unmerge(struct ps_packet *p)
{
	const struct ps_iface *iface;
	__u32 ifindex = p->ifindex;

	if (p->ip_len <= PS_SUPER_MIN || (p->kind != PS_KIND_TCP && p->kind != PS_KIND_UDP))
		return;
	iface = bpf_map_lookup_elem(&ps_ifaces, &ifindex);
	if (!iface || p->ip_len <= iface->mtu || iface->mtu <= p->hdr_len)
		return;
	p->segs = ps_segments(p->payload, iface->mtu - p->hdr_len);
	ps_wire_bytes(p);
}

static __always_inline int ps_xdp_packet(struct xdp_md *ctx)
{
	const struct ps_runtime *rt = ps_runtime_get();
	struct ps_packet p = {};

	p.key.direction = PS_DIR_INGRESS;
	p.ifindex = ctx->ingress_ifindex;
	p.frame_len = ps_xdp_frame_len(ctx);
	p.l3 = ps_is_l3(rt, p.ifindex);
	ps_xdp_l3(ctx, &p);
	if (p.ext_off)
		ps_xdp_ext(ctx, &p);
	if (p.l4_off)
		ps_xdp_l4(ctx, &p);
	if (p.opt_off)
		ps_xdp_options(ctx, &p);
	if (p.quoted_off)
		ps_xdp_quoted(ctx, &p);
	ps_parse_end(&p);
	ps_unmerge(&p);
	return ps_handle(&p, rt) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int ps_xdp(struct xdp_md *ctx)
{
	return ps_xdp_packet(ctx);
}

/* Was the packet counted when it came in, on an interface that is watched too? */
static __always_inline int ps_is_forwarded(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ingress_ifindex;

	return ifindex && bpf_map_lookup_elem(&ps_ifaces, &ifindex);
}

static __always_inline void ps_skb_read(struct __sk_buff *skb, const struct ps_runtime *rt, struct ps_packet *p)
{
	__builtin_memset(p, 0, sizeof(*p));
	p->key.direction = PS_DIR_EGRESS;
	p->ifindex = skb->ifindex;
	p->frame_len = skb->len;
	p->gso_size = skb->gso_size;
	p->segs = skb->gso_segs;
	p->l3 = ps_is_l3(rt, p->ifindex);
	if (skb->vlan_present)
		ps_vlan_tag(p, skb->vlan_tci);
	ps_skb_l3(skb, p);
	if (p->ext_off)
		ps_skb_ext(skb, p);
	if (p->l4_off)
		ps_skb_l4(skb, p);
	if (p->opt_off)
		ps_skb_options(skb, p);
	if (p->quoted_off)
		ps_skb_quoted(skb, p);
	ps_parse_end(p);
}

/* -1 (TC_ACT_UNSPEC, TCX_NEXT) lets the next program and the kernel go on; TC_ACT_SHOT drops. */
static __always_inline int ps_tc_packet(struct __sk_buff *skb)
{
	const struct ps_runtime *rt = ps_runtime_get();
	struct ps_packet p;

	ps_skb_read(skb, rt, &p);
	if (p.short_read && !bpf_skb_pull_data(skb, skb->len < PS_HEADERS_MAX ? skb->len : PS_HEADERS_MAX))
		ps_skb_read(skb, rt, &p);
	p.forwarded = ps_is_forwarded(skb);
	return ps_handle(&p, rt) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

SEC("tc")
int ps_tc_egress(struct __sk_buff *skb)
{
	return ps_tc_packet(skb);
}
