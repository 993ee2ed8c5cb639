/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* The program that a made packet is handed to: it is put into the one place of a table. */
#ifndef PS_BENCH_JUMP_H
#define PS_BENCH_JUMP_H

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_next SEC(".maps");

/* XDP_ABORTED when there was nothing to jump to. */
static __always_inline int bench_jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &bench_next, 0);
	return XDP_ABORTED;
}

#endif
