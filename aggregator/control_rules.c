/* The operations on one rule: whatever they answer is in force when they answer it. */
#include <errno.h>
#include <string.h>

#include "aggregator/control_call.h"
#include "aggregator/limits.h"
#include "aggregator/rule_event.h"
#include "common/base/cleanup.h"

static struct ps_value *rule_or_null(struct ps_call *c, const struct ps_rule *rule)
{
	return rule->id < 0 ? ps_value_null()
			    : ps_rule_store_value(c->a->rules, rule, ps_agg_wall(c->now), c->now->wall_offset);
}

void ps_call_tell(struct ps_call *c, const char *action, const struct ps_rule_result *res)
{
	_cleanup_(ps_value_free) struct ps_value *map = NULL;
	const struct ps_agg_listener *l = &c->a->config.listener;

	if (!l->map || !res->changed)
		return;
	map = ps_rule_event(c->a->rules, action, c->req->peer, res, ps_agg_wall(c->now), c->now->wall_offset);
	if (map)
		l->map(l->arg, PS_TOPIC_RULE, map);
}

/* Answers with the rule as it is now, what it may hurt, and what it met. */
static int answer_rule(struct ps_call *c, const struct ps_rule *rule, int status_ok, const struct ps_preview *impact)
{
	size_t n;
	const struct ps_rule *rules = ps_rule_store_rules(c->a->rules, &n);
	_cleanup_(ps_value_free) struct ps_value *warnings =
		ps_rule_warnings_among(rule, rules, n, ps_agg_wall(c->now));

	c->answer->status = status_ok;
	c->answer->body = rule_or_null(c, rule);
	if (!c->answer->body || !warnings)
		return ps_call_no_memory(c);
	if (ps_value_kind(c->answer->body) != PS_VALUE_MAP)
		return 0;
	if (ps_value_count(warnings) && ps_value_set(c->answer->body, "warnings", PS_TAKE(warnings)) < 0)
		return ps_call_no_memory(c);
	if (impact && ps_value_set(c->answer->body, "impact", ps_preview_value(impact, NULL)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

static int read_rule_id(struct ps_call *c, int64_t *ret_id)
{
	if (!ps_value_is_integer(ps_value_get(c->req->args, "id"), ret_id))
		return ps_error_set(
			&c->answer->error, -EINVAL, 400, "bad_value", "id", "the id of a rule is a whole number");
	return 0;
}

static int not_found(struct ps_call *c, int64_t id)
{
	return ps_error_set(&c->answer->error, -ENOENT, 404, "not_found", "id", "there is no rule %lld", (long long)id);
}

/* A page from the rule whose id is the cursor on. */
static int list_page(struct ps_call *c, struct ps_value *list, size_t limit, int64_t *ret_next)
{
	int64_t from = ps_value_get_int(c->req->args, "cursor", 0);
	const struct ps_rule *rules;
	size_t n, i = 0, added = 0;

	rules = ps_rule_store_rules(c->a->rules, &n);
	while (i < n && rules[i].id < from)
		i++;
	for (; i < n && added < limit; i++, added++) {
		if (ps_value_append(list, rule_or_null(c, &rules[i])) < 0)
			return ps_call_no_memory(c);
	}
	*ret_next = i < n ? rules[i].id : -1;
	return 0;
}

int ps_call_rules_list(struct ps_call *c)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();
	int64_t limit = ps_value_get_int(c->req->args, "limit", PS_RULE_PAGE_MAX), next = -1;
	size_t n;
	int r;

	if (limit < 1 || limit > PS_RULE_PAGE_MAX)
		return ps_error_set(&c->answer->error, -EINVAL, 400, "bad_value", "limit",
			"limit is a number from 1 to %d", PS_RULE_PAGE_MAX);
	r = list ? list_page(c, list, (size_t)limit, &next) : ps_call_no_memory(c);
	if (r < 0)
		return r;
	(void)ps_rule_store_rules(c->a->rules, &n);
	c->answer->body = ps_value_map();
	if (!c->answer->body ||
		ps_value_set(c->answer->body, "generation", ps_value_uint(ps_rule_store_revision(c->a->rules))) < 0 ||
		ps_value_set(c->answer->body, "total", ps_value_uint(n)) < 0 ||
		ps_value_set(c->answer->body, "next", next >= 0 ? ps_value_int(next) : ps_value_null()) < 0 ||
		ps_value_set(c->answer->body, "pending", ps_rule_store_pending(c->a->rules)) < 0 ||
		ps_value_set(c->answer->body, "rules", PS_TAKE(list)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

int ps_call_rules_get(struct ps_call *c)
{
	const struct ps_rule *rule;
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r < 0)
		return r;
	rule = ps_rule_store_find(c->a->rules, id);
	if (!rule)
		return not_found(c, id);
	return answer_rule(c, rule, 200, NULL);
}

/* What the rule would hit, before it is in force; a body that is not understood is refused by the change itself. */
static int impact_before(struct ps_call *c, int64_t id, struct ps_preview *ret_impact, bool *ret_known)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	const struct ps_rule *base = id >= 0 ? ps_rule_store_find(c->a->rules, id) : NULL;
	struct ps_rule_request request;
	struct ps_rule fresh;

	*ret_known = false;
	ps_rule_defaults(&fresh);
	if (ps_rule_merge(base ? base : &fresh, ps_value_get(c->req->args, "rule"), ps_agg_wall(c->now), &rule,
		    &request, NULL) < 0)
		return 0;
	if (!rule.enabled)
		return 0;
	if (rule.id < 0)
		rule.id = ps_rule_store_next_id(c->a->rules);
	*ret_known = true;
	return ps_call_preview(c, &rule, NULL, ret_impact);
}

int ps_call_rules_create(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	struct ps_preview impact = {0};
	bool known = false;
	int r = ps_call_actor(c, &a);

	if (r >= 0)
		r = impact_before(c, -1, &impact, &known);
	if (r >= 0)
		r = ps_rule_store_create(
			c->a->rules, ps_value_get(c->req->args, "rule"), &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	ps_call_tell(c, "create", &res);
	return answer_rule(c, &res.after, 201, known ? &impact : NULL);
}

int ps_call_rules_update(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	struct ps_preview impact = {0};
	bool known = false;
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_call_actor(c, &a);
	if (r >= 0)
		r = impact_before(c, id, &impact, &known);
	if (r >= 0)
		r = ps_rule_store_update(
			c->a->rules, id, ps_value_get(c->req->args, "rule"), &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	ps_call_tell(c, "update", &res);
	return answer_rule(c, &res.after, 200, known ? &impact : NULL);
}

int ps_call_rules_delete(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_call_actor(c, &a);
	if (r >= 0)
		r = ps_rule_store_delete(c->a->rules, id, &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	ps_call_tell(c, "delete", &res);
	c->answer->status = 204;
	return 0;
}

/* Changes that need nothing but the id. */
enum deed {
	ENABLE,
	DISABLE,
	PROMOTE,
};

static int change(struct ps_call *c, enum deed deed)
{
	static const char *const names[] = {"enable", "disable", "promote"};
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	struct ps_rule_store *s = c->a->rules;
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_call_actor(c, &a);
	if (r < 0)
		return r;
	if (deed == PROMOTE)
		r = ps_rule_store_promote(s, id, &a.actor, &res, &c->answer->error);
	else
		r = ps_rule_store_enable(s, id, deed == ENABLE, &a.actor, &res, &c->answer->error);
	if (r < 0)
		return ps_call_refused(c, &a, r);
	ps_call_tell(c, names[deed], &res);
	return answer_rule(c, &res.after, 200, NULL);
}

int ps_call_rules_enable(struct ps_call *c)
{
	return change(c, ENABLE);
}

int ps_call_rules_disable(struct ps_call *c)
{
	return change(c, DISABLE);
}

int ps_call_rules_promote(struct ps_call *c)
{
	return change(c, PROMOTE);
}

int ps_call_rules_confirm(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	bool one = ps_value_get(c->req->args, "id") != NULL;
	int64_t id = -1;
	int r = one ? read_rule_id(c, &id) : 0;

	if (r >= 0)
		r = ps_call_actor(c, &a);
	if (r >= 0)
		r = ps_rule_store_confirm(c->a->rules, id, &a.actor, &res, &c->answer->error);
	if (r < 0)
		return r;
	ps_call_tell(c, "confirm", &res);
	if (res.after.id >= 0 && !res.bulk)
		return answer_rule(c, &res.after, 200, NULL);
	c->answer->body = ps_value_map();
	if (!c->answer->body ||
		ps_value_set(c->answer->body, "generation", ps_value_uint(ps_rule_store_revision(c->a->rules))) < 0)
		return ps_call_no_memory(c);
	return 0;
}
