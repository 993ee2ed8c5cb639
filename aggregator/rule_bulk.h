/*
 * Many rules at once, as requests bring them. Pure.
 */
#ifndef PS_AGG_RULE_BULK_H
#define PS_AGG_RULE_BULK_H

#include <stddef.h>
#include <stdint.h>

#include "aggregator/rule_array.h"
#include "common/base/error.h"
#include "common/model/value.h"

/*
 * Reads the rules of a request: `rules` (a list of maps), or `json` (the text of such a list), or `list` (lines with
 * addresses, see common/model/rule_list.h). What an element leaves out it takes from `like`, over which the request's
 * own `action` `direction` `priority` `comment` `enabled` `ttl` `mode` `source` are read, where they are given. An `id`
 * is kept, -1 = none given.
 *
 * now: wall clock, ns. -EINVAL (400) names element or line; -E2BIG when there are more than PS_RULES_MAX; -ENOMEM.
 */
struct ps_rule_bulk {
	struct ps_rule_array rules;
	size_t duplicates; /* lines that stood there twice */
	struct ps_value
		*warnings; /* list of strings: each thing that hurts once, with the first element of which it is true */
};

void ps_rule_bulk_free(struct ps_rule_bulk *bulk); /* fits _cleanup_ */
int ps_rule_bulk_read(const struct ps_value *args, const struct ps_rule *like, uint64_t now,
	struct ps_rule_bulk *ret_bulk, struct ps_error *err);
/* The same behind what `bulk` (zeroed at first) has already: elements count on. After a failure it holds some of them.
 */
int ps_rule_bulk_add(const struct ps_value *args, const struct ps_rule *like, uint64_t now, struct ps_rule_bulk *bulk,
	struct ps_error *err);

#endif
