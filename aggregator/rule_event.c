#include "aggregator/rule_event.h"

#include "common/base/cleanup.h"

static struct ps_value *count(size_t n)
{
	struct ps_value *v = ps_value_map();

	if (v && ps_value_set(v, "rules", ps_value_uint(n)) < 0)
		ps_value_free(&v);
	return v;
}

struct ps_value *ps_rule_event(const struct ps_rule_store *s, const char *action, const char *who,
	const struct ps_rule_result *res, uint64_t now, int64_t wall_offset)
{
	_cleanup_(ps_value_free) struct ps_value *map = ps_value_map();
	const struct ps_rule *rules[] = {&res->before, &res->after};
	struct ps_value *sides[2];
	int32_t id = res->before.id >= 0 ? res->before.id : res->after.id;

	for (unsigned i = 0; i < 2; i++) {
		if (res->bulk)
			sides[i] = count(i ? res->n_after : res->n_before);
		else if (rules[i]->id < 0)
			sides[i] = ps_value_null();
		else
			sides[i] = ps_rule_store_value(s, rules[i], now, wall_offset);
	}
	if (ps_value_set(map, "before", sides[0]) < 0 || ps_value_set(map, "after", sides[1]) < 0 ||
		ps_value_set(map, "action", ps_value_string(action)) < 0 ||
		ps_value_set(map, "id", res->bulk ? ps_value_null() : ps_value_int(id)) < 0 ||
		ps_value_set(map, "who", ps_value_string(who)) < 0 ||
		ps_value_set(map, "generation", ps_value_uint(res->generation)) < 0)
		return NULL;
	return PS_TAKE(map);
}
