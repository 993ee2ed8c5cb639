#include "aggregator/rule_text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/codec/json.h"
#include "common/codec/json_scan.h"
#include "common/limits.h"

/* --- writing -------------------------------------------------------------------------------------- */

static void write_rule(struct ps_buf *out, const struct ps_rule *rule)
{
	_cleanup_(ps_value_free) struct ps_value *v = ps_rule_to_stored(rule);

	if (v)
		ps_json_write(out, v);
	else if (!out->error)
		out->error = -ENOMEM;
}

static void write_text(struct ps_buf *out, const char *name, const char *value)
{
	ps_buf_addf(out, ", \"%s\": ", name);
	ps_json_string(out, value, strlen(value));
}

void ps_rule_text_write(struct ps_buf *out, const struct ps_set_head *head, const struct ps_rule *rules, size_t n)
{
	ps_buf_addf(out, "{\"version\": %d, \"seq\": %u", PS_RULES_FILE_VERSION, head->seq);
	write_text(out, "boot", head->boot);
	if (head->pending) {
		ps_buf_addf(out, ", \"deadline_boot\": %llu, \"deadline\": %llu, \"id\": %d",
			(unsigned long long)head->deadline_boot, (unsigned long long)head->deadline_wall, head->id);
		write_text(out, "op", head->op);
		write_text(out, "who", head->who);
		ps_buf_adds(out, head->bulk ? ", \"bulk\": true" : ", \"bulk\": false");
	}
	ps_buf_adds(out, ", \"rules\": [");
	for (size_t i = 0; i < n && !out->error; i++) {
		ps_buf_adds(out, i ? ",\n" : "\n");
		write_rule(out, &rules[i]);
	}
	ps_buf_adds(out, n ? "\n]}\n" : "]}\n");
}

void ps_rule_text_log(struct ps_buf *out, uint32_t seq, const struct ps_rule_delta *delta)
{
	ps_buf_addf(out, "{\"seq\": %u, \"set\": [", seq);
	for (size_t i = 0; i < delta->n_set; i++) {
		ps_buf_adds(out, i ? ", " : "");
		write_rule(out, delta->set[i]);
	}
	ps_buf_adds(out, "], \"del\": [");
	for (size_t i = 0; i < delta->n_del; i++)
		ps_buf_addf(out, i ? ", %d" : "%d", delta->del[i]);
	ps_buf_adds(out, "]}\n");
}

/* --- reading -------------------------------------------------------------------------------------- */

static int read_rule(const char *text, size_t len, size_t number, struct ps_rule *ret_rule, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	struct ps_error inner = {0};
	int r = ps_json_parse(text, len, &body, &inner);

	if (r >= 0)
		r = ps_rule_from_stored(body, ret_rule, &inner);
	if (r == -EINVAL)
		return ps_error_set(err, r, 400, inner.code, inner.field, "rule number %zu: %s", number, inner.message);
	return r;
}

static int append(struct ps_rule_array *a, struct ps_rule *rule)
{
	if (a->n == a->room) {
		int r = ps_rule_array_reserve(a, a->n * 2 + 16);

		if (r < 0)
			return r;
	}
	a->rules[a->n++] = *rule;
	memset(rule, 0, sizeof(*rule));
	return 0;
}

static int read_rules(const char *text, size_t len, struct ps_rule_array *out, struct ps_error *err)
{
	struct ps_json_scan scan;
	const char *piece;
	size_t piece_len;
	int r = ps_json_scan_begin(text, len, '[', &scan, err);

	while (r >= 0 && (r = ps_json_scan_next(&scan, NULL, NULL, &piece, &piece_len, err)) > 0) {
		_cleanup_(ps_rule_clear) struct ps_rule rule = {0};

		if (out->n >= PS_RULES_MAX)
			return ps_error_set(err, -EINVAL, 400, "rules_full", "rules", "more than %u rules; delete some",
				PS_RULES_MAX);
		r = read_rule(piece, piece_len, scan.count, &rule, err);
		if (r >= 0)
			r = append(out, &rule);
	}
	return r < 0 ? r : ps_rule_array_sort(out, err);
}

static bool is(const char *key, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(key, name, len) == 0;
}

static void take_text(char *to, size_t size, const struct ps_value *v)
{
	(void)snprintf(to, size, "%s", ps_value_as_string(v, ""));
}

/* A member beside "rules": small, so it is read as a value. An unknown one is left alone. */
static int read_member(
	struct ps_set_head *h, const char *key, size_t key_len, const char *text, size_t len, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *v = NULL;
	int r = ps_json_parse(text, len, &v, err);

	if (r < 0)
		return r;
	if (is(key, key_len, "seq"))
		h->seq = (uint32_t)ps_value_as_uint(v, 0);
	else if (is(key, key_len, "boot"))
		take_text(h->boot, sizeof(h->boot), v);
	else if (is(key, key_len, "deadline_boot"))
		h->deadline_boot = ps_value_as_uint(v, 0);
	else if (is(key, key_len, "deadline"))
		h->deadline_wall = ps_value_as_uint(v, 0);
	else if (is(key, key_len, "id"))
		h->id = (int32_t)ps_value_as_int(v, -1);
	else if (is(key, key_len, "op"))
		take_text(h->op, sizeof(h->op), v);
	else if (is(key, key_len, "who"))
		take_text(h->who, sizeof(h->who), v);
	else if (is(key, key_len, "bulk"))
		h->bulk = ps_value_as_bool(v, false);
	h->pending = h->deadline_boot != 0;
	return 0;
}

/* What "version" says, wherever it stands; 0 = nothing that makes sense. */
static int64_t version_of(const char *text, size_t len)
{
	const char *key, *piece;
	size_t key_len, piece_len;
	struct ps_json_scan scan;
	int64_t version = 0;

	if (ps_json_scan_begin(text, len, '{', &scan, NULL) < 0)
		return 0;
	while (ps_json_scan_next(&scan, &key, &key_len, &piece, &piece_len, NULL) > 0) {
		_cleanup_(ps_value_free) struct ps_value *v = NULL;

		if (!is(key, key_len, "version"))
			continue;
		if (ps_json_parse(piece, piece_len, &v, NULL) == 0)
			version = ps_value_as_int(v, 0);
		break;
	}
	return version;
}

int ps_rule_text_read(
	const char *text, size_t len, struct ps_set_head *ret_head, struct ps_rule_array *out, struct ps_error *err)
{
	struct ps_set_head head = {.id = -1};
	const char *key, *piece;
	size_t key_len, piece_len;
	struct ps_json_scan scan;
	int64_t version = version_of(text, len);
	bool rules = false;
	int r = ps_json_scan_begin(text, len, '{', &scan, err);

	/* Before anything else of it is judged: its rules may have fields that we don't know. */
	if (version > PS_RULES_FILE_VERSION)
		return ps_error_set(err, -EPROTO, 500, "newer_file", "version",
			"written by a newer version of Packet Scope (format %lld, this one knows up to %d)",
			(long long)version, PS_RULES_FILE_VERSION);
	while (r >= 0 && (r = ps_json_scan_next(&scan, &key, &key_len, &piece, &piece_len, err)) > 0) {
		if (!is(key, key_len, "rules")) {
			r = read_member(&head, key, key_len, piece, piece_len, err);
			continue;
		}
		if (rules)
			return ps_error_set(err, -EINVAL, 400, "bad_value", "rules", "\"rules\" stands there twice");
		rules = true;
		r = read_rules(piece, piece_len, out, err);
	}
	if (r < 0)
		return r;
	if (version < 1 || !rules)
		return ps_error_set(err, -EINVAL, 400, "bad_value", rules ? "version" : "rules",
			"not a rule file: \"version\": 2 and \"rules\": [ … ] are expected");
	*ret_head = head;
	return 0;
}

static int apply(
	const struct ps_value *set, const struct ps_value *del, struct ps_rule_array *rules, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(del); i++) {
		struct ps_rule *known = ps_rule_array_find(rules, ps_value_as_int(ps_value_at(del, i), -1));

		if (known) {
			_cleanup_(ps_rule_clear) struct ps_rule gone =
				ps_rule_array_take(rules, (size_t)(known - rules->rules));
		}
	}
	for (size_t i = 0; i < ps_value_count(set); i++) {
		_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
		struct ps_rule *known;
		int r = ps_rule_from_stored(ps_value_at(set, i), &rule, err);

		if (r < 0)
			return r;
		known = ps_rule_array_find(rules, rule.id);
		if (known) {
			ps_rule_clear(known);
			*known = rule;
			memset(&rule, 0, sizeof(rule));
		} else {
			r = ps_rule_array_put(rules, &rule);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* The line is read as a whole before anything of it is applied. */
static int check(const struct ps_value *set, struct ps_error *err)
{
	for (size_t i = 0; i < ps_value_count(set); i++) {
		_cleanup_(ps_rule_clear) struct ps_rule rule = {0};
		int r = ps_rule_from_stored(ps_value_at(set, i), &rule, err);

		if (r < 0)
			return r;
	}
	return 0;
}

int ps_rule_text_replay(const char *line, size_t len, uint32_t *seq, struct ps_rule_array *rules, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *doc = NULL;
	const struct ps_value *set, *del;
	int64_t number;
	int r = ps_json_parse(line, len, &doc, err);

	if (r < 0)
		return r;
	set = ps_value_get(doc, "set");
	del = ps_value_get(doc, "del");
	if (!ps_value_is_integer(ps_value_get(doc, "seq"), &number) || number < 1 || number > UINT32_MAX ||
		ps_value_kind(set) != PS_VALUE_LIST || ps_value_kind(del) != PS_VALUE_LIST)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "seq", "not a line of a rule log");
	if (number <= *seq)
		return 0;
	if (number != (int64_t)*seq + 1)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "seq", "change %lld follows change %u",
			(long long)number, *seq);
	r = check(set, err);
	if (r >= 0)
		r = apply(set, del, rules, err);
	if (r < 0)
		return r;
	*seq = (uint32_t)number;
	return 0;
}
