// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* The packets of live.bpf.c for any XDP program: it is put into the one place of a table and jumped to. */
#include "bench/live.bpf.c"
#include "bench/jump.h"

SEC("xdp")
int bench_go(struct xdp_md *ctx)
{
	return BENCH_MUTATE(ctx) ? bench_jump(ctx) : XDP_ABORTED;
}

/* What is jumped to when nothing is measured. */
SEC("xdp")
int bench_end(struct xdp_md *ctx)
{
	return XDP_PASS;
}
