/* The operations on many rules at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/control_call.h"
#include "aggregator/rule_bulk.h"
#include "common/base/cleanup.h"

static int impact_of(struct ps_call *c, const struct ps_rule_array *rules, struct ps_value **ret_impact)
{
	const struct ps_rule_view set = {.rules = rules->rules, .n = rules->n};
	struct ps_preview p = {0};
	int r = ps_call_preview(c, NULL, &set, &p);

	if (r < 0)
		return r;
	*ret_impact = ps_preview_value(&p, NULL);
	return *ret_impact ? 0 : ps_call_no_memory(c);
}

static int answer_replaced(struct ps_call *c, size_t n, struct ps_value *warnings, struct ps_value *impact)
{
	_cleanup_(ps_value_free) struct ps_value *w = warnings, *i = impact;

	c->answer->body = ps_value_map();
	if (!c->answer->body ||
		ps_value_set(c->answer->body, "generation", ps_value_uint(ps_rule_store_revision(c->a->rules))) < 0 ||
		ps_value_set(c->answer->body, "rules", ps_value_uint(n)) < 0 ||
		ps_value_set(c->answer->body, "pending", ps_rule_store_pending(c->a->rules)) < 0 ||
		ps_value_set(c->answer->body, "warnings", PS_TAKE(w)) < 0 ||
		ps_value_set(c->answer->body, "impact", PS_TAKE(i)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

/* What an element leaves out. */
static struct ps_rule defaults_of(bool import)
{
	struct ps_rule like;

	ps_rule_defaults(&like);
	if (import) {
		like.enabled = true;
		like.source = PS_SOURCE_IMPORT;
	}
	return like;
}

static int stage_id(struct ps_call *c, uint64_t *ret_id)
{
	const struct ps_value *v = ps_value_get(c->req->args, "stage");
	int64_t id = 0;

	if (v && (!ps_value_is_integer(v, &id) || id <= 0))
		return ps_error_set(&c->answer->error, -EINVAL, 400, "bad_value", "stage",
			"a stage is the number that the first piece was answered with");
	*ret_id = (uint64_t)id;
	return 0;
}

/* All rules of a request: those that came before it in pieces, and its own. */
static int read_bulk(struct ps_call *c, bool import, uint64_t time, struct ps_rule_bulk *ret_bulk)
{
	const struct ps_rule like = defaults_of(import);
	uint64_t stage = 0;
	int r = stage_id(c, &stage);

	if (r < 0)
		return r;
	if (!stage)
		return ps_rule_bulk_read(c->req->args, &like, time, ret_bulk, &c->answer->error);
	r = ps_rule_stage_add(&c->a->stage, stage, c->req->args, &like, c->now->boot, time, &c->answer->error);
	return r < 0 ? r : ps_rule_stage_take(&c->a->stage, stage, ret_bulk, &c->answer->error);
}

int ps_call_rules_stage(struct ps_call *c)
{
	const struct ps_rule like =
		defaults_of(strcmp(ps_value_get_string(c->req->args, "for", ""), "rules.import") == 0);
	uint64_t stage = 0;
	int r = stage_id(c, &stage);

	c->answer->body = ps_value_map();
	if (r >= 0 && ps_value_get_bool(c->req->args, "drop", false)) {
		if (stage == c->a->stage.id)
			ps_rule_stage_drop(&c->a->stage);
		return c->answer->body ? 0 : ps_call_no_memory(c);
	}
	if (r >= 0)
		r = ps_rule_stage_add(
			&c->a->stage, stage, c->req->args, &like, c->now->boot, ps_agg_wall(c->now), &c->answer->error);
	if (r < 0)
		return r;
	if (ps_value_set(c->answer->body, "stage", ps_value_uint(c->a->stage.id)) < 0 ||
		ps_value_set(c->answer->body, "rules", ps_value_uint(c->a->stage.bulk.rules.n)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

int ps_call_rules_replace(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_bulk_free) struct ps_rule_bulk bulk = {0};
	_cleanup_(ps_value_free) struct ps_value *impact = NULL;
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	bool dry = ps_value_get_bool(c->req->args, "dry_run", false);
	size_t n;
	int r = ps_call_actor(c, &a);

	if (r >= 0)
		r = read_bulk(c, false, a.actor.time, &bulk);
	/* The impact first: afterwards nothing is newly dropped. */
	if (r >= 0)
		r = impact_of(c, &bulk.rules, &impact);
	if (r < 0)
		return r;
	n = bulk.rules.n;
	if (dry)
		r = ps_rule_store_try(c->a->rules, &bulk.rules, &a.actor, &c->answer->error);
	else
		r = ps_rule_store_replace(c->a->rules, &bulk.rules, &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	if (!dry)
		ps_call_tell(c, "replace", &res);
	return answer_replaced(c, n, PS_TAKE(bulk.warnings), PS_TAKE(impact));
}

int ps_call_rules_import(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_bulk_free) struct ps_rule_bulk bulk = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	_cleanup_(ps_value_free) struct ps_value *ids = ps_value_list();
	int r = ps_call_actor(c, &a);

	if (r >= 0)
		r = read_bulk(c, true, a.actor.time, &bulk);
	if (r >= 0)
		r = ps_rule_store_import(c->a->rules, &bulk.rules, &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	ps_call_tell(c, "import", &res);
	c->answer->body = ps_value_map();
	if (res.first_id >= 0 && (ps_value_append(ids, ps_value_int(res.first_id)) < 0 ||
					 ps_value_append(ids, ps_value_int(res.last_id)) < 0))
		return ps_call_no_memory(c);
	if (!c->answer->body || ps_value_set(c->answer->body, "added", ps_value_uint(res.added)) < 0 ||
		ps_value_set(c->answer->body, "duplicates", ps_value_uint(res.duplicates + bulk.duplicates)) < 0 ||
		ps_value_set(c->answer->body, "rules", ps_value_uint(res.n_after)) < 0 ||
		ps_value_set(c->answer->body, "ids", PS_TAKE(ids)) < 0 ||
		ps_value_set(c->answer->body, "generation", ps_value_uint(ps_rule_store_revision(c->a->rules))) < 0 ||
		ps_value_set(c->answer->body, "pending", ps_rule_store_pending(c->a->rules)) < 0 ||
		ps_value_set(c->answer->body, "warnings", PS_TAKE(bulk.warnings)) < 0)
		return ps_call_no_memory(c);
	return 0;
}
