/* What a change of the rules would do, what it must not do, and who asks. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "aggregator/control_call.h"
#include "aggregator/limits.h"
#include "aggregator/rule_bulk.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* --- who asks ------------------------------------------------------------------------------------------- */

static int read_end(const struct ps_value *caller, const char *ip, const char *port, struct ps_addr *ret_addr,
	uint16_t *ret_port, struct ps_error *err)
{
	const char *text = ps_value_get_string(caller, ip, "");
	int64_t number = ps_value_get_int(caller, port, -1);

	if (ps_addr_parse(text, strlen(text), ret_addr) < 0)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "caller", "caller.%s is no address", ip);
	if (number < 0 || number > UINT16_MAX)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "caller", "caller.%s is no port", port);
	*ret_port = (uint16_t)number;
	return 0;
}

static int read_terms(struct ps_call *c, struct ps_rule_actor *a)
{
	const struct ps_value *args = c->req->args, *within = ps_value_get(args, "confirm_within");
	const struct ps_value *generation = ps_value_get(args, "if_generation");
	int64_t n;

	a->force = ps_value_get_bool(args, "force", false);
	if (within && (!ps_value_is_integer(within, &n) || n < 1 || n > PS_RULE_CONFIRM_MAX))
		return ps_error_set(&c->answer->error, -EINVAL, 400, "bad_value", "confirm_within",
			"confirm_within is a number of seconds from 1 to %d", PS_RULE_CONFIRM_MAX);
	a->confirm_within = within ? (uint32_t)n : 0;
	if (generation && (!ps_value_is_integer(generation, &n) || n < 0 || n > UINT32_MAX))
		return ps_error_set(&c->answer->error, -EINVAL, 400, "bad_value", "if_generation",
			"if_generation is the generation that the rule, or the list, was read with");
	a->conditional = generation != NULL;
	a->if_generation = generation ? (uint32_t)n : 0;
	return 0;
}

int ps_call_actor(struct ps_call *c, struct ps_call_actor *ret_actor)
{
	const struct ps_value *caller = ps_value_get(c->req->args, "caller");
	struct ps_call_actor a = {.actor = {.who = c->req->peer, .time = ps_agg_wall(c->now), .boot = c->now->boot}};
	const struct ps_guard_flows *flows;
	struct ps_guard_caller who = {0};
	int r = read_terms(c, &a.actor);

	if (r >= 0 && caller)
		r = read_end(caller, "ip", "port", &who.remote, &who.remote_port, &c->answer->error);
	if (r >= 0 && caller)
		r = read_end(caller, "local_ip", "local_port", &who.local, &who.local_port, &c->answer->error);
	if (r < 0)
		return r;
	a.report = ps_value_list();
	if (!a.report)
		return ps_call_no_memory(c);
	ps_aggregator_refresh(c->a, c->now);
	flows = ps_guard_watch_flows(&c->a->watch, c->a->conns, caller ? &who : NULL, c->now->boot);
	a.guard = (struct ps_guard){.flows = flows->flow, .n_flows = flows->n, .now = a.actor.time};
	a.guard.protected = ps_protected_nets(c->a->protected, &a.guard.n_protected);
	a.actor.report = a.report;
	*ret_actor = a;
	ret_actor->actor.guard = &ret_actor->guard;
	return 0;
}

void ps_call_actor_free(struct ps_call_actor *a)
{
	ps_value_free(&a->report);
}

int ps_call_refused(struct ps_call *c, struct ps_call_actor *a, int r)
{
	if (r >= 0 || c->answer->error.status != 409 || !ps_value_count(a->report))
		return r;
	ps_value_free(&c->answer->body);
	c->answer->body = ps_value_map();
	if (c->answer->body)
		(void)ps_value_set(c->answer->body, "guard", PS_TAKE(a->report));
	return r;
}

/* --- impact --------------------------------------------------------------------------------------------- */

struct walk {
	const struct ps_aggregator *a;
	size_t conn, icmp;
};

static const struct ps_conn *next_conn(void *arg, bool *ret_ended)
{
	struct walk *w = arg;

	return ps_conn_table_next(w->a->conns, &w->conn, ret_ended);
}

static const struct ps_icmp *next_icmp(void *arg)
{
	struct walk *w = arg;

	return ps_icmp_table_at(w->a->icmp, w->icmp++);
}

int ps_call_preview(struct ps_call *c, const struct ps_rule *candidate, const struct ps_rule_view *set,
	struct ps_preview *ret_preview)
{
	struct walk walk = {.a = c->a};
	struct ps_preview_input in = {
		.next_conn = next_conn,
		.next_icmp = next_icmp,
		.arg = &walk,
		.time = ps_agg_wall(c->now),
		.candidate = candidate,
		.set = set,
	};

	ps_aggregator_refresh(c->a, c->now);
	ps_aggregator_refresh_icmp(c->a, c->now);
	in.host = ps_guard_watch_host(&c->a->watch, c->now->boot);
	in.now.rules = ps_rule_store_rules(c->a->rules, &in.now.n);
	return ps_rule_preview(&in, ret_preview) < 0 ? ps_call_no_memory(c) : 0;
}

static struct ps_value *ids(const struct ps_preview *p)
{
	_cleanup_(ps_value_free) struct ps_value *list = ps_value_list();

	for (size_t i = 0; i < p->n_ids; i++) {
		char text[24];

		(void)snprintf(text, sizeof(text), "%016" PRIx64, p->ids[i]);
		if (!list || ps_value_append(list, ps_value_string(text)) < 0)
			return NULL;
	}
	return PS_TAKE(list);
}

struct ps_value *ps_preview_value(const struct ps_preview *p, struct ps_value *guard)
{
	_cleanup_(ps_value_free) struct ps_value *owned = guard;
	_cleanup_(ps_value_free) struct ps_value *v = ps_value_map();

	if (!v || ps_value_set(v, "live", ps_value_uint(p->live)) < 0 ||
		ps_value_set(v, "ended", ps_value_uint(p->ended)) < 0 ||
		ps_value_set(v, "packets", ps_value_uint(p->packets)) < 0 ||
		ps_value_set(v, "bytes", ps_value_uint(p->bytes)) < 0 ||
		ps_value_set(v, "icmp", ps_value_uint(p->icmp)) < 0 ||
		ps_value_set(v, "newly_dropped", ps_value_uint(p->newly_dropped)) < 0 ||
		ps_value_set(v, "connections", ids(p)) < 0 || (owned && ps_value_set(v, "guard", PS_TAKE(owned)) < 0) ||
		ps_value_set(v, "examined", ps_value_uint(p->examined)) < 0)
		return NULL;
	return PS_TAKE(v);
}

/* The candidate as it would be: enabled, enforced, and with the id that it has or would get. */
static int read_candidate(struct ps_call *c, const struct ps_value *body, struct ps_rule *ret_rule)
{
	const struct ps_value *given = ps_value_get(body, "id");
	const struct ps_rule *base = NULL;
	struct ps_rule_request request;
	struct ps_rule fresh;
	int64_t id = -1;
	int r;

	ps_rule_defaults(&fresh);
	if (given && ps_value_is_integer(given, &id))
		base = ps_rule_store_find(c->a->rules, id);
	r = ps_rule_merge(base ? base : &fresh, body, ps_agg_wall(c->now), ret_rule, &request, &c->answer->error);
	if (r >= 0 && ret_rule->id < 0)
		ret_rule->id = ps_rule_store_next_id(c->a->rules);
	return r;
}

static struct ps_value *warnings_among(struct ps_call *c, const struct ps_rule *rule)
{
	size_t n;
	const struct ps_rule *rules = ps_rule_store_rules(c->a->rules, &n);

	return ps_rule_warnings_among(rule, rules, n, ps_agg_wall(c->now));
}

static int guard_candidate(struct ps_call *c, const struct ps_rule *candidate, struct ps_call_actor *a)
{
	struct ps_rule_view before = {0}, after;

	before.rules = ps_rule_store_rules(c->a->rules, &before.n);
	after = before;
	after.without = ps_rule_store_find(c->a->rules, candidate->id);
	after.with = candidate;
	return ps_guard_check(&a->guard, &before, &after, candidate->id, a->report) < 0 ? ps_call_no_memory(c) : 0;
}

static int preview_rule(struct ps_call *c, struct ps_call_actor *a, const struct ps_value *body)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0}, judged = {0};
	struct ps_preview p = {0};
	int r = read_candidate(c, body, &rule);

	if (r < 0)
		return r;
	if (ps_rule_copy(&rule, &judged) < 0)
		return ps_call_no_memory(c);
	judged.enabled = true;
	judged.mode = PS_MODE_ENFORCE;
	r = guard_candidate(c, &judged, a);
	if (r >= 0)
		r = ps_call_preview(c, &judged, NULL, &p);
	if (r < 0)
		return r;
	c->answer->body = ps_preview_value(&p, PS_TAKE(a->report));
	if (!c->answer->body ||
		ps_value_set(c->answer->body, "rule",
			ps_rule_store_value(c->a->rules, &rule, ps_agg_wall(c->now), c->now->wall_offset)) < 0 ||
		ps_value_set(c->answer->body, "warnings", warnings_among(c, &judged)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

/* As if it replaced the whole set. */
static int preview_set(
	struct ps_call *c, struct ps_call_actor *a, struct ps_rule_array *rules, struct ps_value *warnings)
{
	_cleanup_(ps_value_free) struct ps_value *owned = warnings;
	struct ps_rule_view set;
	struct ps_preview p = {0};
	int r = ps_rule_store_try(c->a->rules, rules, &a->actor, &c->answer->error);

	if (r < 0 && c->answer->error.status != 409)
		return r;
	ps_error_clear(&c->answer->error);
	set = (struct ps_rule_view){.rules = rules->rules, .n = rules->n};
	r = ps_call_preview(c, NULL, &set, &p);
	if (r < 0)
		return r;
	c->answer->body = ps_preview_value(&p, PS_TAKE(a->report));
	if (!c->answer->body || ps_value_set(c->answer->body, "warnings", PS_TAKE(owned)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

int ps_call_rules_preview(struct ps_call *c)
{
	_cleanup_(ps_call_actor_free) struct ps_call_actor a = {0};
	_cleanup_(ps_rule_bulk_free) struct ps_rule_bulk bulk = {0};
	const struct ps_value *rule = ps_value_get(c->req->args, "rule");
	uint64_t started = ps_clock_boot();
	struct ps_rule defaults;
	int r = ps_call_actor(c, &a);

	if (r < 0)
		return r;
	ps_rule_defaults(&defaults);
	/* What would be cut is the question, whoever asks and however. */
	a.actor.force = false;
	if (rule) {
		r = preview_rule(c, &a, rule);
	} else {
		r = ps_rule_bulk_read(c->req->args, &defaults, ps_agg_wall(c->now), &bulk, &c->answer->error);
		if (r >= 0)
			r = preview_set(c, &a, &bulk.rules, PS_TAKE(bulk.warnings));
	}
	if (r < 0)
		return r;
	if (ps_value_set(c->answer->body, "took_us", ps_value_uint((ps_clock_boot() - started) / 1000)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

/* --- protected networks ----------------------------------------------------------------------------------- */

int ps_call_protected_get(struct ps_call *c)
{
	c->answer->body = ps_value_map();
	if (!c->answer->body || ps_value_set(c->answer->body, "protected", ps_protected_value(c->a->protected)) < 0)
		return ps_call_no_memory(c);
	return 0;
}

int ps_call_protected_set(struct ps_call *c)
{
	int r = ps_protected_set(c->a->protected, ps_value_get(c->req->args, "protected"), c->req->peer,
		ps_agg_wall(c->now), &c->answer->error);

	return r < 0 ? r : ps_call_protected_get(c);
}
