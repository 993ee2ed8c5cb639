/* See rule_store.h: the store itself, and changes of one rule. */
#include "aggregator/rule_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/store_private.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

int ps_store_no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for that many rules");
}

/* Keeps the newest. */
void ps_store_limit_warnings(struct ps_rule_store *s)
{
	size_t n = ps_value_count(s->warnings);
	struct ps_value *kept;

	if (n <= PS_WARNINGS_MAX)
		return;
	kept = ps_value_list();
	for (size_t i = n - PS_WARNINGS_MAX; kept && i < n; i++)
		(void)ps_value_append(kept, ps_value_copy(ps_value_at(s->warnings, i)));
	if (!kept)
		return;
	ps_value_free(&s->warnings);
	s->warnings = kept;
}

void ps_rule_store_warn(struct ps_rule_store *s, const char *text)
{
	(void)ps_value_append(s->warnings, ps_value_string(text));
	ps_store_limit_warnings(s);
}

/* --- what a change must pass ---------------------------------------------------------------------- */

int ps_store_ready(const struct ps_rule_store *s, const struct ps_rule_actor *actor, struct ps_error *err)
{
	char until[PS_RFC3339_SIZE];

	(void)actor;
	if (!s->view)
		return ps_error_set(err, -ENOTCONN, 503, "no_kernel", "",
			"the rules are unchanged: the kernel part is not loaded; start the collector");
	if (s->pending.active)
		return ps_error_set(err, -EBUSY, 409, "confirm_pending", "",
			"a change of %s waits to be confirmed until %s: POST /api/filters/confirm, or wait until it is "
			"undone",
			s->pending.head.who, ps_rfc3339(s->pending.head.deadline_wall, until));
	return 0;
}

int ps_store_fresh(const struct ps_rule_actor *actor, uint32_t generation, struct ps_error *err)
{
	if (!actor->conditional || actor->if_generation == generation)
		return 0;
	return ps_error_set(err, -ESTALE, 412, "stale", "generation",
		"it was changed meanwhile: generation is %u, not %u; read it again", generation, actor->if_generation);
}

int ps_store_guard(const struct ps_rule_store *s, const struct ps_rule_view *after, int64_t changed,
	const struct ps_rule_actor *actor, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *own = actor->report ? NULL : ps_value_list();
	struct ps_value *report = actor->report ? actor->report : own;
	const struct ps_rule_view before = {.rules = s->rules.rules, .n = s->rules.n};
	const struct ps_value *first;
	int n;

	if (actor->force || !actor->guard)
		return 0;
	n = report ? ps_guard_check(actor->guard, &before, after, changed, report) : -ENOMEM;
	if (n < 0)
		return ps_store_no_memory(err);
	if (!n)
		return 0;
	first = ps_value_at(report, 0);
	return ps_error_set(err, -EPERM, 409, "lockout", "",
		"%s (%s)%s Nothing is changed; if it is meant, repeat it with \"force\": true or ?force=1.",
		ps_value_get_string(first, "message", ""), ps_value_get_string(first, "subject", ""),
		n > 1 ? ", and more." : ".");
}

struct ps_value *ps_store_terms(const struct ps_rule_actor *actor)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;

	if (!actor->force && !actor->confirm_within)
		return NULL;
	v = ps_value_map();
	if (!v || (actor->force && ps_value_set(v, "force", ps_value_bool(true)) < 0) ||
		(actor->confirm_within && ps_value_set(v, "confirm_within", ps_value_uint(actor->confirm_within)) < 0))
		return NULL;
	return PS_TAKE(v);
}

struct ps_set_head ps_store_head(const char *op, const struct ps_rule_actor *actor, int32_t id, bool bulk)
{
	uint64_t within = actor->confirm_within * PS_NSEC;
	struct ps_set_head h = {
		.deadline_boot = actor->boot + within,
		.deadline_wall = actor->time + within,
		.id = id,
		.bulk = bulk,
		.pending = true,
	};

	(void)snprintf(h.op, sizeof(h.op), "%s", op);
	(void)snprintf(h.who, sizeof(h.who), "%s", actor->who);
	return h;
}

void ps_store_pending_clear(struct ps_store_pending *p)
{
	ps_rule_clear(&p->before);
	ps_rule_array_free(&p->rules);
	*p = (struct ps_store_pending){.before.id = -1};
}

/* --- one rule changes -------------------------------------------------------------------------------- */

/* The list follows: a rule with an id below zero is none. Room for it was made before, so nothing can fail. */
static void swap_in(struct ps_rule_array *a, const struct ps_rule *from, struct ps_rule *to, struct ps_rule *ret_old)
{
	int32_t id = from->id >= 0 ? from->id : to->id;
	size_t at = ps_rule_array_position(a, id);

	if (from->id < 0) {
		(void)ps_rule_array_put(a, to);
		return;
	}
	if (to->id < 0) {
		*ret_old = ps_rule_array_take(a, at);
		return;
	}
	*ret_old = a->rules[at];
	a->rules[at] = *to;
	memset(to, 0, sizeof(*to));
}

struct step {
	const char *op;
	const struct ps_rule_actor *actor;
	struct ps_rule_result *c;
	bool pending;
	struct ps_set_head head; /* when pending */
};

static int write_step(struct ps_rule_store *s, struct step *st, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *terms = ps_store_terms(st->actor);
	const struct ps_rule *before = st->c->before.id >= 0 ? &st->c->before : NULL;
	const struct ps_rule *after = st->c->after.id >= 0 ? &st->c->after : NULL;
	struct ps_audit_line line = {
		.op = st->op,
		.who = st->actor->who,
		.time = st->actor->time,
		.before = before,
		.after = after,
		.more = terms,
	};
	const struct ps_rule_delta delta = {
		.set = &after,
		.n_set = after != NULL,
		.del = &st->c->before.id,
		.n_del = after == NULL,
	};

	if (st->pending)
		return ps_rule_file_save_pending(s->file, &st->head, after, after != NULL, &line, err);
	return ps_rule_file_save(s->file, &s->rules, &delta, &line, s->warnings, err);
}

/* The list is as it will be: compile it, make room in the kernel, write it. */
static int compile_and_write(struct ps_rule_store *s, struct step *st, struct ps_error *err)
{
	const struct ps_rule *before = st->c->before.id >= 0 ? &st->c->before : NULL;
	const struct ps_rule *after = st->c->after.id >= 0 ? &st->c->after : NULL;
	int r;

	if (!s->view)
		return write_step(s, st, err);
	r = ps_rule_set_change(s->set, s->rules.rules, s->rules.n, before, after, ps_store_offset(st->actor), err);
	if (r < 0)
		return r;
	r = ps_rule_install_prepare(s->view, s->set, st->actor->boot, err);
	if (r >= 0)
		r = write_step(s, st, err);
	if (r < 0)
		ps_rule_set_undo(s->set);
	return r;
}

static void put_in_force(struct ps_rule_store *s, const struct step *st)
{
	struct ps_rule_result *c = st->c;

	if (!s->view)
		return;
	/* A new owner of an id begins at zero; it is in no set yet. */
	if (c->before.id < 0)
		ps_rule_install_clear_hits(s->view, (uint32_t)c->after.id);
	c->generation = ps_rule_install(s->view, s->set, st->pending ? st->head.deadline_boot : 0);
	if (c->after.id < 0 && !st->pending)
		ps_rule_install_clear_hits(s->view, (uint32_t)c->before.id);
}

int ps_store_step(struct ps_rule_store *s, const char *op, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	bool now_pending, struct ps_error *err)
{
	_cleanup_(ps_rule_clear) struct ps_rule own = {0}, old = {0};
	struct step st = {.op = op, .actor = actor, .c = c, .pending = now_pending};
	int32_t id = c->before.id >= 0 ? c->before.id : c->after.id;
	int r;

	st.head = ps_store_head(op, actor, id, false);
	c->after.generation = ps_rule_file_seq(s->file) + 1;
	if (ps_rule_copy(&c->after, &own) < 0 || ps_rule_array_reserve(&s->rules, s->rules.n + 1) < 0)
		return ps_store_no_memory(err);
	swap_in(&s->rules, &c->before, &own, &old);
	r = compile_and_write(s, &st, err);
	if (r < 0) {
		/* Back, the other way round. */
		if (c->before.id < 0)
			old = ps_rule_array_take(&s->rules, ps_rule_array_position(&s->rules, id));
		else
			swap_in(&s->rules, &c->after, &old, &own);
		return r;
	}
	put_in_force(s, &st);
	if (now_pending) {
		s->pending.active = true;
		s->pending.head = st.head;
		s->pending.before = old;
		s->pending.before.id = c->before.id;
		memset(&old, 0, sizeof(old));
	}
	s->look_at = 0;
	c->changed = true;
	ps_store_limit_warnings(s);
	return 0;
}

void ps_rule_result_clear(struct ps_rule_result *res)
{
	ps_rule_clear(&res->before);
	ps_rule_clear(&res->after);
}

/* Hands the result over. */
static int done(struct ps_rule_result *c, struct ps_rule_result *ret_result)
{
	*ret_result = *c;
	*c = (struct ps_rule_result){0};
	return 0;
}

static int find_or_404(const struct ps_rule_store *s, int64_t id, const struct ps_rule **ret_rule, struct ps_error *err)
{
	*ret_rule = ps_rule_store_find(s, id);
	if (!*ret_rule)
		return ps_error_set(err, -ENOENT, 404, "not_found", "id", "there is no rule %lld", (long long)id);
	return 0;
}

/* The terms that a body names count like the caller's own. */
static struct ps_rule_actor with_request(const struct ps_rule_actor *actor, const struct ps_rule_request *request)
{
	struct ps_rule_actor a = *actor;

	a.force = a.force || request->force;
	if (request->confirm_within)
		a.confirm_within = request->confirm_within;
	return a;
}

int ps_rule_store_create(struct ps_rule_store *s, const struct ps_value *body, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.before.id = -1};
	struct ps_rule_request request = {0};
	struct ps_rule_view after = {.rules = s->rules.rules, .n = s->rules.n, .with = &c.after};
	struct ps_rule_actor a;
	struct ps_rule base;
	int r;

	ps_rule_defaults(&base);
	r = ps_rule_merge(&base, body, actor->time, &c.after, &request, err);
	if (r < 0)
		return r;
	a = with_request(actor, &request);
	r = ps_store_ready(s, &a, err);
	if (r < 0)
		return r;
	if (s->rules.n >= PS_RULES_MAX)
		return ps_error_set(
			err, -ENOSPC, 507, "rules_full", "", "there are %u rules already; delete some", PS_RULES_MAX);
	c.after.id = ps_rule_store_next_id(s);
	if (a.confirm_within)
		c.after.confirm_by = a.time + a.confirm_within * PS_NSEC;
	r = ps_store_guard(s, &after, c.after.id, &a, err);
	if (r >= 0)
		r = ps_store_step(s, "rules.create", &a, &c, false, err);
	return r < 0 ? r : done(&c, ret_result);
}

/* From c->before, a rule that is there, to c->after, the same one or none. */
static int change(struct ps_rule_store *s, const char *op, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	const struct ps_rule *known = ps_rule_store_find(s, c->before.id);
	struct ps_rule_view after = {
		.rules = s->rules.rules,
		.n = s->rules.n,
		.without = known,
		.with = c->after.id >= 0 ? &c->after : NULL,
	};
	int r;

	if (c->after.id >= 0 && ps_rule_equal(&c->before, &c->after)) {
		c->generation = ps_rule_store_generation(s);
		return done(c, ret_result);
	}
	r = ps_store_ready(s, actor, err);
	if (r >= 0)
		r = ps_store_guard(s, &after, c->before.id, actor, err);
	if (r >= 0)
		r = ps_store_step(s, op, actor, c, actor->confirm_within != 0, err);
	return r < 0 ? r : done(c, ret_result);
}

/* The stored rule, as `before` of a change. */
static int find_before(const struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule *ret_before, struct ps_error *err)
{
	const struct ps_rule *known;
	int r = find_or_404(s, id, &known, err);

	if (r >= 0)
		r = ps_store_fresh(actor, known->generation, err);
	if (r < 0)
		return r;
	return ps_rule_copy(known, ret_before) < 0 ? ps_store_no_memory(err) : 0;
}

int ps_rule_store_update(struct ps_rule_store *s, int64_t id, const struct ps_value *body,
	const struct ps_rule_actor *actor, struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {0};
	struct ps_rule_request request = {0};
	struct ps_rule_actor a;
	int r = find_before(s, id, actor, &c.before, err);

	if (r >= 0)
		r = ps_rule_merge(&c.before, body, actor->time, &c.after, &request, err);
	if (r < 0)
		return r;
	a = with_request(actor, &request);
	return change(s, "rules.update", &a, &c, ret_result, err);
}

static int copy_before(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	struct ps_error *err)
{
	int r = find_before(s, id, actor, &c->before, err);

	if (r < 0)
		return r;
	return ps_rule_copy(&c->before, &c->after) < 0 ? ps_store_no_memory(err) : 0;
}

int ps_rule_store_enable(struct ps_rule_store *s, int64_t id, bool enabled, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {0};
	int r = copy_before(s, id, actor, &c, err);

	if (r < 0)
		return r;
	c.after.enabled = enabled;
	return change(s, enabled ? "rules.enable" : "rules.disable", actor, &c, ret_result, err);
}

int ps_rule_store_promote(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {0};
	int r = copy_before(s, id, actor, &c, err);

	if (r < 0)
		return r;
	c.after.mode = PS_MODE_ENFORCE;
	return change(s, "rules.promote", actor, &c, ret_result, err);
}

int ps_rule_store_delete(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.after.id = -1};
	int r = find_before(s, id, actor, &c.before, err);

	return r < 0 ? r : change(s, "rules.delete", actor, &c, ret_result, err);
}

/* --- reading ------------------------------------------------------------------------------------------- */

const struct ps_rule *ps_rule_store_rules(const struct ps_rule_store *s, size_t *ret_n)
{
	*ret_n = s->rules.n;
	return s->rules.rules;
}

const struct ps_rule *ps_rule_store_find(const struct ps_rule_store *s, int64_t id)
{
	return ps_rule_array_find(&s->rules, id);
}

int32_t ps_rule_store_next_id(const struct ps_rule_store *s)
{
	return ps_rule_array_free_id(&s->rules, 0);
}

uint32_t ps_rule_store_generation(const struct ps_rule_store *s)
{
	return s->view ? ps_rule_install_generation(s->view, ps_clock_boot()) : 0;
}

uint32_t ps_rule_store_revision(const struct ps_rule_store *s)
{
	return ps_rule_file_seq(s->file) + s->pending.active;
}

const struct ps_value *ps_rule_store_warnings(const struct ps_rule_store *s)
{
	return s->warnings;
}

struct ps_value *ps_rule_store_pending(const struct ps_rule_store *s)
{
	const struct ps_set_head *h = &s->pending.head;
	struct ps_value *v;
	char until[PS_RFC3339_SIZE];

	if (!s->pending.active)
		return ps_value_null();
	v = ps_value_map();
	if (!v || ps_value_set(v, "op", ps_value_string(h->op)) < 0 ||
		ps_value_set(v, "who", ps_value_string(h->who)) < 0 ||
		ps_value_set(v, "id", h->id >= 0 ? ps_value_int(h->id) : ps_value_null()) < 0 ||
		ps_value_set(v, "confirm_by", ps_value_string(ps_rfc3339(h->deadline_wall, until))) < 0)
		ps_value_free(&v);
	return v;
}

static struct ps_value *time_or_null(uint64_t boot_ns, int64_t wall_offset)
{
	char text[PS_RFC3339_SIZE];

	if (!boot_ns)
		return ps_value_null();
	return ps_value_string(ps_rfc3339(boot_ns + (uint64_t)wall_offset, text));
}

struct ps_value *ps_rule_counted(
	const struct ps_kernel_view *view, const struct ps_rule *rule, uint64_t now, int64_t wall_offset)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_rule_to_value(rule, now);
	struct ps_rule_hits hits = {0};

	if (view && rule->id >= 0)
		hits = ps_rule_install_hits(view, (uint32_t)rule->id);
	if (!v || ps_value_set(v, "packets", ps_value_uint(hits.packets)) < 0 ||
		ps_value_set(v, "bytes", ps_value_uint(hits.bytes)) < 0 ||
		ps_value_set(v, "first_hit", time_or_null(hits.first_hit, wall_offset)) < 0 ||
		ps_value_set(v, "last_hit", time_or_null(hits.last_hit, wall_offset)) < 0)
		return NULL;
	return PS_TAKE(v);
}

struct ps_value *ps_rule_store_value(
	const struct ps_rule_store *s, const struct ps_rule *rule, uint64_t now, int64_t wall_offset)
{
	return ps_rule_counted(s->view, rule, now, wall_offset);
}
