/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Rules that bench_linear of mutate.bpf.c walks one by one: what finding a rule costs where there is no index. */
#ifndef PS_BENCH_LINEAR_H
#define PS_BENCH_LINEAR_H

#include <linux/types.h>

#define BENCH_RULES 1000

/* Addresses and ports in network byte order; zero is any. */
struct bench_rule {
	__u32 saddr, smask;
	__u32 daddr, dmask;
	__u16 sport, dport;
	__u8 proto;
	__u8 drop;
	__u8 pad[2];
};

#endif
