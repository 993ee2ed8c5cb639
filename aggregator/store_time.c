/* See rule_store.h: what begins and ends by itself. Start, the kernel's coming and going, deadlines, confirmation. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/store_private.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define SELF "packetscope"

static struct ps_rule_actor self(uint64_t time, uint64_t boot)
{
	return (struct ps_rule_actor){.who = SELF, .time = time, .boot = boot};
}

/* --- start ---------------------------------------------------------------------------------------- */

/* A change that a restart of ours met half-way. The reboot, or the deadline, undoes it. */
static int read_pending(struct ps_rule_store *s, bool rebooted, uint64_t time, uint64_t boot)
{
	_cleanup_(ps_rule_array_free) struct ps_rule_array rules = {0};
	struct ps_set_head head = {0};
	int r = ps_rule_file_read_pending(s->file, time, s->warnings, &head, &rules);
	struct ps_rule *known;

	if (r == -ENOENT) {
		ps_rule_file_drop_pending(s->file);
		return 0;
	}
	if (r < 0)
		return r;
	if (rebooted || head.deadline_boot <= boot) {
		const struct ps_audit_line line = {.op = "rules.rollback", .who = SELF, .time = time};

		(void)ps_rule_file_note(s->file, &line, NULL);
		ps_rule_file_drop_pending(s->file);
		return 0;
	}
	s->pending = (struct ps_store_pending){.active = true, .head = head, .before.id = -1};
	if (head.bulk) {
		s->pending.rules = s->rules;
		s->rules = rules;
		memset(&rules, 0, sizeof(rules));
		return 0;
	}
	known = ps_rule_array_find(&s->rules, head.id);
	if (known) {
		s->pending.before = ps_rule_array_take(&s->rules, (size_t)(known - s->rules.rules));
	}
	if (rules.n) {
		struct ps_rule rule = ps_rule_array_take(&rules, 0);

		r = ps_rule_array_put(&s->rules, &rule);
		ps_rule_clear(&rule);
	}
	return r;
}

int ps_rule_store_new(const char *state_dir, const char *boot_id, uint64_t time, uint64_t boot,
	struct ps_rule_store **ret_store, struct ps_error *err)
{
	_cleanup_(ps_rule_store_free) struct ps_rule_store *s = calloc(1, sizeof(*s));
	bool rebooted = false;
	int r;

	if (!s)
		return -ENOMEM;
	s->pending.before.id = -1;
	s->told = time;
	s->warnings = ps_value_list();
	if (!s->warnings || ps_rule_set_new(&s->set) < 0)
		return -ENOMEM;
	r = ps_rule_file_open(state_dir, boot_id, time, s->warnings, &s->rules, &rebooted, &s->file, err);
	if (r >= 0)
		r = read_pending(s, rebooted, time, boot);
	if (r < 0)
		return r;
	/* What was not confirmed before the reboot is undone by the first tick; it must match nothing until then. */
	for (size_t i = 0; rebooted && i < s->rules.n; i++) {
		if (s->rules.rules[i].confirm_by)
			s->rules.rules[i].confirm_by = 1;
	}
	*ret_store = PS_TAKE(s);
	return 0;
}

void ps_rule_store_free(struct ps_rule_store **store)
{
	struct ps_rule_store *s = *store;

	if (!s)
		return;
	ps_rule_file_free(&s->file);
	ps_rule_array_free(&s->rules);
	ps_store_pending_clear(&s->pending);
	ps_rule_set_free(&s->set);
	ps_value_free(&s->warnings);
	free(s);
	*store = NULL;
}

static int install(struct ps_rule_store *s, const struct ps_rule_array *rules, int64_t offset, uint64_t boot,
	uint64_t confirm_by, struct ps_error *err)
{
	bool current;
	int r = ps_rule_set_compile(s->set, rules->rules, rules->n, offset, err);

	if (r >= 0)
		r = ps_rule_install_prepare(s->view, s->set, boot, err);
	if (r < 0)
		return r;
	current = ps_rule_install_current(s->view, s->set, boot);
	(void)ps_rule_install(s->view, s->set, confirm_by);
	return !current;
}

/* The list as it was before the change that waits; *ret_copy holds it where it must be put together. */
static int list_before(struct ps_rule_store *s, struct ps_rule_array *ret_list)
{
	const struct ps_store_pending *p = &s->pending;

	*ret_list = (struct ps_rule_array){0};
	if (p->head.bulk) {
		if (ps_rule_array_reserve(ret_list, p->rules.n + 1) < 0)
			return -ENOMEM;
		memcpy(ret_list->rules, p->rules.rules, p->rules.n * sizeof(*ret_list->rules));
		ret_list->n = p->rules.n;
		return 0;
	}
	if (ps_rule_array_reserve(ret_list, s->rules.n + 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->rules.n; i++) {
		if (s->rules.rules[i].id != p->head.id)
			ret_list->rules[ret_list->n++] = s->rules.rules[i];
	}
	if (p->before.id >= 0) {
		size_t at = ps_rule_array_position(ret_list, p->before.id);

		memmove(&ret_list->rules[at + 1], &ret_list->rules[at], (ret_list->n - at) * sizeof(*ret_list->rules));
		ret_list->rules[at] = p->before;
		ret_list->n++;
	}
	return 0;
}

/* A change waits, and the maps are there: as we left them, or new ones. */
static int attach_pending(struct ps_rule_store *s, int64_t offset, uint64_t boot, struct ps_error *err)
{
	struct ps_rule_pending waits = ps_rule_install_pending(s->view);
	struct ps_rule_array before;
	int r;

	if (waits.confirm_by > boot)
		return ps_rule_set_compile(s->set, s->rules.rules, s->rules.n, offset, err);
	(void)ps_rule_install_settle(s->view, boot);
	if (list_before(s, &before) < 0)
		return ps_store_no_memory(err);
	r = install(s, &before, offset, boot, 0, err);
	free(before.rules); /* the rules are the store's */
	if (r < 0)
		return r;
	r = install(s, &s->rules, offset, boot, s->pending.head.deadline_boot, err);
	return r < 0 ? r : 1;
}

int ps_rule_store_attach(
	struct ps_rule_store *s, struct ps_kernel_view *view, uint64_t time, uint64_t boot, struct ps_error *err)
{
	int64_t offset = (int64_t)(time - boot);

	s->view = view;
	if (!view)
		return 0;
	if (s->pending.active)
		return attach_pending(s, offset, boot, err);
	/* A change that was confirmed, or given up, when we were killed: what the disk says counts. */
	(void)ps_rule_install_settle(view, boot);
	if (ps_rule_install_pending(view).confirm_by)
		(void)ps_rule_install_confirm(view, boot);
	return install(s, &s->rules, offset, boot, 0, err);
}

/* --- confirmation ----------------------------------------------------------------------------------- */

static int nothing_waits(int64_t id, struct ps_error *err)
{
	if (id >= 0)
		return ps_error_set(err, -ENOENT, 409, "not_pending", "id",
			"rule %lld does not wait to be confirmed: it was confirmed, or is in force for good",
			(long long)id);
	return ps_error_set(err, -ENOENT, 409, "not_pending", "",
		"nothing waits to be confirmed: it was confirmed, or its time has passed and it was undone");
}

/* Of the set: first the disk, then the kernel, which may have undone it by a hair: then it comes into force anew. */
static int confirm_set(
	struct ps_rule_store *s, const struct ps_rule_actor *actor, struct ps_rule_result *c, struct ps_error *err)
{
	struct ps_store_pending *p = &s->pending;
	const struct ps_rule *after = p->head.bulk ? NULL : ps_rule_store_find(s, p->head.id);
	const struct ps_rule_delta delta = {
		.set = &after,
		.n_set = after != NULL,
		.del = &p->head.id,
		.n_del = after == NULL,
	};
	struct ps_audit_line line = {
		.op = "rules.confirm",
		.who = actor->who,
		.time = actor->time,
		.before = p->before.id >= 0 ? &p->before : NULL,
		.after = after,
		.bulk = p->head.bulk,
		.n_before = p->rules.n,
		.n_after = s->rules.n,
	};
	int r;

	if (p->head.deadline_boot <= actor->boot)
		return nothing_waits(-1, err);
	if (!s->view)
		return ps_error_set(
			err, -ENOTCONN, 503, "no_kernel", "", "the kernel part is not loaded; start the collector");
	r = ps_rule_file_save(s->file, &s->rules, p->head.bulk ? NULL : &delta, &line, s->warnings, err);
	if (r < 0)
		return r;
	if (ps_rule_install_confirm(s->view, actor->boot) < 0) {
		(void)ps_rule_install_settle(s->view, actor->boot);
		(void)ps_rule_install(s->view, s->set, 0);
	}
	ps_rule_file_drop_pending(s->file);
	for (size_t i = 0; i < p->rules.n; i++) {
		if (!ps_rule_store_find(s, p->rules.rules[i].id))
			ps_rule_install_clear_hits(s->view, (uint32_t)p->rules.rules[i].id);
	}
	if (!p->head.bulk && !after)
		ps_rule_install_clear_hits(s->view, (uint32_t)p->head.id);
	c->bulk = p->head.bulk;
	c->n_before = p->rules.n;
	c->n_after = s->rules.n;
	c->before = p->before;
	memset(&p->before, 0, sizeof(p->before));
	c->after.id = -1;
	ps_store_pending_clear(p);
	c->generation = ps_rule_store_generation(s);
	c->changed = true;
	return after && ps_rule_copy(after, &c->after) < 0 ? ps_store_no_memory(err) : 0;
}

static int confirm_rule(struct ps_rule_store *s, const struct ps_rule *known, const struct ps_rule_actor *actor,
	struct ps_rule_result *c, struct ps_error *err)
{
	int r = ps_store_ready(s, actor, err);

	if (r < 0)
		return r;
	if (known->confirm_by <= actor->time)
		return nothing_waits(known->id, err);
	if (ps_rule_copy(known, &c->before) < 0 || ps_rule_copy(known, &c->after) < 0)
		return ps_store_no_memory(err);
	c->after.confirm_by = 0;
	return ps_store_step(s, "rules.confirm", actor, c, false, err);
}

int ps_rule_store_confirm(struct ps_rule_store *s, int64_t id, const struct ps_rule_actor *actor,
	struct ps_rule_result *ret_result, struct ps_error *err)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.first_id = -1, .last_id = -1};
	const struct ps_rule *known = id >= 0 ? ps_rule_store_find(s, id) : NULL;
	bool of_set = s->pending.active && (id < 0 || s->pending.head.id == id);
	int r;

	if (id >= 0 && !known && !of_set)
		return ps_error_set(err, -ENOENT, 404, "not_found", "id",
			"there is no rule %lld: if it waited to be confirmed, its time has passed", (long long)id);
	for (size_t i = 0; id < 0 && !of_set && !known && i < s->rules.n; i++) {
		if (s->rules.rules[i].confirm_by)
			known = &s->rules.rules[i];
	}
	if (of_set)
		r = confirm_set(s, actor, &c, err);
	else if (known && known->confirm_by)
		r = confirm_rule(s, known, actor, &c, err);
	else
		r = nothing_waits(id, err);
	if (r < 0)
		return r;
	*ret_result = c;
	memset(&c, 0, sizeof(c));
	/* Without an id: all of them. */
	if (id < 0 && !of_set) {
		_cleanup_(ps_rule_result_clear) struct ps_rule_result more = {0};
		struct ps_error none = {0};

		while (ps_rule_store_confirm(s, -1, actor, &more, &none) >= 0)
			ps_rule_result_clear(&more);
	}
	return 0;
}

/* --- deadlines ----------------------------------------------------------------------------------------- */

struct tick {
	struct ps_rule_store *s;
	struct ps_rule_actor actor;
	ps_rule_told_fn fn;
	void *arg;
	uint64_t next; /* earliest deadline ahead */
};

static void tell(const struct tick *t, const char *action, const struct ps_rule_result *c)
{
	if (t->fn)
		t->fn(t->arg, action, c);
}

/* The kernel went back to the set before; so do we. */
static void roll_back_set(struct tick *t)
{
	struct ps_rule_store *s = t->s;
	struct ps_store_pending *p = &s->pending;
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {
		.bulk = p->head.bulk,
		.n_before = s->rules.n,
		.before.id = -1,
		.after.id = -1,
		.changed = true,
	};
	struct ps_audit_line line = {.op = "rules.rollback", .who = SELF, .time = t->actor.time, .bulk = p->head.bulk};
	struct ps_rule *known;

	if (p->head.bulk) {
		struct ps_rule_array old = s->rules;

		s->rules = p->rules;
		p->rules = (struct ps_rule_array){0};
		ps_rule_array_free(&old);
	} else {
		known = ps_rule_array_find(&s->rules, p->head.id);
		if (known)
			c.before = ps_rule_array_take(&s->rules, (size_t)(known - s->rules.rules));
		if (p->before.id >= 0) {
			(void)ps_rule_copy(&p->before, &c.after);
			if (ps_rule_array_put(&s->rules, &p->before) < 0)
				ps_rule_store_warn(s,
					"no memory to list the rule that came back; it is in force, and in the file");
		}
	}
	line.n_before = c.n_before;
	line.n_after = c.n_after = s->rules.n;
	line.before = c.before.id >= 0 ? &c.before : NULL;
	line.after = c.after.id >= 0 ? &c.after : NULL;
	(void)ps_rule_file_note(s->file, &line, NULL);
	ps_rule_file_drop_pending(s->file);
	ps_store_pending_clear(p);
	if (s->view) {
		struct ps_error err = {0};

		(void)ps_rule_install_settle(s->view, t->actor.boot);
		if (install(s, &s->rules, ps_store_offset(&t->actor), t->actor.boot, 0, &err) < 0)
			ps_rule_store_warn(s, err.message);
	}
	c.generation = ps_rule_store_generation(s);
	tell(t, "rollback", &c);
}

static void sooner(struct tick *t, uint64_t deadline)
{
	if (deadline > t->actor.time && deadline < t->next)
		t->next = deadline;
}

/* A rule that was not confirmed. What can't be written now is tried again; the kernel matches it no more anyhow. */
static int roll_back_rule(struct tick *t, size_t i)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.after.id = -1};
	struct ps_error err = {0};
	int r = ps_rule_copy(&t->s->rules.rules[i], &c.before);

	if (r >= 0)
		r = ps_store_step(t->s, "rules.rollback", &t->actor, &c, false, &err);
	if (r < 0)
		return r;
	tell(t, "rollback", &c);
	return 0;
}

static bool is_over(const struct ps_rule *rule, uint64_t now)
{
	return rule->expires_at && rule->expires_at + PS_RULE_EXPIRED_NS <= now;
}

/* Those that were over an hour ago leave the list, all with one write. */
static int drop_over(struct tick *t, size_t n_over)
{
	struct ps_rule_store *s = t->s;
	_cleanup_free_ int32_t *ids = calloc(n_over, sizeof(*ids));
	_cleanup_(ps_rule_array_free) struct ps_rule_array gone = {0};
	struct ps_rule_delta delta = {.del = ids};
	struct ps_rule_result c = {.bulk = true, .n_before = s->rules.n, .changed = true};
	struct ps_audit_line line = {
		.op = "rules.expire",
		.who = SELF,
		.time = t->actor.time,
		.bulk = true,
		.n_before = s->rules.n,
		.n_after = s->rules.n - n_over,
	};
	struct ps_rule_array kept = {0};
	struct ps_error err = {0};
	int r;

	if (!ids || ps_rule_array_reserve(&gone, n_over) < 0 ||
		ps_rule_array_reserve(&kept, s->rules.n - n_over + 16) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->rules.n; i++) {
		if (!is_over(&s->rules.rules[i], t->actor.time)) {
			kept.rules[kept.n++] = s->rules.rules[i];
		} else if (delta.n_del < n_over) {
			ids[delta.n_del] = s->rules.rules[i].id;
			gone.rules[delta.n_del++] = s->rules.rules[i];
		}
	}
	r = ps_rule_file_save(s->file, &kept, &delta, &line, s->warnings, &err);
	if (r < 0) {
		free(kept.rules);
		return r;
	}
	gone.n = delta.n_del;
	free(s->rules.rules);
	s->rules = kept;
	if (s->view) {
		if (install(s, &s->rules, ps_store_offset(&t->actor), t->actor.boot, 0, &err) < 0)
			ps_rule_store_warn(s, err.message);
		for (size_t i = 0; i < gone.n; i++)
			ps_rule_install_clear_hits(s->view, (uint32_t)gone.rules[i].id);
	}
	c.n_after = s->rules.n;
	c.generation = ps_rule_store_generation(s);
	tell(t, "expire", &c);
	return 0;
}

static void tell_expired(const struct tick *t, const struct ps_rule *rule)
{
	_cleanup_(ps_rule_result_clear) struct ps_rule_result c = {.before.id = -1, .changed = true};

	if (ps_rule_copy(rule, &c.after) < 0)
		return;
	c.generation = ps_rule_store_generation(t->s);
	tell(t, "expire", &c);
}

static void look_at_rules(struct tick *t)
{
	struct ps_rule_store *s = t->s;
	uint64_t now = t->actor.time;
	size_t over = 0;
	bool failed = false;

	for (size_t i = s->rules.n; i-- > 0;) {
		const struct ps_rule *rule = &s->rules.rules[i];

		if (rule->confirm_by && rule->confirm_by <= now && !s->pending.active) {
			failed = roll_back_rule(t, i) < 0 || failed;
			continue;
		}
		if (rule->confirm_by)
			sooner(t, rule->confirm_by);
		if (!rule->expires_at)
			continue;
		if (rule->expires_at > s->told && rule->expires_at <= now)
			tell_expired(t, rule);
		sooner(t, rule->expires_at);
		sooner(t, rule->expires_at + PS_RULE_EXPIRED_NS);
		over += is_over(rule, now);
	}
	s->told = now;
	if (over && !s->pending.active)
		failed = drop_over(t, over) < 0 || failed;
	/* A disk that is full is asked again once a minute; a change that waits is over soon. */
	s->look_at = failed ? now + 60 * PS_NSEC : s->pending.active ? now : t->next;
}

void ps_rule_store_tick(struct ps_rule_store *s, uint64_t time, uint64_t boot, ps_rule_told_fn fn, void *arg)
{
	struct tick t = {.s = s, .actor = self(time, boot), .fn = fn, .arg = arg, .next = UINT64_MAX};

	if (s->pending.active && s->pending.head.deadline_boot <= boot)
		roll_back_set(&t);
	if (time >= s->look_at || time < s->told)
		look_at_rules(&t);
	if (ps_rule_file_heavy(s->file))
		(void)ps_rule_file_fold(s->file, &s->rules, s->warnings);
}
