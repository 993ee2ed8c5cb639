/* SPDX-License-Identifier: MIT */
/*
 * The kernel part with the programs of live.bpf.c, full of established TCP connections: half of their handshakes went
 * in, half went out, as the product would see them. What fails ends the program with a message.
 */
#ifndef PS_BENCH_LIVE_RIG_H
#define PS_BENCH_LIVE_RIG_H

#include <stddef.h>
#include <stdint.h>

#include "bench/live.h"
#include "harness.h"

#define PS_LIVE_PAYLOAD 10
#define PS_LIVE_RING (2u << 20) /* of each CPU: the default on two */

struct ps_live {
	struct ps_rig *rig;
	struct bench_live *settings; /* shared with the programs */
	struct ps_frame syn;
	struct ps_frame data, ack; /* a segment with PS_LIVE_PAYLOAD bytes, and one without */
};

/* Puts this process into a network namespace of its own, where received packets end at nft's ingress hook. */
void ps_live_namespace(void);

/* 2^bits connections in a table with room for them at PS_TABLE_LOAD_PERCENT. */
struct ps_live *ps_live_new(const void *object, size_t size, enum ps_rig_variant variant, unsigned bits);
/* The same table with nobody in it. */
struct ps_live *ps_live_empty(
	const void *object, size_t size, enum ps_rig_variant variant, unsigned bits, uint32_t ring_bytes);
void ps_live_free(struct ps_live **p);

/* So many packets from the settings through the program of that name into the stack, data if these have a payload; CPU
 * time of one in ns. */
double ps_live_run(struct ps_live *l, const char *name, uint32_t packets);
/* The same of this frame. */
double ps_live_run_frame(struct ps_live *l, const char *name, const struct ps_frame *f, uint32_t packets);

/* Packets that rules have dropped so far. */
uint64_t ps_live_dropped(struct ps_live *l);

/* Empties the rings. */
void ps_live_forget_events(struct ps_live *l);

/* What the kernel charges for a map. */
double ps_live_map_bytes(struct ps_live *l, const char *map);

/* Reads all connections, whole, by mapping and by BPF_MAP_LOOKUP_BATCH; ms. Ends the program when they are fewer than
 * 99 percent of what is expected. */
double ps_live_read_mapped(struct ps_live *l, uint64_t expected);
double ps_live_read_batches(struct ps_live *l, uint64_t expected);

#endif
