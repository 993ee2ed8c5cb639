/*
 * The first match of a packet among the rules of a set, without going through them one by one: what the kernel part
 * does with its maps, in user space, for questions about packets that are not there. Rules are sorted into one bucket
 * each, by the field that tells most (an address, else a port); a packet looks into the few buckets that it can be in
 * and asks ps_rule_matches of what it finds. Pure.
 */
#ifndef PS_AGG_RULE_SEARCH_H
#define PS_AGG_RULE_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "aggregator/rule_guard.h"

struct ps_rule_search;

/* Of the rules that are enabled, enforced and not over at `now` (wall clock, ns). The set must outlive it. -ENOMEM. */
int ps_rule_search_new(const struct ps_rule_view *set, uint64_t now, struct ps_rule_search **ret_index);
void ps_rule_search_free(struct ps_rule_search **index);

/*
 * The rule that decides, or NULL. before: only rules that come before that one in (priority, id), and not that one's
 * id; NULL = all.
 */
const struct ps_rule *ps_rule_search_find(const struct ps_rule_search *x, const struct ps_rule_key *key,
	const struct ps_rule_inner *inner, const struct ps_rule *before);

/* The same without an index, by going through them: for a few questions to a large set. */
const struct ps_rule *ps_rule_first(const struct ps_rule_view *set, uint64_t now, const struct ps_rule_key *key,
	const struct ps_rule_inner *inner, const struct ps_rule *before);

#endif
