#include "aggregator/rule_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/rule_file.h"
#include "aggregator/rule_install.h"
#include "aggregator/rule_set.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

struct ps_rule_store {
	char *dir;
	struct ps_rules rules; /* in order of id */
	struct ps_kernel_view *view;
	struct ps_rule_set *set;   /* of the rules, when there is a view */
	struct ps_value *warnings; /* list */
};

int ps_rule_store_new(const char *state_dir, uint64_t time, struct ps_rule_store **ret_store)
{
	_cleanup_(ps_rule_store_free) struct ps_rule_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->dir = strdup(state_dir);
	s->warnings = ps_value_list();
	if (!s->dir || !s->warnings || ps_rule_set_new(&s->set) < 0)
		return -ENOMEM;
	r = ps_rule_file_load(s->dir, time, s->warnings, &s->rules);
	if (r < 0)
		return r;
	*ret_store = PS_TAKE(s);
	return 0;
}

void ps_rule_store_free(struct ps_rule_store **store)
{
	struct ps_rule_store *s = *store;

	if (!s)
		return;
	free(s->dir);
	ps_rules_clear(&s->rules);
	ps_rule_set_free(&s->set);
	ps_value_free(&s->warnings);
	free(s);
	*store = NULL;
}

int ps_rule_store_attach(struct ps_rule_store *s, struct ps_kernel_view *view, struct ps_error *err)
{
	bool current;
	int r;

	s->view = view;
	if (!view)
		return 0;
	r = ps_rule_set_compile(s->set, s->rules.rule, s->rules.n, ps_clock_wall_offset(), err);
	if (r == 0)
		r = ps_rule_install_prepare(view, s->set, ps_clock_boot(), err);
	if (r < 0)
		return r;
	current = ps_rule_install_current(view, s->set, ps_clock_boot());
	(void)ps_rule_install(view, s->set, 0);
	return !current;
}

static size_t position_of(const struct ps_rule_store *s, int64_t id)
{
	size_t low = 0, high = s->rules.n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->rules.rule[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct ps_rule *ps_rule_store_find(const struct ps_rule_store *s, int64_t id)
{
	size_t i = position_of(s, id);

	return i < s->rules.n && s->rules.rule[i].id == id ? &s->rules.rule[i] : NULL;
}

static int find_or_404(const struct ps_rule_store *s, int64_t id, const struct ps_rule **ret_rule, struct ps_error *err)
{
	*ret_rule = ps_rule_store_find(s, id);
	if (!*ret_rule)
		return ps_error_set(err, -ENOENT, 404, "not_found", "id", "there is no rule %lld", (long long)id);
	return 0;
}

/*
 * The list as it will be: `before` replaced by `after`, either may be missing (id -1). The elements are those of the
 * store, not copies.
 */
static struct ps_rule *changed_list(const struct ps_rule_store *s, const struct ps_rule_result *c, size_t *ret_n)
{
	struct ps_rule *rules = calloc(s->rules.n + 2, sizeof(*rules));
	int32_t id = c->before.id >= 0 ? c->before.id : c->after.id;
	size_t at = position_of(s, id), n = at;
	size_t rest = at + (c->before.id >= 0 ? 1 : 0);

	if (!rules)
		return NULL;
	memcpy(rules, s->rules.rule, at * sizeof(*rules));
	if (c->after.id >= 0)
		rules[n++] = c->after;
	memcpy(rules + n, s->rules.rule + rest, (s->rules.n - rest) * sizeof(*rules));
	*ret_n = n + s->rules.n - rest;
	return rules;
}

/* The changed list becomes the store's own; `after` in it becomes `own`. */
static void take_list(
	struct ps_rule_store *s, const struct ps_rule_result *c, struct ps_rule **rules, size_t n, struct ps_rule *own)
{
	int32_t id = c->before.id >= 0 ? c->before.id : c->after.id;
	size_t at = position_of(s, id);

	if (c->before.id >= 0)
		ps_rule_clear(&s->rules.rule[at]);
	if (c->after.id >= 0)
		(*rules)[at] = *own;
	*own = (struct ps_rule){0};
	free(s->rules.rule);
	s->rules.rule = PS_TAKE(*rules);
	s->rules.n = n;
}

/* Keeps the newest. */
static void limit_warnings(struct ps_rule_store *s)
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

/* Compile, write, put in force. Only the last changes anything, and it can't fail. */
static int change(struct ps_rule_store *s, const char *op, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	struct ps_error *err)
{
	_cleanup_free_ struct ps_rule *rules = NULL;
	_cleanup_(ps_rule_clear) struct ps_rule own = {0};
	struct ps_rule_change audit = {
		.op = op,
		.who = actor->who,
		.time = actor->time,
		.before = c->before.id >= 0 ? &c->before : NULL,
		.after = c->after.id >= 0 ? &c->after : NULL,
	};
	size_t n = 0;
	int r;

	if (!s->view)
		return ps_error_set(err, -ENOTCONN, 503, "no_kernel", "",
			"the rules are unchanged: the kernel part is not loaded; start the collector");
	rules = changed_list(s, c, &n);
	if (!rules || ps_rule_copy(&c->after, &own))
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory for another rule");
	r = ps_rule_set_change(s->set, rules, n, audit.before, audit.after, ps_clock_wall_offset(), err);
	if (r < 0)
		return r;
	r = ps_rule_install_prepare(s->view, s->set, ps_clock_boot(), err);
	if (r == 0)
		r = ps_rule_file_save(s->dir, rules, n, &audit, s->warnings, err);
	if (r < 0) {
		ps_rule_set_undo(s->set);
		return r;
	}
	/* A new owner of an id begins at zero; it is in no set yet. */
	if (c->before.id < 0)
		ps_rule_install_clear_hits(s->view, (uint32_t)c->after.id);
	c->generation = ps_rule_install(s->view, s->set, 0);
	if (c->after.id < 0)
		ps_rule_install_clear_hits(s->view, (uint32_t)c->before.id);
	take_list(s, c, &rules, n, &own);
	c->changed = true;
	limit_warnings(s);
	return 0;
}

static int32_t lowest_free_id(const struct ps_rule_store *s)
{
	size_t i = 0;

	while (i < s->rules.n && s->rules.rule[i].id == (int32_t)i)
		i++;
	return (int32_t)i;
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

int ps_rule_store_create(struct ps_rule_store *s, const struct ps_value *body, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.before.id = -1};
	struct ps_rule_request request;
	struct ps_rule base;
	int r;

	ps_rule_defaults(&base);
	r = ps_rule_merge(&base, body, actor->time, &c.after, &request, err);
	if (r < 0)
		return r;
	if (s->rules.n >= PS_RULES_MAX)
		return ps_error_set(
			err, -ENOSPC, 507, "rules_full", "", "there are %u rules already; delete some", PS_RULES_MAX);
	c.after.id = lowest_free_id(s);
	r = change(s, "rules.create", actor, &c, err);
	return r < 0 ? r : done(&c, ret_result);
}

static int replace(struct ps_rule_store *s, const char *op, const struct ps_rule_actor *actor, struct ps_rule_result *c,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	int r;

	if (ps_rule_equal(&c->before, &c->after)) {
		c->generation = ps_rule_store_generation(s);
	} else {
		r = change(s, op, actor, c, err);
		if (r < 0)
			return r;
	}
	return done(c, ret_result);
}

/* The stored rule, as `before` of a change. */
static int find_before(const struct ps_rule_store *s, int64_t id, struct ps_rule *ret_before, struct ps_error *err)
{
	const struct ps_rule *known;
	int r = find_or_404(s, id, &known, err);

	if (r < 0)
		return r;
	if (ps_rule_copy(known, ret_before))
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to change a rule");
	return 0;
}

int ps_rule_store_update(struct ps_rule_store *s, int64_t id, const struct ps_value *body,
	const struct ps_rule_actor *actor, struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {0};
	struct ps_rule_request request;
	int r = find_before(s, id, &c.before, err);

	if (r < 0)
		return r;
	r = ps_rule_merge(&c.before, body, actor->time, &c.after, &request, err);
	if (r < 0)
		return r;
	return replace(s, "rules.update", actor, &c, ret_result, err);
}

int ps_rule_store_enable(struct ps_rule_store *s, int64_t id, bool enabled, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {0};
	int r = find_before(s, id, &c.before, err);

	if (r < 0)
		return r;
	if (ps_rule_copy(&c.before, &c.after))
		return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to change a rule");
	c.after.enabled = enabled;
	return replace(s, enabled ? "rules.enable" : "rules.disable", actor, &c, ret_result, err);
}

int ps_rule_store_delete(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.after.id = -1};
	int r = find_before(s, id, &c.before, err);

	if (r < 0)
		return r;
	r = change(s, "rules.delete", actor, &c, err);
	return r < 0 ? r : done(&c, ret_result);
}

const struct ps_rule *ps_rule_store_rules(const struct ps_rule_store *s, size_t *ret_n)
{
	*ret_n = s->rules.n;
	return s->rules.rule;
}

uint32_t ps_rule_store_generation(const struct ps_rule_store *s)
{
	return s->view ? ps_rule_install_generation(s->view, ps_clock_boot()) : 0;
}

const struct ps_value *ps_rule_store_warnings(const struct ps_rule_store *s)
{
	return s->warnings;
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
