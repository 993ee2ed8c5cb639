/* The operations on rules: whatever they answer is in force when they answer it. */
#include "aggregator/control_call.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"

static struct ps_value *rule_or_null(struct ps_call *c, const struct ps_rule *rule)
{
	return rule->id < 0 ? ps_value_null()
			    : ps_rule_store_value(c->a->rules, rule, ps_agg_wall(c->now), c->now->wall_offset);
}

/* Tells the bus of a change that is in force. */
static void tell_change(struct ps_call *c, const struct ps_rule_result *res)
{
	const struct ps_agg_listener *l = &c->a->config.listener;
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	const char *action = strchr(c->req->op, '.');

	if (!l->map || !res->changed || !map)
		return;
	if (ps_value_set(map, "action", ps_value_string(action ? action + 1 : c->req->op)) < 0 ||
		ps_value_set(map, "id", ps_value_int(res->before.id >= 0 ? res->before.id : res->after.id)) < 0 ||
		ps_value_set(map, "who", ps_value_string(c->req->peer)) < 0 ||
		ps_value_set(map, "generation", ps_value_uint(res->generation)) < 0 ||
		ps_value_set(map, "before", rule_or_null(c, &res->before)) < 0 ||
		ps_value_set(map, "after", rule_or_null(c, &res->after)) < 0)
		return;
	l->map(l->arg, PS_TOPIC_RULE, map);
}

/* Answers with the rule as it is now, and with what it may hurt. */
static int answer_rule(struct ps_call *c, const struct ps_rule *rule, int status_ok)
{
	_cleanup_(ps_value_free) struct ps_value *warnings = ps_rule_warnings(rule, ps_agg_wall(c->now));

	c->answer->status = status_ok;
	c->answer->body = ps_rule_store_value(c->a->rules, rule, ps_agg_wall(c->now), c->now->wall_offset);
	if (!c->answer->body || !warnings)
		return ps_call_no_memory(c);
	if (ps_value_count(warnings) && ps_value_set(c->answer->body, "warnings", PS_TAKE(warnings)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

static struct ps_rule_actor actor(const struct ps_call *c)
{
	return (struct ps_rule_actor){.who = c->req->peer, .time = ps_agg_wall(c->now)};
}

static int read_rule_id(struct ps_call *c, int64_t *ret_id)
{
	if (!ps_value_is_integer(ps_value_get(c->req->args, "id"), ret_id))
		return ps_error_set(
			&c->answer->error, -EINVAL, 400, "bad_value", "id", "the id of a rule is a whole number");
	return 0;
}

int ps_call_rules_list(struct ps_call *c)
{
	const struct ps_rule_store *s = c->a->rules;
	struct ps_value *list = ps_value_list();
	size_t n;
	const struct ps_rule *rules = ps_rule_store_rules(s, &n);
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = ps_value_append(list, ps_rule_store_value(s, &rules[i], ps_agg_wall(c->now), c->now->wall_offset));
	c->answer->body = ps_value_map();
	if (r < 0 || !c->answer->body) {
		ps_value_free(&list);
		return ps_call_no_memory(c);
	}
	if (ps_value_set(c->answer->body, "generation", ps_value_uint(ps_rule_store_generation(s))) < 0) {
		ps_value_free(&list);
		return ps_call_no_memory(c);
	}
	return ps_value_set(c->answer->body, "rules", list) < 0 ? ps_call_no_memory(c) : 0;
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
		return ps_error_set(
			&c->answer->error, -ENOENT, 404, "not_found", "id", "there is no rule %lld", (long long)id);
	c->answer->body = ps_rule_store_value(c->a->rules, rule, ps_agg_wall(c->now), c->now->wall_offset);
	return c->answer->body ? 0 : ps_call_no_memory(c);
}

int ps_call_rules_create(struct ps_call *c)
{
	const struct ps_rule_actor who = actor(c);
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	int r = ps_rule_store_create(c->a->rules, ps_value_get(c->req->args, "rule"), &who, &res, &c->answer->error);

	if (r < 0)
		return r;
	tell_change(c, &res);
	return answer_rule(c, &res.after, 201);
}

int ps_call_rules_update(struct ps_call *c)
{
	const struct ps_rule_actor who = actor(c);
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_rule_store_update(
			c->a->rules, id, ps_value_get(c->req->args, "rule"), &who, &res, &c->answer->error);
	if (r < 0)
		return r;
	tell_change(c, &res);
	return answer_rule(c, &res.after, 200);
}

int ps_call_rules_delete(struct ps_call *c)
{
	const struct ps_rule_actor who = actor(c);
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_rule_store_delete(c->a->rules, id, &who, &res, &c->answer->error);
	if (r < 0)
		return r;
	tell_change(c, &res);
	c->answer->status = 204;
	return 0;
}

static int rules_switch(struct ps_call *c, bool on)
{
	const struct ps_rule_actor who = actor(c);
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};
	int64_t id = -1;
	int r = read_rule_id(c, &id);

	if (r >= 0)
		r = ps_rule_store_enable(c->a->rules, id, on, &who, &res, &c->answer->error);
	if (r < 0)
		return r;
	tell_change(c, &res);
	return answer_rule(c, &res.after, 200);
}

int ps_call_rules_enable(struct ps_call *c)
{
	return rules_switch(c, true);
}

int ps_call_rules_disable(struct ps_call *c)
{
	return rules_switch(c, false);
}
