/*
 * A list of rules in the form that the kernel part looks up, in plain memory. Kept between changes, so that one rule
 * more or less costs as much as that rule, not as the list. Pure: times are arguments.
 *
 * What it holds is put in force by rule_install.h.
 */
#ifndef PS_AGG_RULE_SET_H
#define PS_AGG_RULE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/base/error.h"
#include "common/model/rule_compile.h"

struct ps_rule_set;

/* An empty set. -ENOMEM. */
int ps_rule_set_new(struct ps_rule_set **ret_set);
void ps_rule_set_free(struct ps_rule_set **set);

/*
 * Compiles the enabled ones of the rules, in any order; the first match by (priority, id) decides. wall_offset: wall
 * minus boot clock, ns, for the rules' deadlines. A failure leaves the set as it was:
 *
 *	-ENOSPC (507, "rules_full"): more than PS_RULE_UNITS_MAX units (a rule takes one, and one more for each further
 *	combination of port ranges), or rules that can't be told apart by what the kernel part indexes;
 *	-ENOMEM (507, "no_memory").
 */
int ps_rule_set_compile(
	struct ps_rule_set *set, const struct ps_rule *rules, size_t n, int64_t wall_offset, struct ps_error *err);

/*
 * The same where one rule differs from the list of the last call: `before` was in it (NULL: the rule is new), `after`
 * is in it now (NULL: it is gone). `rules` is the whole list as it is now; it is only looked at when the change does
 * not fit in place.
 */
int ps_rule_set_change(struct ps_rule_set *set, const struct ps_rule *rules, size_t n, const struct ps_rule *before,
	const struct ps_rule *after, int64_t wall_offset, struct ps_error *err);

/* Takes the last successful compile or change back. Only once, and only before the set is installed. */
void ps_rule_set_undo(struct ps_rule_set *set);

#endif
