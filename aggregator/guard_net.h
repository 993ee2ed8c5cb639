/*
 * May a drop rule match packets of a protected network? Private to the guard.
 */
#ifndef PS_AGG_GUARD_NET_H
#define PS_AGG_GUARD_NET_H

#include "aggregator/rule_guard.h"

/* The rules of a set that count at this moment and are worth knowing beside the one that is looked at. */
struct ps_guard_allows {
	const struct ps_rule **rule;
	size_t n;
};

/* Allow rules of the set that protect something. -ENOMEM. */
int ps_guard_allows_of(const struct ps_rule_view *set, uint64_t now, struct ps_guard_allows *ret_allows);
void ps_guard_allows_free(struct ps_guard_allows *allows);

/* Could the drop rule cut something of the network, given what is allowed before it? */
bool ps_guard_exposes(const struct ps_guard_allows *allows, const struct ps_rule *drop, const struct ps_net *net);

/* Is the rule in force now, and drops? And: allows, and will go on to? */
bool ps_guard_drops(const struct ps_rule *rule, uint64_t now);
bool ps_guard_allows_for_good(const struct ps_rule *rule, uint64_t now);

#endif
