/*
 * What the lock-out guard must know, kept fresh: what the host says of itself is read once a second, the sessions are
 * looked up when they are older than any list (PS_FRESH_NS). Knows no clock.
 */
#ifndef PS_AGG_GUARD_WATCH_H
#define PS_AGG_GUARD_WATCH_H

#include "aggregator/guard_flows.h"

struct ps_guard_watch {
	struct ps_host_ops host; /* read NULL: nothing is known of the host */
	struct ps_ports ssh;     /* ports of sessions; owned by whoever sets it */
	struct ps_host_facts facts;
	struct ps_guard_flows flows; /* name servers, gateways, sessions; then the caller of the moment */
	size_t n_base;               /* without the caller */
	uint64_t facts_at, flows_at; /* boot time, ns; 0 = never */
};

/* Facts of the host, at most a second old. */
const struct ps_host_facts *ps_guard_watch_host(struct ps_guard_watch *w, uint64_t now);

/* The flows for a change by this caller (NULL = nobody to be careful of). Good until the next call. */
const struct ps_guard_flows *ps_guard_watch_flows(struct ps_guard_watch *w, const struct ps_conn_table *conns,
	const struct ps_guard_caller *caller, uint64_t now);

#endif
