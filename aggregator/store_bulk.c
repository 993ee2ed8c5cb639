/* See rule_store.h: many rules at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/store_private.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

/* Those that brought none get the lowest free ids; `taken`: ids that are not free either. */
static int give_ids(struct ps_rule_array *rules, const struct ps_rule_array *taken, struct ps_error *err)
{
	_cleanup_free_ uint8_t *used = calloc(PS_RULES_MAX, 1);
	uint32_t next = 0;

	if (!used)
		return ps_store_no_memory(err);
	for (size_t i = 0; taken && i < taken->n; i++)
		used[taken->rules[i].id] = 1;
	for (size_t i = 0; i < rules->n; i++) {
		int32_t id = rules->rules[i].id;

		if (id >= (int32_t)PS_RULES_MAX)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "id",
				"rule number %zu: id %d; ids end at %u", i + 1, id, PS_RULES_MAX - 1);
		if (id >= 0 && used[id]++)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "id",
				"rule number %zu: id %d is used twice; leave the ids out, or give each its own", i + 1,
				id);
	}
	for (size_t i = 0; i < rules->n; i++) {
		while (rules->rules[i].id < 0 && next < PS_RULES_MAX && used[next])
			next++;
		if (rules->rules[i].id < 0 && next == PS_RULES_MAX)
			return ps_error_set(err, -ENOSPC, 507, "rules_full", "",
				"there would be more than %u rules; delete some", PS_RULES_MAX);
		if (rules->rules[i].id < 0)
			rules->rules[i].id = (int32_t)next++;
	}
	return 0;
}

/* --- duplicates -------------------------------------------------------------------------------------- */

static uint32_t hash_rule(const struct ps_rule *rule)
{
	uint64_t h = rule->protocol + 0x9e3779b97f4a7c15ull * rule->action;
	const struct ps_net *nets[] = {&rule->src_ip, &rule->dst_ip};

	for (unsigned n = 0; n < 2; n++) {
		h = (h ^ nets[n]->len) * 0x9e3779b97f4a7c15ull;
		for (unsigned i = 0; i < 4; i++)
			h = (h ^ h >> 29 ^ nets[n]->addr.word[i]) * 0xbb67ae8584caa73bull;
	}
	return (uint32_t)(h >> 32);
}

/* Would the second do nothing that the first does not do? */
static bool says_the_same(const struct ps_rule *a, const struct ps_rule *b)
{
	return ps_rule_same_match(a, b) && a->mode == b->mode && a->enabled == b->enabled &&
	       a->priority == b->priority && a->rate_limit == b->rate_limit && a->expires_at == b->expires_at;
}

struct known {
	const struct ps_rule **slot;
	uint32_t mask;
};

static bool add_known(struct known *k, const struct ps_rule *rule)
{
	uint32_t at = hash_rule(rule) & k->mask;

	for (; k->slot[at]; at = (at + 1) & k->mask) {
		if (says_the_same(k->slot[at], rule))
			return false;
	}
	k->slot[at] = rule;
	return true;
}

/* Takes out of `rules` what is there already, or stands there twice. */
static int drop_duplicates(const struct ps_rule_array *there, struct ps_rule_array *rules, size_t *ret_dropped)
{
	_cleanup_free_ const struct ps_rule **slot = NULL;
	struct known k = {.mask = 63};
	size_t n = 0;

	while (k.mask < (there->n + rules->n) * 2)
		k.mask = k.mask * 2 + 1;
	k.slot = slot = calloc((size_t)k.mask + 1, sizeof(struct ps_rule *));
	if (!slot)
		return -ENOMEM;
	for (size_t i = 0; i < there->n; i++)
		(void)add_known(&k, &there->rules[i]);
	/* A rule that stays moves down to a place that is free, before it is pointed to. */
	for (size_t i = 0; i < rules->n; i++) {
		struct ps_rule rule = rules->rules[i];

		rules->rules[n] = rule;
		if (add_known(&k, &rules->rules[n])) {
			n++;
			continue;
		}
		ps_rule_clear(&rule);
	}
	*ret_dropped = rules->n - n;
	rules->n = n;
	return 0;
}

/* --- the step ------------------------------------------------------------------------------------------ */

struct bulk {
	const char *op;
	const struct ps_rule_actor *actor;
	const struct ps_rule_array *after;
};

static int write_bulk(struct ps_rule_store *s, const struct bulk *b, struct ps_set_head *head, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *terms = ps_store_terms(b->actor);
	struct ps_audit_line line = {
		.op = b->op,
		.who = b->actor->who,
		.time = b->actor->time,
		.bulk = true,
		.n_before = s->rules.n,
		.n_after = b->after->n,
		.more = terms,
	};

	if (b->actor->confirm_within)
		return ps_rule_file_save_pending(s->file, head, b->after->rules, b->after->n, &line, err);
	return ps_rule_file_save(s->file, b->after, NULL, &line, s->warnings, err);
}

/* New owners of an id begin at zero, and nobody inherits from those that went (unless they may come back). */
static void clear_hits(struct ps_rule_store *s, const struct ps_rule_array *those, const struct ps_rule_array *not_in)
{
	for (size_t i = 0; i < those->n; i++) {
		if (!ps_rule_array_find(not_in, those->rules[i].id))
			ps_rule_install_clear_hits(s->view, (uint32_t)those->rules[i].id);
	}
}

static int put_bulk(struct ps_rule_store *s, const struct bulk *b, struct ps_rule_result *c, struct ps_set_head *head,
	struct ps_error *err)
{
	int r = ps_rule_set_compile(s->set, b->after->rules, b->after->n, ps_store_offset(b->actor), err);

	if (r < 0)
		return r;
	r = ps_rule_install_prepare(s->view, s->set, b->actor->boot, err);
	if (r >= 0)
		r = write_bulk(s, b, head, err);
	if (r < 0) {
		ps_rule_set_undo(s->set);
		return r;
	}
	clear_hits(s, b->after, &s->rules);
	c->generation = ps_rule_install(s->view, s->set, b->actor->confirm_within ? head->deadline_boot : 0);
	if (!b->actor->confirm_within)
		clear_hits(s, &s->rules, b->after);
	c->bulk = true;
	c->changed = true;
	c->n_before = s->rules.n;
	c->n_after = b->after->n;
	c->before.id = c->after.id = -1;
	s->look_at = 0;
	ps_store_limit_warnings(s);
	return 0;
}

static int check_bulk(const struct ps_rule_store *s, const struct ps_rule_array *after,
	const struct ps_rule_actor *actor, struct ps_error *err)
{
	const struct ps_rule_view view = {.rules = after->rules, .n = after->n};
	int r = ps_store_ready(s, actor, err);

	if (r >= 0)
		r = ps_store_fresh(actor, ps_rule_store_revision(s), err);
	return r < 0 ? r : ps_store_guard(s, &view, -1, actor, err);
}

/* A rule that stays as it is keeps the generation of its last change. */
static void stamp(const struct ps_rule_store *s, struct ps_rule_array *after)
{
	for (size_t i = 0; i < after->n; i++) {
		struct ps_rule *rule = &after->rules[i];
		const struct ps_rule *known = ps_rule_store_find(s, rule->id);

		rule->confirm_by = 0;
		rule->generation =
			known && ps_rule_equal(known, rule) ? known->generation : ps_rule_file_seq(s->file) + 1;
	}
}

int ps_rule_store_replace(struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	struct ps_set_head head = ps_store_head("rules.replace", actor, -1, true);
	struct ps_rule_result c = {.first_id = -1, .last_id = -1, .added = rules->n};
	const struct bulk b = {.op = "rules.replace", .actor = actor, .after = rules};
	struct ps_rule_array old;
	int r = give_ids(rules, NULL, err);

	if (r >= 0)
		r = ps_rule_array_sort(rules, err);
	if (r >= 0)
		r = check_bulk(s, rules, actor, err);
	if (r < 0)
		return r;
	stamp(s, rules);
	r = put_bulk(s, &b, &c, &head, err);
	if (r < 0)
		return r;
	old = s->rules;
	s->rules = *rules;
	*rules = (struct ps_rule_array){0};
	if (actor->confirm_within)
		s->pending = (struct ps_store_pending){.active = true, .head = head, .before.id = -1, .rules = old};
	else
		ps_rule_array_free(&old);
	*ret_result = c;
	return 0;
}

/* All of both, sorted, without owning: the memory of the list alone is the caller's. */
static int both_lists(const struct ps_rule_array *a, const struct ps_rule_array *b, struct ps_rule_array *ret_list)
{
	struct ps_rule_array list = {0};

	if (ps_rule_array_reserve(&list, a->n + b->n + 16) < 0)
		return -ENOMEM;
	if (a->n)
		memcpy(list.rules, a->rules, a->n * sizeof(*list.rules));
	if (b->n)
		memcpy(list.rules + a->n, b->rules, b->n * sizeof(*list.rules));
	list.n = a->n + b->n;
	(void)ps_rule_array_sort(&list, NULL);
	*ret_list = list;
	return 0;
}

/* Copies of all rules, for when they come back. */
static int copy_all(const struct ps_rule_array *from, struct ps_rule_array *ret_copy)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array copy = {0};

	if (ps_rule_array_reserve(&copy, from->n + 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++) {
		if (ps_rule_copy(&from->rules[i], &copy.rules[i]) < 0)
			return -ENOMEM;
		copy.n++;
	}
	*ret_copy = copy;
	memset(&copy, 0, sizeof(copy));
	return 0;
}

static int import(struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor,
	struct ps_rule_result *c, struct ps_error *err)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array copy = {0};
	struct ps_set_head head = ps_store_head("rules.import", actor, -1, true);
	struct ps_rule_array all = {0};
	const struct bulk b = {.op = "rules.import", .actor = actor, .after = &all};
	int r;

	stamp(s, rules);
	if (both_lists(&s->rules, rules, &all) < 0 || (actor->confirm_within && copy_all(&s->rules, &copy) < 0)) {
		free(all.rules);
		return ps_store_no_memory(err);
	}
	r = check_bulk(s, &all, actor, err);
	if (r >= 0)
		r = put_bulk(s, &b, c, &head, err);
	if (r < 0) {
		free(all.rules);
		return r;
	}
	/* What the rules own has moved to the new list. */
	free(s->rules.rules);
	free(rules->rules);
	*rules = (struct ps_rule_array){0};
	s->rules = all;
	if (actor->confirm_within) {
		s->pending = (struct ps_store_pending){.active = true, .head = head, .before.id = -1, .rules = copy};
		memset(&copy, 0, sizeof(copy));
	}
	return 0;
}

static void note_ids(const struct ps_rule_array *rules, struct ps_rule_result *c)
{
	c->first_id = c->last_id = -1;
	for (size_t i = 0; i < rules->n; i++) {
		int32_t id = rules->rules[i].id;

		c->first_id = c->first_id < 0 ? id : PS_MIN(c->first_id, id);
		c->last_id = PS_MAX(c->last_id, id);
	}
}

int ps_rule_store_import(struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	struct ps_rule_result c = {
		.before.id = -1, .after.id = -1, .bulk = true, .n_before = s->rules.n, .n_after = s->rules.n};
	int r;

	for (size_t i = 0; i < rules->n; i++)
		rules->rules[i].id = -1;
	if (drop_duplicates(&s->rules, rules, &c.duplicates) < 0)
		return ps_store_no_memory(err);
	r = give_ids(rules, &s->rules, err);
	if (r < 0)
		return r;
	c.added = rules->n;
	note_ids(rules, &c);
	r = rules->n ? import(s, rules, actor, &c, err) : ps_store_ready(s, actor, err);
	if (r < 0)
		return r;
	*ret_result = c;
	return 0;
}

int ps_rule_store_try(
	struct ps_rule_store *s, struct ps_rule_array *rules, const struct ps_rule_actor *actor, struct ps_error *err)
{
	int r = give_ids(rules, NULL, err);

	if (r >= 0)
		r = ps_rule_array_sort(rules, err);
	return r < 0 ? r : check_bulk(s, rules, actor, err);
}
