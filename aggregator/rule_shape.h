/*
 * Which of its fields a unit can be found by, and how units of different shapes come to share at most PS_RULE_TUPLES
 * tuples: a tuple may look at less than its units test (TupleMerge, Daly and Torng 2017), never at more.
 */
#ifndef PS_AGG_RULE_SHAPE_H
#define PS_AGG_RULE_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "common/model/rule_compile.h"

/* Leading bits of addresses and ports, and whether protocol and family are tested (0 or 1). No padding. */
struct ps_shape_part {
	uint8_t slen, dlen, sport, dport, proto, family;
};

struct ps_rule_shape {
	struct ps_shape_part outer, inner; /* inner: of the quoted packet */
	uint8_t quoted;
	uint8_t zero[3];
};

struct ps_rule_shape ps_rule_shape_of(const struct ps_rule_unit_pair *pair);

/* The masks and flags of a tuple of that shape; the rest of it is zero. */
void ps_rule_shape_tuple(const struct ps_rule_shape *shape, struct ps_rule_tuple *ret_tuple);

/* Can units of this shape be found in a tuple of that one? */
bool ps_rule_shape_fits(const struct ps_rule_shape *unit, const struct ps_rule_shape *tuple);

/* Bits of the unit's shape that the tuple does not look at. */
unsigned ps_rule_shape_loss(const struct ps_rule_shape *unit, const struct ps_rule_shape *tuple);

/* The shapes of a set, how many units have each, and which tuple they go to. */
struct ps_shape_plan;

int ps_shape_plan_new(struct ps_shape_plan **ret_plan);
void ps_shape_plan_free(struct ps_shape_plan **plan);

/* Counts a unit of that shape. The shape's number, or -ENOMEM. */
int ps_shape_plan_count(struct ps_shape_plan *plan, const struct ps_rule_shape *shape);

/*
 * Gives each shape its tuple: one for each shape while there are few enough; then those with the least units join
 * others that look at little less. -ENOMEM.
 */
int ps_shape_plan_settle(struct ps_shape_plan *plan);

/* After that. */
unsigned ps_shape_plan_tuples(const struct ps_shape_plan *plan);
const struct ps_rule_shape *ps_shape_plan_tuple(const struct ps_shape_plan *plan, unsigned tuple);
unsigned ps_shape_plan_tuple_of(const struct ps_shape_plan *plan, int shape);

/* The tuple did not hold its units: the next settle spares the shapes in it. False if it holds one shape only. */
bool ps_shape_plan_spare(struct ps_shape_plan *plan, unsigned tuple);

#endif
