/*
 * The pinned kernel maps as the aggregator sees them: tables in memory that the kernel part writes at the same time,
 * and two reads that cost a system call. kernel_maps.h opens the real ones; a test lays the same tables out in plain
 * memory.
 *
 * Everything here may change under the reader's eyes: single words are read and written atomically, and a record is
 * believed only as far as common/model/record.h says.
 */
#ifndef PS_AGG_KERNEL_H
#define PS_AGG_KERNEL_H

#include <stdint.h>

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/schema.h"

struct ps_kernel_ops;

struct ps_kernel {
	const struct ps_kernel_ops *ops;
	void *impl;
};

/* The mapped tables. Valid from a successful open until close. */
struct ps_kernel_view {
	struct ps_kernel kernel; /* that it is of */
	struct ps_meta meta;
	struct ps_bucket_tags *tags;   /* meta.buckets */
	const struct ps_conn_hot *hot; /* meta.buckets * PS_BUCKET_SLOTS, as are cold and tcp */
	const struct ps_conn_cold *cold;
	const struct ps_conn_tcp *tcp;
	struct ps_rule_head *rule_heads; /* two */
	struct ps_rule_chunk *rule_chunks[2][PS_UNIT_CHUNKS];
	struct ps_rule_rows *rule_rows[PS_ROW_CHUNKS];
	uint32_t rule_unit_chunks, rule_row_chunks; /* that are there, of each half and of rows; rule_room makes more */
	struct ps_runtime *runtime;
	uint64_t rule_switched; /* boot time, ns, of our last write of runtime->rule_switch; 0 = somebody else's */
	struct ps_ledger *ledger;
};

typedef void (*ps_kernel_icmp_fn)(void *arg, const struct ps_icmp_key *key, const struct ps_icmp_val *val);

struct ps_kernel_iface {
	uint32_t ifindex;
	struct ps_iface v; /* its name is terminated */
};

struct ps_kernel_ops {
	/* Maps all tables. -ENOENT: the collector has not made them yet; other errors fill err. */
	int (*open)(void *impl, struct ps_kernel_view *ret_view, struct ps_error *err);
	/* Everything that *view points to is gone then. */
	void (*close)(void *impl, struct ps_kernel_view *view);
	/* ps_meta.created of the maps that are pinned NOW, which may be others than those that are open. -ENOENT: none.
	 */
	int (*created)(void *impl, uint64_t *ret_created);
	/*
	 * Makes sure that so many chunks of units (of each half) and of rows are there and in *view. Waits for the
	 * collector, which alone may make maps. -ETIMEDOUT (503), -ENOMEM (507) fill err.
	 */
	int (*rule_room)(void *impl, struct ps_kernel_view *view, uint32_t unit_chunks, uint32_t row_chunks,
		struct ps_error *err);
	/* ps_stats summed over all CPUs. */
	int (*stats)(void *impl, struct ps_stats *ret_stats);
	/* Name of a watched interface. The collector wrote it down: this program may live in another network namespace.
	 * -ENOENT. */
	int (*iface)(void *impl, uint32_t ifindex, char ret_name[static PS_NAME_SIZE]);
	/* The rows of ps_ifaces, PS_IFACES_MAX at most, in any order. Returns how many. */
	size_t (*ifaces)(void *impl, struct ps_kernel_iface ret_ifaces[static PS_IFACES_MAX]);
	/* Calls fn for each entry of ps_icmp; one that comes or goes meanwhile may be missing. */
	int (*icmp)(void *impl, ps_kernel_icmp_fn fn, void *arg);
};

static inline uint32_t ps_kernel_slots(const struct ps_kernel_view *view)
{
	return view->meta.buckets * PS_BUCKET_SLOTS;
}

#endif
