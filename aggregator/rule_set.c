#include "aggregator/rule_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "aggregator/rule_image.h"
#include "bpf/rule_hash.h"
#include "common/base/cleanup.h"

/* One masked key on its way to a slot. */
struct item {
	struct ps_rule_entry entry;
	uint32_t rank;
	uint32_t id;
	uint32_t action;
	bool opens_tuple; /* begins a second tuple of its mask, see compile_layout */
};

struct items {
	struct item *item;
	size_t n;
};

static void items_free(struct items *items)
{
	free(items->item);
	items->item = NULL;
}

static int compare_rules(const void *a, const void *b)
{
	return ps_rule_compare(*(const struct ps_rule *const *)a, *(const struct ps_rule *const *)b);
}

static int no_memory(struct ps_error *err)
{
	return ps_error_set(err, -ENOMEM, 507, "no_memory", "", "no memory to compile the rules");
}

/* The enabled rules as items, in order of rank. */
static int items_make(const struct ps_rule *rules, size_t n, struct items *items, struct ps_error *err)
{
	_cleanup_free_ const struct ps_rule **order = calloc(n + 1, sizeof(const struct ps_rule *));
	size_t enabled = 0;

	if (!order)
		return no_memory(err);
	for (size_t i = 0; i < n; i++) {
		if (rules[i].enabled)
			order[enabled++] = &rules[i];
	}
	qsort(order, enabled, sizeof(const struct ps_rule *), compare_rules);
	items->item = calloc(enabled * PS_RULE_ENTRIES_MAX + 1, sizeof(*items->item));
	if (!items->item)
		return no_memory(err);
	for (size_t rank = 0; rank < enabled; rank++) {
		struct ps_rule_entry entry[PS_RULE_ENTRIES_MAX];
		int parts;

		memset(entry, 0, sizeof(entry));
		parts = ps_rule_compile(order[rank], entry, err);
		if (parts < 0)
			return parts;
		for (int k = 0; k < parts; k++)
			items->item[items->n++] = (struct item){
				.entry = entry[k],
				.rank = (uint32_t)rank,
				.id = (uint32_t)order[rank]->id,
				.action = order[rank]->action,
			};
	}
	return 0;
}

static bool same_tuple(const struct ps_rule_tuple *a, const struct ps_rule_tuple *b)
{
	return a->flags == b->flags && memcmp(&a->mask, &b->mask, sizeof(a->mask)) == 0 &&
	       memcmp(&a->inner_mask, &b->inner_mask, sizeof(a->inner_mask)) == 0;
}

/* The newest tuple of that mask, or a new one. -ENOSPC. */
static int tuple_of(struct ps_rule_set_head *set, const struct item *item)
{
	if (!item->opens_tuple) {
		for (uint32_t t = set->tuples; t-- > 0;) {
			if (same_tuple(&set->tuple[t], &item->entry.tuple))
				return (int)t;
		}
	}
	if (set->tuples == PS_RULE_TUPLES)
		return -ENOSPC;
	set->tuple[set->tuples] = item->entry.tuple;
	set->tuple[set->tuples].best_rank = item->rank;
	return (int)set->tuples++;
}

static uint32_t home_of(const struct ps_rule_slot *slot, bool quoted)
{
	return ps_rule_hash(&slot->key, quoted ? &slot->inner : NULL, slot->used - 1) & (PS_RULE_SLOTS - 1);
}

static bool is_quoted(const struct ps_rule_set_head *set, const struct ps_rule_slot *slot)
{
	return set->tuple[slot->used - 1].flags & PS_TUPLE_QUOTED;
}

/*
 * Puts a slot where it belongs. Of two that want the same place the one that is farther from home gets it, which keeps
 * the longest way short. -EEXIST: a rule of better rank has this very key. -ENOSPC: something would end up too far
 * away.
 */
static int place(struct ps_rule_image *image, struct ps_rule_slot slot)
{
	uint32_t i = home_of(&slot, is_quoted(&image->set, &slot));
	uint32_t way = 0;
	bool moved = false;

	for (; way < PS_RULE_PROBES; i = (i + 1) & (PS_RULE_SLOTS - 1), way++) {
		struct ps_rule_slot *there = &image->slots[i];
		uint32_t its_way;

		if (!there->used) {
			*there = slot;
			return 0;
		}
		if (!moved && there->used == slot.used && memcmp(&there->key, &slot.key, sizeof(slot.key)) == 0 &&
			memcmp(&there->inner, &slot.inner, sizeof(slot.inner)) == 0)
			return -EEXIST;
		its_way = (i - home_of(there, is_quoted(&image->set, there))) & (PS_RULE_SLOTS - 1);
		if (its_way < way) {
			struct ps_rule_slot evicted = *there;

			*there = slot;
			slot = evicted;
			way = its_way;
			moved = true;
		}
	}
	return -ENOSPC;
}

/* Lays all items out. On -ENOSPC, *ret_failed is the item that found no place, or n when there are too many tuples. */
static int compile_layout(const struct items *items, struct ps_rule_image *image, size_t *ret_failed)
{
	memset(image, 0, sizeof(*image));
	for (size_t k = 0; k < items->n; k++) {
		const struct item *item = &items->item[k];
		int t = tuple_of(&image->set, item);
		int r;

		if (t < 0) {
			*ret_failed = items->n;
			return t;
		}
		r = place(image, (struct ps_rule_slot){
					 .key = item->entry.key,
					 .inner = item->entry.inner,
					 .used = 1 + (uint32_t)t,
					 .rank = item->rank,
					 .id = item->id,
					 .action = item->action,
				 });
		if (r < 0 && r != -EEXIST) {
			*ret_failed = k;
			return r;
		}
	}
	return 0;
}

/* Which segments, by their flags, might be hit by a rule that tests them: those can't be answered from a cached
 * verdict. */
static void mark_tcp_flags(const struct items *items, struct ps_rule_set_head *set)
{
	for (size_t k = 0; k < items->n; k++) {
		const struct ps_rule_entry *e = &items->item[k].entry;

		if (!(e->tuple.flags & PS_TUPLE_TCP_FLAGS))
			continue;
		for (unsigned f = 0; f < 256; f++) {
			if ((f & e->tuple.mask.tcp_flags) == e->key.tcp_flags)
				set->tcp_flags_hit[f / 64] |= 1ull << (f % 64);
		}
	}
}

static int compile(const struct ps_rule *rules, size_t n, struct ps_rule_image **ret_image, struct ps_error *err)
{
	_cleanup_(items_free) struct items items = {0};
	_cleanup_free_ struct ps_rule_image *image = malloc(sizeof(*image));
	size_t failed = 0;
	int r;

	if (!image)
		return no_memory(err);
	r = items_make(rules, n, &items, err);
	if (r < 0)
		return r;
	for (int layout = 0; layout < PS_RULE_LAYOUTS; layout++) {
		r = compile_layout(&items, image, &failed);
		if (r == 0) {
			mark_tcp_flags(&items, &image->set);
			*ret_image = PS_TAKE(image);
			return 0;
		}
		if (failed == items.n)
			return ps_error_set(err, r, 507, "rules_full", "",
				"the rules test more than %u different combinations of fields; disable a rule whose "
				"combination "
				"is rare, or write it like others",
				PS_RULE_TUPLES);
		/* The place depends on the tuple: a second tuple of the same mask from here on gives the rest other
		 * places. */
		items.item[failed].opens_tuple = true;
	}
	return ps_error_set(err, -ENOSPC, 507, "rules_full", "",
		"no room for %zu enabled rules in the kernel's table of %u; disable or delete some", n, PS_RULE_SLOTS);
}

int ps_rule_set_compile(
	struct ps_rule_set *set, const struct ps_rule *rules, size_t n, int64_t wall_offset, struct ps_error *err)
{
	struct ps_rule_image *image = NULL;
	int r = compile(rules, n, &image, err);

	(void)wall_offset;
	if (r < 0)
		return r;
	free(set->before);
	set->before = set->image;
	set->image = image;
	return 0;
}

int ps_rule_set_change(struct ps_rule_set *set, const struct ps_rule *rules, size_t n, const struct ps_rule *before,
	const struct ps_rule *after, int64_t wall_offset, struct ps_error *err)
{
	(void)before;
	(void)after;
	return ps_rule_set_compile(set, rules, n, wall_offset, err);
}

void ps_rule_set_undo(struct ps_rule_set *set)
{
	free(set->image);
	set->image = set->before;
	set->before = NULL;
}

int ps_rule_set_new(struct ps_rule_set **ret_set)
{
	_cleanup_(ps_rule_set_free) struct ps_rule_set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	set->image = calloc(1, sizeof(*set->image));
	if (!set->image)
		return -ENOMEM;
	*ret_set = PS_TAKE(set);
	return 0;
}

void ps_rule_set_free(struct ps_rule_set **set)
{
	if (!*set)
		return;
	free((*set)->image);
	free((*set)->before);
	free(*set);
	*set = NULL;
}
