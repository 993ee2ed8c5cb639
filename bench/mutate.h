/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* One frame that becomes another packet each time it is run: the state of the generator is in its MAC addresses. */
#ifndef PS_BENCH_MUTATE_H
#define PS_BENCH_MUTATE_H

#include <stddef.h>

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

#endif
