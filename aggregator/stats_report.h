/*
 * The body of `stats`: every counter of the pipeline as one map. Pure.
 */
#ifndef PS_AGG_STATS_REPORT_H
#define PS_AGG_STATS_REPORT_H

#include <stdint.h>

#include "aggregator/conn_walk.h"
#include "common/model/conn_table.h"
#include "aggregator/kernel.h"
#include "aggregator/sweep.h"
#include "bpf/abi.h"
#include "common/model/value.h"

/* Counters of two moments, for rates. */
struct ps_stats_sample {
	uint64_t time; /* boot time, ns; 0 = none yet */
	struct ps_stats stats;
};

struct ps_stats_input {
	const struct ps_stats *stats;
	const struct ps_stats_sample *before, *after; /* rates are of the time between */
	const struct ps_ledger *ledger;
	const struct ps_sweep_result *sweep; /* the last one */
	struct ps_conn_totals conns;
	struct ps_conn_walks_totals walks;
	uint64_t icmp_entries;
	uint32_t slots, max_connections;
	uint32_t generation, rules, rules_enabled;
	const struct ps_kernel_iface *ifaces;
	size_t n_ifaces;
	uint64_t uptime;  /* of the aggregator, ns */
	uint64_t created; /* when the counters began, wall clock ns */
	uint64_t now;     /* wall clock, ns */
};

/*
 * The names that clients of the prototype read at top level (TotalPackets … ICMPCodeCounts), then `counters` (every row
 * of bpf/stats.def), `rates` (per second), `table`, `ledger` by event type, `interfaces`, `rules`, `uptime` (seconds),
 * `since`, `time`. docs/aggregator.md lists them. NULL on no memory.
 */
struct ps_value *ps_stats_report(const struct ps_stats_input *in);

#endif
