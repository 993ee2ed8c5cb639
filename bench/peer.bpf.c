// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* The packets of live.bpf.c for any XDP program: it is put into the one place of a table and jumped to. */
#include "bench/live.bpf.c"

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_next SEC(".maps");

SEC("xdp")
int bench_go(struct xdp_md *ctx)
{
	if (BENCH_MUTATE(ctx))
		bpf_tail_call(ctx, &bench_next, 0);
	return XDP_ABORTED;
}

/* What is jumped to when nothing is measured. */
SEC("xdp")
int bench_end(struct xdp_md *ctx)
{
	return XDP_PASS;
}
