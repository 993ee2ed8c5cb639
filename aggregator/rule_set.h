/*
 * From a list of rules to what the kernel part looks up: tuples (which fields are tested) in the order of their best
 * rule, and the rules as masked keys in hash slots (bpf/abi.h, bpf/rule_hash.h). Pure.
 */
#ifndef PS_AGG_RULE_SET_H
#define PS_AGG_RULE_SET_H

#include <stddef.h>

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/rule.h"

/* One half of ps_rule_sets and ps_rule_slots. About 800 KB. */
struct ps_rule_image {
	struct ps_rule_set set; /* generation 0: the installer gives one */
	struct ps_rule_slot slots[PS_RULE_SLOTS];
};

/*
 * Compiles the enabled ones of the rules, in any order. The first match by (priority, id) decides; of rules with the
 * same masked key only the first can, and the others take no slot. *ret_image is the caller's (free).
 *
 * -ENOSPC (507, "rules_full"): more combinations of tested fields than PS_RULE_TUPLES, or no layout in which every rule
 * is within PS_RULE_PROBES of its place; -ENOMEM.
 */
int ps_rule_set_compile(const struct ps_rule *rules, size_t n, struct ps_rule_image **ret_image, struct ps_error *err);

#endif
