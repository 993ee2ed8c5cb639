#include "aggregator/rule_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"
#include "bpf/rule_match.h"
#include "common/base/cleanup.h"

#define NS_PER_S 1000000000u

/* Units that went and came in a change, in this order, each in its tuple. */
struct ps_set_delta {
	struct {
		struct ps_rule_unit_pair pair;
		unsigned tuple;
	} * unit;
	size_t n_out, n;
	int32_t id_out, id_in; /* -1 = no rule */
	struct ps_rule_term term_out, term_in;
};

static void delta_free(struct ps_set_delta **d)
{
	if (!*d)
		return;
	free((*d)->unit);
	free(*d);
	*d = NULL;
}

int ps_rule_set_new(struct ps_rule_set **ret_set)
{
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return -ENOMEM;
	r = ps_rule_image_new(0, &set->image);
	if (r < 0)
		return r;
	*ret_set = PS_TAKE(set);
	return 0;
}

static void forget_before(struct ps_rule_set *set)
{
	ps_rule_image_free(&set->before);
	delta_free(&set->undo);
}

void ps_rule_set_settle(struct ps_rule_set *set)
{
	forget_before(set);
}

void ps_rule_set_free(struct ps_rule_set **set)
{
	if (!*set)
		return;
	forget_before(*set);
	ps_rule_image_free(&(*set)->image);
	free(*set);
	*set = NULL;
}

/* --- Errors -------------------------------------------------------------------------------------- */

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to compile the rules");
}

static int too_many_units(uint64_t units, struct ps_error *err)
{
	return ps_error_set(err, -ENOSPC, 507, "rules_full", "",
		"the enabled rules stand for %llu combinations of port ranges, of which the kernel part holds %u; "
		"disable or "
		"delete some, or write long lists of ports in fewer rules",
		(unsigned long long)units, PS_UNITS_MAX);
}

static int too_alike(struct ps_error *err)
{
	return ps_error_set(err, -ENOSPC, 507, "rules_full", "",
		"more than %u enabled rules differ in nothing that can be indexed (the beginning of addresses and "
		"ports, the "
		"protocol): a packet would have to be compared with all of them; disable some, or write them as "
		"networks or "
		"ranges",
		PS_RULE_CHAIN);
}

/* --- Everything anew ------------------------------------------------------------------------------ */

/* Boot time of the earlier of the rule's two deadlines. One that is long gone is still one. */
static struct ps_rule_term term_of(const struct ps_rule *rule, int64_t wall_offset)
{
	uint64_t until = rule->expires_at;
	struct ps_rule_term term = {0};

	if (rule->confirm_by && (!until || rule->confirm_by < until))
		until = rule->confirm_by;
	if (until)
		term.until = (int64_t)until > wall_offset ? until - (uint64_t)wall_offset : 1;
	if (rule->rate_limit)
		term.rate_ns = NS_PER_S / rule->rate_limit;
	return term;
}

/* Shapes of all units, in the order in which insert_all() makes them. */
struct census {
	struct ps_shape_plan *plan;
	uint32_t *shape;
	size_t n, room;
	uint64_t units; /* places of the image that they take */
};

static void census_free(struct census *c)
{
	ps_shape_plan_free(&c->plan);
	free(c->shape);
}

static int census_add(struct census *c, const struct ps_rule_unit_pair *pair)
{
	struct ps_rule_shape shape = ps_rule_shape_of(pair);
	int s = ps_shape_plan_count(c->plan, &shape);

	if (s < 0)
		return s;
	if (c->n == c->room) {
		size_t room = PS_MAX(2 * c->room, 256u);
		uint32_t *grown = realloc(c->shape, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->shape = grown;
		c->room = room;
	}
	c->shape[c->n++] = (uint32_t)s;
	c->units += shape.quoted ? 2 : 1;
	return 0;
}

static int count_all(const struct ps_rule *rules, size_t n, struct census *c, struct ps_error *err)
{
	if (ps_shape_plan_new(&c->plan) < 0)
		return no_memory(err);
	for (size_t i = 0; i < n; i++) {
		struct ps_rule_unit_pair pair;
		struct ps_rule_units units;

		if (!rules[i].enabled)
			continue;
		ps_rule_units_init(&rules[i], &units);
		/* before they are made: one rule can stand for a million */
		if (c->units + units.n > PS_UNITS_MAX)
			return too_many_units(c->units + units.n, err);
		for (uint32_t k = 0; k < units.n; k++) {
			ps_rule_units_get(&units, k, &pair);
			if (census_add(c, &pair) < 0)
				return no_memory(err);
		}
	}
	return 0;
}

/* For all that are enabled at once. */
static int reserve_rows(struct ps_rule_image *image, const struct ps_rule *rules, size_t n)
{
	uint32_t highest = 0;
	bool any = false;

	for (size_t i = 0; i < n; i++)
		if (rules[i].enabled) {
			highest = PS_MAX(highest, (uint32_t)rules[i].id);
			any = true;
		}
	return any ? ps_rule_image_reserve_row(image, highest) : 0;
}

/* -EMLINK: *ret_tuple has too many units behind one place. */
static int insert_all(struct ps_rule_image *image, const struct ps_rule *rules, size_t n, const struct census *c,
	const unsigned *tuple_of, int64_t wall_offset, unsigned *ret_tuple)
{
	size_t next = 0;
	int r = 0;

	for (unsigned t = 0; t < ps_shape_plan_tuples(c->plan); t++)
		(void)ps_rule_image_add_tuple(image, ps_shape_plan_tuple(c->plan, t));
	r = reserve_rows(image, rules, n);
	if (r < 0)
		return r;
	ps_rule_image_begin(image);
	for (size_t i = 0; i < n; i++) {
		struct ps_rule_units units;

		if (!rules[i].enabled)
			continue;
		ps_rule_image_set_term(image, (uint32_t)rules[i].id, term_of(&rules[i], wall_offset));
		ps_rule_units_init(&rules[i], &units);
		for (uint32_t k = 0; k < units.n; k++) {
			struct ps_rule_unit_pair pair;

			ps_rule_units_get(&units, k, &pair);
			*ret_tuple = tuple_of[c->shape[next++]];
			r = ps_rule_image_insert(image, &pair, *ret_tuple);
			if (r < 0)
				return r;
		}
	}
	ps_rule_image_finish(image);
	return r;
}

static unsigned *tuples_of(const struct census *c)
{
	uint32_t shapes = 0;
	unsigned *tuple_of;

	for (size_t i = 0; i < c->n; i++)
		shapes = PS_MAX(shapes, c->shape[i] + 1);
	tuple_of = calloc((size_t)shapes + 1, sizeof(*tuple_of));
	for (uint32_t s = 0; tuple_of && s < shapes; s++)
		tuple_of[s] = ps_shape_plan_tuple_of(c->plan, (int)s);
	return tuple_of;
}

/* One layout. room: units that the image is to have place for. */
static int lay_out(const struct ps_rule *rules, size_t n, struct census *c, uint32_t room, int64_t wall_offset,
	struct ps_rule_image **ret_image, unsigned *ret_tuple)
{
	_cleanup_(ps_rule_image_free) struct ps_rule_image *image = NULL;
	_cleanup_free_ unsigned *tuple_of = NULL;
	int r = ps_shape_plan_settle(c->plan);

	if (r == 0)
		r = ps_rule_image_new(room, &image);
	if (r < 0)
		return r;
	tuple_of = tuples_of(c);
	if (!tuple_of)
		return -ENOMEM;
	r = insert_all(image, rules, n, c, tuple_of, wall_offset, ret_tuple);
	if (r < 0)
		return r;
	*ret_image = PS_TAKE(image);
	return 0;
}

static int compile(const struct ps_rule *rules, size_t n, int64_t wall_offset, struct ps_rule_image **ret_image,
	struct ps_error *err)
{
	_cleanup_(census_free) struct census c = {0};
	int r = count_all(rules, n, &c, err);
	uint32_t room;

	if (r < 0)
		return r;
	/* one in eight for what comes next, and what pairs leave */
	room = (uint32_t)PS_MIN(c.units + c.units / 8 + 64, PS_UNITS_MAX);
	for (int layout = 0; layout < PS_RULE_LAYOUTS; layout++) {
		unsigned tuple = 0;

		r = lay_out(rules, n, &c, room, wall_offset, ret_image, &tuple);
		if (r == 0)
			return 0;
		if (r == -EMLINK) {
			if (!ps_shape_plan_spare(c.plan, tuple))
				return too_alike(err);
		} else if (r == -ENOSPC && room < PS_UNITS_MAX) {
			room = PS_MIN(2 * room, PS_UNITS_MAX);
		} else {
			return r == -ENOSPC ? too_many_units(c.units, err) : no_memory(err);
		}
	}
	return too_alike(err);
}

int ps_rule_set_compile(
	struct ps_rule_set *set, const struct ps_rule *rules, size_t n, int64_t wall_offset, struct ps_error *err)
{
	struct ps_rule_image *image = NULL;
	int r = compile(rules, n, wall_offset, &image, err);

	if (r < 0)
		return r;
	forget_before(set);
	set->before = set->image;
	set->image = image;
	return 0;
}

/* --- One rule ------------------------------------------------------------------------------------- */

/* Adds the rule's units. -EXDEV: one has no tuple. */
static int delta_add(struct ps_rule_image *image, const struct ps_rule *rule, bool may_add, struct ps_set_delta *d)
{
	struct ps_rule_units units;
	void *grown;

	ps_rule_units_init(rule, &units);
	if (units.n > PS_UNIT_CHUNK)
		return -EXDEV;
	grown = realloc(d->unit, (d->n + units.n) * sizeof(*d->unit));
	if (!grown)
		return -ENOMEM;
	d->unit = grown;
	for (uint32_t k = 0; k < units.n; k++) {
		struct ps_rule_shape shape;
		int t;

		ps_rule_units_get(&units, k, &d->unit[d->n].pair);
		shape = ps_rule_shape_of(&d->unit[d->n].pair);
		t = ps_rule_image_find_tuple(image, &shape);
		if (may_add && image->head->tuples < PS_RULE_TUPLES &&
			(t < 0 || ps_rule_shape_loss(&shape, &image->shape[t])))
			t = (int)ps_rule_image_add_tuple(image, &shape);
		if (t < 0)
			return -EXDEV;
		d->unit[d->n++].tuple = (unsigned)t;
	}
	return 0;
}

/* Takes out what went and puts in what came, or the other way round. On failure the image is as it was. */
static int delta_apply(struct ps_rule_image *image, const struct ps_set_delta *d, bool back)
{
	size_t out = back ? d->n_out : 0, out_end = back ? d->n : d->n_out;
	size_t in = back ? 0 : d->n_out, in_end = back ? d->n_out : d->n, i;
	int32_t id_out = back ? d->id_in : d->id_out, id_in = back ? d->id_out : d->id_in;
	struct ps_rule_term was = {0};
	int r = 0;

	for (i = out; i < out_end; i++)
		if (!ps_rule_image_remove(image, &d->unit[i].pair, d->unit[i].tuple))
			break;
	if (i < out_end) {
		while (i-- > out)
			(void)ps_rule_image_insert(image, &d->unit[i].pair, d->unit[i].tuple);
		return -EXDEV;
	}
	if (id_out >= 0) {
		was = image->terms[id_out];
		ps_rule_image_set_term(image, (uint32_t)id_out, (struct ps_rule_term){0});
	}
	if (id_in >= 0)
		ps_rule_image_set_term(image, (uint32_t)id_in, back ? d->term_out : d->term_in);
	for (i = in; r == 0 && i < in_end; i++)
		r = ps_rule_image_insert(image, &d->unit[i].pair, d->unit[i].tuple);
	if (r == 0)
		return 0;
	/* the last one did not go in */
	for (i--; i-- > in;)
		(void)ps_rule_image_remove(image, &d->unit[i].pair, d->unit[i].tuple);
	if (id_in >= 0)
		ps_rule_image_set_term(image, (uint32_t)id_in, (struct ps_rule_term){0});
	if (id_out >= 0)
		ps_rule_image_set_term(image, (uint32_t)id_out, was);
	/* what was taken out has its place still */
	for (i = out; i < out_end; i++)
		(void)ps_rule_image_insert(image, &d->unit[i].pair, d->unit[i].tuple);
	return r;
}

static bool is_worn(const struct ps_rule_image *image)
{
	return image->stale > PS_RULE_STALE_MIN && image->stale > image->head->units / 2;
}

/* In place. -EXDEV, -ENOSPC, -EMLINK: not so. */
static int change_in_place(struct ps_rule_set *set, const struct ps_rule *before, const struct ps_rule *after,
	int64_t wall_offset, struct ps_set_delta *d)
{
	struct ps_rule_image *image = set->image;
	int r = 0;

	d->id_out = d->id_in = -1;
	if (before && before->enabled) {
		d->id_out = before->id;
		if ((uint32_t)before->id >= image->n_terms)
			return -EXDEV;
		d->term_out = image->terms[before->id];
		r = delta_add(image, before, false, d);
	}
	d->n_out = d->n;
	if (r == 0 && after && after->enabled) {
		d->id_in = after->id;
		d->term_in = term_of(after, wall_offset);
		r = ps_rule_image_reserve_row(image, (uint32_t)after->id);
		if (r == 0)
			r = delta_add(image, after, true, d);
	}
	return r == 0 ? delta_apply(image, d, false) : r;
}

int ps_rule_set_change(struct ps_rule_set *set, const struct ps_rule *rules, size_t n, const struct ps_rule *before,
	const struct ps_rule *after, int64_t wall_offset, struct ps_error *err)
{
	_cleanup_(delta_free) struct ps_set_delta *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return no_memory(err);
	if (is_worn(set->image))
		return ps_rule_set_compile(set, rules, n, wall_offset, err);
	r = change_in_place(set, before, after, wall_offset, d);
	if (r == -ENOMEM)
		return no_memory(err);
	if (r < 0)
		return ps_rule_set_compile(set, rules, n, wall_offset, err);
	forget_before(set);
	set->undo = PS_TAKE(d);
	return 0;
}

void ps_rule_set_undo(struct ps_rule_set *set)
{
	if (set->undo) {
		(void)delta_apply(set->image, set->undo, true);
	} else if (set->before) {
		ps_rule_image_free(&set->image);
		set->image = PS_TAKE(set->before);
	}
	forget_before(set);
}
