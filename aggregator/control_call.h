/*
 * A request on its way through its handler. Private to the control_*.c files.
 */
#ifndef PS_AGG_CONTROL_CALL_H
#define PS_AGG_CONTROL_CALL_H

#include "aggregator/control.h"
#include "aggregator/rule_preview.h"

struct ps_call {
	struct ps_aggregator *a;
	struct ps_publisher *state;
	const struct ps_request *req;
	const struct ps_agg_time *now;
	struct ps_answer *answer;
};

/* A handler fills the answer: 0, or -errno with the reason in answer->error. */
int ps_call_no_memory(struct ps_call *c);

/* control_rules.c: one rule */
int ps_call_rules_list(struct ps_call *c);
int ps_call_rules_get(struct ps_call *c);
int ps_call_rules_create(struct ps_call *c);
int ps_call_rules_update(struct ps_call *c);
int ps_call_rules_delete(struct ps_call *c);
int ps_call_rules_enable(struct ps_call *c);
int ps_call_rules_disable(struct ps_call *c);
int ps_call_rules_promote(struct ps_call *c);
int ps_call_rules_confirm(struct ps_call *c);
/* control_bulk.c: many rules */
int ps_call_rules_stage(struct ps_call *c);
int ps_call_rules_replace(struct ps_call *c);
int ps_call_rules_import(struct ps_call *c);
/* control_guard.c: what a change would do, and what it must not */
int ps_call_rules_preview(struct ps_call *c);
int ps_call_protected_get(struct ps_call *c);
int ps_call_protected_set(struct ps_call *c);

/* --- shared by the three --- */

/* Who asks, and on what terms: made from the arguments, freed with it. */
struct ps_call_actor {
	struct ps_rule_actor actor;
	struct ps_guard guard;
	struct ps_value *report;
};
/* -EINVAL names the argument. The terms: caller, force, confirm_within, if_generation. */
int ps_call_actor(struct ps_call *c, struct ps_call_actor *ret_actor);
void ps_call_actor_free(struct ps_call_actor *a);
/* A change was refused: what the guard said goes into the answer. Returns r. */
int ps_call_refused(struct ps_call *c, struct ps_call_actor *a, int r);

/* Impact of a candidate, or of a set, on what is known now. One of the two is NULL. */
int ps_call_preview(struct ps_call *c, const struct ps_rule *candidate, const struct ps_rule_view *set,
	struct ps_preview *ret_preview);
/* {live, ended, …}, `guard` (owned by the result; NULL = without). NULL on no memory. */
struct ps_value *ps_preview_value(const struct ps_preview *p, struct ps_value *guard);

/* Tells the bus of a change that is in force. */
void ps_call_tell(struct ps_call *c, const char *action, const struct ps_rule_result *res);

#endif
