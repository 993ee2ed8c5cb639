#include "aggregator/guard_flows.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "bpf/abi.h"
#include "common/base/cleanup.h"

#define DNS_PORT 53

/* Beside sessions, which are many on a jump host, these must find room. */
#define CALLER_ROOM 4

static void add(struct ps_guard_flows *l, const struct ps_guard_flow *flow)
{
	if (l->n < PS_ARRAY_SIZE(l->flow))
		l->flow[l->n++] = *flow;
}

static bool link_local(const struct ps_addr *a)
{
	return a->family == PS_FAMILY_IPV6 && (ntohl(a->word[0]) >> 22) == 0xfe80 >> 6;
}

static bool same_network(const struct ps_net *local, const struct ps_addr *a)
{
	return local->addr.family == a->family && ps_net_has(local, a->family, a->word);
}

/* The addresses that this host may use towards another: those of its network, or else all that reach that far. */
static size_t locals_for(const struct ps_host_facts *host, const struct ps_addr *remote, bool all,
	const struct ps_addr *ret_local[static PS_HOST_LOCALS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; !all && i < host->n_local; i++) {
		if (same_network(&host->local[i], remote))
			ret_local[n++] = &host->local[i].addr;
	}
	if (n)
		return n;
	for (size_t i = 0; i < host->n_local; i++) {
		const struct ps_addr *a = &host->local[i].addr;

		if (a->family == remote->family && (all || link_local(a) == link_local(remote)))
			ret_local[n++] = a;
	}
	return n;
}

static void add_dns(struct ps_guard_flows *l, const struct ps_host_facts *host, const struct ps_addr *server)
{
	const struct ps_addr *local[PS_HOST_LOCALS_MAX];
	size_t n = locals_for(host, server, false, local);

	for (size_t i = 0; i < n; i++) {
		struct ps_guard_flow flow = {
			.kind = PS_GUARD_DNS,
			.proto = IPPROTO_UDP,
			.outgoing = true,
			.local = *local[i],
			.remote = *server,
			.remote_port = DNS_PORT,
		};

		add(l, &flow);
		flow.proto = IPPROTO_TCP;
		add(l, &flow);
	}
}

void ps_guard_flows_host(struct ps_guard_flows *l, const struct ps_host_facts *host)
{
	const struct ps_addr *local[PS_HOST_LOCALS_MAX];

	for (size_t i = 0; i < host->n_dns; i++)
		add_dns(l, host, &host->dns[i]);
	for (size_t i = 0; i < host->n_gateway; i++) {
		const struct ps_addr *gateway = &host->gateway[i];
		bool six = gateway->family == PS_FAMILY_IPV6;
		/* A router asks for all our addresses on the link from its link-local one (RFC 4861). */
		size_t n = locals_for(host, gateway, six, local);

		for (size_t k = 0; k < n; k++) {
			const struct ps_guard_flow flow = {
				.kind = PS_GUARD_GATEWAY,
				.proto = six ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
				.outgoing = true,
				.local = *local[k],
				.remote = *gateway,
			};

			add(l, &flow);
		}
	}
}

/* A session seen from the host: the end that is ours is local. Between two others either end may be behind us. */
static void add_session(
	struct ps_guard_flows *l, const struct ps_conn *c, const struct ps_host_facts *host, enum ps_guard_kind kind)
{
	bool ours = ps_host_facts_is_local(host, &c->dst_ip), theirs = ps_host_facts_is_local(host, &c->src_ip);
	struct ps_guard_flow flow = {
		.kind = (uint8_t)kind,
		.proto = c->proto,
		.local = c->dst_ip,
		.local_port = c->dst_port,
		.remote = c->src_ip,
		.remote_port = c->src_port,
		.connection = c->id,
	};

	if (ours || !theirs)
		add(l, &flow);
	if (theirs || !ours) {
		flow.outgoing = true;
		flow.local = c->src_ip;
		flow.local_port = c->src_port;
		flow.remote = c->dst_ip;
		flow.remote_port = c->dst_port;
		add(l, &flow);
	}
}

static bool is_session(const struct ps_conn *c, const struct ps_ports *ports)
{
	return c->proto == IPPROTO_TCP && c->state == PS_TCP_ESTABLISHED && ports->n &&
	       (ps_ports_have(ports, c->dst_port) || (c->midstream && ps_ports_have(ports, c->src_port)));
}

/* Keeps the `max` that were active last, in no order. */
static size_t sessions(
	const struct ps_conn_table *conns, const struct ps_ports *ports, const struct ps_conn **out, size_t max)
{
	const struct ps_conn *c;
	size_t position = 0, n = 0;
	bool ended;

	while ((c = ps_conn_table_next(conns, &position, &ended))) {
		size_t oldest = 0;

		if (ended || !is_session(c, ports))
			continue;
		if (n < max) {
			out[n++] = c;
			continue;
		}
		for (size_t i = 1; i < n; i++) {
			if (out[i]->last_seen < out[oldest]->last_seen)
				oldest = i;
		}
		if (n && out[oldest]->last_seen < c->last_seen)
			out[oldest] = c;
	}
	return n;
}

void ps_guard_flows_ssh(struct ps_guard_flows *l, const struct ps_conn_table *conns, const struct ps_ports *ports,
	const struct ps_host_facts *host)
{
	const struct ps_conn *found[PS_GUARD_FLOWS_MAX / 2];
	size_t room = PS_ARRAY_SIZE(l->flow) - PS_MIN(l->n + CALLER_ROOM, PS_ARRAY_SIZE(l->flow));
	size_t n = sessions(conns, ports, found, PS_MIN(room / 2, PS_ARRAY_SIZE(found)));

	for (size_t i = 0; i < n; i++)
		add_session(l, found[i], host, PS_GUARD_SSH);
}

static bool is_callers(const struct ps_conn *c, const struct ps_guard_caller *caller)
{
	return c->proto == IPPROTO_TCP &&
	       ((c->src_port == caller->remote_port && ps_addr_equal(&c->src_ip, &caller->remote)) ||
		       (c->dst_port == caller->remote_port && ps_addr_equal(&c->dst_ip, &caller->remote)));
}

void ps_guard_flows_caller(
	struct ps_guard_flows *l, const struct ps_guard_caller *caller, const struct ps_conn_table *conns)
{
	struct ps_guard_flow flow = {
		.kind = PS_GUARD_CALLER,
		.proto = IPPROTO_TCP,
		.local = caller->local,
		.local_port = caller->local_port,
		.remote = caller->remote,
		.remote_port = caller->remote_port,
	};
	const struct ps_conn *c;
	size_t position = 0, before = l->n;
	bool ended;

	if (!caller->remote.family || ps_addr_is_loopback(&caller->remote))
		return;
	/* Behind a translation of addresses the interface sees others than the gateway does. */
	while ((c = ps_conn_table_next(conns, &position, &ended))) {
		if (ended || !is_callers(c, caller))
			continue;
		flow.connection = c->id;
		if (ps_addr_equal(&c->dst_ip, &flow.local) && c->dst_port == flow.local_port)
			break;
		if (l->n - before < CALLER_ROOM - 1) {
			struct ps_guard_flow other = flow;
			bool is_source = ps_addr_equal(&c->src_ip, &caller->remote);

			other.local = is_source ? c->dst_ip : c->src_ip;
			other.local_port = is_source ? c->dst_port : c->src_port;
			add(l, &other);
		}
	}
	add(l, &flow);
}
