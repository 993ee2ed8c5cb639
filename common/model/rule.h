/*
 * A filter rule: parsing, validation, printing, matching. Pure: no clock, no file, no log.
 *
 * This version tests exact addresses, single ports, protocols, TCP flags under a mask, ICMP type and code, and the
 * packet quoted in an ICMP error. The table rule.def drives parse and print.
 */
#ifndef PS_RULE_H
#define PS_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/addr.h"
#include "common/model/value.h"

enum ps_rule_type {
	PS_RULE_BASIC,
	PS_RULE_TCP,
	PS_RULE_UDP,
	PS_RULE_ICMP,
};

enum ps_rule_source {
	PS_SOURCE_USER,
	PS_SOURCE_AI,
	PS_SOURCE_DETECTOR,
	PS_SOURCE_IMPORT,
};

#define PS_RULE_ANY (-1) /* protocol, icmp_type, icmp_code, inner_protocol: no test */

struct ps_rule {
	int32_t id; /* -1: not given yet */
	enum ps_rule_type rule_type;
	int16_t protocol;                  /* IP protocol number or PS_RULE_ANY */
	struct ps_addr src_ip, dst_ip;     /* family 0 = any */
	uint16_t src_port, dst_port;       /* host byte order, 0 = any */
	uint8_t tcp_flags, tcp_flags_mask; /* mask 0 = no test */
	int16_t icmp_type, icmp_code;
	struct ps_addr inner_src_ip, inner_dst_ip;
	int16_t inner_protocol;
	uint16_t inner_src_port, inner_dst_port;
	uint8_t direction; /* bits of enum ps_direction; 3 = both */
	uint8_t action;    /* PS_RULE_ACTION_* */
	bool enabled;
	int32_t priority;
	enum ps_rule_source source;
	char comment[516]; /* at most PS_RULE_COMMENT_MAX bytes */
};

/* The defaults: basic, matches everything, drop, ingress, disabled, priority 1000. */
void ps_rule_defaults(struct ps_rule *ret_rule);

/*
 * Reads the fields that `body` (a map) gives over `base`: defaults for POST, the stored rule for PUT and PATCH. Missing
 * fields stay. `id` may be given only if it equals base->id (or base->id is -1, then it is ignored).
 * -EINVAL fills err with field, value and remedy: unknown field, wrong kind, out of range, field that the rule's type
 * cannot have, families that contradict each other, body that is not a map. For members that hold their default (any,
 * 0, 255, "") "not for this type" is no error, since a GET answer posted back must be accepted.
 *
 * What is derived follows what it comes from: protocol follows rule_type (and, for icmp, the addresses' family), and
 * tcp_flags_mask follows tcp_flags, unless given. A stored value that equals the derived one counts as derived.
 */
int ps_rule_merge(
	const struct ps_rule *base, const struct ps_value *body, struct ps_rule *ret_rule, struct ps_error *err);

/* All fields as understood, in table order: addresses "any" or text, ports as numbers, ICMP any = 255, tcp_flags as
 * numbers. */
struct ps_value *ps_rule_to_value(const struct ps_rule *rule);

/* Same match and action (id, comment, source, enabled, priority aside)? */
bool ps_rule_same_match(const struct ps_rule *a, const struct ps_rule *b);

/*
 * The naive reference: would this rule match that packet? `key` is a whole packet as bpf/classify.h sees it, `inner`
 * the quoted packet (family 0 = none readable). Follows the kernel's reading word by word; tests compare the two.
 */
bool ps_rule_matches(const struct ps_rule *rule, const struct ps_rule_key *key, const struct ps_rule_inner *inner);

/*
 * A rule as the kernel looks it up: the tuple (mask, inner_mask, flags; best_rank is 0, the compiler of the whole set
 * knows it) and the masked keys. Two entries belong to the same tuple only if mask, inner_mask AND flags are equal:
 * "ICMP type" and "source port" stand in the same place of the key and differ in flags.
 */
struct ps_rule_entry {
	struct ps_rule_tuple tuple;
	struct ps_rule_key key;
	struct ps_rule_inner inner;
};

/*
 * Compiles to the 1 or 2 entries that stand for the rule, all with its rank and id; returns how many. A port test with
 * protocol any takes two (TCP and UDP), since in an ICMP message the same place of the key holds type and code.
 */
#define PS_RULE_ENTRIES_MAX 2
unsigned ps_rule_compile(const struct ps_rule *rule, struct ps_rule_entry ret_entry[static PS_RULE_ENTRIES_MAX]);

/*
 * Sentences about what is legal but hurts, as a list of strings: dropping ICMP type 3 breaks path-MTU discovery; SYN
 * mask 2 also matches SYN+ACK; a rule that matches everything. NULL on no memory.
 */
struct ps_value *ps_rule_warnings(const struct ps_rule *rule);

#endif
