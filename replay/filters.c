#include "replay/filters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "replay/limits.h"

/* Puts the place before the field that a rule's own reader named. */
static int at_rule(size_t i, struct ps_error *err)
{
	char field[sizeof(err->field)], inner[40];

	if (!err)
		return -EINVAL;
	(void)snprintf(inner, sizeof(inner), "%.39s", err->field);
	(void)snprintf(field, sizeof(field), "rules[%u]%s%s", (unsigned)i, inner[0] ? "." : "", inner);
	memcpy(err->field, field, sizeof(err->field));
	return -EINVAL;
}

/* The rules of the document, as a list. */
static int find_list(const struct ps_value *doc, const struct ps_value **ret_list, struct ps_error *err)
{
	const struct ps_value *list = ps_value_kind(doc) == PS_VALUE_MAP ? ps_value_get(doc, "rules") : doc;

	if (ps_value_kind(list) != PS_VALUE_LIST)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "filters",
			"a list of rules was expected, as GET /api/filters gives it, or an object with such a list in "
			"\"rules\"");
	if (ps_value_count(list) > PS_RULES_MAX)
		return ps_error_set(err, -EINVAL, 400, "bad_value", "filters", "%zu rules; %u are the limit",
			ps_value_count(list), PS_RULES_MAX);
	*ret_list = list;
	return 0;
}

static int read_rule(const struct ps_value *body, size_t i, struct ps_rule *rule, struct ps_error *err)
{
	const struct ps_value *id = ps_value_get(body, "id");
	struct ps_rule base;
	int64_t number;
	int r;

	ps_rule_defaults(&base);
	r = ps_rule_merge(&base, body, ps_clock_wall(), rule, NULL, err);
	if (r == -EINVAL)
		return at_rule(i, err);
	if (r < 0)
		return r;
	rule->id = -1;
	rule->expires_at = 0; /* a time of today says nothing about a capture */
	if (ps_value_kind(id) == PS_VALUE_NULL)
		return 0;
	if (!ps_value_is_integer(id, &number) || number < 0 || number >= (int64_t)PS_RULES_MAX) {
		(void)ps_error_set(err, -EINVAL, 400, "bad_value", "id", "id must be a whole number from 0 to %u",
			PS_RULES_MAX - 1);
		return at_rule(i, err);
	}
	rule->id = (int32_t)number;
	return 0;
}

/* Gives the lowest free id to each rule that has none. */
static int give_ids(struct ps_rule *rules, size_t n, struct ps_error *err)
{
	_cleanup_free_ bool *used = calloc(PS_RULES_MAX, sizeof(*used));
	int32_t next = 0;

	if (!used)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (rules[i].id < 0)
			continue;
		if (used[rules[i].id]) {
			(void)ps_error_set(err, -EINVAL, 400, "bad_value", "id", "a rule before this one has id %d too",
				rules[i].id);
			return at_rule(i, err);
		}
		used[rules[i].id] = true;
	}
	for (size_t i = 0; i < n; i++) {
		if (rules[i].id >= 0)
			continue;
		while (used[next])
			next++;
		rules[i].id = next;
		used[next] = true;
	}
	return 0;
}

int ps_filters_parse(const char *text, size_t len, struct ps_rules *ret_rules, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *doc = NULL;
	_cleanup_(ps_rules_clear) struct ps_rules rules = {0};
	const struct ps_value *list = NULL;
	size_t n;
	int r;

	r = ps_json_parse(text, len, &doc, err);
	if (r == 0)
		r = find_list(doc, &list, err);
	if (r < 0)
		return r;
	n = ps_value_count(list);
	if (ps_rules_alloc(n, &rules))
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = read_rule(ps_value_at(list, i), i, &rules.rule[i], err);
	if (r == 0)
		r = give_ids(rules.rule, n, err);
	if (r < 0)
		return r;
	*ret_rules = rules;
	rules = (struct ps_rules){0};
	return 0;
}

static int read_all(const char *path, struct ps_buf *out)
{
	_cleanup_close_ int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	out->limit = PS_REPLAY_FILTERS_BYTES;
	for (;;) {
		uint8_t *to = ps_buf_reserve(out, 4096);
		ssize_t n = to ? read(fd, to, 4096) : 0;

		if (!to)
			return out->error == -E2BIG ? -EFBIG : out->error;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		out->len += n > 0 ? (size_t)n : 0;
	}
}

int ps_filters_load(const char *path, struct ps_rules *ret_rules, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf text = PS_BUF_INIT;
	int r = read_all(path, &text);

	if (r < 0)
		return ps_error_set(err, r, 400, "no_file", "filters", "cannot read %.160s: %s", path, strerror(-r));
	r = ps_filters_parse((const char *)text.data, text.len, ret_rules, err);
	if (r < 0 && err && !err->field[0])
		(void)snprintf(err->field, sizeof(err->field), "filters");
	return r;
}
