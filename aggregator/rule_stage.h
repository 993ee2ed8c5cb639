/*
 * Rules on their way in: a set that is too large for one request comes in pieces and takes effect with the last one.
 * One at a time; who falls silent loses what he brought. Pure.
 */
#ifndef PS_AGG_RULE_STAGE_H
#define PS_AGG_RULE_STAGE_H

#include "aggregator/rule_bulk.h"

struct ps_rule_stage {
	uint64_t id;      /* 0 = nobody brings rules */
	uint64_t touched; /* boot time of the last piece, ns */
	struct ps_rule_bulk bulk;
};

void ps_rule_stage_drop(struct ps_rule_stage *stage); /* empty afterwards; fits _cleanup_ */
/* Drops what was not touched for PS_STAGE_SILENT_NS. Called with each tick. */
void ps_rule_stage_expire(struct ps_rule_stage *stage, uint64_t boot);

/*
 * Adds a piece, as ps_rule_bulk_add reads it. id 0 begins a stage, whose id stage->id then is. err: 404 ("no_stage",
 * -ENOENT) when it is not, or no longer, there; 503 ("busy", -EBUSY) while somebody else brings rules; what
 * ps_rule_bulk_add says, and then the stage is gone.
 */
int ps_rule_stage_add(struct ps_rule_stage *stage, uint64_t id, const struct ps_value *args, const struct ps_rule *like,
	uint64_t boot, uint64_t now, struct ps_error *err);
/* Ends a stage: what it holds is the caller's. 404 as above. */
int ps_rule_stage_take(struct ps_rule_stage *stage, uint64_t id, struct ps_rule_bulk *ret_bulk, struct ps_error *err);

#endif
