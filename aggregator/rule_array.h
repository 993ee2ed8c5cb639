/*
 * Rules in order of id, each once. Owns them. Pure.
 */
#ifndef PS_AGG_RULE_ARRAY_H
#define PS_AGG_RULE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "common/model/rule.h"

struct ps_rule_array {
	struct ps_rule *rules;
	size_t n, room;
};

void ps_rule_array_free(struct ps_rule_array *a); /* leaves it empty; fits _cleanup_ */
/* Room for `n` rules in all, so that as many can be put without failing. -ENOMEM. */
int ps_rule_array_reserve(struct ps_rule_array *a, size_t n);

size_t ps_rule_array_position(
	const struct ps_rule_array *a, int64_t id); /* of the first with that id or a higher one */
struct ps_rule *ps_rule_array_find(const struct ps_rule_array *a, int64_t id);
/* From `from` on, the lowest id that no rule has. */
int32_t ps_rule_array_free_id(const struct ps_rule_array *a, int32_t from);

/* Moves the rule in; one with the same id must not be there. -ENOMEM leaves it the caller's. */
int ps_rule_array_put(struct ps_rule_array *a, struct ps_rule *rule);
/* Moves the rule number i out. */
struct ps_rule ps_rule_array_take(struct ps_rule_array *a, size_t i);
/* Sorts by id what was appended in any order by hand. -EINVAL fills err: an id stands there twice. */
int ps_rule_array_sort(struct ps_rule_array *a, struct ps_error *err);

#endif
