#include "aggregator/rule_stage.h"

#include <errno.h>

#include "aggregator/limits.h"

void ps_rule_stage_drop(struct ps_rule_stage *stage)
{
	ps_rule_bulk_free(&stage->bulk);
	*stage = (struct ps_rule_stage){0};
}

void ps_rule_stage_expire(struct ps_rule_stage *stage, uint64_t boot)
{
	if (stage->id && boot > stage->touched + PS_STAGE_SILENT_NS)
		ps_rule_stage_drop(stage);
}

static int find(const struct ps_rule_stage *stage, uint64_t id, struct ps_error *err)
{
	if (id && id == stage->id)
		return 0;
	return ps_error_set(err, -ENOENT, 404, "no_stage", "stage",
		"the rules that came before are not there any more; send all of them again");
}

int ps_rule_stage_add(struct ps_rule_stage *stage, uint64_t id, const struct ps_value *args, const struct ps_rule *like,
	uint64_t boot, uint64_t now, struct ps_error *err)
{
	int r;

	ps_rule_stage_expire(stage, boot);
	if (id) {
		r = find(stage, id, err);
		if (r < 0)
			return r;
	} else if (stage->id) {
		return ps_error_set(err, -EBUSY, 503, "busy", "",
			"another large set of rules is on its way in; try again when it has arrived");
	} else {
		stage->id = boot; /* of no other stage, in this run of ours or another */
	}
	stage->touched = boot;
	r = ps_rule_bulk_add(args, like, now, &stage->bulk, err);
	if (r < 0)
		ps_rule_stage_drop(stage);
	return r;
}

int ps_rule_stage_take(struct ps_rule_stage *stage, uint64_t id, struct ps_rule_bulk *ret_bulk, struct ps_error *err)
{
	int r = find(stage, id, err);

	if (r < 0)
		return r;
	*ret_bulk = stage->bulk;
	*stage = (struct ps_rule_stage){0};
	return 0;
}
