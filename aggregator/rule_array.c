#include "aggregator/rule_array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ps_rule_array_free(struct ps_rule_array *a)
{
	struct ps_rules owned = {.rule = a->rules, .n = a->n};

	ps_rules_clear(&owned);
	*a = (struct ps_rule_array){0};
}

int ps_rule_array_reserve(struct ps_rule_array *a, size_t n)
{
	struct ps_rule *more;

	if (n <= a->room)
		return 0;
	more = realloc(a->rules, n * sizeof(*more));
	if (!more)
		return -ENOMEM;
	a->rules = more;
	a->room = n;
	return 0;
}

size_t ps_rule_array_position(const struct ps_rule_array *a, int64_t id)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a->rules[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct ps_rule *ps_rule_array_find(const struct ps_rule_array *a, int64_t id)
{
	size_t i = ps_rule_array_position(a, id);

	return i < a->n && a->rules[i].id == id ? &a->rules[i] : NULL;
}

/* Rules stand in order of id: up to the first gap after `from`, the id grows with the position. */
int32_t ps_rule_array_free_id(const struct ps_rule_array *a, int32_t from)
{
	size_t first = ps_rule_array_position(a, from), low = first, high = a->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (a->rules[middle].id == from + (int64_t)(middle - first))
			low = middle + 1;
		else
			high = middle;
	}
	return (int32_t)(from + (int64_t)(low - first));
}

int ps_rule_array_put(struct ps_rule_array *a, struct ps_rule *rule)
{
	size_t at = ps_rule_array_position(a, rule->id);

	if (a->n == a->room) {
		int r = ps_rule_array_reserve(a, a->n + a->n / 4 + 16);

		if (r < 0)
			return r;
	}
	memmove(&a->rules[at + 1], &a->rules[at], (a->n - at) * sizeof(*a->rules));
	a->rules[at] = *rule;
	memset(rule, 0, sizeof(*rule));
	a->n++;
	return 0;
}

struct ps_rule ps_rule_array_take(struct ps_rule_array *a, size_t i)
{
	struct ps_rule rule = a->rules[i];

	a->n--;
	memmove(&a->rules[i], &a->rules[i + 1], (a->n - i) * sizeof(*a->rules));
	return rule;
}

static int compare_ids(const void *a, const void *b)
{
	const struct ps_rule *ra = a, *rb = b;

	return (ra->id > rb->id) - (ra->id < rb->id);
}

int ps_rule_array_sort(struct ps_rule_array *a, struct ps_error *err)
{
	size_t i = 1;

	while (i < a->n && a->rules[i - 1].id < a->rules[i].id)
		i++;
	if (i < a->n)
		qsort(a->rules, a->n, sizeof(*a->rules), compare_ids);
	for (i = 1; i < a->n; i++) {
		if (a->rules[i].id == a->rules[i - 1].id)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "id",
				"two rules have id %d; leave the ids out, or give each its own", a->rules[i].id);
	}
	return 0;
}
