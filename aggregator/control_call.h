/*
 * A request on its way through its handler. Private to control.c and control_rules.c.
 */
#ifndef PS_AGG_CONTROL_CALL_H
#define PS_AGG_CONTROL_CALL_H

#include "aggregator/control.h"

struct ps_call {
	struct ps_aggregator *a;
	struct ps_publisher *state;
	const struct ps_request *req;
	const struct ps_agg_time *now;
	struct ps_answer *answer;
};

/* A handler fills the answer: 0, or -errno with the reason in answer->error. */
int ps_call_no_memory(struct ps_call *c);

int ps_call_rules_list(struct ps_call *c);
int ps_call_rules_get(struct ps_call *c);
int ps_call_rules_create(struct ps_call *c);
int ps_call_rules_update(struct ps_call *c);
int ps_call_rules_delete(struct ps_call *c);
int ps_call_rules_enable(struct ps_call *c);
int ps_call_rules_disable(struct ps_call *c);

#endif
