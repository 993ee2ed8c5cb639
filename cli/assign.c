#include "cli/assign.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fetch.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/rule_fields.h"

/* The fields of a rule, and what else a request may say. */
static const struct field {
	const char *name;
	enum ps_rule_kind kind;
	const char *doc;
} fields[] = {
#define PS_RULE(name, kind, applies, member, doc) {#name, PS_RF_##kind, doc},
#include "common/model/rule.def"
	{"confirm_within", PS_RF_TTL, "Seconds after which the change is undone unless confirmed"},
	{"force", PS_RF_BOOL, "Do it although it cuts connections that the guard looks after"},
	{"dry_run", PS_RF_BOOL, "replace: say what would come of it, change nothing"},
};

/* Number of single edits between two short words, at most `limit`. */
static size_t distance(const char *a, const char *b, size_t limit)
{
	size_t row[40], n = strlen(b);

	if (n >= PS_ARRAY_SIZE(row))
		return limit;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			size_t changed = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = PS_MIN(changed, PS_MIN(row[j], row[j + 1]) + 1);
		}
	}
	return PS_MIN(row[n], limit);
}

static int unknown_field(const char *name, struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf known = PS_BUF_INIT;
	const char *near = NULL;
	size_t best = 3;

	for (size_t i = 0; i < PS_ARRAY_SIZE(fields); i++) {
		size_t d = distance(name, fields[i].name, best);

		if (d < best) {
			best = d;
			near = fields[i].name;
		}
		ps_buf_addf(&known, "%s%s", i ? " " : "", fields[i].name);
	}
	if (near)
		return ps_error_set(
			err, -EINVAL, 400, "unknown_field", name, "there is no such field; did you mean %s?", near);
	return ps_error_set(err, -EINVAL, 400, "unknown_field", name, "there is no such field; fields are: %s",
		ps_buf_str(&known) ? ps_buf_str(&known) : "");
}

/* Decimal or 0x…, the whole text. */
static struct ps_value *number_or_text(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 0);
	if (*text && !*end && errno == 0)
		return ps_value_int(n);
	return ps_value_string(text);
}

static int parse_bool(const char *text, bool *ret_b)
{
	static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < PS_ARRAY_SIZE(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret_b = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -EINVAL;
}

/* "rate_limit=none" takes the limit away again. */
static bool is_none(const char *text)
{
	return strcmp(text, "none") == 0 || strcmp(text, "null") == 0 || !*text;
}

int ps_assign(struct ps_value *body, const char *word, struct ps_error *err)
{
	const char *equals = strchr(word, '=');
	struct ps_value *value;
	char name[64];
	size_t i;
	bool b;

	if (!equals || equals == word)
		return ps_error_set(
			err, -EINVAL, 400, "bad_value", word, "write fields as name=value, for example dst_port=23");
	(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	for (i = 0; i < PS_ARRAY_SIZE(fields) && strcmp(fields[i].name, name) != 0; i++)
		;
	if (i == PS_ARRAY_SIZE(fields))
		return unknown_field(name, err);
	if (ps_value_get(body, name))
		return ps_error_set(err, -EINVAL, 400, "bad_value", name, "is given twice");

	switch (fields[i].kind) {
	case PS_RF_BOOL:
		if (parse_bool(equals + 1, &b) < 0)
			return ps_error_set(err, -EINVAL, 400, "bad_value", name, "must be true or false");
		value = ps_value_bool(b);
		break;
	case PS_RF_RATE:
	case PS_RF_TTL:
	case PS_RF_TIME:
		value = is_none(equals + 1) ? ps_value_null() : number_or_text(equals + 1);
		break;
	case PS_RF_ID:
	case PS_RF_PROTO:
	case PS_RF_PORTS:
	case PS_RF_FLAGS:
	case PS_RF_ICMP:
	case PS_RF_INNER_PROTO:
	case PS_RF_PRIORITY:
		value = number_or_text(equals + 1);
		break;
	default:
		value = ps_value_string(equals + 1);
		break;
	}
	if (ps_value_set(body, name, value) < 0)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	return 0;
}

/* The field that "--src-ip" or "--src-ip=…" means, NULL if it is none. *ret_value: behind the "=", NULL without. */
static const struct field *field_of_flag(const char *arg, const char **ret_value)
{
	const char *name = arg + (arg[0] == '-') + (arg[0] == '-' && arg[1] == '-'), *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);

	if (name == arg || n < 2)
		return NULL;
	for (size_t i = 0; i < PS_ARRAY_SIZE(fields); i++) {
		const char *f = fields[i].name;
		size_t k = 0;

		while (k < n && f[k] && (name[k] == f[k] || (name[k] == '-' && f[k] == '_')))
			k++;
		if (k == n && !f[k]) {
			*ret_value = equals ? equals + 1 : NULL;
			return &fields[i];
		}
	}
	return NULL;
}

int ps_assign_flags(int *argc, char **argv, struct ps_error *err)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		const char *value = NULL;
		const struct field *f = field_of_flag(argv[i], &value);
		bool b;

		if (strcmp(argv[i], "--") == 0) {
			while (i < *argc)
				argv[kept++] = argv[i++];
			break;
		}
		if (!f) {
			argv[kept++] = argv[i];
			continue;
		}
		if (!value && f->kind == PS_RF_BOOL)
			value = i + 1 < *argc && !parse_bool(argv[i + 1], &b) ? argv[++i] : "true";
		else if (!value && i + 1 < *argc)
			value = argv[++i];
		if (!value)
			return ps_error_set(err, -EINVAL, 400, "bad_value", f->name, "%s needs a value", argv[i]);
		if (asprintf(&argv[kept], "%s=%s", f->name, value) < 0)
			return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
		kept++;
	}
	*argc = kept;
	argv[kept] = NULL;
	return 0;
}

int ps_assign_query(struct ps_value *body, const char *name, struct ps_buf *query)
{
	const struct ps_value *v = ps_value_get(body, name);
	char number[32];
	int64_t i;

	if (!v)
		return 0;
	ps_buf_addf(query, "%c%s=", query->len ? '&' : '?', name);
	if (ps_value_is_integer(v, &i)) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)i);
		ps_buf_adds(query, number);
	} else if (ps_value_kind(v) == PS_VALUE_BOOL) {
		ps_buf_adds(query, ps_value_as_bool(v, false) ? "true" : "false");
	} else {
		ps_fetch_escape(query, ps_value_as_string(v, ""));
	}
	ps_value_unset(body, name);
	return query->error;
}

/* What a person can give: the others are told by the gateway. */
static bool is_given(const struct field *f)
{
	return f->kind != PS_RF_ID && f->kind != PS_RF_EXPIRED && f->kind != PS_RF_CONFIRM &&
	       f->kind != PS_RF_GENERATION;
}

void ps_assign_help(struct ps_buf *out)
{
	ps_buf_adds(out, "\nFields of a rule, each as --dst-port 22 or dst_port=22:\n\n");
	for (size_t i = 0; i < PS_ARRAY_SIZE(fields); i++)
		if (is_given(&fields[i]))
			ps_buf_addf(out, "      %-18s%s\n", fields[i].name, fields[i].doc);
}

int ps_assign_all(int n, char *const *words, struct ps_value **ret_body, struct ps_error *err)
{
	_cleanup_(ps_value_free) struct ps_value *body = ps_value_map();
	int r;

	if (!body)
		return ps_error_set(err, -ENOMEM, 500, "no_memory", "", "out of memory");
	for (int i = 0; i < n; i++) {
		r = ps_assign(body, words[i], err);
		if (r < 0)
			return r;
	}
	*ret_body = PS_TAKE(body);
	return 0;
}
