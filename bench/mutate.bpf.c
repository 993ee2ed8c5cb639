// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/*
 * The kernel part with programs beside it that make a new packet of every run: BPF_PROG_TEST_RUN repeats one buffer, so
 * its addresses and ports are written anew each time (mutate.h), at less than a nanosecond. Each program goes one step
 * further than the one before.
 */
#include "bpf/packetscope.bpf.c"

#include "bench/linear.h"
#include "bench/mutate.h"

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
