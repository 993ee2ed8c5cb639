// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The kernel part with programs beside it that turn one frame into the packets of many TCP connections, for runs whose
 * packets go on into the stack (BPF_F_TEST_XDP_LIVE_FRAMES). There a frame comes from a pool of pages, each of which
 * would keep a generator of its own, so that the same packets came again and again: the state is kept here instead.
 */
#include "bpf/packetscope.bpf.c"

#include "bench/live.h"

PS_ARRAY(bench_settings, struct bench_live, 1, BPF_F_MMAPABLE);

/* Ethernet, IPv4 without options, TCP without options. */
struct bench_frame {
	__u8 mac[12];
	__u16 proto;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

/* The number of the next packet's connection. */
static __always_inline __u32 bench_draw(struct bench_live *b)
{
	__u64 exponent, fraction, grown;

	if (b->draw == BENCH_IN_TURN)
		return b->next++;
	b->state = b->state * 6364136223846793005ull + 1442695040888963407ull;
	if (b->draw == BENCH_UNIFORM)
		return (b->state >> 32) & ((1u << b->bits) - 1);
	/* Zipf with s = 1 has as many packets in each octave of ranks: 2^(bits * u), with 2^f by a parabola. */
	exponent = (b->state >> 32) * b->bits;
	fraction = exponent & 0xffffffff;
	exponent >>= 32;
	grown = fraction * (2819572531u + (fraction * 1475394765u >> 32)) >> 32;
	return (1u << (exponent & 31)) - 1 + ((grown << (exponent & 31)) >> 32);
}

static __always_inline __u16 bench_ip_sum(const struct iphdr *ip)
{
	const __u16 *w = (const __u16 *)ip;
	__u32 sum = 0, i;

#pragma unroll
	for (i = 0; i < sizeof(*ip) / 2; i++)
		if (i != 5)
			sum += w[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~((sum & 0xffff) + (sum >> 16));
}

static __always_inline struct bench_frame *bench_mutate(void *data, void *end)
{
	struct bench_frame *f = data;
	__u32 zero = 0, n, client;
	struct bench_live *b;
	__u16 port;

	b = bpf_map_lookup_elem(&bench_settings, &zero);
	if (!b || (void *)(f + 1) > end)
		return NULL;
	n = bench_draw(b);
	client = bpf_htonl(b->net + (n * 0x9e3779b1u & 0xfffff));
	port = bpf_htons(1024 + (n >> 20));
	f->ip.saddr = b->reply ? b->server : client;
	f->ip.daddr = b->reply ? client : b->server;
	f->tcp.source = b->reply ? b->port : port;
	f->tcp.dest = b->reply ? port : b->port;
	if (b->payload) {
		f->tcp.seq = bpf_htonl(b->seq + b->sent[n & (BENCH_HOT - 1)]);
		b->sent[n & (BENCH_HOT - 1)] += b->payload;
	}
	if (b->sum)
		f->ip.check = bench_ip_sum(&f->ip);
	return f;
}

#define BENCH_MUTATE(ctx) bench_mutate((void *)(long)(ctx)->data, (void *)(long)(ctx)->data_end)

SEC("xdp")
int bench_pass(struct xdp_md *ctx)
{
	return BENCH_MUTATE(ctx) ? XDP_PASS : XDP_ABORTED;
}

/* What every other program pays too: a new packet, read. */
SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	struct ps_packet p = {};

	if (!BENCH_MUTATE(ctx))
		return XDP_ABORTED;
	p.key.direction = PS_DIR_INGRESS;
	p.ifindex = ctx->ingress_ifindex;
	p.frame_len = ps_xdp_frame_len(ctx);
	ps_xdp_l3(ctx, &p);
	if (p.ext_off)
		ps_xdp_ext(ctx, &p);
	if (p.l4_off)
		ps_xdp_l4(ctx, &p);
	ps_parse_end(&p);
	return p.key.dport ? XDP_PASS : XDP_TX;
}

SEC("xdp")
int bench_all(struct xdp_md *ctx)
{
	return BENCH_MUTATE(ctx) ? ps_xdp_packet(ctx) : XDP_ABORTED;
}

SEC("tc")
int bench_egress(struct __sk_buff *skb)
{
	return BENCH_MUTATE(skb) ? ps_tc_packet(skb) : TC_ACT_SHOT;
}
