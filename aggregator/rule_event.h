/* What the bus says of a change of the rules. Pure. */
#ifndef PS_AGG_RULE_EVENT_H
#define PS_AGG_RULE_EVENT_H

#include "aggregator/rule_store.h"

/*
 * {action, id, who, generation, before, after}; of many rules id is null, and before and after are {"rules": n}. `now`
 * is wall clock, ns. NULL on no memory.
 */
struct ps_value *ps_rule_event(const struct ps_rule_store *s, const char *action, const char *who,
	const struct ps_rule_result *res, uint64_t now, int64_t wall_offset);

#endif
