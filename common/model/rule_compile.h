/*
 * From a rule to what the kernel part compares a packet with: units (bpf/abi.h). A unit has one range of ports in each
 * place, and its range lies within one port prefix, so that it can be indexed by that: a rule with lists, or with
 * ranges across a power of two, is several units, one for each combination.
 */
#ifndef PS_RULE_COMPILE_H
#define PS_RULE_COMPILE_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/limits.h"
#include "common/model/rule.h"

/* A range of ports within one prefix. */
struct ps_port_piece {
	uint16_t lo, hi;
	uint8_t len; /* leading bits that all of them share; 0 = no test, or no bit */
};

/* A list of ports in pieces: each of its ranges is one or two. */
struct ps_port_pieces {
	uint16_t n; /* at least 1 */
	struct ps_port_piece piece[2 * PS_RULE_PORTS_MAX];
};

/* A rule that is being compiled. */
struct ps_rule_units {
	const struct ps_rule *rule;
	struct ps_port_pieces sport, dport, inner_sport, inner_dport;
	uint32_t n; /* units that it stands for */
	bool quoted;
};

/* One of them: the unit, without what depends on its place (next), and the one for the quoted packet. */
struct ps_rule_unit_pair {
	struct ps_rule_unit unit;
	struct ps_rule_unit quoted;   /* zero unless unit.flags has PS_UNIT_QUOTED */
	uint8_t sport_len, dport_len; /* of the port prefixes; a single port has 16 */
	uint8_t inner_sport_len, inner_dport_len;
};

/* Prepares; the rule must stay while the units are made. The rule's id must be known. */
void ps_rule_units_init(const struct ps_rule *rule, struct ps_rule_units *ret_units);

/* Number k (below n) of them. */
void ps_rule_units_get(const struct ps_rule_units *units, uint32_t k, struct ps_rule_unit_pair *ret_pair);

/* Where the rule stands among others: lower decides first. */
uint64_t ps_rule_rank(const struct ps_rule *rule);

#endif
