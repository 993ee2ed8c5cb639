#include "aggregator/rule_bulk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aggregator/limits.h"
#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/codec/json_scan.h"
#include "common/model/rule_list.h"

struct reader {
	uint64_t now;
	struct ps_rule base; /* what an element leaves out */
	struct ps_rule_array *out;
	struct ps_value *warnings;
	size_t duplicates;
};

/* --- what holds for all ---------------------------------------------------------------------------------- */

/* A query brings numbers and flags as text. */
static struct ps_value *plain(const char *key, const struct ps_value *v)
{
	const char *text = ps_value_as_string(v, NULL);
	bool number = strcmp(key, "priority") == 0 || strcmp(key, "ttl") == 0;
	char *end = NULL;
	long long n;

	if (!text)
		return ps_value_copy(v);
	if (strcmp(key, "enabled") == 0 && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0))
		return ps_value_bool(true);
	if (strcmp(key, "enabled") == 0 && (strcmp(text, "0") == 0 || strcmp(text, "false") == 0))
		return ps_value_bool(false);
	errno = 0;
	n = strtoll(text, &end, 10);
	return number && *text && !*end && !errno ? ps_value_int(n) : ps_value_copy(v);
}

static int read_base(struct reader *r, const struct ps_value *args, const struct ps_rule *like, struct ps_error *err)
{
	static const char *const names[] = {
		"action", "direction", "priority", "comment", "enabled", "ttl", "mode", "source"};
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();

	for (size_t i = 0; body && i < PS_ARRAY_SIZE(names); i++) {
		const struct ps_value *v = ps_value_get(args, names[i]);

		if (v && ps_value_kind(v) != PS_VALUE_NULL && ps_value_set(body, names[i], plain(names[i], v)) < 0)
			return -ENOMEM;
	}
	return body ? ps_rule_merge(like, body, r->now, &r->base, NULL, err) : -ENOMEM;
}

/* --- elements ----------------------------------------------------------------------------------------------- */

static int append(struct reader *r, struct ps_rule *rule, struct ps_error *err)
{
	struct ps_rule_array *a = r->out;

	if (a->n >= PS_RULES_MAX)
		return ps_error_set(err, -E2BIG, 507, "rules_full", "", "more than %u rules", PS_RULES_MAX);
	if (a->n == a->room && ps_rule_array_reserve(a, a->n + a->n / 2 + 16) < 0)
		return -ENOMEM;
	a->rules[a->n++] = *rule;
	memset(rule, 0, sizeof(*rule));
	return 0;
}

static bool is_known(const struct ps_value *list, const char *text)
{
	for (size_t i = 0; i < ps_value_count(list); i++) {
		const char *known = strstr(ps_value_as_string(ps_value_at(list, i), ""), ": ");

		if (known && strcmp(known + 2, text) == 0)
			return true;
	}
	return false;
}

static int warn_of(struct reader *r, const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *list = NULL;

	/* A single address hurts nobody but itself. */
	if (rule->src_ip.addr.family || rule->dst_ip.addr.family)
		return 0;
	list = ps_rule_warnings(rule, r->now);
	for (size_t i = 0; i < ps_value_count(list) && ps_value_count(r->warnings) < PS_BULK_WARNINGS_MAX; i++) {
		const char *text = ps_value_as_string(ps_value_at(list, i), "");
		char line[512];

		if (is_known(r->warnings, text))
			continue;
		(void)snprintf(line, sizeof(line), "rule number %zu: %s", r->out->n + 1, text);
		if (ps_value_append(r->warnings, ps_value_string(line)) < 0)
			return -ENOMEM;
	}
	return list ? 0 : -ENOMEM;
}

static int add_rule(struct reader *r, const struct ps_value *body, struct ps_error *err)
{
	_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
	const struct ps_value *id = ps_value_get(body, "id");
	struct ps_error inner = {0};
	int64_t number = -1;
	int result = ps_rule_merge(&r->base, body, r->now, &rule, NULL, &inner);

	if (result >= 0 && id && ps_value_kind(id) != PS_VALUE_NULL &&
		(!ps_value_is_integer(id, &number) || number < 0 || number >= (int64_t)PS_RULES_MAX))
		result = ps_error_set(
			&inner, -EINVAL, 400, "bad_value", "id", "an id is a number from 0 to %u", PS_RULES_MAX - 1);
	if (result == -EINVAL)
		return ps_error_set(
			err, result, 400, inner.code, inner.field, "rule number %zu: %s", r->out->n + 1, inner.message);
	if (result < 0)
		return result;
	rule.id = (int32_t)number;
	result = warn_of(r, &rule);
	return result < 0 ? result : append(r, &rule, err);
}

static int read_values(struct reader *r, const struct ps_value *list, struct ps_error *err)
{
	int result = 0;

	for (size_t i = 0; i < ps_value_count(list) && result >= 0; i++)
		result = add_rule(r, ps_value_at(list, i), err);
	return result;
}

static int read_json(struct reader *r, const char *text, size_t len, struct ps_error *err)
{
	struct ps_json_scan scan;
	const char *piece;
	size_t piece_len;
	int result = ps_json_scan_begin(text, len, '[', &scan, err);

	while (result >= 0 && (result = ps_json_scan_next(&scan, NULL, NULL, &piece, &piece_len, err)) > 0) {
		_cleanup_(ps_value_free) struct ps_value *body = NULL;
		struct ps_error inner = {0};

		result = ps_json_parse(piece, piece_len, &body, &inner);
		if (result == -EINVAL)
			return ps_error_set(err, result, 400, inner.code, inner.field, "rule number %zu: %s",
				r->out->n + 1, inner.message);
		if (result >= 0)
			result = add_rule(r, body, err);
	}
	return result;
}

static int read_list(struct reader *r, const char *text, size_t len, struct ps_error *err)
{
	_cleanup_(ps_rule_list_clear) struct ps_rule_list list = {0};
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	int result = ps_rule_list_parse(text, len, &list, err);

	if (result >= 0)
		result = ps_rule_list_rules(&list, &r->base, &rules, err);
	if (result < 0)
		return result;
	r->duplicates = list.duplicates;
	if (ps_rule_array_reserve(r->out, rules.n + 1) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < rules.n && result >= 0; i++) {
		rules.rule[i].id = -1;
		result = append(r, &rules.rule[i], err);
	}
	return result;
}

static int read_all(struct reader *r, const struct ps_value *args, struct ps_error *err)
{
	const struct ps_value *rules = ps_value_get(args, "rules"), *json = ps_value_get(args, "json");
	const struct ps_value *list = ps_value_get(args, "list");

	if (ps_value_kind(rules) == PS_VALUE_LIST)
		return read_values(r, rules, err);
	if (ps_value_kind(json) == PS_VALUE_STRING)
		return read_json(r, ps_value_as_string(json, ""), ps_value_string_len(json), err);
	if (ps_value_kind(list) == PS_VALUE_STRING)
		return read_list(r, ps_value_as_string(list, ""), ps_value_string_len(list), err);
	return ps_error_set(
		err, -EINVAL, 400, "bad_value", "rules", "a list of rules was expected: [{\"src_ip\": …}, …]");
}

void ps_rule_bulk_free(struct ps_rule_bulk *bulk)
{
	ps_rule_array_free(&bulk->rules);
	ps_value_free(&bulk->warnings);
}

int ps_rule_bulk_add(const struct ps_value *args, const struct ps_rule *like, uint64_t now, struct ps_rule_bulk *bulk,
	struct ps_error *err)
{
	struct reader r = {.now = now, .out = &bulk->rules};
	int result;

	if (!bulk->warnings)
		bulk->warnings = ps_value_list();
	r.warnings = bulk->warnings;
	result = r.warnings ? read_base(&r, args, like, err) : -ENOMEM;
	if (result >= 0)
		result = read_all(&r, args, err);
	ps_rule_clear(&r.base);
	if (result == -ENOMEM)
		return ps_error_set(err, result, 507, "no_memory", "", "no memory for that many rules");
	bulk->duplicates += r.duplicates;
	return result < 0 ? result : 0;
}

int ps_rule_bulk_read(const struct ps_value *args, const struct ps_rule *like, uint64_t now,
	struct ps_rule_bulk *ret_bulk, struct ps_error *err)
{
	_cleanup_(ps_rule_bulk_free) struct ps_rule_bulk bulk = {0};
	int result = ps_rule_bulk_add(args, like, now, &bulk, err);

	if (result < 0)
		return result;
	*ret_bulk = bulk;
	bulk = (struct ps_rule_bulk){0};
	return 0;
}
