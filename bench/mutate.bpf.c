// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The kernel part with programs beside it that make a new packet of every run: BPF_PROG_TEST_RUN repeats one buffer, so
 * the state of a generator is kept in the MAC addresses of the frame, and addresses and ports are written anew each
 * time, at less than a nanosecond. Each program goes one step further than the one before.
 */
#include "bpf/packetscope.bpf.c"

#include "bench/linear.h"

/* The MAC addresses hold the generator's state and from how many flows it draws (a power of two; 0 = each packet
 * another). Behind them: IPv4 without options, UDP. */
struct bench_frame {
	__u64 state;
	__u32 flows;
	__u16 proto;
	struct iphdr ip;
	__u16 sport, dport;
} __attribute__((packed));

static __always_inline struct bench_frame *bench_mutate(struct xdp_md *ctx)
{
	struct bench_frame *f = (void *)(long)ctx->data;
	__u64 s, r;

	if ((void *)(f + 1) > (void *)(long)ctx->data_end)
		return NULL;
	s = f->state * 6364136223846793005ull + 1442695040888963407ull;
	f->state = s;
	r = s >> 32;
	if (f->flows)
		r = (r & (f->flows - 1)) * 0x9e3779b97f4a7c15ull;
	else
		r = s ^ s >> 29;
	/* 10.0.0.0/8 on both sides */
	f->ip.saddr = bpf_htonl(0x0a000000u | (r & 0xffffff));
	f->ip.daddr = bpf_htonl(0x0a000000u | (r >> 24 & 0xffffff));
	f->sport = (__u16)(r >> 40);
	f->dport = (__u16)(r >> 48);
	return f;
}

SEC("xdp")
int bench_pass(struct xdp_md *ctx)
{
	bench_mutate(ctx);
	return XDP_PASS;
}

static __always_inline void bench_read(struct xdp_md *ctx, struct ps_packet *p)
{
	p->key.direction = PS_DIR_INGRESS;
	p->ifindex = ctx->ingress_ifindex;
	p->frame_len = ps_xdp_frame_len(ctx);
	ps_xdp_l3(ctx, p);
	if (p->ext_off)
		ps_xdp_ext(ctx, p);
	if (p->l4_off)
		ps_xdp_l4(ctx, p);
	ps_parse_end(p);
}

SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	struct ps_packet p = {};

	if (!bench_mutate(ctx))
		return XDP_ABORTED;
	bench_read(ctx, &p);
	return p.key.dport ? XDP_PASS : XDP_TX;
}

SEC("xdp")
int bench_classify(struct xdp_md *ctx)
{
	struct ps_packet p = {};
	struct ps_runtime *rt;
	__u32 zero = 0;

	if (!bench_mutate(ctx))
		return XDP_ABORTED;
	bench_read(ctx, &p);
	rt = bpf_map_lookup_elem(&ps_runtime, &zero);
	if (!rt)
		return XDP_ABORTED;
	p.now = ps_now(rt);
	return ps_verdict_of(ps_rules_get(rt, &p), &p) & PS_VERDICT_DROP ? XDP_DROP : XDP_PASS;
}

/* What rules cost that are walked one by one. */
PS_ARRAY(bench_rules, struct bench_rule, BENCH_RULES, BPF_F_MMAPABLE);

struct bench_walk {
	const struct ps_packet *p;
	int verdict; /* -1 = none yet */
};

static long bench_step(__u32 i, struct bench_walk *w)
{
	const struct bench_rule *r = bpf_map_lookup_elem(&bench_rules, &i);
	const struct ps_rule_key *k = &w->p->key;

	if (!r)
		return 1;
	if ((k->saddr[0] & r->smask) != r->saddr || (k->daddr[0] & r->dmask) != r->daddr)
		return 0;
	if ((r->proto && r->proto != k->proto) || (r->sport && r->sport != k->sport) ||
		(r->dport && r->dport != k->dport))
		return 0;
	w->verdict = r->drop;
	return 1;
}

SEC("xdp")
int bench_linear(struct xdp_md *ctx)
{
	struct ps_packet p = {};
	struct bench_walk w = {&p, -1};

	if (!bench_mutate(ctx))
		return XDP_ABORTED;
	bench_read(ctx, &p);
	bpf_loop(BENCH_RULES, bench_step, &w, 0);
	return w.verdict > 0 ? XDP_DROP : XDP_PASS;
}

/* All of it: connections, events, verdicts that are remembered. */
SEC("xdp")
int bench_full(struct xdp_md *ctx)
{
	struct ps_packet p = {};

	if (!bench_mutate(ctx))
		return XDP_ABORTED;
	bench_read(ctx, &p);
	return ps_handle(&p, ps_runtime_get()) ? XDP_DROP : XDP_PASS;
}
