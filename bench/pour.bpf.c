// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Packets for a program that is attached somewhere: made here, and then jumped to it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/mutate.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_next SEC(".maps");

SEC("xdp")
int bench_pour(struct xdp_md *ctx)
{
	if (bench_mutate(ctx))
		bpf_tail_call(ctx, &bench_next, 0);
	return XDP_ABORTED;
}
