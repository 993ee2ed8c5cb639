/*
 * Whose packets no rule may cut: collects the flows of rule_guard.h from what the host says of itself, the connection
 * table, and the one who asks. Pure.
 */
#ifndef PS_AGG_GUARD_FLOWS_H
#define PS_AGG_GUARD_FLOWS_H

#include "common/model/conn_table.h"
#include "aggregator/host_facts.h"
#include "aggregator/limits.h"
#include "aggregator/rule_guard.h"
#include "common/model/ports.h"

struct ps_guard_flows {
	struct ps_guard_flow flow[PS_GUARD_FLOWS_MAX];
	size_t n;
};

/* Who asks, as the gateway sees the connection. Ports in host byte order; family 0 of remote: nobody. */
struct ps_guard_caller {
	struct ps_addr remote, local;
	uint16_t remote_port, local_port;
};

/* Name servers and default gateways. */
void ps_guard_flows_host(struct ps_guard_flows *l, const struct ps_host_facts *host);
/* Established connections to (or from) one of the ports, the last active ones if there are many. */
void ps_guard_flows_ssh(struct ps_guard_flows *l, const struct ps_conn_table *conns, const struct ps_ports *ports,
	const struct ps_host_facts *host);
/* One who asks over loopback is in nobody's way and adds nothing. */
void ps_guard_flows_caller(
	struct ps_guard_flows *l, const struct ps_guard_caller *caller, const struct ps_conn_table *conns);

#endif
