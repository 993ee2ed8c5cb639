#include "aggregator/guard_watch.h"

#include "common/base/clock.h"

const struct ps_host_facts *ps_guard_watch_host(struct ps_guard_watch *w, uint64_t now)
{
	if (w->host.read && (!w->facts_at || now - w->facts_at > PS_NSEC)) {
		w->host.read(w->host.impl, &w->facts);
		w->facts_at = now;
		w->flows_at = 0;
	}
	return &w->facts;
}

const struct ps_guard_flows *ps_guard_watch_flows(
	struct ps_guard_watch *w, const struct ps_conn_table *conns, const struct ps_guard_caller *caller, uint64_t now)
{
	const struct ps_host_facts *host = ps_guard_watch_host(w, now);

	if (!w->flows_at || now - w->flows_at > PS_FRESH_NS) {
		w->flows.n = 0;
		ps_guard_flows_host(&w->flows, host);
		ps_guard_flows_ssh(&w->flows, conns, &w->ssh, host);
		w->n_base = w->flows.n;
		w->flows_at = now;
	}
	w->flows.n = w->n_base;
	if (caller)
		ps_guard_flows_caller(&w->flows, caller, conns);
	return &w->flows;
}
