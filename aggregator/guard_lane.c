#include "aggregator/guard_lane.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "common/base/cleanup.h"

enum {
	FIN = 0x01,
	SYN = 0x02,
	PSH = 0x08,
	ACK = 0x10,
	URG = 0x20,
	ECE = 0x40,
	CWR = 0x80,
};

/* What TCP sends (RFC 9293, with the marks of RFC 3168); RST aside, which cuts by itself. */
static const uint8_t opening_flags[] = {SYN, SYN | ECE | CWR};
static const uint8_t accepting_flags[] = {SYN | ACK, SYN | ACK | ECE};
static const uint8_t data_flags[] = {
	ACK,
	ACK | PSH,
	ACK | FIN,
	ACK | FIN | PSH,
	ACK | ECE,
	ACK | CWR,
	ACK | URG,
	ACK | PSH | ECE,
	ACK | PSH | CWR,
	ACK | PSH | URG,
};

_Static_assert(sizeof(opening_flags) + sizeof(data_flags) <= PS_LANE_FLAGS_MAX, "flags of a lane");
_Static_assert(PS_LANE_FLAGS_MAX <= 32, "one bit each");

static void add_flags(struct ps_guard_lane *lane, const uint8_t *flags, size_t n)
{
	memcpy(lane->flags + lane->n_flags, flags, n);
	lane->n_flags = (uint8_t)(lane->n_flags + n);
}

static struct ps_guard_lane lane_of(const struct ps_guard_flow *f, uint16_t index, uint8_t direction,
	const struct ps_addr *local, const struct ps_addr *remote)
{
	bool in = direction == PS_DIR_INGRESS;
	struct ps_guard_lane lane = {
		.flow = index,
		.key = {.proto = f->proto, .family = remote->family, .direction = direction},
	};

	memcpy(lane.key.saddr, (in ? remote : local)->word, sizeof(lane.key.saddr));
	memcpy(lane.key.daddr, (in ? local : remote)->word, sizeof(lane.key.daddr));
	return lane;
}

static void set_ports(const struct ps_guard_flow *f, struct ps_guard_lane *lane)
{
	bool in = lane->key.direction == PS_DIR_INGRESS;

	lane->key.sport = htons(in ? f->remote_port : f->local_port);
	lane->key.dport = htons(in ? f->local_port : f->remote_port);
	lane->any_port = f->local_port == 0;
}

static size_t tcp_lanes(const struct ps_guard_flow *f, uint16_t index, struct ps_guard_lane *lanes)
{
	for (unsigned i = 0; i < 2; i++) {
		uint8_t direction = i ? PS_DIR_EGRESS : PS_DIR_INGRESS;
		bool opens = f->outgoing == (direction == PS_DIR_EGRESS);

		lanes[i] = lane_of(f, index, direction, &f->local, &f->remote);
		set_ports(f, &lanes[i]);
		if (opens) {
			add_flags(&lanes[i], opening_flags, sizeof(opening_flags));
			lanes[i].opening = (1u << sizeof(opening_flags)) - 1;
		} else {
			add_flags(&lanes[i], accepting_flags, sizeof(accepting_flags));
		}
		add_flags(&lanes[i], data_flags, sizeof(data_flags));
	}
	return 2;
}

/* Of a flow with any local port: a lane for each kind of segment, since one object tells ports or flags apart. */
static size_t tcp_any_lanes(const struct ps_guard_flow *f, uint16_t index, struct ps_guard_lane *lanes)
{
	static const struct {
		uint8_t direction, flags;
	} rows[] = {
		{PS_DIR_EGRESS, SYN},
		{PS_DIR_INGRESS, SYN | ACK},
		{PS_DIR_EGRESS, ACK},
		{PS_DIR_INGRESS, ACK},
		{PS_DIR_EGRESS, ACK | PSH},
		{PS_DIR_INGRESS, ACK | PSH},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		lanes[i] = lane_of(f, index, rows[i].direction, &f->local, &f->remote);
		set_ports(f, &lanes[i]);
		lanes[i].key.tcp_flags = rows[i].flags;
		lanes[i].opening = rows[i].flags == SYN;
	}
	return PS_ARRAY_SIZE(rows);
}

static size_t udp_lanes(const struct ps_guard_flow *f, uint16_t index, struct ps_guard_lane *lanes)
{
	for (unsigned i = 0; i < 2; i++) {
		lanes[i] = lane_of(f, index, i ? PS_DIR_EGRESS : PS_DIR_INGRESS, &f->local, &f->remote);
		set_ports(f, &lanes[i]);
	}
	return 2;
}

static struct ps_guard_lane icmp_lane(const struct ps_guard_flow *f, uint16_t index, uint8_t direction, uint8_t type,
	const struct ps_addr *local, const struct ps_addr *remote)
{
	struct ps_guard_lane lane = lane_of(f, index, direction, local, remote);

	lane.key.sport = htons(type);
	return lane;
}

static struct ps_addr multicast(uint8_t last)
{
	struct ps_addr a = {.family = PS_FAMILY_IPV6, .word = {htonl(0xff020000), 0, 0, htonl(last)}};

	return a;
}

/* RFC 4291, 2.7.1 */
static struct ps_addr solicited_node(const struct ps_addr *of)
{
	struct ps_addr a = {
		.family = PS_FAMILY_IPV6,
		.word = {htonl(0xff020000), 0, htonl(1), htonl(0xff000000 | (ntohl(of->word[3]) & 0xffffff))},
	};

	return a;
}

/* RFC 4861: both ask for each other and answer; the router announces itself, and is asked to. */
static size_t discovery_lanes(const struct ps_guard_flow *f, uint16_t index, struct ps_guard_lane *lanes)
{
	const struct ps_addr all_nodes = multicast(1), all_routers = multicast(2);
	const struct ps_addr local_node = solicited_node(&f->local), remote_node = solicited_node(&f->remote);
	const struct {
		uint8_t direction, type;
		const struct ps_addr *local, *remote;
	} rows[] = {
		{PS_DIR_EGRESS, 133, &f->local, &all_routers},
		{PS_DIR_INGRESS, 134, &f->local, &f->remote},
		{PS_DIR_INGRESS, 134, &all_nodes, &f->remote},
		{PS_DIR_EGRESS, 135, &f->local, &f->remote},
		{PS_DIR_EGRESS, 135, &f->local, &remote_node},
		{PS_DIR_INGRESS, 135, &f->local, &f->remote},
		{PS_DIR_INGRESS, 135, &local_node, &f->remote},
		{PS_DIR_EGRESS, 136, &f->local, &f->remote},
		{PS_DIR_INGRESS, 136, &f->local, &f->remote},
	};

	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++)
		lanes[i] = icmp_lane(f, index, rows[i].direction, rows[i].type, rows[i].local, rows[i].remote);
	return PS_ARRAY_SIZE(rows);
}

static size_t icmp_lanes(const struct ps_guard_flow *f, uint16_t index, struct ps_guard_lane *lanes)
{
	bool six = f->proto == IPPROTO_ICMPV6;
	const uint8_t types[] = {six ? 128 : 8, six ? 129 : 0};
	size_t n = 0;

	for (unsigned i = 0; i < 2; i++) {
		lanes[n++] = icmp_lane(f, index, PS_DIR_INGRESS, types[i], &f->local, &f->remote);
		lanes[n++] = icmp_lane(f, index, PS_DIR_EGRESS, types[i], &f->local, &f->remote);
	}
	return six ? n + discovery_lanes(f, index, lanes + n) : n;
}

size_t ps_guard_lanes(
	const struct ps_guard_flow *flow, uint16_t index, struct ps_guard_lane ret_lanes[static PS_FLOW_LANES_MAX])
{
	switch (flow->proto) {
	case IPPROTO_TCP:
		return flow->local_port ? tcp_lanes(flow, index, ret_lanes) : tcp_any_lanes(flow, index, ret_lanes);
	case IPPROTO_UDP:
		return udp_lanes(flow, index, ret_lanes);
	default:
		return icmp_lanes(flow, index, ret_lanes);
	}
}

/* Most rules speak of other hosts: this is what a set of a hundred thousand pays a lane. */
static inline bool net_may(const struct ps_net *net, uint8_t family, const uint32_t word[4])
{
	if (!net->addr.family)
		return true;
	if (net->addr.family != family)
		return false;
	if (family == PS_FAMILY_IPV4 && net->len == 32)
		return net->addr.word[0] == word[0];
	return ps_net_has(net, family, word);
}

static inline bool addresses_may(const struct ps_guard_lane *lane, const struct ps_rule *rule)
{
	return (rule->direction & lane->key.direction) && net_may(&rule->src_ip, lane->key.family, lane->key.saddr) &&
	       net_may(&rule->dst_ip, lane->key.family, lane->key.daddr);
}

uint32_t ps_guard_lane_match(const struct ps_guard_lane *lane, const struct ps_rule *rule)
{
	struct ps_rule_key key = lane->key;
	uint32_t mask = 0;

	if (!addresses_may(lane, rule))
		return 0;
	if (!rule->tcp_flags_mask || !lane->n_flags) {
		if (!ps_rule_matches(rule, &key, NULL))
			return 0;
		return lane->n_flags ? (uint32_t)((1ull << lane->n_flags) - 1) : 1;
	}
	for (unsigned i = 0; i < lane->n_flags; i++) {
		key.tcp_flags = lane->flags[i];
		if (ps_rule_matches(rule, &key, NULL))
			mask |= 1u << i;
	}
	return mask;
}

static const struct ps_ports *local_ports(const struct ps_guard_lane *lane, const struct ps_rule *rule)
{
	return lane->key.direction == PS_DIR_INGRESS ? &rule->dst_port : &rule->src_port;
}

static bool matches_with(const struct ps_guard_lane *lane, const struct ps_rule *rule, uint16_t port)
{
	struct ps_rule_key key = lane->key;

	*(lane->key.direction == PS_DIR_INGRESS ? &key.dport : &key.sport) = htons(port);
	return ps_rule_matches(rule, &key, NULL);
}

static void set_bits(struct ps_guard_ports *p, unsigned lo, unsigned hi)
{
	for (unsigned i = lo - PS_GUARD_PORT_LO; i <= hi - PS_GUARD_PORT_LO; i++)
		p->bits[i / 64] |= 1ull << (i % 64);
}

bool ps_guard_lane_ports(const struct ps_guard_lane *lane, const struct ps_rule *rule, struct ps_guard_ports *ret_ports)
{
	const struct ps_ports *ports = local_ports(lane, rule);
	const struct ps_port_range *range = ps_ports_ranges(ports);
	bool any = false;

	if (!addresses_may(lane, rule))
		return false;
	if (!ports->n) {
		if (!matches_with(lane, rule, PS_GUARD_PORT_LO))
			return false;
		set_bits(ret_ports, PS_GUARD_PORT_LO, PS_GUARD_PORT_HI);
		return true;
	}
	for (unsigned i = 0; i < ports->n; i++) {
		unsigned lo = PS_MAX(range[i].lo, PS_GUARD_PORT_LO), hi = PS_MIN(range[i].hi, PS_GUARD_PORT_HI);

		if (lo > hi || !matches_with(lane, rule, (uint16_t)lo))
			continue;
		set_bits(ret_ports, lo, hi);
		any = true;
	}
	return any;
}

bool ps_guard_lane_touches(const struct ps_guard_lane *lane, const struct ps_rule *rule)
{
	const struct ps_ports *ports = local_ports(lane, rule);
	const struct ps_port_range *range = ps_ports_ranges(ports);

	if (!lane->any_port)
		return ps_guard_lane_match(lane, rule) != 0;
	if (!addresses_may(lane, rule))
		return false;
	if (!ports->n)
		return matches_with(lane, rule, PS_GUARD_PORT_LO);
	for (unsigned i = 0; i < ports->n; i++) {
		unsigned lo = PS_MAX(range[i].lo, PS_GUARD_PORT_LO), hi = PS_MIN(range[i].hi, PS_GUARD_PORT_HI);

		if (lo <= hi && matches_with(lane, rule, (uint16_t)lo))
			return true;
	}
	return false;
}

bool ps_guard_flags_live(const struct ps_rule *rule)
{
	const struct {
		const uint8_t *flags;
		size_t n;
	} kinds[] = {
		{opening_flags, sizeof(opening_flags)},
		{accepting_flags, sizeof(accepting_flags)},
		{data_flags, sizeof(data_flags)},
	};

	if (!rule->tcp_flags_mask)
		return true;
	for (size_t k = 0; k < PS_ARRAY_SIZE(kinds); k++) {
		for (size_t i = 0; i < kinds[k].n; i++) {
			if ((kinds[k].flags[i] & rule->tcp_flags_mask) == rule->tcp_flags)
				return true;
		}
	}
	return false;
}
