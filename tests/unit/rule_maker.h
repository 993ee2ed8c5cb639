/* Rules from a line of JSON, for tests. */
#ifndef PS_TEST_RULE_MAKER_H
#define PS_TEST_RULE_MAKER_H

#include <string.h>

#include "aggregator/rule_array.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"

#define RM_NOW 1700000000000000000ull

static inline struct ps_value *rm_json(const char *text)
{
	struct ps_value *v = NULL;
	struct ps_error err = {0};

	if (ps_json_parse(text, strlen(text), &v, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return v;
}

/* Enabled unless it says otherwise. */
static inline struct ps_rule rm_rule(int32_t id, const char *text)
{
	_cleanup_(ps_value_free) struct ps_value *body = rm_json(text);
	struct ps_rule base, rule = {0};
	struct ps_error err = {0};

	ps_rule_defaults(&base);
	base.enabled = true;
	if (ps_rule_merge(&base, body, RM_NOW, &rule, NULL, &err) < 0)
		fail_msg("%s: %s: %s", text, err.field, err.message);
	rule.id = id;
	return rule;
}

/* Ids from 0 in the order of the texts, NULL at the end. */
static inline void rm_set(struct ps_rule_array *out, const char *const *texts)
{
	for (int32_t id = 0; texts && texts[id]; id++) {
		struct ps_rule rule = rm_rule(id, texts[id]);

		assert_int_equal(ps_rule_array_put(out, &rule), 0);
	}
}

#endif
