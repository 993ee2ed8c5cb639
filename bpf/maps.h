/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * Every map of the kernel part. The layouts are in abi.h; the loader sets the sizes that depend on options
 * (connection tables, rings) before load and pins all of them. The numbers here are what a bare load gets.
 */
#ifndef PS_BPF_MAPS_H
#define PS_BPF_MAPS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/abi.h"

/* Buckets of a bare load; the product's number follows --max-connections. */
#define PS_BUCKETS_BARE 1024

#define PS_ARRAY(name, value_type, entries, bits) \
	struct { \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(max_entries, entries); \
		__uint(map_flags, bits); \
		__type(key, __u32); \
		__type(value, value_type); \
	} name SEC(".maps")

#define PS_LRU(name, key_type, value_type, entries) \
	struct { \
		__uint(type, BPF_MAP_TYPE_LRU_HASH); \
		__uint(max_entries, entries); \
		__type(key, key_type); \
		__type(value, value_type); \
	} name SEC(".maps")

/* The connections of one bucket, side by side: element b of the map holds slots 8b to 8b+7. */
struct ps_hot_bucket {
	struct ps_conn_hot slot[PS_BUCKET_SLOTS];
};

/* One insert lock a cache line. */
struct ps_lock {
	struct bpf_spin_lock lock;
	__u8 pad[60];
};

/* --- Connections ------------------------------------------------------------------------------ */

#ifndef PS_TABLE_LRU
PS_ARRAY(ps_tags, struct ps_bucket_tags, PS_BUCKETS_BARE, BPF_F_MMAPABLE);
PS_ARRAY(ps_hot, struct ps_hot_bucket, PS_BUCKETS_BARE, BPF_F_MMAPABLE);
PS_ARRAY(ps_cold, struct ps_conn_cold, PS_BUCKETS_BARE *PS_BUCKET_SLOTS, BPF_F_MMAPABLE);
PS_ARRAY(ps_tcp, struct ps_conn_tcp, PS_BUCKETS_BARE *PS_BUCKET_SLOTS, BPF_F_MMAPABLE);
PS_ARRAY(ps_locks, struct ps_lock, PS_LOCK_STRIPES, 0);
#else
/* The reference: the same record as the value of the kernel's own LRU hash. */
struct ps_lru_key {
	__u32 addr[2][4]; /* by side */
	__u16 port[2];
	__u16 vlan[2];
	__u8 proto;
	__u8 family;
	__u8 pad[6];
};

struct ps_lru_val {
	struct ps_conn_hot hot;
	struct ps_conn_cold cold;
	struct ps_conn_tcp tcp;
};

PS_LRU(ps_conns, struct ps_lru_key, struct ps_lru_val, PS_BUCKETS_BARE *PS_BUCKET_SLOTS);

/* A connection is filled here before it becomes an element; the key stands here for want of stack. */
struct ps_lru_scratch {
	struct ps_lru_key key;
	struct ps_lru_val val;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ps_lru_scratch);
} ps_scratch SEC(".maps");

/* Connections begun, for their ids. */
PS_ARRAY(ps_lru_ids, __u64, 1, BPF_F_MMAPABLE);
#endif

PS_LRU(ps_icmp, struct ps_icmp_key, struct ps_icmp_entry, PS_ICMP_ENTRIES);
PS_LRU(ps_frags, struct ps_frag_key, struct ps_frag_val, PS_FRAG_ENTRIES);

/* --- Rules ------------------------------------------------------------------------------------ */

PS_ARRAY(ps_rule_heads, struct ps_rule_head, 2, BPF_F_MMAPABLE);

/* The loader makes the chunks, as many as are needed; these only show what one is. */
struct ps_rule_chunk_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct ps_rule_chunk));
};

struct ps_rule_rows_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct ps_rule_rows));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2 * PS_UNIT_CHUNKS);
	__type(key, __u32);
	__array(values, struct ps_rule_chunk_map);
} ps_rule_chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, PS_ROW_CHUNKS);
	__type(key, __u32);
	__array(values, struct ps_rule_rows_map);
} ps_rule_rows SEC(".maps");

PS_LRU(ps_rates, struct ps_rate_key, __u64, PS_RATE_ENTRIES);

/* When each hash of connection and rule last made a drop event. */
PS_ARRAY(ps_drop_gate, __u64, PS_DROP_GATES, 0);

/* --- Counters, settings, events --------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ps_stats);
} ps_stats SEC(".maps");

PS_ARRAY(ps_runtime, struct ps_runtime, 1, BPF_F_MMAPABLE);
PS_ARRAY(ps_meta, struct ps_meta, 1, BPF_F_MMAPABLE);
PS_ARRAY(ps_ledger, struct ps_ledger, 1, BPF_F_MMAPABLE);

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PS_IFACES_MAX);
	__type(key, __u32); /* ifindex */
	__type(value, struct ps_iface);
} ps_ifaces SEC(".maps");

/* One ring per CPU: two producers on one ring halve its rate. The loader makes the rings; this one only shows their
 * type. */
struct ps_ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, PS_RING_MIN);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct ps_ring);
} ps_rings SEC(".maps");

const volatile struct ps_const ps_const = {.buckets = PS_BUCKETS_BARE, .weak_order = 1};

/* What an ICMP element begins as: too big for the stack. */
const struct ps_icmp_entry ps_icmp_blank = {};

#endif
