/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* What the programs of live.bpf.c and those who run them agree on: the layout of their settings. */
#ifndef PS_BENCH_LIVE_H
#define PS_BENCH_LIVE_H

#include <linux/types.h>

/* Connections that send data, each with its own place in its stream; a power of two. */
#define BENCH_HOT 1024u

enum bench_draw {
	BENCH_IN_TURN, /* connection after connection, from `next` */
	BENCH_UNIFORM, /* any of 2^bits */
	BENCH_ZIPF,    /* of 2^bits, the k-th in proportion to 1/k */
};

/* Which packets come. Addresses and ports in network byte order, but for net. */
struct bench_live {
	__u64 state; /* of the generator */
	__u32 next;
	__u32 draw; /* enum bench_draw */
	__u32 bits;
	__u32 net; /* clients are in this /12; host byte order */
	__u32 server;
	__u32 seq;     /* data begins here */
	__u32 payload; /* bytes of data a packet; 0: the frame's own sequence number stays */
	__u16 port;
	__u8 reply;            /* from the server */
	__u8 sum;              /* the IP header's checksum is right */
	__u32 sent[BENCH_HOT]; /* bytes of data so far, of each of the first */
};

#endif
