/*
 * What a guarded flow looks like to the rules: lanes, which are packets of one flow in one direction that differ only
 * in TCP flags or in the local port. Private to the guard.
 */
#ifndef PS_AGG_GUARD_LANE_H
#define PS_AGG_GUARD_LANE_H

#include "aggregator/rule_guard.h"
#include "bpf/abi.h"

#define PS_LANE_FLAGS_MAX 24

struct ps_guard_lane {
	struct ps_rule_key key; /* without TCP flags; with any_port: without the local port */
	uint16_t flow;          /* index of its flow */
	uint8_t n_flags;        /* 0: the flags of the key are the only ones */
	bool any_port;
	uint8_t flags[PS_LANE_FLAGS_MAX];
	uint32_t opening; /* bit i: flags[i] opens a connection */
};

/* Lanes of one flow at most: neighbour discovery has the most. */
#define PS_FLOW_LANES_MAX 20

/* Appends the lanes of a flow; returns how many. */
size_t ps_guard_lanes(
	const struct ps_guard_flow *flow, uint16_t index, struct ps_guard_lane ret_lanes[static PS_FLOW_LANES_MAX]);

/*
 * Which of its packets the rule matches: bit i stands for flags[i], bit 0 for a lane without. For any_port lanes use
 * ps_guard_lane_ports.
 */
uint32_t ps_guard_lane_match(const struct ps_guard_lane *lane, const struct ps_rule *rule);

/* Bits of the local ports PS_GUARD_PORT_LO…PS_GUARD_PORT_HI. */
#define PS_GUARD_PORT_LO 32768u
#define PS_GUARD_PORT_HI 60999u
#define PS_GUARD_PORTS (PS_GUARD_PORT_HI - PS_GUARD_PORT_LO + 1)
struct ps_guard_ports {
	uint64_t bits[(PS_GUARD_PORTS + 63) / 64];
};
/* Sets the bits of the local ports with which the rule matches; false if there are none. */
bool ps_guard_lane_ports(
	const struct ps_guard_lane *lane, const struct ps_rule *rule, struct ps_guard_ports *ret_ports);
/* Does it match with any local port? Cheap. */
bool ps_guard_lane_touches(const struct ps_guard_lane *lane, const struct ps_rule *rule);

/* Can any packet that TCP sends match, as far as its flags go? Rules that test none can. */
bool ps_guard_flags_live(const struct ps_rule *rule);

#endif
