// SPDX-License-Identifier: (MIT OR GPL-2.0-only)
/* Packets for a program that is attached somewhere: made here, and then jumped to it. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bench/jump.h"
#include "bench/mutate.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int bench_pour(struct xdp_md *ctx)
{
	return bench_mutate(ctx) ? bench_jump(ctx) : XDP_ABORTED;
}
