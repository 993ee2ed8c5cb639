/*
 * From a rule to what the kernel part looks up.
 */
#ifndef PS_RULE_COMPILE_H
#define PS_RULE_COMPILE_H

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/rule.h"

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
 * -ENOTSUP (507) for what the kernel part cannot do: networks, port ranges, shadow, rate_limit, expiry.
 */
#define PS_RULE_ENTRIES_MAX 2
int ps_rule_compile(
	const struct ps_rule *rule, struct ps_rule_entry ret_entry[static PS_RULE_ENTRIES_MAX], struct ps_error *err);

#endif
